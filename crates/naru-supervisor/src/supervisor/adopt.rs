//! Taking a project over: the same whether the supervisor before this one died, both processes did, or the
//! machine was restarted.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use naru_state::process::Identity;
use naru_state::record::{self, Phase};
use naru_state::{ContainerId, atomic};
use tokio::time::{Duration, Instant};

use super::Supervisor;
use super::container::{Live, Running};
use super::timers::Due;
use crate::keeper::link::{ToKeeper, Watch};
use crate::observe;

/// A supervisor that nobody asked anything for so long, and that has nothing to look after, ends.
const IDLE: Duration = Duration::from_secs(30);

/// How often, and after which time, a port that is still in use is bound again.
const PORT_TRIES: u32 = 250;
const PORT_PAUSE: Duration = Duration::from_millis(20);

impl Supervisor {
    /// Reads what is recorded and looks after what runs.
    pub(super) fn adopt(&mut self) {
        self.timers.add(Instant::now() + IDLE, Due::Idle);
        self.load_model();
        let seen = match observe::containers(&self.own) {
            Ok(seen) => seen,
            Err(error) => {
                tracing::error!(%error, "the containers' records could not be read");
                return;
            }
        };
        for seen in seen {
            let id = seen.record.id.clone();
            let service = self.model.services.get(&seen.record.service).cloned();
            self.containers.insert(id.clone(), Live::adopted(seen.record, seen.state, service));
            self.adopt_container(&id);
        }
        self.remove_unfinished();
        self.refresh_names();
    }

    fn load_model(&mut self) {
        match atomic::load::<record::Project>(&self.own.project_file()) {
            Ok(Some(project)) => match serde_json::from_value(project.model) {
                Ok(model) => self.model = model,
                Err(error) => tracing::error!(%error, "the recorded project is not understood"),
            },
            Ok(None) => {}
            Err(error) => tracing::error!(%error, "the recorded project could not be read"),
        }
    }

    /// Directories of containers whose record was never written.
    fn remove_unfinished(&self) {
        for id in observe::ids(&self.own).unwrap_or_default() {
            if !self.containers.contains_key(&id) {
                let gone = super::remove::remove_files(&self.own, &self.cgroup(&id), &id);
                if let Err(error) = gone {
                    tracing::warn!(container = %id, %error, "an unfinished container is left");
                }
            }
        }
    }

    fn adopt_container(&mut self, id: &ContainerId) {
        let Some(live) = self.containers.get(id) else { return };
        let process = live.state.process.clone().filter(|_| live.state.phase == Phase::Running);
        match process.and_then(|process| Some((open(&process)?, process))) {
            Some((pidfd, process)) => self.adopt_running(id, pidfd, process),
            None => {
                self.end_unknown(id);
                self.adopt_ended(id);
            }
        }
    }

    /// Ends what a supervisor that died in the middle of a start has left: no record tells of it, and a
    /// second start would put its processes beside those.
    fn end_unknown(&self, id: &ContainerId) {
        let cgroup = self.cgroup(id);
        if cgroup.processes().is_ok_and(|processes| !processes.is_empty())
            && let Err(error) = cgroup.kill_all()
        {
            tracing::warn!(container = %id, %error, "processes of a half made start are left");
        }
    }

    fn adopt_running(&mut self, id: &ContainerId, pidfd: OwnedFd, process: Identity) {
        let Some(live) = self.containers.get_mut(id) else { return };
        let ran_ns = record::now_ns().saturating_sub(live.state.started_ns.unwrap_or_default());
        let now = Instant::now();
        let since = now.checked_sub(Duration::from_nanos(ran_ns)).unwrap_or(now);
        let pid = process.pid;
        let watch = Watch {
            id: id.clone(),
            pid,
            start_time: process.start_time,
            name: live.record.name.clone(),
            generation: live.state.generation,
            tty: live.record.tty,
        };
        let pidfd = Arc::new(pidfd);
        live.running = Some(Running { process, pidfd, since, probing: None, dns: None });
        if let Err(error) = self.link.send(&ToKeeper::Watch(watch), &[]) {
            tracing::error!(%error, "the keeper could not be told of a container");
        }
        self.resume_dns(id, pid);
        self.resume_probing(id);
    }

    /// The keeper has said which ports it held; those that it did not are bound again.
    pub(super) fn resume_ports(&mut self) {
        let all: Vec<_> = self.containers.keys().cloned().collect();
        for id in all {
            self.resume_ports_of(&id, PORT_TRIES);
        }
    }

    /// The supervisor before this one may still be ending, with its sockets open: what is in use is tried again.
    pub(super) fn resume_ports_of(&mut self, id: &ContainerId, tries: u32) {
        if self.containers.get(id).is_none_or(|live| live.running.is_none()) {
            return;
        }
        match self.rebind_ports(id) {
            Ok(()) => {}
            Err(_) if tries > 0 => {
                let due = Due::Ports(id.clone(), tries - 1);
                return self.timers.add(Instant::now() + PORT_PAUSE, due);
            }
            Err(failure) => {
                tracing::error!(container = %id, message = failure.message, "a port was lost");
            }
        }
        self.serve_ports(id);
    }

    /// The resolver's sockets are made anew in the container's network namespace.
    fn resume_dns(&mut self, id: &ContainerId, pid: i32) {
        let Some(live) = self.containers.get(id) else { return };
        if live.record.attachments.is_empty() {
            return;
        }
        let netns = fs_err::File::open(format!("/proc/{pid}/ns/net"));
        let sockets = netns.map_err(|error| error.to_string()).and_then(|netns| {
            use std::os::fd::AsFd;
            naru_net::dns::bind(netns.file().as_fd()).map_err(|error| error.to_string())
        });
        match sockets {
            Ok(sockets) => self.serve_dns(id, sockets),
            Err(error) => tracing::error!(container = %id, error, "has no resolver"),
        }
    }

    fn resume_probing(&mut self, id: &ContainerId) {
        let Some(live) = self.containers.get(id) else { return };
        let Some(service) = &live.service else { return };
        let image = self.store.find(&live.record.image).ok().flatten();
        let facts = image.as_ref().map(crate::spec::Image::from).unwrap_or_default();
        let check = crate::spec::healthcheck(service, &facts).ok().flatten();
        self.begin_probing(id, check);
    }

    /// It ended while nobody looked: write that down, and restart it if its policy says so.
    fn adopt_ended(&mut self, id: &ContainerId) {
        let Some(live) = self.containers.get_mut(id) else { return };
        if live.state.phase == Phase::Created {
            return;
        }
        let exit = naru_plan::restart::Exit {
            code: live.state.exit.as_ref().and_then(|exit| exit.code),
            ran_for: std::time::Duration::ZERO,
            stopped_by_user: live.state.stopped_by_user,
        };
        match naru_plan::restart::decide(&live.policy(), &exit, live.attempts) {
            naru_plan::restart::Decision::Restart { after, attempts } => {
                live.attempts = attempts;
                live.state.phase = Phase::Restarting;
                let due = Due::Restart(id.clone(), live.state.generation);
                self.timers.add(Instant::now() + after, due);
            }
            naru_plan::restart::Decision::Stay => live.state.phase = Phase::Exited,
        }
        self.changed(id);
    }

    /// The keeper is gone: start another one, which starts another supervisor, and make room for it. The
    /// containers live on, and the new pair finds them by their records.
    pub(super) fn keeper_gone(&mut self) {
        if self.finished {
            return;
        }
        tracing::warn!("the keeper ended unasked; a new one takes over");
        if let Err(error) = crate::client::start(&self.directories, &self.project) {
            tracing::error!(%error, "a new keeper could not be started");
        }
        self.finished = true;
    }
}

fn open(process: &Identity) -> Option<OwnedFd> {
    let Identity { boot_id, pid, start_time } = process.clone();
    naru_runtime::Identity { boot_id, pid, start_time }.open().ok().flatten()
}
