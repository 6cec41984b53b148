//! The recipe of a further process in a running container.

use std::os::fd::{AsFd as _, OwnedFd};

use naru_sys::process::{Sibling, fork_sibling};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::thread::{CpuSet, ThreadNameSpaceType};

use super::command::{self, Command};
use super::container::new_session;
use super::files::{self, Proc};
use super::masks::Mask;
use super::tree::Tree;
use super::{Session, cgroups, hide, identity, kernel, namespaces, root, terminal};
use crate::error::{At, Failure, Stage};
use crate::plan::{ExecPlan, ProcessPlan, flags};
use crate::wire::Report;

/// Enters the container and becomes the program. In this order, because
///
/// 1. the control groups are joined and the null device is opened while the host's mounts can
///    still be seen, and the score is set by the host's /proc, for a copy inherits it;
/// 2. the namespaces are joined in one step, by the container's process; the cgroup namespace is
///    one of them, and needs the groups to be joined;
/// 3. the pid namespace is only for children. A copy of this process is born into it, when there is
///    no host left to be found by looking at it, and goes on;
/// 4. everything after that believes nothing that the container's files say.
pub(super) fn enter(plan: &ExecPlan, session: &mut Session) -> Result<i32, Failure> {
    let process = &plan.process;
    run_on(plan.affinity.0.as_deref())?;
    cgroups::join(&plan.cgroup.tasks)?;
    match &plan.affinity {
        (None, None) => cgroups::spread(),
        (_, last) => run_on(last.as_deref())?,
    }
    let null = files::open_null()?;
    let mask = Mask::new(&null)?;
    let proc = Proc::open()?;
    let null = files::reopen(&proc, mask.null())?;
    kernel::mark(process, &proc, session)?;
    drop((proc, mask));

    let container = session.take(plan.container)?;
    let namespaces = ThreadNameSpaceType::from_bits_retain(plan.namespaces);
    if !namespaces.is_empty() {
        rustix::thread::move_into_thread_name_spaces(container.as_fd(), namespaces)
            .at(Stage::Namespaces, || "enter the container".to_owned())?;
    }
    drop(container);
    if let Some(slot) = plan.root {
        root::take_for_root(&session.take(slot)?)?;
    }
    if plan.user {
        namespaces::become_root(process.groups.is_none())?;
    }
    let inside;
    let process = if plan.namespaces & flags::PID.cast_unsigned() == 0 {
        process
    } else {
        let Some(pid) = hand_over(session)? else { return Ok(0) };
        inside = identified(process, pid);
        &inside
    };
    hide()?;
    new_session()?;
    kernel::limit(process, session)?;
    let tree = Tree::new(open_root()?);

    let console = match process.terminal {
        Some(size) => Some(open_terminal(&tree, size, process.uid, session)?),
        None => None,
    };
    let null = files::null_of(&tree).unwrap_or(null);
    command::place_stdio(&process.stdio, console.as_ref(), &null, session)?;
    drop((null, console, tree));
    identity::warn_of_missing(process, session)?;
    command::become_user_in_directory(process)?;
    let command = Command::find(process)?;
    rustix::process::umask(Mode::from_bits_truncate(process.umask));

    session.ready()?;
    identity::confine(process, session)?;
    match command.execute(session)? {}
}

/// Runs on these processors only; a group's own choice of them, made when it is joined, is narrowed by the
/// second call and not by the first.
fn run_on(processors: Option<&[usize]>) -> Result<(), Failure> {
    let Some(processors) = processors else { return Ok(()) };
    let mut set = CpuSet::new();
    processors.iter().for_each(|number| set.set(*number));
    rustix::thread::sched_setaffinity(None, &set)
        .at(Stage::Limits, || format!("run on the processors {processors:?}"))
}

/// Makes the process inside, which gets its number in the pid namespace of the host; nothing in the one that stays
/// outside and has nothing more to do.
///
/// The one inside goes on when the caller knows of it.
fn hand_over(session: &Session) -> Result<Option<i32>, Failure> {
    let what = || "make a process in the container".to_owned();
    let (read, write) = pipe_with(PipeFlags::CLOEXEC).at(Stage::Namespaces, what)?;
    match fork_sibling() {
        Ok(Sibling::Own) => {
            drop(write);
            let mut number = [0; size_of::<i32>()];
            let length = rustix::io::read(&read, &mut number).at(Stage::Namespaces, what)?;
            if length != number.len() {
                return Err(Errno::PIPE).at(Stage::Namespaces, what);
            }
            Ok(Some(i32::from_ne_bytes(number)))
        }
        Ok(Sibling::Other(pid, pidfd)) => {
            let report = Report::Entered { pid };
            let told = session.channel.report(&report, &[pidfd.as_fd()]);
            told.and_then(|()| rustix::io::write(&write, &pid.to_ne_bytes()).map(|_| None))
                .at(Stage::Namespaces, || "hand over to the process in the container".to_owned())
        }
        // A pid namespace without a first process takes no other.
        Err(Errno::NOMEM) => Err(Errno::SRCH).at(Stage::Namespaces, what),
        Err(errno) => Err(errno).at(Stage::Namespaces, what),
    }
}

/// What the process inside is to be, with its own number where somebody is told of it.
fn identified(process: &ProcessPlan, pid: i32) -> ProcessPlan {
    let mut process = process.clone();
    if let Some(listener) = &mut process.listener {
        let outside = *listener.message.pid();
        listener.message.set_pid(pid);
        let state = listener.message.state_mut();
        if *state.pid() == Some(outside) {
            state.set_pid(Some(pid));
        }
    }
    process
}

fn open_root() -> Result<OwnedFd, Failure> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open("/", flags, Mode::empty())
        .at(Stage::Namespaces, || "open the container's root".to_owned())
}

fn open_terminal(
    tree: &Tree,
    size: (u16, u16),
    owner: u32,
    session: &Session,
) -> Result<OwnedFd, Failure> {
    let console = terminal::open(tree, size, owner, session)?;
    terminal::control(&console)?;
    Ok(console)
}
