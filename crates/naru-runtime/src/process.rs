//! Processes of containers: who they are and how they ended.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions};
use serde::{Deserialize, Serialize};

use crate::Error;

/// A running process of a container.
#[derive(Debug)]
pub struct Process {
    /// Its number in the caller's pid namespace.
    pub pid: i32,
    /// Its descriptor.
    pub pidfd: OwnedFd,
    /// When it started, in clock ticks since boot.
    pub start_time: u64,
    /// The master of its terminal, if it has one.
    pub terminal: Option<OwnedFd>,
    /// What could not be done in full, in sentences; see the limits of a container root without
    /// `CAP_SYS_RESOURCE`.
    pub warnings: Vec<String>,
}

impl Process {
    /// Waits until it ends and reaps it; only for the caller's own child.
    ///
    /// # Errors
    /// `ECHILD` when it is not a child of the calling process.
    pub fn wait(&self) -> Result<ExitStatus, Error> {
        wait(self.pidfd.as_fd()).map_err(|errno| {
            Error::host(format!("wait for process {}", self.pid), std::io::Error::from(errno))
        })
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// `ESRCH` when it has ended and was reaped.
    pub fn signal(&self, signal: Signal) -> Result<(), Error> {
        rustix::process::pidfd_send_signal(&self.pidfd, signal).map_err(|errno| {
            Error::host(format!("signal process {}", self.pid), std::io::Error::from(errno))
        })
    }

    /// What identifies it, also after a reboot.
    ///
    /// # Errors
    /// When the boot's id cannot be read.
    pub fn identity(&self) -> Result<Identity, Error> {
        Ok(Identity { boot_id: boot_id()?, pid: self.pid, start_time: self.start_time })
    }
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExitStatus {
    /// It exited with this code.
    Exited(i32),
    /// This signal ended it.
    Signaled(i32),
    /// It ended and nobody can say how; never to be taken for a success.
    Unknown,
}

impl ExitStatus {
    /// The code as a shell shows it: `128 + n` for signal `n`; nothing when unknown.
    #[must_use]
    pub fn code(self) -> Option<i32> {
        match self {
            Self::Exited(code) => Some(code),
            Self::Signaled(signal) => Some(128 + signal),
            Self::Unknown => None,
        }
    }

    /// From the status of wait(2).
    #[must_use]
    pub fn from_wait_status(status: i32) -> Self {
        match status & 0x7f {
            0 => Self::Exited((status >> 8) & 0xff),
            signal => Self::Signaled(signal),
        }
    }
}

/// What tells a process from every other one, now and later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
    /// Its number in the host's pid namespace.
    pub pid: i32,
    /// Field 22 of `/proc/PID/stat`: clock ticks since boot.
    pub start_time: u64,
}

impl Identity {
    /// A descriptor of the process, if exactly this process still exists (a zombie does).
    ///
    /// # Errors
    /// When it cannot be told: /proc cannot be read, or there are no more descriptors.
    pub fn open(&self) -> Result<Option<OwnedFd>, Error> {
        if boot_id()? != self.boot_id {
            return Ok(None);
        }
        let Some(pid) = Pid::from_raw(self.pid) else { return Ok(None) };
        let pidfd = match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
            // EINVAL: the number is a thread's by now.
            Err(Errno::SRCH | Errno::INVAL) => return Ok(None),
            // Who lacks descriptors must not take it for one that has ended.
            opened => opened.map_err(|errno| self.not_opened(errno))?,
        };
        // The number can have been taken over before the descriptor was opened, not after.
        match start_time(self.pid) {
            Some(found) => Ok((found == self.start_time).then_some(pidfd)),
            None if has_ended(pidfd.as_fd()) => Ok(None),
            None => Err(self.not_opened(Errno::IO)),
        }
    }

    fn not_opened(&self, errno: Errno) -> Error {
        Error::host(format!("look at process {}", self.pid), std::io::Error::from(errno))
    }

    /// Whether the process runs, and if not, how it ended as far as anybody can know.
    ///
    /// `pidfd` must have been opened while the process existed. In this order: it still runs; it is
    /// the caller's child, which is reaped; it is a zombie, whose status is read; the kernel
    /// remembers it (Linux 6.15); unknown.
    #[must_use]
    pub fn outcome(&self, pidfd: BorrowedFd<'_>) -> Option<ExitStatus> {
        if !has_ended(pidfd) {
            return None;
        }
        if let Ok(status) = wait(pidfd) {
            return Some(status);
        }
        if let Some(status) = zombie_status(self.pid, self.start_time) {
            return Some(status);
        }
        let remembered = naru_sys::process::exit_status(pidfd).ok().flatten();
        Some(remembered.map_or(ExitStatus::Unknown, ExitStatus::from_wait_status))
    }
}

/// Waits for a child by its descriptor and reaps it.
pub(crate) fn wait(pidfd: BorrowedFd<'_>) -> Result<ExitStatus, Errno> {
    loop {
        match rustix::process::waitid(WaitId::PidFd(pidfd), WaitIdOptions::EXITED) {
            Ok(Some(status)) => {
                return Ok(match (status.exit_status(), status.terminating_signal()) {
                    (Some(code), _) => ExitStatus::Exited(code),
                    (None, Some(signal)) => ExitStatus::Signaled(signal),
                    (None, None) => ExitStatus::Unknown,
                });
            }
            Ok(None) => return Ok(ExitStatus::Unknown),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Whether the process has ended, reaped or not.
#[must_use]
pub fn has_ended(pidfd: BorrowedFd<'_>) -> bool {
    let mut poll = [PollFd::from_borrowed_fd(pidfd, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    matches!(rustix::event::poll(&mut poll, Some(&now)), Ok(count) if count > 0)
}

/// Field 52 of `/proc/PID/stat`, if that is a zombie with this start time.
fn zombie_status(pid: i32, start_time: u64) -> Option<ExitStatus> {
    let stat = fs_err::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields = stat_fields(&stat)?;
    let is_it = fields.first() == Some(&"Z") && fields.get(19)?.parse() == Ok(start_time);
    let status = fields.get(49)?.parse().ok()?;
    is_it.then(|| ExitStatus::from_wait_status(status))
}

/// Field 22 of `/proc/PID/stat`, in clock ticks since boot; nothing when there is no such process.
#[must_use]
pub fn start_time(pid: i32) -> Option<u64> {
    started(pid).ok()
}

/// [`start_time`], and why it cannot be told: a process that is gone ([`is_gone`]), or a lack of descriptors.
pub(crate) fn started(pid: i32) -> io::Result<u64> {
    let stat = fs_err::read_to_string(format!("/proc/{pid}/stat"))?;
    let field = stat_fields(&stat).and_then(|fields| fields.get(19)?.parse().ok());
    field.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Whether a file of `/proc/PID` cannot be read because there is no such process any more.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
        || error.raw_os_error() == Some(Errno::SRCH.raw_os_error())
}

/// The fields from the third, the state, on: the second, a name in parentheses, may hold anything.
fn stat_fields(stat: &str) -> Option<Vec<&str>> {
    let (_, rest) = stat.rsplit_once(')')?;
    Some(rest.split_whitespace().collect())
}

/// The id of the running system's boot.
fn boot_id() -> Result<String, Error> {
    let text = fs_err::read_to_string("/proc/sys/kernel/random/boot_id")
        .map_err(|error| Error::host("read the boot's id", error))?;
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_status_is_a_code_or_a_signal() {
        assert_eq!(ExitStatus::from_wait_status(3 << 8).code(), Some(3));
        assert_eq!(ExitStatus::from_wait_status(9).code(), Some(137));
        assert_eq!(ExitStatus::from_wait_status(0x8b), ExitStatus::Signaled(11));
        assert_eq!(ExitStatus::Unknown.code(), None);
    }

    #[test]
    fn a_process_name_with_parentheses_does_not_shift_the_fields() {
        let fields = stat_fields("12 (a) b (c) S 1 2 3").unwrap();
        assert_eq!(fields, ["S", "1", "2", "3"]);
    }
}
