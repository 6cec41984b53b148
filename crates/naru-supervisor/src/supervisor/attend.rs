//! Clients that take part in a container until it ends: `run` and `attach`. They read its output from its log, write to
//! its input themselves, and are told here how it ends. A container that is to be removed when it has ended goes when
//! the last of them has left, also when they were killed.

use std::sync::Arc;
use std::time::Duration;

use naru_state::ContainerId;
use rustix::process::Signal;

use super::Supervisor;
use super::control::Client;
use super::event::Event;
use super::timers::Due;
use crate::protocol::{Failure, Reply, Running};

/// How long clients of the supervisor before this one are given to come back.
const RETURN: Duration = Duration::from_secs(3);

impl Supervisor {
    /// A client wants to take part in a container that runs.
    pub(super) fn attach(&mut self, id: &str, client: Client) {
        let id = ContainerId::try_from(id.to_owned()).ok();
        let runs = |id: &ContainerId| self.containers.get(id).is_some_and(|l| l.running.is_some());
        match id.filter(runs) {
            Some(id) => self.attend(&id, client, true),
            None => {
                let message = "the container does not run".to_owned();
                drop(client.send(Reply::Failed(Failure { message, ..Failure::default() })));
            }
        }
    }

    /// Tells a client that its container was started, and later how it ends if it `stays` for that.
    pub(super) fn attend(&mut self, id: &ContainerId, client: Client, stays: bool) {
        let Some(live) = self.containers.get_mut(id) else { return };
        let running = live.running.as_ref().filter(|_| live.record.tty && stays);
        let terminal = running.and_then(|running| running.output.first());
        let terminal = terminal.and_then(|master| master.try_clone().ok()).map(Arc::new);
        let running = Running {
            id: id.as_str().to_owned(),
            name: live.record.name.clone(),
            has_terminal: terminal.is_some(),
            terminal,
        };
        drop(client.send(Reply::Running(Box::new(running))));
        if !stays {
            drop(client.send(Reply::Done));
            return;
        }
        live.attending.push(client.clone());
        live.was_attended = true;
        let is_active = live.is_active();
        self.watch_client(client, Some(id.clone()));
        if !is_active {
            self.tell_end(id);
        }
    }

    /// Notices when a client goes, however it does.
    pub(super) fn watch_client(&self, client: Client, id: Option<ContainerId>) {
        let events = self.events.clone();
        tokio::spawn(async move {
            client.closed().await;
            drop(events.send(Event::ClientGone(id)));
        });
    }

    /// A client has gone: its container may go too; a `run` that has not come as far as that is given up.
    pub(super) fn client_gone(&mut self, id: Option<&ContainerId>) {
        if let Some(id) = id {
            return self.remove_if_done(id);
        }
        let operation = self.operation.as_ref().filter(|operation| operation.run.is_some());
        if operation.is_some_and(|operation| operation.client.is_closed()) {
            self.cancel_operation();
        }
    }

    /// Tells whoever takes part in a container how it has ended.
    pub(super) fn tell_end(&mut self, id: &ContainerId) {
        let Some(live) = self.containers.get_mut(id) else { return };
        let code = live.state.exit.as_ref().and_then(|exit| exit.code);
        for client in &live.attending {
            drop(client.send(Reply::Ended { code }));
        }
        self.remove_if_done(id);
        self.end_if_empty();
    }

    /// A client that took part in a container needs nothing of it any more.
    pub(super) fn leave(&mut self, id: &str, client: Client) {
        let id = ContainerId::try_from(id.to_owned()).ok();
        let live = id.as_ref().and_then(|id| self.containers.get_mut(id));
        let (Some(id), Some(live)) = (&id, live) else {
            return drop(client.send(Reply::Done));
        };
        live.attending.retain(|other| !other.same_channel(&client));
        live.was_attended = true;
        if !is_to_go(live) || !live.attending.is_empty() {
            return drop(client.send(Reply::Done));
        }
        self.leaving.push((id.clone(), client));
        self.remove_if_done(id);
    }

    /// Removes a container that is to go when it has ended, once nobody needs it.
    pub(super) fn remove_if_done(&mut self, id: &ContainerId) {
        let (since, is_leaving) = (self.since, self.keeper.is_leaving());
        // Whose command is under way is about to be told of it.
        let run = self.operation.as_ref().and_then(|operation| operation.run.clone());
        let slug = run.map(|run| run.slug.clone());
        let Some(live) = self.containers.get_mut(id) else { return };
        live.attending.retain(|client| !client.is_closed());
        if !is_to_go(live) || !live.attending.is_empty() || is_leaving {
            return;
        }
        let one_off = live.record.one_off.as_ref();
        if one_off.is_some_and(|one_off| slug.as_ref() == Some(&one_off.slug)) {
            return;
        }
        let is_attended = one_off.is_some_and(|one_off| one_off.attended);
        if is_attended && !live.was_attended && since.elapsed() < RETURN {
            return self.timers.add(since + RETURN, Due::Farewell(id.clone()));
        }
        self.remove_at_once(id);
    }

    /// Removes a container that does not run, with everything that is its own.
    fn remove_at_once(&mut self, id: &ContainerId) {
        self.tell(id, "destroy");
        let Some(live) = self.containers.remove(id) else { return };
        self.release_unused_ports(&live.record.ports);
        self.refresh_names();
        let own_volumes = live.record.anonymous_volumes.iter();
        let volumes: Vec<_> = own_volumes.map(|name| self.directories.volume(name)).collect();
        let log = super::remove::own_log(&self.own, &live.record);
        let (own, cgroup) = (self.own.clone(), self.cgroup(id));
        let (events, id) = (self.events.clone(), id.clone());
        self.removing += 1;
        tokio::task::spawn_blocking(move || {
            let mut removed = super::remove::remove_files(&own, &cgroup, &id);
            for volume in volumes {
                removed = removed.and(super::volumes::remove(&volume));
            }
            let removed = removed.and(super::remove::remove_log(log));
            drop(events.send(Event::Gone(id, removed)));
        });
    }

    /// Takes a container back that was made and never ran; whoever made it begins anew.
    pub(super) fn take_back_one(&mut self, id: &ContainerId) {
        let Some(live) = self.containers.remove(id) else { return };
        self.release_unused_ports(&live.record.ports);
        if let Err(error) = super::remove::remove_files(&self.own, &self.cgroup(id), id) {
            tracing::warn!(container = %live.record.name, %error, "not wholly taken back");
        }
        drop(super::remove::remove_log(super::remove::own_log(&self.own, &live.record)));
        for volume in &live.record.anonymous_volumes {
            drop(super::volumes::remove(&self.directories.volume(volume)));
        }
    }

    /// A container that nobody needed any more was removed.
    pub(super) fn gone(&mut self, id: &ContainerId, result: std::io::Result<()>) {
        self.removing -= 1;
        if let Err(error) = result {
            tracing::error!(container = %id, %error, "a container could not be wholly removed");
        }
        // Before the answer: whoever asked may begin anew at once, with files of its own.
        self.end_if_empty();
        for (_, client) in self.leaving.extract_if(.., |(gone, _)| gone == id) {
            drop(client.send(Reply::Done));
        }
    }

    /// Passes a signal on to a container: to its first process, or to the others where that cannot receive it.
    pub(super) fn signal_one(&mut self, id: &str, signal: i32, client: &Client) {
        let id = ContainerId::try_from(id.to_owned()).ok();
        let signal = Signal::from_named_raw(signal);
        if let (Some(id), Some(signal)) = (id, signal) {
            self.will_be_sent(&id, signal);
            self.pass_signal(&id, signal);
        }
        drop(client.send(Reply::Done));
    }

    /// Containers that were to be removed when the supervisor before this one ended.
    pub(super) fn adopt_farewells(&mut self) {
        let all: Vec<_> = self.containers.keys().cloned().collect();
        all.iter().for_each(|id| self.remove_if_done(id));
    }
}

/// Whether a container goes by itself: it has ended and was to be removed then, or was made for a command that died
/// before it could start it.
fn is_to_go(live: &super::container::Live) -> bool {
    let one_off = live.record.one_off.as_ref();
    let never_ran = live.state.started_ns.is_none();
    !live.is_active() && one_off.is_some_and(|one_off| one_off.auto_remove || never_ran)
}
