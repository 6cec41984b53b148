//! A further process inside a running container, with its output read until it ends: hooks and probes.

use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use naru_runtime::{Binary, Cgroup, Exec, Parent, Stdio};
use naru_state::{ContainerId, ProjectDirectories, atomic};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, pidfd_send_signal};

use super::Supervisor;
use crate::spec::Further;

/// The way into one run of a container; a worker takes it along.
#[derive(Debug)]
pub(super) struct Inside {
    own: ProjectDirectories,
    id: ContainerId,
    pid: i32,
    pidfd: Arc<OwnedFd>,
    cgroup: Cgroup,
    binary: Arc<Binary>,
}

/// How a further process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// With this code; `None` when it cannot be told.
    Exited(Option<u8>),
    /// It was killed at its time limit.
    TimedOut,
}

impl Supervisor {
    /// The way into a container that runs.
    pub(super) fn inside(&self, id: &ContainerId) -> Option<Inside> {
        let running = self.containers.get(id)?.running.as_ref()?;
        Some(Inside {
            own: self.own.clone(),
            id: id.clone(),
            pid: running.process.pid,
            pidfd: Arc::clone(&running.pidfd),
            cgroup: self.cgroup(id),
            binary: Arc::clone(&self.binary),
        })
    }
}

impl Inside {
    /// Runs a process to its end and hands on what it writes to either stream, piece by piece.
    ///
    /// # Errors
    /// When it cannot be run, with why.
    pub(super) fn run(
        &self,
        further: &Further,
        timeout: Option<Duration>,
        mut keep: impl FnMut(&[u8]),
    ) -> Result<Ended, Box<dyn std::error::Error>> {
        let spec = crate::spec::load(&self.own, &self.id)?;
        let process = crate::spec::further_process(&spec, self.pid, further)?;
        let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        let stdout = Some(write.try_clone()?);
        let stdio = Stdio { stdin: None, stdout, stderr: Some(write), ..Stdio::null() };
        let process = naru_runtime::exec(Exec {
            spec: &spec,
            container: self.pidfd.as_fd(),
            process: &process,
            cgroup: &self.cgroup,
            stdio,
            parent: Parent::Own,
            binary: &self.binary,
            state: None,
        })?;
        if timeout.is_some() {
            self.note_probe(process.pid, process.start_time);
        }
        let in_time = watch(process.pidfd.as_fd(), read, timeout, &mut keep)?;
        if !in_time {
            pidfd_send_signal(&process.pidfd, Signal::KILL)?;
        }
        let code = process.wait()?.code().and_then(|code| u8::try_from(code).ok());
        Ok(if in_time { Ended::Exited(code) } else { Ended::TimedOut })
    }
}

impl Inside {
    /// Writes down whom the next supervisor is to end should this one die first: nobody else knows its time limit.
    fn note_probe(&self, pid: i32, start_time: u64) {
        let Some(boot_id) = naru_state::process::boot_id() else { return };
        let identity = naru_state::process::Identity { boot_id, pid, start_time };
        if let Err(error) = atomic::save_volatile(&probe_file(&self.own, &self.id), &identity) {
            tracing::warn!(container = %self.id, %error, "a probe is not written down");
        }
    }
}

fn probe_file(own: &ProjectDirectories, id: &ContainerId) -> std::path::PathBuf {
    own.container_run(id).join("probe.json")
}

/// Ends the probe that a supervisor before this one began, if it still runs. Hooks are let to end: they are done once.
pub(super) fn end_probe(own: &ProjectDirectories, id: &ContainerId) {
    let noted = atomic::load::<naru_state::process::Identity>(&probe_file(own, id));
    let Some(naru_state::process::Identity { boot_id, pid, start_time }) = noted.ok().flatten()
    else {
        return;
    };
    let probe = naru_runtime::Identity { boot_id, pid, start_time }.open();
    if let Ok(Some(probe)) = probe {
        // One that has just ended is what is wanted.
        let _sent = pidfd_send_signal(probe, Signal::KILL);
    }
}

/// Reads output until the process ends; false when it did not within `timeout`.
fn watch(
    pidfd: BorrowedFd<'_>,
    output: OwnedFd,
    timeout: Option<Duration>,
    keep: &mut impl FnMut(&[u8]),
) -> std::io::Result<bool> {
    rustix::io::ioctl_fionbio(&output, true)?;
    let mut output = std::fs::File::from(output);
    let deadline = timeout.map(|timeout| Instant::now() + timeout);
    let mut open = true;
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Ok(false);
        }
        let mut all = vec![PollFd::from_borrowed_fd(pidfd, PollFlags::IN)];
        if open {
            all.push(PollFd::new(&output, PollFlags::IN));
        }
        let left: Option<Timespec> = left.and_then(|left| left.try_into().ok());
        poll(&mut all, left.as_ref())?;
        let has_ended = !all[0].revents().is_empty();
        open = open && read_some(&mut output, keep);
        if has_ended {
            // A grandchild may keep the pipe open: only what is there now is read.
            while open && has_more(&output) {
                open = read_some(&mut output, keep);
            }
            return Ok(true);
        }
    }
}

fn has_more(output: &std::fs::File) -> bool {
    let mut one = [PollFd::new(output, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut one, Some(&now)).is_ok_and(|ready| ready > 0)
}

/// Reads a piece. False at the end of the output.
fn read_some(output: &mut std::fs::File, keep: &mut impl FnMut(&[u8])) -> bool {
    let mut piece = [0; 4096];
    match output.read(&mut piece) {
        Ok(0) => false,
        Ok(length) => {
            keep(&piece[..length]);
            true
        }
        Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
    }
}
