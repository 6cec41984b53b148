//! Creating and starting a container, from the caller's side.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use naru_sys::spawn::{Spawn, SpawnError, Spawned, spawn};
use oci_spec::runtime::Spec;
use rustix::fs::{Mode, OFlags};
use rustix::process::Signal;

use crate::namespaces::{Opened, inside_pid_namespace, open, split};
use crate::plan::{self, JoinNamespace, Plan, RootSource, flags};
use crate::process::{start_time, wait};
use crate::seccomp::Program;
use crate::sources;
use crate::user::Privileges;
use crate::wire::{Channel, Report};
use crate::{Binary, Cgroup, Error, Process, Stdio, role};

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
    let cgroup = create.cgroup;
    let (mut plan, namespaces) =
        plan::container_plan(create.spec, root, cgroup.tasks(), &cgroup.as_seen_inside())?;
    let opened = open(&namespaces)?;
    let (before, inside) = split(&namespaces, &opened);
    for namespace in inside {
        let (kind, descriptor) = (namespace.name.to_owned(), envelope.len());
        plan.joins.push(JoinNamespace { kind, flag: namespace.flag, descriptor });
        envelope.push(namespace.file.as_fd());
    }
    let sources = sources::open(&plan, &opened, create.binary)?;
    sources::enclose(&sources, &mut plan, &mut envelope);
    plan.process = plan.process.with_stdio(create.stdio.enclose(&mut envelope));
    plan.reaper = create.init;
    if let Some(listener) = &create.waits_at {
        plan.waits_at = Some(envelope.len());
        envelope.push(listener.as_fd());
    }

    let seccomp = create.spec.linux().as_ref().and_then(|linux| linux.seccomp().as_ref());
    let filter = seccomp.map(Program::of).transpose()?;
    // The cgroup namespace is made inside, once the process is in its cgroups; the clocks of a time
    // namespace are set before anybody enters it.
    let inside = (flags::CGROUP | flags::TIME).cast_unsigned();
    let ids = namespaces.makes(flags::USER).then(|| namespaces.ids.clone());
    let privileges = plan.user.is_some().then(|| Privileges::take(ids, &mut plan.process));
    let plan = Plan::Container(Box::new(plan));
    let entry = Entry {
        role: role::Role::Container,
        namespaces: namespaces.fresh & !inside,
        join: &before,
        privileges,
        parent: create.parent,
        binary: create.binary,
        cgroup,
    };
    let conversation = entry.begin(&plan, filter.as_deref(), &envelope)?;
    let pid = conversation.pid;
    let (Some(start_time), Ok(netns)) = (start_time(pid), network_namespace(pid)) else {
        return Err(conversation.failure());
    };
    let pidfd = duplicate(&conversation.pidfd)?;
    Ok(Created { pid, pidfd, start_time, netns, conversation })
}

impl Created {
    /// Waits until the set-up is done, lets the command run and waits until it does.
    ///
    /// # Errors
    /// [`Error::Setup`] says what failed inside; [`Stage::Command`](crate::Stage::Command) and
    /// [`Stage::Exec`](crate::Stage::Exec) mean the command itself.
    pub fn start(self) -> Result<Process, Error> {
        let Self { pid, pidfd, start_time, conversation, .. } = self;
        let (terminal, warnings) = conversation.finish(true)?;
        Ok(Process { pid, pidfd, start_time, terminal, warnings })
    }
}

impl Created {
    /// Waits until the set-up is done and leaves the process waiting at
    /// [`Create::waits_at`], where it also stays when the caller ends.
    ///
    /// # Errors
    /// As [`start`](Self::start), except that the command is not executed yet.
    pub fn settle(self) -> Result<Process, Error> {
        let Self { pid, pidfd, start_time, conversation, .. } = self;
        let (terminal, warnings) = conversation.finish(false)?;
        Ok(Process { pid, pidfd, start_time, terminal, warnings })
    }
}

/// How a process of a container is made.
pub(crate) struct Entry<'a> {
    pub(crate) role: role::Role,
    pub(crate) namespaces: u32,
    /// Joined before the clone.
    pub(crate) join: &'a [&'a Opened],
    /// What the caller does for a process in a user namespace.
    pub(crate) privileges: Option<Privileges>,
    pub(crate) parent: Parent,
    pub(crate) binary: &'a Binary,
    pub(crate) cgroup: &'a Cgroup,
}

/// A process that sets itself up, and the socket to talk to it. Dropped, it kills the process.
pub(crate) struct Conversation {
    pub(crate) pid: i32,
    pub(crate) pidfd: OwnedFd,
    parent: Parent,
    channel: Channel,
    warnings: Vec<String>,
    over: bool,
}

impl Entry<'_> {
    /// Makes the process and sends it the plan.
    pub(crate) fn begin(
        &self,
        plan: &Plan,
        filter: Option<&Program>,
        envelope: &[BorrowedFd<'_>],
    ) -> Result<Conversation, Error> {
        let plan = serde_json::to_vec(plan)
            .map_err(|_| Error::invalid("spec", "it contains a path that is not UTF-8"))?;
        let filter = filter.map(Program::to_bytes).unwrap_or_default();
        let group = self.cgroup.unified_directory()?;
        let conversation = match self.clone_into(group.as_ref()) {
            // The group has a past, which the kernel holds against its new process.
            Err(Error::Killed) if group.is_some() => {
                let conversation = self.clone_into(None)?;
                self.cgroup.join_unified(conversation.pid)?;
                conversation
            }
            result => result?,
        };
        let mut conversation = conversation;
        if let Some(privileges) = &self.privileges {
            conversation.warnings = privileges.apply(conversation.pid)?;
        }
        match conversation.channel.send_plan(&plan, &filter, envelope) {
            Ok(()) => Ok(conversation),
            Err(_) => Err(conversation.failure()),
        }
    }

    /// Makes the process, in this v2 group if there is one.
    fn clone_into(&self, group: Option<&OwnedFd>) -> Result<Conversation, Error> {
        if let [only] = self.join
            && only.flag == flags::PID.cast_unsigned()
        {
            // A thread can do that alone, also for a process that is to be a sibling.
            let enter = || self.clone_joined(group, &[]);
            return inside_pid_namespace(only.file.as_fd(), enter);
        }
        if !self.join.is_empty() && self.parent == Parent::Sibling {
            let detail = "the one in a path, for a process that is not the caller's child";
            return Err(Error::unsupported_value("linux.namespaces", detail));
        }
        let files: Vec<BorrowedFd<'_>> = self.join.iter().map(|join| join.file.as_fd()).collect();
        self.clone_joined(group, &files)
    }

    fn clone_joined(
        &self,
        group: Option<&OwnedFd>,
        join: &[BorrowedFd<'_>],
    ) -> Result<Conversation, Error> {
        let (channel, theirs) = Channel::pair().map_err(Error::Channel)?;
        let spawned = spawn(&Spawn {
            program: self.binary.as_fd(),
            arguments: &[c"naru", self.role.argument()],
            environment: &[],
            socket: theirs.as_fd(),
            namespaces: self.namespaces.into(),
            sibling: self.parent == Parent::Sibling,
            cgroup: group.map(AsFd::as_fd),
            join,
            keep_capabilities: self.privileges.is_some(),
        });
        match spawned {
            Ok(spawned) => Ok(Conversation::new(spawned, self.parent, channel)),
            Err(SpawnError::Clone(errno)) => Err(Error::Clone(errno)),
            Err(SpawnError::Join(errno, index)) => {
                Err(Error::host(format!("join {}", self.join[index]), errno))
            }
            Err(SpawnError::Exec(errno, spawned)) => {
                drop(Conversation::new(spawned, self.parent, channel));
                Err(Error::Enter(errno))
            }
            Err(SpawnError::Killed(spawned)) => {
                drop(Conversation::new(spawned, self.parent, channel));
                Err(Error::Killed)
            }
        }
    }
}

impl Conversation {
    fn new(spawned: Spawned, parent: Parent, channel: Channel) -> Self {
        let Spawned { pid, pidfd } = spawned;
        Self { pid, pidfd, parent, channel, warnings: Vec::new(), over: false }
    }

    /// Follows the set-up to its end: the terminal's master and the warnings. With `start` the
    /// process waits for the word to go on.
    pub(crate) fn finish(mut self, start: bool) -> Result<(Option<OwnedFd>, Vec<String>), Error> {
        let mut terminal = None;
        let mut ready = None;
        loop {
            match self.channel.receive_report().map_err(Error::Channel)? {
                Some((Report::Terminal, descriptors)) => {
                    terminal = descriptors.into_iter().next();
                }
                Some((Report::Ready { warnings }, _)) => {
                    ready = Some(warnings);
                    if start {
                        self.channel.send_start().map_err(Error::Channel)?;
                    }
                }
                Some((Report::Failed(failure), _)) => return Err(failure.into()),
                None => break,
            }
        }
        let mut warnings = std::mem::take(&mut self.warnings);
        warnings.extend(ready.ok_or(Error::Vanished)?);
        self.over = true;
        Ok((terminal, warnings))
    }

    /// Why the process did not get on: its own word if it left one.
    pub(crate) fn failure(self) -> Error {
        while let Ok(Some((report, _))) = self.channel.receive_report() {
            if let Report::Failed(failure) = report {
                return failure.into();
            }
        }
        Error::Vanished
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        // Both fail only when the process has ended and was reaped, which is what is wanted.
        let _ = rustix::process::pidfd_send_signal(&self.pidfd, Signal::KILL);
        if self.parent == Parent::Own {
            let _ = wait(self.pidfd.as_fd());
        }
    }
}

impl fmt::Debug for Conversation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Conversation").field("pid", &self.pid).finish_non_exhaustive()
    }
}

fn duplicate(file: &OwnedFd) -> Result<OwnedFd, Error> {
    file.try_clone().map_err(|error| Error::host("copy a descriptor", error))
}

fn absolute(path: &Path) -> Result<PathBuf, Error> {
    std::path::absolute(path)
        .map_err(|error| Error::host(format!("resolve {}", path.display()), error))
}

fn network_namespace(pid: i32) -> Result<OwnedFd, rustix::io::Errno> {
    let path = format!("/proc/{pid}/ns/net");
    rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
}
