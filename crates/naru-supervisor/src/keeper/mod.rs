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
mod lock;
mod output;
mod reap;
mod supervisor;
mod takeover;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use naru_runtime::{Cgroup, Hierarchies, Membership};
use naru_state::process::Identity;
use naru_state::record::{self, Exit, Port};
use naru_state::{ContainerId, Lock, ProjectDirectories, atomic};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, poll};

use crate::role::Role;
use link::{Ended, Handles, Link, ToKeeper, ToSupervisor, Watch};
use output::Output;
use supervisor::{KILLED, Patience, Supervisor};
use takeover::Inherited;

/// A supervisor that could not live so many times in a row, with no container to look after, is given up.
const TRIES: u32 = 3;

/// How long a supervisor has served when it is quiet.
const SLIM: Duration = Duration::from_secs(3);

/// How long until a supervisor that could not be started is tried again.
const AGAIN: Duration = Duration::from_millis(50);

/// How long others in the project's control group may take to end: one that deletes links waits for everybody else who
/// changes some. Nobody waits for this keeper meanwhile.
const LEAVE: Duration = Duration::from_secs(10);

/// How often it is tried to move into the project's control group.
const SETTLE_TRIES: u32 = 5;

/// The keeper's whole state.
#[derive(Debug)]
struct Keeper {
    role: Role,
    own: ProjectDirectories,
    lock: Lock,
    supervisor: Supervisor,
    outputs: BTreeMap<ContainerId, Output>,
    /// Containers that have ended and whose last output waits until there is room for it.
    late: BTreeMap<ContainerId, Output>,
    held: BTreeMap<Port, Vec<OwnedFd>>,
    /// Children that ended before anybody asked to look after them.
    strays: Vec<Ended>,
    finishing: bool,
    patience: Patience,
    /// When pages of the program are let go of that only the start has used.
    slim_at: Option<Instant>,
    /// There is no supervisor until then.
    restart_at: Option<Instant>,
    /// The program to become.
    upgrade: Option<OwnedFd>,
}

/// Runs the keeper of a project until the project is down.
///
/// # Errors
/// When the supervisor cannot be started.
pub(crate) fn run(role: Role) -> io::Result<()> {
    // Fails only for a process group's leader, which has no terminal to lose either.
    let _session = nix::unistd::setsid();
    nix::sys::prctl::set_child_subreaper(true)?;
    // A handful of descriptors for each container; where that is not granted, fewer containers are looked after.
    let (_, hard) = role.files;
    let _raised = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    let signals =
        SignalFd::with_flags(&child_signals()?, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
    // An exit is told with it, however few descriptors there are then.
    let _known = naru_state::process::boot_id();
    let Some(mut keeper) = Keeper::start(role)? else { return Ok(()) };
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

impl Keeper {
    /// Takes over what there is and sees to it that there is a supervisor; nothing when the project has a keeper:
    /// two commands began at the same time, or called one at the same time.
    fn start(mut role: Role) -> io::Result<Option<Self>> {
        let link = if role.takes_over { Some(Link::from_stdin()?) } else { None };
        let mut inherited = link.as_ref().map(Inherited::receive).transpose()?.unwrap_or_default();
        role.takes_over = false;
        let own = role.directories.project(&role.project);
        let lock = match (inherited.lock.take(), &link) {
            (Some(held), _) => Some(Lock::inherited(held, &own.keeper_lock_file())),
            (None, Some(_)) => lock::take_after(&role, &own)?,
            (None, None) => lock::take_alone(&role, &own)?,
        };
        let Some(lock) = lock else {
            if let Some(link) = link {
                tracing::warn!("the project has another keeper");
                // Who called may be gone itself.
                let _told = link.send(&ToSupervisor::Occupied, &[]);
            }
            return Ok(None);
        };
        let before = inherited.supervisor.take();
        let is_same_process = before.is_some();
        let supervisor = match (before, link) {
            (Some((pid, link)), _) => {
                Supervisor::at(Link::from_descriptor(link), pid, supervisor::is_child(pid))?
            }
            (None, Some(link)) => Supervisor::at(link, 0, false)?,
            (None, None) => Supervisor::start(&role, |new| new.tell(&ToSupervisor::Ready, &[]))?,
        };
        let is_called = supervisor.pid == 0;
        let mut keeper = Self {
            role,
            lock,
            supervisor,
            outputs: BTreeMap::new(),
            late: late(&own),
            own,
            held: inherited.held.into_iter().collect(),
            strays: inherited.strays,
            finishing: false,
            patience: Patience::default(),
            slim_at: None,
            restart_at: None,
            upgrade: None,
        };
        for (watch, handles) in inherited.watches {
            keeper.watch(watch, handles);
        }
        match (is_same_process, is_called) {
            (true, _) => keeper.replace(),
            (false, true) => keeper.supervisor.tell(&ToSupervisor::Took, &[]),
            (false, false) => {}
        }
        Ok(Some(keeper))
    }

    /// Moves both processes into the project's control group, out of the session that `naru up` runs in.
    /// The first join after a pause waits for the kernel, which the joins of the containers then need not.
    /// What is returned moves this process back and removes the groups.
    fn settle(&self) -> impl FnOnce() + use<> {
        let place = self.own_place();
        match &place {
            Ok((_, _, group)) => self.move_into(group),
            Err(error) => tracing::warn!(%error, "stays in the session's control group"),
        }
        let path = self.own_group_path();
        move || match place {
            Ok((hierarchies, before, group)) => {
                before.restore(&hierarchies);
                group.remove_upwards(LEAVE);
            }
            // Those of the containers were made in the project's all the same. By now it may be found.
            Err(_) => drop(Cgroup::new(path).map(|group| group.remove_upwards(LEAVE))),
        }
    }

    fn own_group_path(&self) -> String {
        crate::own_cgroup_path(&self.role.directories, &self.role.project)
    }

    fn own_place(&self) -> Result<(Hierarchies, Membership, Cgroup), naru_runtime::Error> {
        let hierarchies = Hierarchies::detect()?;
        let before = Membership::of_self(&hierarchies)?;
        let group = Cgroup::within(&hierarchies, self.own_group_path())?;
        Ok((hierarchies, before, group))
    }

    /// Again and again for a moment: the keeper of an earlier run may be removing the same groups.
    fn move_into(&self, group: &Cgroup) {
        let admit = |process: i32| group.admit(process);
        for attempt in 1..=SETTLE_TRIES {
            // One that was there before this keeper is in it.
            let supervisor =
                if self.supervisor.is_child { admit(self.supervisor.pid) } else { Ok(()) };
            match supervisor.and_then(|()| admit(std::process::id().cast_signed())) {
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
        self.late.retain(|_, output| !(output.is_due() && output.finish()));
        let unheard = self.ends_unheard_at().is_some_and(|at| at <= Instant::now());
        let mut supervisor_ended =
            unheard.then_some(if self.supervisor.is_child { KILLED } else { None });
        for ended in reap::children() {
            if self.supervisor.is_child && ended.pid == self.supervisor.pid {
                supervisor_ended = Some(ended.code);
            } else {
                self.note(ended);
            }
        }
        for ended in reap::others(&self.outputs) {
            self.note(ended);
        }
        if let Some(code) = supervisor_ended.filter(|_| self.restart_at.is_none()) {
            // Whatever it said before it died is still in the link.
            self.hear();
            if self.finishing {
                self.late.retain(|_, output| !output.finish());
                return Ok(false);
            }
            self.plan_restart(code)?;
        }
        if self.restart_at.is_some_and(|at| at <= Instant::now()) {
            self.restart();
        }
        if self.slim_at.take_if(|at| *at <= Instant::now()).is_some() {
            // Refused, they stay.
            let _stays = naru_sys::memory::release_program();
        }
        if let Some(binary) = self.upgrade.take() {
            let error = self.become_program(&binary);
            tracing::error!(%error, "another program could not take over");
            self.supervisor.tell(&ToSupervisor::NotUpgraded(error.to_string()), &[]);
        }
        self.supervisor.flush();
        Ok(true)
    }

    /// Sleeps until a descriptor has something or something is due.
    fn wait(&mut self, signals: &SignalFd) -> io::Result<()> {
        let now = Instant::now();
        let mut all = vec![PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN)];
        if !self.supervisor.is_silent() {
            let room =
                if self.supervisor.is_behind() { PollFlags::OUT } else { PollFlags::empty() };
            let link = self.supervisor.link.as_fd();
            all.push(PollFd::from_borrowed_fd(link, PollFlags::IN | room));
        }
        let own = all.len();
        for output in self.outputs.values() {
            let sources = output.descriptors(now);
            all.extend(sources.map(|source| PollFd::from_borrowed_fd(source, PollFlags::IN)));
        }
        let retries = self.outputs.values().chain(self.late.values()).filter_map(Output::retry_at);
        let others = [self.restart_at, self.slim_at, self.ends_unheard_at()];
        let due = retries.chain(others.into_iter().flatten()).min();
        let timeout = due.map(|at| at.saturating_duration_since(now).max(Duration::from_millis(1)));
        let timeout = timeout.and_then(|timeout| timeout.try_into().ok());
        match poll(&mut all, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let ready: Vec<_> = all[own..].iter().map(|one| !one.revents().is_empty()).collect();
        let mut ready = ready.into_iter();
        self.outputs.values_mut().for_each(|output| output.mark(now, &mut ready));
        Ok(())
    }

    /// When the supervisor counts as ended though nobody has heard so. The project's last one is waited for in any case:
    /// it is in the control group that goes then.
    fn ends_unheard_at(&self) -> Option<Instant> {
        let is_last = self.finishing && self.supervisor.is_child;
        let at = self.supervisor.ends_unheard_at();
        at.filter(|_| !is_last && self.restart_at.is_none())
    }

    /// Deals with what the supervisor has said.
    fn hear(&mut self) {
        while !self.supervisor.is_silent() {
            match self.supervisor.link.receive::<ToKeeper>() {
                Ok(Some((message, beside))) => self.take(message, beside),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    tracing::error!(%error, "a message of the supervisor is not understood");
                }
                Ok(None) | Err(_) => self.supervisor.silent_since = Some(Instant::now()),
            }
        }
    }

    fn take(&mut self, message: ToKeeper, mut beside: Vec<OwnedFd>) {
        match message {
            ToKeeper::Watch(watch, layout) => self.watch(watch, Handles::received(layout, beside)),
            ToKeeper::Hold(port) => drop(self.held.insert(port, beside)),
            ToKeeper::Release(port) => drop(self.held.remove(&port)),
            ToKeeper::Serving => {
                self.supervisor.serves = true;
                self.slim_at = Some(Instant::now() + SLIM);
            }
            ToKeeper::Replace => self.replace(),
            ToKeeper::Upgrade => self.upgrade = beside.pop(),
            ToKeeper::Finish => self.finishing = true,
            ToKeeper::Lock | ToKeeper::Supervisor(_) | ToKeeper::Stray(_) | ToKeeper::Handed => {
                tracing::warn!(?message, "is said in a takeover only");
            }
        }
    }

    fn watch(&mut self, watch: Watch, handles: Handles) {
        if let Some(known) = self.outputs.get_mut(&watch.id)
            && known.watch == watch
        {
            known.complete(handles);
            return;
        }
        let (id, pid, start_time) = (watch.id.clone(), watch.pid, watch.start_time);
        let mut output = Output::open(watch, handles, &self.own);
        if let Some(earlier) = self.late.remove(&id) {
            output.follow(earlier);
        }
        // Its log is there from now on.
        output.take();
        // For want of descriptors it could not be opened either: of a child the end is told in any case.
        let is_gone = output.pidfd.is_none()
            && naru_state::process::stat(pid).is_none_or(|stat| stat.start_time != start_time);
        self.outputs.insert(id, output);
        let stray = self.strays.iter().position(|ended| ended.is(pid, start_time));
        if let Some(stray) = stray {
            let ended = self.strays.swap_remove(stray);
            self.note(ended);
        } else if is_gone {
            self.note(Ended { pid, start_time, code: None });
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
        let watch = output.watch.clone();
        if !output.finish() {
            self.late.insert(id.clone(), output);
        }
        let Some(mut exit) = exit(&watch, ended.code) else { return };
        if exit.code.is_none()
            && let Ok(Some(known)) = atomic::load::<Exit>(&self.own.exit_file(&id))
            && known.process == exit.process
        {
            // Who was killed after it had written this down could tell more.
            exit = known;
        }
        if let Err(error) = atomic::save_volatile(&self.own.exit_file(&id), &exit) {
            tracing::error!(container = %id, %error, "an exit could not be written down");
        }
        // A dead supervisor reads it from the file when it is started again.
        self.supervisor.tell(&ToSupervisor::Exited(id, exit), &[]);
    }

    /// The supervisor ended unasked: at once another one, unless that did not help before.
    fn plan_restart(&mut self, code: Option<u8>) -> io::Result<()> {
        let pause = self.patience.after(&self.supervisor, code);
        if self.patience.failures() >= TRIES && self.outputs.is_empty() {
            return Err(io::Error::other("the supervisor cannot be kept alive"));
        }
        tracing::warn!(?pause, "the supervisor ended unasked and is started again");
        self.supervisor.silent_since.get_or_insert_with(Instant::now);
        self.restart_at = Some(Instant::now() + pause);
        Ok(())
    }

    /// Starts a supervisor in the place of one that has ended. Where there can be none now, for want of memory or
    /// descriptors, later: nobody but this process has what it holds.
    fn restart(&mut self) {
        match self.start_supervisor() {
            Ok(supervisor) => (self.supervisor, self.restart_at) = (supervisor, None),
            Err(error) => {
                tracing::error!(%error, "the supervisor could not be started again");
                self.restart_at = Some(Instant::now() + AGAIN);
            }
        }
    }

    /// Starts the next supervisor, which waits for the end of this one, and then tells this one to end.
    fn replace(&mut self) {
        match self.start_supervisor() {
            Ok(next) => {
                let mut former = std::mem::replace(&mut self.supervisor, next);
                former.tell(&ToSupervisor::Successor, &[]);
            }
            Err(error) => tracing::error!(%error, "there is no other supervisor"),
        }
    }

    /// Starts a supervisor that is told what is here.
    fn start_supervisor(&self) -> io::Result<Supervisor> {
        Supervisor::start(&self.role, |supervisor| {
            for (port, sockets) in &self.held {
                let sockets: Vec<_> = sockets.iter().map(AsFd::as_fd).collect();
                supervisor.tell(&ToSupervisor::Held(port.clone()), &sockets);
            }
            for output in self.outputs.values() {
                let (layout, beside) = output.handles();
                supervisor.tell(&ToSupervisor::Watching(output.watch.clone(), layout), &beside);
            }
            supervisor.tell(&ToSupervisor::Ready, &[]);
        })
    }
}

fn exit(watch: &Watch, code: Option<u8>) -> Option<Exit> {
    let boot_id = naru_state::process::boot_id()?;
    let process = Identity { boot_id, pid: watch.pid, start_time: watch.start_time };
    Some(Exit { process, code, out_of_memory: false, time_ns: record::now_ns() })
}

/// Containers of which something waits since an earlier keeper's time. One whose record cannot be read has no log either.
fn late(own: &ProjectDirectories) -> BTreeMap<ContainerId, Output> {
    let has_some = |id: &ContainerId| own.aside(id).exists();
    if !crate::observe::ids(own).is_ok_and(|ids| ids.iter().any(has_some)) {
        return BTreeMap::new();
    }
    let all = crate::observe::recorded(own).unwrap_or_default().into_iter();
    let all = all.filter(|recorded| has_some(&recorded.record.id));
    all.map(|crate::observe::Recorded { record, state, .. }| {
        let watch = Watch {
            id: record.id.clone(),
            pid: 0,
            start_time: 0,
            name: record.name.clone(),
            generation: state.generation,
            tty: record.tty,
            keep: crate::logging::Keep::of(&record),
        };
        (record.id, Output::ended(watch, own))
    })
    .collect()
}
