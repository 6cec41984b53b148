//! The keeper: the first process of a project, parent of the supervisor and of every container.
//!
//! It holds what cannot be made again (listening sockets, terminals' masters), moves output into the logs,
//! writes down how containers end, and starts the supervisor again when that dies. It is synchronous, has
//! one thread, and is never asked to decide anything.
//!
//! The order at the start, and why:
//! 1. a session of its own: the terminal that `naru up` runs in must not take it along;
//! 2. the child subreaper attribute: what the supervisor leaves behind is reaped here;
//! 3. SIGCHLD into a descriptor, before the first child can end.

pub(crate) mod link;
mod output;
mod reap;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use naru_runtime::{Cgroup, Hierarchies, Membership};
use naru_state::process::Identity;
use naru_state::record::{self, Exit, Port};
use naru_state::{
    ContainerId, Directories, Lock, LockError, ProjectDirectories, ProjectName, atomic,
};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, poll};

use link::{Link, ToKeeper, ToSupervisor, Watch};
use output::Output;
use reap::Ended;

/// A supervisor that died this soon after its start is not started again at once.
const SHORT_LIFE: Duration = Duration::from_secs(1);

/// The longest pause before a supervisor that cannot live is tried again.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A supervisor that could not live so many times in a row, with no container to look after, is given up.
const TRIES: u32 = 3;

/// How often it is tried to move into the project's control group.
const SETTLE_TRIES: u32 = 5;

/// The keeper's whole state.
#[derive(Debug)]
struct Keeper {
    directories: Directories,
    project: ProjectName,
    own: ProjectDirectories,
    supervisor: Supervisor,
    outputs: BTreeMap<ContainerId, Output>,
    held: BTreeMap<Port, Vec<OwnedFd>>,
    /// Children that ended before anybody asked to look after them.
    strays: Vec<Ended>,
    finishing: bool,
    /// Supervisors in a row that did not live long.
    failures: u32,
    /// There is no supervisor until then.
    restart_at: Option<Instant>,
}

#[derive(Debug)]
struct Supervisor {
    process: Child,
    link: Link,
    started: Instant,
}

/// Runs the keeper of a project until the project is down.
///
/// # Errors
/// When the supervisor cannot be started.
pub(crate) fn run(directories: Directories, project: ProjectName) -> io::Result<()> {
    // Fails only for a process group's leader, which has no terminal to lose either.
    let _session = nix::unistd::setsid();
    nix::sys::prctl::set_child_subreaper(true)?;
    let signals =
        SignalFd::with_flags(&child_signals()?, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
    let own = directories.project(&project);
    let holder = format!("pid {}: keeper of {project}", std::process::id());
    let _only = match Lock::try_take(&own.keeper_lock_file(), &holder) {
        Ok(lock) => lock,
        // Two commands began at the same time: the other one's keeper is the project's.
        Err(LockError::Held { .. }) => return Ok(()),
        Err(error) => return Err(io::Error::other(error)),
    };
    let supervisor = start_supervisor(&directories, &project)?;
    let mut keeper = Keeper {
        directories,
        project,
        own,
        supervisor,
        outputs: BTreeMap::new(),
        held: BTreeMap::new(),
        strays: Vec::new(),
        finishing: false,
        failures: 0,
        restart_at: None,
    };
    keeper.greet();
    let leave = keeper.settle();
    let ended = loop {
        match keeper.turn(&signals) {
            Ok(true) => {}
            ended => break ended.map(drop),
        }
    };
    leave();
    ended
}

fn child_signals() -> io::Result<SigSet> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGCHLD);
    signals.thread_block()?;
    Ok(signals)
}

/// The supervisor's end of the link is its standard input.
fn start_supervisor(directories: &Directories, project: &ProjectName) -> io::Result<Supervisor> {
    use std::os::unix::process::CommandExt;
    let (link, theirs) = Link::pair()?;
    rustix::io::ioctl_fionbio(&link, true)?;
    let run = directories.run().parent().unwrap_or(directories.run());
    let process = Command::new("/proc/self/exe")
        .arg0("naru")
        .arg(crate::SUPERVISOR_ROLE)
        .arg(directories.data())
        .arg(run)
        .arg(project.as_str())
        .current_dir("/")
        .stdin(theirs.into_descriptor())
        .stdout(Stdio::null())
        .spawn()?;
    Ok(Supervisor { process, link, started: Instant::now() })
}

impl Keeper {
    /// Moves both processes into the project's control group, out of the session that `naru up` runs in.
    /// The first join after a pause waits for the kernel, which the joins of the containers then need not.
    /// What is returned moves this process back and removes the groups.
    fn settle(&self) -> impl FnOnce() + use<> {
        let place = self.own_place();
        match &place {
            Ok((_, _, group)) => self.move_into(group),
            Err(error) => tracing::warn!(%error, "stays in the session's control group"),
        }
        move || {
            if let Ok((hierarchies, before, group)) = place {
                before.restore(&hierarchies);
                group.remove_upwards();
            }
        }
    }

    fn own_place(&self) -> Result<(Hierarchies, Membership, Cgroup), naru_runtime::Error> {
        let hierarchies = Hierarchies::detect()?;
        let before = Membership::of_self(&hierarchies)?;
        let path = crate::own_cgroup_path(&self.directories, &self.project);
        let group = Cgroup::within(&hierarchies, path)?;
        Ok((hierarchies, before, group))
    }

    /// Again and again for a moment: the keeper of an earlier run may be removing the same groups.
    fn move_into(&self, group: &Cgroup) {
        let admit = |process: u32| group.admit(process.cast_signed());
        for attempt in 1..=SETTLE_TRIES {
            match admit(self.supervisor.process.id()).and_then(|()| admit(std::process::id())) {
                Ok(()) => return,
                Err(_) if attempt < SETTLE_TRIES => std::thread::sleep(Duration::from_millis(2)),
                Err(error) => tracing::warn!(%error, "stays in the session's control group"),
            }
        }
    }

    /// One round: wait for something, deal with all that has happened. False when the project is down.
    fn turn(&mut self, signals: &SignalFd) -> io::Result<bool> {
        self.wait(signals)?;
        while signals.read_signal().is_ok_and(|signal| signal.is_some()) {}
        self.hear();
        for output in self.outputs.values_mut() {
            output.take();
        }
        let mut supervisor_ended = false;
        for ended in reap::children() {
            if u32::try_from(ended.pid) == Ok(self.supervisor.process.id()) {
                supervisor_ended = true;
            } else {
                self.note(ended);
            }
        }
        for ended in reap::others(&self.outputs) {
            self.note(ended);
        }
        if supervisor_ended {
            // Whatever it said before it died is still in the link.
            self.hear();
            if self.finishing {
                return Ok(false);
            }
            self.plan_restart()?;
        }
        if self.restart_at.is_some_and(|at| at <= Instant::now()) {
            self.restart_at = None;
            self.supervisor = start_supervisor(&self.directories, &self.project)?;
            self.greet();
        }
        Ok(true)
    }

    /// Sleeps until a descriptor has something or something is due.
    fn wait(&self, signals: &SignalFd) -> io::Result<()> {
        let now = Instant::now();
        let mut all = vec![PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN)];
        if self.restart_at.is_none() {
            let link = self.supervisor.link.as_fd();
            all.push(PollFd::from_borrowed_fd(link, PollFlags::IN));
        }
        for output in self.outputs.values() {
            let sources = output.descriptors(now).chain(output.pidfd.as_ref().map(AsFd::as_fd));
            all.extend(sources.map(|source| PollFd::from_borrowed_fd(source, PollFlags::IN)));
        }
        let retries = self.outputs.values().filter_map(Output::retry_at);
        let due = retries.chain(self.restart_at).min();
        let timeout = due.map(|at| at.saturating_duration_since(now).max(Duration::from_millis(1)));
        let timeout = timeout.and_then(|timeout| timeout.try_into().ok());
        match poll(&mut all, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Deals with what the supervisor has said.
    fn hear(&mut self) {
        while let Ok(Some((message, beside))) = self.supervisor.link.receive::<ToKeeper>() {
            match message {
                ToKeeper::Watch(watch) => {
                    // Without a terminal these are the FIFOs, which must stay open until they are opened by name.
                    let mut beside = beside.into_iter();
                    let terminal = if watch.tty { beside.next() } else { None };
                    self.watch(watch, terminal);
                }
                ToKeeper::Hold(port) => drop(self.held.insert(port, beside)),
                ToKeeper::Release(port) => drop(self.held.remove(&port)),
                ToKeeper::Finish => self.finishing = true,
            }
        }
    }

    fn watch(&mut self, watch: Watch, terminal: Option<OwnedFd>) {
        let known = self.outputs.get(&watch.id).is_some_and(|output| output.watch == watch);
        if known {
            return;
        }
        let (id, pid, start_time) = (watch.id.clone(), watch.pid, watch.start_time);
        let mut output = Output::open(watch, terminal, &self.own);
        // Its log is there from now on.
        output.take();
        self.outputs.insert(id, output);
        let stray = self.strays.iter().position(|ended| ended.is(pid, start_time));
        if let Some(stray) = stray {
            let ended = self.strays.swap_remove(stray);
            self.note(ended);
        } else if let Some(gone) =
            self.outputs.values().find(|o| o.watch.pid == pid && o.pidfd.is_none())
        {
            let watch = &gone.watch;
            let ended = Ended { pid: watch.pid, start_time: watch.start_time, code: None };
            self.note(ended);
        }
    }

    /// A process ended: if it was a container's, empty its output and write the exit down, then tell it.
    fn note(&mut self, ended: Ended) {
        let is_it = |output: &Output| ended.is(output.watch.pid, output.watch.start_time);
        let Some(id) = self.outputs.iter().find(|(_, o)| is_it(o)).map(|(id, _)| id.clone()) else {
            // Bounded: probes and whatever else the supervisor started end up here too.
            if self.strays.len() >= 256 {
                self.strays.remove(0);
            }
            self.strays.push(ended);
            return;
        };
        let Some(mut output) = self.outputs.remove(&id) else { return };
        output.drain();
        let Some(exit) = exit(&output.watch, ended.code) else { return };
        if let Err(error) = atomic::save_volatile(&self.own.exit_file(&id), &exit) {
            tracing::error!(container = %id, %error, "an exit could not be written down");
        }
        // A dead supervisor reads it from the file when it is started again.
        let _told = self.supervisor.link.send(&ToSupervisor::Exited(id, exit), &[]);
    }

    /// The supervisor ended unasked: at once another one, unless that did not help before.
    fn plan_restart(&mut self) -> io::Result<()> {
        let short = self.supervisor.started.elapsed() < SHORT_LIFE;
        self.failures = if short { self.failures.saturating_add(1) } else { 0 };
        if self.failures >= TRIES && self.outputs.is_empty() {
            return Err(io::Error::other("the supervisor cannot be kept alive"));
        }
        let pause = match self.failures {
            0 | 1 => Duration::ZERO,
            more => Duration::from_millis(50).saturating_mul(1 << more.min(10)).min(LONGEST_PAUSE),
        };
        tracing::warn!(?pause, "the supervisor ended unasked and is started again");
        self.restart_at = Some(Instant::now() + pause);
        Ok(())
    }

    /// Tells a new supervisor what is here.
    fn greet(&self) {
        let link = &self.supervisor.link;
        for (port, sockets) in &self.held {
            let sockets: Vec<_> = sockets.iter().map(AsFd::as_fd).collect();
            let _told = link.send(&ToSupervisor::Held(port.clone()), &sockets);
        }
        for id in self.outputs.keys() {
            let _told = link.send(&ToSupervisor::Watching(id.clone()), &[]);
        }
        let _told = link.send(&ToSupervisor::Ready, &[]);
    }
}

fn exit(watch: &Watch, code: Option<u8>) -> Option<Exit> {
    let boot_id = naru_state::process::boot_id()?;
    let process = Identity { boot_id, pid: watch.pid, start_time: watch.start_time };
    Some(Exit { process, code, out_of_memory: false, time_ns: record::now_ns() })
}
