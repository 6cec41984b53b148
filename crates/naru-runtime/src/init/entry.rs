//! The recipe of a further process in a running container.

use rustix::fs::{Mode, OFlags};
use rustix::thread::{CpuSet, ThreadNameSpaceType};

use super::command::{self, Command};
use super::container::new_session;
use super::files::{self, Proc};
use super::tree::Tree;
use super::{Session, cgroups, identity, kernel, namespaces, terminal};
use crate::error::{At, Failure, Stage};
use crate::plan::ExecPlan;

/// Enters the container and becomes the program. In this order, because
///
/// 1. the control groups are joined and the null device is opened while the host's mounts can
///    still be seen, and /proc is made for the pid namespace, which this process was born into;
/// 2. the namespaces are joined in one step, by the container's process; the cgroup namespace is
///    one of them, and needs the groups to be joined;
/// 3. everything after that believes nothing that the container's files say.
pub(super) fn enter(plan: &ExecPlan, session: &mut Session) -> Result<i32, Failure> {
    let process = &plan.process;
    new_session()?;
    run_on(plan.affinity.0.as_deref())?;
    cgroups::join(&plan.cgroup.tasks)?;
    run_on(plan.affinity.1.as_deref())?;
    let null = files::open_null()?;
    let proc = Proc::open()?;
    kernel::limit(process, &proc, session)?;
    drop(proc);

    let container = session.take(plan.container)?;
    let namespaces = ThreadNameSpaceType::from_bits_retain(plan.namespaces);
    rustix::thread::move_into_thread_name_spaces(std::os::fd::AsFd::as_fd(&container), namespaces)
        .at(Stage::Namespaces, || "enter the container".to_owned())?;
    drop(container);
    if plan.user {
        namespaces::become_root()?;
    }

    let console = match process.terminal {
        Some(size) => Some(open_terminal(size, process.uid, session)?),
        None => None,
    };
    command::place_stdio(&process.stdio, console.as_ref(), &null, session)?;
    drop((null, console));
    identity::warn_of_missing(process, session)?;
    identity::become_user(process)?;
    command::enter_directory(&process.cwd)?;
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

fn open_terminal(
    size: (u16, u16),
    owner: u32,
    session: &Session,
) -> Result<std::os::fd::OwnedFd, Failure> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open("/", flags, Mode::empty())
        .at(Stage::Terminal, || "open the container's root".to_owned())?;
    let console = terminal::open(&Tree::new(root), size, owner, session)?;
    terminal::control(&console)?;
    Ok(console)
}
