//! Making a process of a container and talking to it until its program runs, from the caller's side.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use naru_sys::spawn::{Spawn, SpawnError, Spawned, spawn};
use rustix::io::Errno;
use rustix::process::Signal;

use crate::container::Parent;
use crate::hooks::CallersHooks;
use crate::namespaces::{Opened, inside_pid_namespace};
use crate::plan::{Plan, flags};
use crate::process::wait;
use crate::seccomp::Program;
use crate::sources::Mapped;
use crate::untold::{self, Seen};
use crate::user::Privileges;
use crate::wire::{Channel, Report};
use crate::{Binary, Cgroup, Error, role};

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
    /// Mounts whose ids it asks for.
    pub(crate) mapped: Vec<Mapped>,
    /// What is left to do for the process when it has set itself up.
    privileges: Option<Privileges>,
    over: bool,
}

impl Entry<'_> {
    /// Makes the process and sends it the plan.
    pub(crate) fn begin(
        &self,
        plan: &mut Plan,
        filter: Option<&Program>,
        envelope: &[BorrowedFd<'_>],
    ) -> Result<Conversation, Error> {
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
        plan.identify(conversation.pid);
        let plan = serde_json::to_vec(plan)
            .map_err(|_| Error::invalid("spec", "it contains a path that is not UTF-8"))?;
        if let Some(privileges) = &self.privileges {
            conversation.warnings = privileges.apply(conversation.pid)?;
            conversation.privileges = Some(privileges.clone());
        }
        match conversation.channel.send_plan(&plan, &filter, envelope) {
            Ok(()) => Ok(conversation),
            Err(Errno::PIPE | Errno::CONNRESET) => Err(conversation.failure()),
            // It lives, and waits for the rest.
            Err(errno) => Err(Error::Channel(errno)),
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
        Self {
            pid,
            pidfd,
            parent,
            channel,
            warnings: Vec::new(),
            mapped: Vec::new(),
            privileges: None,
            over: false,
        }
    }

    /// Follows the set-up to its end: the terminal's master and the warnings. With `start` the
    /// process waits for the word to go on.
    pub(crate) fn finish(
        mut self,
        start: bool,
        hooks: Option<&CallersHooks>,
    ) -> Result<(Option<OwnedFd>, Vec<String>), Error> {
        let mut terminal = None;
        let mut ready = None;
        loop {
            match self.channel.receive_report().map_err(Error::Channel)? {
                Some((Report::Terminal, descriptors)) => {
                    terminal = descriptors.into_iter().next();
                }
                Some((Report::Map { mount }, descriptors)) => {
                    let mapped = self.mapped.iter().find(|mapped| mapped.mount == mount);
                    let (mapped, tree) = mapped.zip(descriptors.first()).ok_or(Error::Vanished)?;
                    mapped.apply(tree)?;
                    self.channel.send_start().map_err(Error::Channel)?;
                }
                Some((Report::Hooks, _)) => {
                    hooks.map_or(Ok(()), CallersHooks::run_early)?;
                    self.channel.send_start().map_err(Error::Channel)?;
                }
                Some((Report::Ready { warnings }, _)) => {
                    ready = Some(warnings);
                    if let Some(privileges) = &self.privileges {
                        self.warnings.extend(privileges.apply_late(self.pid)?);
                    }
                    if start {
                        self.channel.send_start().map_err(Error::Channel)?;
                    }
                }
                Some((Report::Failed(failure), _)) => return Err(failure.into()),
                Some((Report::Entered { .. }, _)) => return Err(Error::Channel(Errno::PROTO)),
                None => break,
            }
        }
        let mut warnings = std::mem::take(&mut self.warnings);
        warnings.extend(ready.ok_or(Error::Vanished)?);
        self.over = true;
        Ok((terminal, warnings))
    }

    /// Waits until the process has entered the container and left the rest to its copy there, which
    /// is the one that counts from then on.
    pub(crate) fn follow_inside(&mut self) -> Result<(), Error> {
        let entered = self.entered();
        if entered.is_err() && self.parent == Parent::Own {
            let entering = Seen::of(self.pid);
            // Both fail only when it has ended and was reaped.
            let _ = rustix::process::pidfd_send_signal(&self.pidfd, Signal::KILL);
            let _ = wait(self.pidfd.as_fd());
            entering.as_ref().map(untold::reap_copies);
        }
        entered
    }

    fn entered(&mut self) -> Result<(), Error> {
        match self.channel.receive_report().map_err(Error::Channel)? {
            Some((Report::Entered { pid }, descriptors)) => {
                let inside = descriptors.into_iter().next().ok_or(Error::Vanished)?;
                let first = std::mem::replace(&mut self.pidfd, inside);
                self.pid = pid;
                if self.parent == Parent::Own {
                    // It has said its last word; somebody else may have reaped it.
                    let _ = wait(first.as_fd());
                }
                Ok(())
            }
            Some((Report::Failed(failure), _)) => Err(failure.into()),
            Some(_) => Err(Error::Channel(Errno::PROTO)),
            None => Err(Error::Vanished),
        }
    }

    /// Why the process did not get on: its own word if it left one. Should it live after all, it hears that nothing more
    /// comes, and ends.
    pub(crate) fn failure(self) -> Error {
        self.channel.end_sending();
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
