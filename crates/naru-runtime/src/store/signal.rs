//! Signals to a recorded container.

use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags};

use super::{Container, Error, Status};

/// `SIGKILL`.
pub(super) const KILL: i32 = 9;

impl Container {
    /// Sends a signal to its first process; 0 only asks whether that could be done.
    ///
    /// `SIGKILL` goes to all processes when they do not end with the first one, because the
    /// container has no pid namespace of its own.
    ///
    /// # Errors
    /// [`Error::NotRunning`] when the container has ended.
    pub fn kill(&self, signal: i32) -> Result<(), Error> {
        if signal == KILL && !self.has_own_pids() {
            return self.kill_everywhere();
        }
        let gone = || Error::NotRunning { action: "signal", id: self.id().clone() };
        let process = self.process()?.ok_or_else(gone)?;
        match naru_sys::process::send_signal(process.as_fd(), signal) {
            Ok(()) => Ok(()),
            Err(Errno::SRCH) => Err(gone()),
            Err(errno) => Err(self.cannot_signal(signal, errno)),
        }
    }

    /// Sends a signal to all its processes, also to those of one that has ended.
    ///
    /// # Errors
    /// When its control group cannot be read, or a signal is refused.
    pub fn kill_all(&self, signal: i32) -> Result<(), Error> {
        let cgroup = self.cgroup()?;
        if signal == KILL {
            return Ok(cgroup.kill_all()?);
        }
        // A number can be given to another process until its descriptor is opened, not after: so
        // only those that are still listed then are meant.
        let open = |pid: i32| -> Option<(i32, OwnedFd)> {
            let number = Pid::from_raw(pid)?;
            Some((pid, rustix::process::pidfd_open(number, PidfdFlags::empty()).ok()?))
        };
        let opened: Vec<_> = cgroup.processes()?.into_iter().filter_map(open).collect();
        let listed = cgroup.processes()?;
        for (_, process) in opened.iter().filter(|(pid, _)| listed.contains(pid)) {
            match naru_sys::process::send_signal(process.as_fd(), signal) {
                Ok(()) | Err(Errno::SRCH) => {}
                Err(errno) => return Err(self.cannot_signal(signal, errno)),
            }
        }
        Ok(())
    }

    /// Kills what is in the group of a container without a pid namespace, its first process or not.
    fn kill_everywhere(&self) -> Result<(), Error> {
        let cgroup = self.cgroup()?;
        let left = self.status()? != Status::Stopped || !cgroup.processes()?.is_empty();
        if !left {
            return Err(Error::NotRunning { action: "signal", id: self.id().clone() });
        }
        if let Some(process) = self.process()? {
            // It may have left its group.
            let _ = naru_sys::process::send_signal(process.as_fd(), KILL);
        }
        Ok(cgroup.kill_all()?)
    }

    fn cannot_signal(&self, signal: i32, errno: Errno) -> Error {
        crate::Error::host(format!("send signal {signal} to container {}", self.id()), errno).into()
    }
}
