//! Taking a project over: the same whether the supervisor before this one died, both processes did, or the
//! machine was restarted.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use naru_net::dns;
use naru_state::process::Identity;
use naru_state::record::{self, Phase};
use naru_state::{ContainerId, atomic};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use tokio::time::Instant;

use super::Supervisor;
use super::container::{Live, Running};
use super::handover::Greeting;
use super::timers::Due;
use crate::keeper::link::{Handles, ToKeeper, Watch};
use crate::observe::{self, Recorded};

/// How long a set-up whose maker has died takes at most to end.
const GIVING_UP: Duration = Duration::from_millis(50);

/// A supervisor that has had nothing to look after and no client for so long ends: the command that it was started for
/// was interrupted.
pub(super) const IDLE: Duration = Duration::from_secs(2);

/// How often, and after which time, a port or a resolver's address that is still in use is bound again.
const TRIES: u32 = 250;
const PAUSE: Duration = Duration::from_millis(20);

/// What the keeper watches and nobody has asked for yet.
type Watched = BTreeMap<ContainerId, (Watch, Handles)>;

impl Supervisor {
    /// Reads what is recorded and looks after what runs; what the keeper held meanwhile is used again.
    ///
    /// # Errors
    /// When a record cannot be read, or not told whether a process lives: what is there must not be taken for what nobody
    /// knows, or for what has ended.
    pub(super) fn adopt(&mut self, greeting: Greeting) -> io::Result<()> {
        self.timers.add(Instant::now() + IDLE, Due::Idle);
        self.timers.add(Instant::now() + IDLE, Due::Slim);
        self.load_model();
        if let Err(failure) = self.restore_networks() {
            // Whoever starts a container in them is told.
            tracing::error!(error = %failure.message, "the networks could not be made again");
        }
        for (port, sockets) in greeting.held {
            self.ports.take_back(port, sockets);
        }
        let all = observe::recorded(&self.own).map_err(io::Error::other)?;
        let mut watched = greeting.watched;
        for recorded in all {
            self.adopt_container(recorded, &mut watched)?;
        }
        self.remove_unfinished();
        self.remove_half_written();
        for id in self.containers.keys().cloned().collect::<Vec<_>>() {
            self.tell_what_was_missed(&id);
        }
        self.refresh_names();
        self.resume_names();
        self.was_restarted = true;
        self.release_left_ports();
        self.resume_ports();
        self.adopt_farewells();
        self.resume_forwarding();
        // A keeper that is gone is known to be by its silence.
        let _told = self.link.send(&ToKeeper::Serving, &[]);
        self.save_states();
        self.commit();
        Ok(())
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

    /// Records that somebody who was killed had begun to write.
    fn remove_half_written(&self) {
        let of_containers = self.containers.keys();
        let of_containers =
            of_containers.flat_map(|id| [self.own.container(id), self.own.container_run(id)]);
        let own = [self.own.data().to_owned(), self.own.run().to_owned()];
        let is_gone = |pid| naru_state::process::stat(pid).is_none();
        for folder in own.into_iter().chain(of_containers) {
            if let Err(error) = atomic::remove_half_written(&folder, is_gone) {
                tracing::warn!(%error, "a half-written record is left");
            }
        }
    }

    fn adopt_container(&mut self, mut recorded: Recorded, watched: &mut Watched) -> io::Result<()> {
        let id = recorded.record.id.clone();
        let held = watched.remove(&id);
        let begun = match recorded.start.take() {
            Some(start) if has_begun(&start, recorded.exit.as_ref(), held.as_ref())? => {
                recorded.state.begin(start);
                true
            }
            _ => false,
        };
        let service = match &recorded.record.one_off {
            Some(one_off) => serde_json::from_value(one_off.definition.clone()).ok(),
            None => self.model.services.get(&recorded.record.service).cloned(),
        };
        let runs = recorded.state.phase == Phase::Running;
        // What the keeper has written down has ended, also while somebody else has not reaped it.
        let known_end = recorded.exit.as_ref().map(|exit| &exit.process);
        let process = recorded.state.process.clone();
        let process = process.filter(|process| runs && known_end != Some(process));
        let held = held.filter(|(watch, _)| process.as_ref().is_some_and(|it| is_of(watch, it)));
        let handles = held.map(|(_, handles)| handles).unwrap_or_default();
        let found = process.map(|process| self.find(process, handles, &recorded.record));
        let found = found.transpose()?.flatten();
        match found {
            Some(Found { process, pidfd, handles }) => {
                let live = Live::adopted(recorded.record, recorded.state, service);
                self.containers.insert(id.clone(), live);
                self.adopt_running(&id, pidfd, process, handles);
            }
            None => {
                let phase = recorded.state.phase;
                let (record, state) = recorded.ended();
                self.containers.insert(id.clone(), Live::adopted(record, state, service));
                self.end_unknown(&id);
                self.adopt_ended(&id, phase);
            }
        }
        if begun {
            self.save_state(&id);
        }
        Ok(())
    }

    /// A process as the keeper holds it, or by its number; nothing when it is no more. Its output is held before that is
    /// seen: it goes with the last who holds it, and of one whose end is heard all of it shall be there.
    fn find(
        &self,
        process: Identity,
        mut handles: Handles,
        record: &record::Container,
    ) -> io::Result<Option<Found>> {
        let fifos = (handles.output.is_empty() && !record.tty)
            .then(|| open_fifos(&self.own.container_run(&record.id)));
        let pidfd = match handles.pidfd.take() {
            Some(pidfd) => Some(pidfd),
            None => open(&process)?,
        };
        let Some(pidfd) = pidfd else { return Ok(None) };
        match fifos.transpose() {
            Ok(fifos) => handles.output.extend(fifos.into_iter().flatten()),
            Err(error) => {
                tracing::error!(container = %record.id, %error, "its output cannot be held");
            }
        }
        Ok(Some(Found { process, pidfd, handles }))
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

    fn adopt_running(
        &mut self,
        id: &ContainerId,
        pidfd: OwnedFd,
        process: Identity,
        handles: Handles,
    ) {
        let Some(live) = self.containers.get_mut(id) else { return };
        live.running = Some(Running {
            process,
            pidfd: Arc::new(pidfd),
            since: since(&live.state),
            probing: None,
            ready: None,
            dns: None,
            output: handles.output,
            resolver: handles.resolver,
        });
        super::inside::end_probe(&self.own, id);
        self.watch(id);
        self.resume_check(id);
        self.resume_ready(id);
        if let Some(why) = self.containers.get(id).and_then(|live| live.state.renewal) {
            self.renew(id, why);
        }
    }

    /// Questions are answered again. Not before all names are known: they wait meanwhile, and nobody hears that there is no
    /// such name.
    fn resume_names(&mut self) {
        let all: Vec<_> = self.containers.keys().cloned().collect();
        for id in all {
            self.resume_dns(&id, TRIES);
        }
    }

    /// Ports that the keeper did not hold are bound again.
    fn resume_ports(&mut self) {
        let all: Vec<_> = self.containers.keys().cloned().collect();
        for id in all {
            self.resume_ports_of(&id, TRIES);
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
                return self.timers.add(Instant::now() + PAUSE, due);
            }
            Err(failure) => {
                tracing::error!(container = %id, message = failure.message, "a port was lost");
            }
        }
        self.serve_ports(id);
    }

    /// The resolver's sockets as they were; made anew in the container's network namespace where nobody held them.
    /// Who held them may still be ending: what is in use is tried again.
    pub(super) fn resume_dns(&mut self, id: &ContainerId, tries: u32) {
        let Some(live) = self.containers.get_mut(id) else { return };
        let Some(running) = live.running.as_mut().filter(|running| running.dns.is_none()) else {
            return;
        };
        if live.record.attachments.is_empty() {
            return;
        }
        let is_held = running.resolver.len() == 2;
        let sockets = match is_held {
            true => held_sockets(&running.resolver),
            false => bind_sockets(running.process.pid),
        };
        match sockets {
            Ok((sockets, held)) => {
                running.resolver = held;
                self.serve_dns(id, sockets);
                if !is_held {
                    self.watch(id);
                }
            }
            Err(_) if tries > 0 => {
                let due = Due::Resolver(id.clone(), tries - 1);
                self.timers.add(Instant::now() + PAUSE, due);
            }
            Err(error) => tracing::error!(container = %id, %error, "has no resolver"),
        }
    }

    fn resume_check(&mut self, id: &ContainerId) {
        let Some(live) = self.containers.get(id) else { return };
        let Some(service) = &live.service else { return };
        let image = self.store.find(&live.record.image).ok().flatten();
        let facts = image.as_ref().map(crate::spec::Image::from).unwrap_or_default();
        let check = crate::spec::healthcheck(service, &facts).ok().flatten();
        self.resume_probing(id, check);
    }

    /// It does not run. One that was about to be restarted is when it was to be; of one that ended while nobody
    /// looked, its policy decides now.
    fn adopt_ended(&mut self, id: &ContainerId, phase: Phase) {
        let Some(live) = self.containers.get_mut(id) else { return };
        let after = match phase {
            Phase::Created | Phase::Exited => return,
            Phase::Restarting => {
                let left = live.state.restart_at.as_ref().and_then(record::Moment::remaining);
                live.state.phase = Phase::Restarting;
                Some(left.unwrap_or_default())
            }
            Phase::Running => {
                let finished_ns = live.state.finished_ns.unwrap_or_else(record::now_ns);
                let started_ns = live.state.started_ns.unwrap_or(finished_ns);
                let exit = naru_plan::restart::Exit {
                    code: live.state.exit.as_ref().and_then(|exit| exit.code),
                    ran_for: Duration::from_nanos(finished_ns.saturating_sub(started_ns)),
                    ended_by: live.ended_by(),
                };
                live.follow(naru_plan::restart::decide(&live.policy(), &exit, live.attempts))
            }
        };
        if let Some(after) = after {
            let due = Due::Restart(id.clone(), live.state.generation);
            self.timers.add(Instant::now() + after, due);
        }
        self.changed(id);
    }
}

/// A container's process that runs or has just ended.
struct Found {
    process: Identity,
    pidfd: OwnedFd,
    handles: Handles,
}

/// Whether a start that nobody could tell of came as far as the program. Its set-up ends at once when who made it is gone.
fn has_begun(
    start: &record::Start,
    exit: Option<&record::Exit>,
    held: Option<&(Watch, Handles)>,
) -> io::Result<bool> {
    if let Some(has_run) = observe::has_run(start, exit) {
        return Ok(has_run);
    }
    let process = &start.process;
    let held = held.filter(|(watch, _)| is_of(watch, process));
    let pidfd = match held.and_then(|(_, handles)| handles.pidfd.as_ref()) {
        Some(pidfd) => Some(pidfd.try_clone()?),
        None => open(process)?,
    };
    let Some(pidfd) = pidfd else { return Ok(false) };
    let patience = Timespec::try_from(GIVING_UP).ok();
    // Looked at in any case.
    let _ended = poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], patience.as_ref());
    let Identity { boot_id, pid, start_time } = process.clone();
    let outcome = naru_runtime::Identity { boot_id, pid, start_time }.outcome(pidfd.as_fd());
    let code = outcome.and_then(naru_runtime::ExitStatus::code);
    Ok(code != Some(naru_runtime::SET_UP_FAILED.into()))
}

/// Whether the keeper means this process.
fn is_of(watch: &Watch, process: &Identity) -> bool {
    (watch.pid, watch.start_time) == (process.pid, process.start_time)
}

/// When it was started, on this process's clock.
fn since(state: &record::State) -> Instant {
    let ran = state.started_at.as_ref().and_then(record::Moment::elapsed).unwrap_or_default();
    let now = Instant::now();
    now.checked_sub(ran).unwrap_or(now)
}

/// Sockets to serve, and duplicates to hold.
type Resolver = (dns::Sockets, Vec<OwnedFd>);

fn held_sockets(held: &[OwnedFd]) -> io::Result<Resolver> {
    let [udp, tcp] = held else { return Err(io::ErrorKind::InvalidInput.into()) };
    let sockets = dns::Sockets::from_descriptors([udp.try_clone()?, tcp.try_clone()?]);
    let held = sockets.duplicate()?.into();
    Ok((sockets, held))
}

fn bind_sockets(pid: i32) -> io::Result<Resolver> {
    let netns = fs_err::File::open(format!("/proc/{pid}/ns/net"))?;
    let sockets = dns::bind(netns.file().as_fd()).map_err(io::Error::other)?;
    let held = sockets.duplicate()?.into();
    Ok((sockets, held))
}

/// Opened for both, so that it waits for nobody and nobody sees it come or go.
fn open_fifos(run: &std::path::Path) -> io::Result<Vec<OwnedFd>> {
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let open = |name: &str| rustix::fs::open(run.join(name), flags, Mode::empty());
    Ok(vec![open("stdout")?, open("stderr")?])
}

fn open(process: &Identity) -> io::Result<Option<OwnedFd>> {
    let Identity { boot_id, pid, start_time } = process.clone();
    naru_runtime::Identity { boot_id, pid, start_time }.open().map_err(io::Error::other)
}
