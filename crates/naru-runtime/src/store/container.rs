//! A recorded container: its state, starting it, running more in it, pausing it.

use std::fmt;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxNamespaceType, Process as OciProcess, Spec};
use serde::{Deserialize, Serialize};

use super::lock::Lock;
use super::signal::KILL;
use super::{ContainerId, Error, Record, START, notify, open_directory};
use crate::process::has_ended;
use crate::{Binary, Cgroup, Exec, ExitStatus, Freezer, Parent, Process, Stdio};

/// A container of a [`Store`](super::Store), as its record was when it was opened.
#[derive(Debug)]
pub struct Container {
    id: ContainerId,
    directory: PathBuf,
    record: Record,
}

/// The state of a container (OCI runtime specification, "State"), and `Paused`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It is being created.
    Creating,
    /// It waits for its start.
    Created,
    /// Its program runs.
    Running,
    /// All its processes are frozen.
    Paused,
    /// Its first process has ended.
    Stopped,
}

/// A further process for a container: what [`Container::exec`] needs.
#[derive(Debug)]
pub struct Further<'a> {
    /// What to run, as whom.
    pub process: &'a OciProcess,
    /// Its files.
    pub stdio: Stdio,
    /// Whose child it is.
    pub parent: Parent,
    /// naru's own program.
    pub binary: &'a Binary,
    /// Groups below the container's own to run in, as [`Cgroup::below`] takes them; none is its own.
    pub groups: &'a [String],
    /// Also into a paused container, where it begins to run when the container does.
    pub ignore_paused: bool,
}

impl Container {
    pub(super) fn new(id: ContainerId, directory: PathBuf, record: Record) -> Self {
        Self { id, directory, record }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &ContainerId {
        &self.id
    }

    /// Its record.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Its state now.
    ///
    /// # Errors
    /// When the kernel cannot be asked.
    pub fn status(&self) -> Result<Status, Error> {
        if self.record.process.is_none() {
            // Whoever was creating it and died did not finish.
            let creating = Lock::is_held(&self.directory);
            return Ok(if creating { Status::Creating } else { Status::Stopped });
        }
        if self.process()?.is_none() {
            return Ok(Status::Stopped);
        }
        if self.directory.join(START).exists() {
            return Ok(Status::Created);
        }
        let frozen = self.is_frozen()?;
        Ok(if frozen { Status::Paused } else { Status::Running })
    }

    /// Its first process, if that still runs.
    ///
    /// # Errors
    /// When the kernel cannot be asked.
    pub fn process(&self) -> Result<Option<OwnedFd>, Error> {
        let Some(identity) = &self.record.process else { return Ok(None) };
        Ok(identity.open()?.filter(|pidfd| !has_ended(pidfd.as_fd())))
    }

    /// The number of its first process, or 0 when that has ended.
    ///
    /// # Errors
    /// When the kernel cannot be asked.
    pub fn pid(&self) -> Result<i32, Error> {
        let running = self.process()?.is_some();
        let pid = self.record.process.as_ref().map(|identity| identity.pid);
        Ok(pid.filter(|_| running).unwrap_or(0))
    }

    /// How its first process ended, if it has and anybody still knows.
    ///
    /// # Errors
    /// When the kernel cannot be asked.
    pub fn outcome(&self) -> Result<Option<ExitStatus>, Error> {
        let Some(identity) = &self.record.process else { return Ok(Some(ExitStatus::Unknown)) };
        match identity.open()? {
            Some(pidfd) => Ok(identity.outcome(pidfd.as_fd())),
            None => Ok(Some(ExitStatus::Unknown)),
        }
    }

    /// Its control groups.
    ///
    /// # Errors
    /// When the host's mounts cannot be read.
    pub fn cgroup(&self) -> Result<Cgroup, Error> {
        match &self.record.cgroup {
            Some(path) => Ok(Cgroup::new(path)?),
            None => Ok(Cgroup::none()),
        }
    }

    /// The numbers of all its processes, in the caller's pid namespace.
    ///
    /// # Errors
    /// When the kernel's files cannot be read.
    pub fn processes(&self) -> Result<Vec<i32>, Error> {
        Ok(self.cgroup()?.processes()?)
    }

    /// Runs its program.
    ///
    /// # Errors
    /// [`Error::Status`] when it does not wait for its start; as [`release`](crate::release) when the
    /// program cannot be executed; [`Error::Hook`] when a poststart hook failed. In both cases the
    /// container has ended.
    pub fn start(&self) -> Result<(), Error> {
        self.start_with(|_| Ok(())).map(drop)
    }

    /// As [`start`](Self::start), with the socket (of datagrams, non-blocking) at which the container says
    /// that it is ready; nothing for one that was not created so.
    ///
    /// What comes there was written by the container.
    ///
    /// # Errors
    /// As [`start`](Self::start); when the socket cannot be made, then nothing is started.
    pub fn start_notified(&self) -> Result<Option<OwnedFd>, Error> {
        self.start_with(|directory| Ok(notify::listen(directory)?))
    }

    /// Starts it after `prepare`, which gets its directory.
    fn start_with<T>(
        &self,
        prepare: impl FnOnce(&OwnedFd) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let lock = self.lock()?;
        match self.status()? {
            Status::Created => {}
            status => return Err(self.wrong_status("start", status)),
        }
        let path = self.directory.join(START);
        let file = |action, source| Error::File { action, path: path.clone(), source };
        let directory = open_directory(&self.directory)?;
        let prepared = prepare(&directory)?;
        let released = crate::release(&directory, START);
        fs_err::remove_file(&path).map_err(|source| file("remove", source))?;
        released?;
        let pid = self.record.process.as_ref().map_or(0, |identity| identity.pid);
        // Hooks may ask for this very container.
        drop(lock);
        let failures = crate::hooks::poststart(&self.record.config, &self.record.state(), pid);
        match failures.into_iter().next() {
            None => Ok(prepared),
            Some(reason) => {
                // The hook's failure is the one to tell.
                drop(self.kill_all(KILL));
                Err(Error::Hook(reason))
            }
        }
    }

    /// Freezes all its processes.
    ///
    /// # Errors
    /// [`Error::Status`] when it does not run.
    pub fn pause(&self) -> Result<(), Error> {
        let _lock = self.lock()?;
        match self.status()? {
            Status::Running | Status::Created => Ok(self.cgroup()?.freeze()?),
            status => Err(self.wrong_status("pause", status)),
        }
    }

    /// Lets its processes run on.
    ///
    /// # Errors
    /// [`Error::Status`] when it is not paused.
    pub fn resume(&self) -> Result<(), Error> {
        let _lock = self.lock()?;
        match self.status()? {
            Status::Paused => Ok(self.cgroup()?.thaw()?),
            Status::Created if self.is_frozen()? => Ok(self.cgroup()?.thaw()?),
            status => Err(self.wrong_status("resume", status)),
        }
    }

    /// Runs a further process in it.
    ///
    /// # Errors
    /// [`Error::Status`] when it has ended or is paused; as [`exec`](crate::exec).
    pub fn exec(&self, further: Further<'_>) -> Result<Process, Error> {
        match self.status()? {
            Status::Created | Status::Running => {}
            Status::Paused if further.ignore_paused => {}
            status => return Err(self.wrong_status("exec in", status)),
        }
        let container = self.process()?;
        let container = container.ok_or_else(|| self.wrong_status("exec in", Status::Stopped))?;
        let mut state = self.record.state();
        state.set_pid(self.record.process.as_ref().map(|identity| identity.pid));
        // Whether it may gain privileges is said by the process itself.
        let mut spec = self.record.config.clone();
        spec.set_process(None);
        Ok(crate::exec(Exec {
            spec: &spec,
            container: container.as_fd(),
            process: further.process,
            cgroup: &self.cgroup()?.below(further.groups)?,
            stdio: further.stdio,
            parent: further.parent,
            binary: further.binary,
            state: Some(&state),
        })?)
    }

    fn is_frozen(&self) -> Result<bool, Error> {
        Ok(self.cgroup()?.freezer()? != Freezer::Thawed)
    }

    /// Its first process is the first of a pid namespace: the others end with it.
    pub(super) fn has_own_pids(&self) -> bool {
        has_own_pids(&self.record.config)
    }

    pub(super) fn lock(&self) -> Result<Lock, Error> {
        match Lock::take(&self.directory) {
            Err(Error::File { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                Err(Error::Missing(self.id.clone()))
            }
            result => result,
        }
    }

    pub(super) fn record_mut(&mut self) -> &mut Record {
        &mut self.record
    }

    /// Writes the record, by who holds the lock.
    pub(super) fn save(&self) -> Result<(), Error> {
        self.record.save(&self.directory)
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn wrong_status(&self, action: &'static str, status: Status) -> Error {
        Error::Status { action, id: self.id.clone(), status }
    }
}

fn has_own_pids(spec: &Spec) -> bool {
    let namespaces = spec.linux().as_ref().and_then(|linux| linux.namespaces().as_ref());
    namespaces.is_some_and(|list| {
        list.iter().any(|one| one.typ() == LinuxNamespaceType::Pid && one.path().is_none())
    })
}

impl fmt::Display for Status {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Creating => "creating",
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        })
    }
}
