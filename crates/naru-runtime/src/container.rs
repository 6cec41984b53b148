//! Creating and starting a container, from the caller's side.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use oci_spec::runtime::{ContainerState, Spec, State};
use rustix::fs::{Mode, OFlags};

use crate::conversation::{Conversation, Entry};
use crate::hooks::CallersHooks;
use crate::namespaces::{open, split};
use crate::plan::{self, JoinNamespace, Plan, RootSource, flags};
use crate::process::{is_gone, started};
use crate::seccomp::Program;
use crate::user::Privileges;
use crate::{
    Binary, Cgroup, Error, Process, Stdio, interfaces, labels, listener, nodes, role, sources,
};

/// What [`create`] needs.
#[derive(Debug)]
pub struct Create<'a> {
    /// The container: process, mounts, namespaces, security. `root.path` is not looked at.
    pub spec: &'a Spec,
    /// Its root file system.
    pub root: Root<'a>,
    /// Its control groups, which exist.
    pub cgroup: &'a Cgroup,
    /// Its standard files.
    pub stdio: Stdio,
    /// Whose child its first process is.
    pub parent: Parent,
    /// naru's own program.
    pub binary: &'a Binary,
    /// Run the command under naru's own pid 1, which reaps and forwards signals.
    pub init: bool,
    /// A listening `SOCK_SEQPACKET` socket at which the container waits for its start, by
    /// [`release`](crate::release), instead of at its creator: see [`Created::settle`].
    pub waits_at: Option<OwnedFd>,
    /// Which container it is (`ociVersion`, `id`, `bundle`): for hooks and seccomp listeners, which
    /// need it. Status, process and, unless there are some, annotations are filled in.
    pub state: Option<&'a State>,
}

/// A root file system.
#[derive(Debug)]
pub enum Root<'a> {
    /// A directory of the host, with everything mounted below it.
    Path(&'a Path),
    /// A detached mount (fsmount(2) or open_tree(2)).
    Mount(OwnedFd),
}

/// Whose child a process of a container is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parent {
    /// The calling process's.
    Own,
    /// The calling process's parent's, who has to reap it, also when its set-up fails.
    Sibling,
}

/// A container whose first process exists and sets itself up.
///
/// When it is dropped without [`start`](Self::start), that process is killed.
#[derive(Debug)]
pub struct Created {
    /// The first process's number in the caller's pid namespace.
    pub pid: i32,
    /// Its descriptor.
    pub pidfd: OwnedFd,
    /// When it started, in clock ticks since boot.
    pub start_time: u64,
    /// Its network namespace.
    pub netns: OwnedFd,
    conversation: Conversation,
    hooks: Option<CallersHooks>,
}

/// Makes the container's first process in its namespaces and gives it the plan.
///
/// It returns as soon as the process and its namespaces exist; the set-up goes on inside, and
/// its failures are told by [`Created::start`].
///
/// # Errors
/// [`Error::Unsupported`] and [`Error::Invalid`] name a field of the specification, before
/// anything was made.
pub fn create(create: Create<'_>) -> Result<Created, Error> {
    let mut envelope: Vec<BorrowedFd<'_>> = Vec::new();
    let root = match &create.root {
        Root::Mount(mount) => {
            envelope.push(mount.as_fd());
            RootSource::Mount(0)
        }
        Root::Path(path) => RootSource::Path(absolute(path)?),
    };
    let (cgroup, hierarchies) = (create.cgroup, create.cgroup.as_seen_inside());
    let (mut plan, namespaces) =
        plan::container_plan(create.spec, root, (cgroup.tasks(), &hierarchies), create.state)?;
    labels::check(&mut plan.process)?;
    if let Some(owner) = plan.group_owner(&namespaces) {
        cgroup.give_to(owner)?;
    }
    let linux = create.spec.linux().clone().unwrap_or_default();
    let moved = plan::moved_interfaces(&linux, &namespaces)?;
    if let Some(label) = linux.mount_label().as_deref().filter(|label| !label.is_empty()) {
        labels::of_mounts(label, &mut plan.mounts);
    }
    let opened = open(&namespaces)?;
    let (before, inside) = split(&namespaces, &opened);
    for namespace in inside {
        let (kind, descriptor) = (namespace.name.to_owned(), envelope.len());
        plan.joins.push(JoinNamespace { kind, flag: namespace.flag, descriptor });
        envelope.push(namespace.file.as_fd());
    }
    let home = namespaces.leaves_mounts.then(own_mounts).transpose()?;
    if let Some(home) = &home {
        plan.returns_to = Some(envelope.len());
        envelope.push(home.as_fd());
    }
    let nodes = nodes::make(&plan, &namespaces.ids)?;
    nodes::enclose(&nodes, &mut plan, &mut envelope);
    let sources = sources::open(&plan, &opened, create.binary)?;
    let mapped = sources::mapped(&plan, create.binary)?;
    sources::enclose(&sources, &mut plan, &mut envelope);
    plan.process = plan.process.with_stdio(create.stdio.enclose(&mut envelope));
    plan.reaper = create.init;
    if let Some(listener) = &create.waits_at {
        plan.waits_at = Some(envelope.len());
        envelope.push(listener.as_fd());
    }

    let seccomp = create.spec.linux().as_ref().and_then(|linux| linux.seccomp().as_ref());
    let filter = seccomp.map(Program::of).transpose()?;
    let agent = listener::connect(seccomp)?;
    let state = create
        .state
        .map(|state| plan::state_of(create.spec, state, ContainerState::Creating, None));
    plan.process.listener = listener::enclose(agent.as_ref(), seccomp, state, &mut envelope)?;
    // The cgroup namespace is made inside, once the process is in its cgroups; the clocks of a time
    // namespace are set before anybody enters it.
    let inside = (flags::CGROUP | flags::TIME).cast_unsigned();
    let ids = namespaces.makes(flags::USER).then(|| namespaces.ids.clone());
    let privileges = plan.user.is_some().then(|| Privileges::take(ids, &mut plan.process));
    let mut plan = Plan::Container(Box::new(plan));
    let entry = Entry {
        role: role::Role::Container,
        namespaces: namespaces.to_make() & !inside,
        join: &before,
        privileges,
        parent: create.parent,
        binary: create.binary,
        cgroup,
    };
    let mut conversation = entry.begin(&mut plan, filter.as_deref(), &envelope)?;
    conversation.mapped = mapped;
    let pid = conversation.pid;
    let seen = started(pid).and_then(|start_time| Ok((start_time, network_namespace(pid)?)));
    let (start_time, netns) = match seen {
        Ok(seen) => seen,
        Err(error) if is_gone(&error) => return Err(conversation.failure()),
        // It lives, and ends with the conversation.
        Err(error) => return Err(Error::host("look at a process that was made", error)),
    };
    if !moved.is_empty() {
        // A namespace that exists is entered later, by the process itself.
        let network = flags::NET.cast_unsigned();
        let joined = opened.iter().find(|namespace| namespace.flag == network);
        interfaces::move_into(&moved, joined.map_or(netns.as_fd(), |one| one.file.as_fd()))?;
    }
    let pidfd = duplicate(&conversation.pidfd)?;
    let hooks = create.state.and_then(|state| CallersHooks::new(create.spec, state, pid));
    Ok(Created { pid, pidfd, start_time, netns, conversation, hooks })
}

impl Created {
    /// Waits until the set-up is done, lets the command run and waits until it does.
    ///
    /// # Errors
    /// [`Error::Setup`] says what failed inside; [`Stage::Command`](crate::Stage::Command) and
    /// [`Stage::Exec`](crate::Stage::Exec) mean the command itself.
    pub fn start(self) -> Result<Process, Error> {
        let Self { pid, pidfd, start_time, conversation, hooks, .. } = self;
        let (terminal, mut warnings) = conversation.finish(true, hooks.as_ref())?;
        warnings.extend(hooks.iter().flat_map(CallersHooks::run_poststart));
        Ok(Process { pid, pidfd, start_time, terminal, warnings })
    }

    /// Waits until the set-up is done and leaves the process waiting at
    /// [`Create::waits_at`], where it also stays when the caller ends.
    ///
    /// # Errors
    /// As [`start`](Self::start), except that the command is not executed yet.
    pub fn settle(self) -> Result<Process, Error> {
        let Self { pid, pidfd, start_time, conversation, hooks, .. } = self;
        let (terminal, warnings) = conversation.finish(false, hooks.as_ref())?;
        Ok(Process { pid, pidfd, start_time, terminal, warnings })
    }
}

fn duplicate(file: &OwnedFd) -> Result<OwnedFd, Error> {
    file.try_clone().map_err(|error| Error::host("copy a descriptor", error))
}

fn absolute(path: &Path) -> Result<PathBuf, Error> {
    std::path::absolute(path)
        .map_err(|error| Error::host(format!("resolve {}", path.display()), error))
}

fn own_mounts() -> Result<OwnedFd, Error> {
    rustix::fs::open("/proc/self/ns/mnt", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| Error::host("open the mount namespace", errno))
}

fn network_namespace(pid: i32) -> io::Result<OwnedFd> {
    let path = format!("/proc/{pid}/ns/net");
    Ok(rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
}
