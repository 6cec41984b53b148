//! Running a further process in a container, from the caller's side.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use oci_spec::runtime::{ContainerState, Process as OciProcess, Spec, State};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::conversation::Entry;
use crate::plan::{self, Plan};
use crate::process::{has_ended, is_gone, started};
use crate::seccomp::Program;
use crate::{Binary, Cgroup, Error, Parent, Process, Stdio, labels, listener, role};

/// What [`exec`] needs.
#[derive(Debug)]
pub struct Exec<'a> {
    /// The specification the container was made from: its namespaces and its system call filter.
    pub spec: &'a Spec,
    /// A process of the container, usually its first.
    pub container: BorrowedFd<'a>,
    /// What to run, as whom.
    pub process: &'a OciProcess,
    /// The container's control groups.
    pub cgroup: &'a Cgroup,
    /// The standard files.
    pub stdio: Stdio,
    /// Whose child it is.
    pub parent: Parent,
    /// naru's own program.
    pub binary: &'a Binary,
    /// The container's state, for the agent of a system call filter that has one.
    pub state: Option<&'a State>,
}

/// Runs a process in a running container and returns when its program runs.
///
/// A process outside joins everything of the container and only then makes the one inside, as a child
/// of the caller (or of the caller's parent) like itself: so nothing that a process of the container
/// can see, not even with `CAP_SYS_PTRACE`, has the host's root directory or a descriptor of the host.
///
/// When the container's first process ends, the kernel kills this one and then waits until its
/// parent has reaped it before the container counts as ended; so the parent must reap it, and
/// before it waits for the container.
///
/// # Errors
/// As [`Created::start`](crate::Created::start); `ESRCH` at [`Stage::Namespaces`](crate::Stage::Namespaces)
/// when the container has ended.
pub fn exec(exec: Exec<'_>) -> Result<Process, Error> {
    let mut envelope = vec![exec.container];
    let mut plan = plan::exec_plan(exec.spec, exec.process, 0, exec.cgroup.tasks())?;
    labels::check(&mut plan.process)?;
    let has_mounts = plan.namespaces & plan::flags::MOUNT.cast_unsigned() != 0;
    let root = (!has_mounts).then(|| root_of(exec.container)).transpose()?;
    if let Some(root) = &root {
        plan.root = Some(envelope.len());
        envelope.push(root.as_fd());
    }
    plan.process = plan.process.with_stdio(exec.stdio.enclose(&mut envelope));
    let seccomp = exec.spec.linux().as_ref().and_then(|linux| linux.seccomp().as_ref());
    let filter = seccomp.map(Program::of).transpose()?;
    let agent = listener::connect(seccomp)?;
    let state = exec
        .state
        .map(|state| plan::state_of(exec.spec, state, ContainerState::Running, *state.pid()));
    plan.process.listener = listener::enclose(agent.as_ref(), seccomp, state, &mut envelope)?;
    let inside = plan.namespaces & plan::flags::PID.cast_unsigned() != 0;
    let mut plan = Plan::Exec(Box::new(plan));
    let entry = Entry {
        role: role::Role::Exec,
        namespaces: 0,
        join: &[],
        privileges: None,
        parent: exec.parent,
        binary: exec.binary,
        cgroup: exec.cgroup,
    };
    let mut conversation = entry.begin(&mut plan, filter.as_deref(), &envelope)?;
    if inside {
        conversation.follow_inside()?;
    }
    let pid = conversation.pid;
    let start_time = match started(pid) {
        Ok(start_time) => start_time,
        Err(error) if is_gone(&error) => return Err(conversation.failure()),
        Err(error) => return Err(Error::host("look at a process that was made", error)),
    };
    let pidfd = conversation.pidfd.try_clone();
    let pidfd = pidfd.map_err(|error| Error::host("copy a descriptor", error))?;
    let (terminal, warnings) = conversation.finish(false, None)?;
    Ok(Process { pid, pidfd, start_time, terminal, warnings })
}

/// The root directory of a process that runs.
fn root_of(pidfd: BorrowedFd<'_>) -> Result<OwnedFd, Error> {
    let failed = |errno| Error::host("open the container's root", errno);
    let path = format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd());
    let text = fs_err::read_to_string(path)
        .map_err(|error| Error::host("look at the container", error))?;
    let pid = text.lines().find_map(|line| line.strip_prefix("Pid:")).map_or("0", str::trim);
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(format!("/proc/{pid}/root"), flags, Mode::empty());
    // The number was still this process's when the directory was opened.
    if has_ended(pidfd) { Err(failed(Errno::SRCH)) } else { root.map_err(failed) }
}
