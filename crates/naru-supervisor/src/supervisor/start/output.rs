//! Where a container's output goes, and its input comes from.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use naru_image::rootfs;
use naru_runtime::Stdio;
use naru_state::atomic::naming;
use naru_state::log;
use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, Uid, chownat, mknodat};

use super::Job;
use crate::logging;

/// The FIFOs of its output, owned by its user, and its input: nothing, or a FIFO that never ends.
pub(super) fn open_output(job: &Job, user: &rootfs::User) -> io::Result<Stdio> {
    if job.service.tty {
        return Ok(Stdio::null());
    }
    let run = job.own.container_run(&job.record.id);
    let stdin = match &job.input {
        Some(input) => Some(input.try_clone()?),
        None if job.service.stdin_open => Some(fifo(&run.join("stdin"), user)?),
        None => None,
    };
    let stdout = fifo(&run.join("stdout"), user)?;
    let separate = fifo(&run.join("stderr"), user)?;
    // One pipe for both is the only way to know the order of what comes through both.
    let stderr = if job.service.merges_output() { stdout.try_clone()? } else { separate };
    Ok(Stdio { stdin, stdout: Some(stdout), stderr: Some(stderr), ..Stdio::null() })
}

/// Further descriptors of the output, for the keeper.
pub(super) fn held(stdio: &Stdio) -> io::Result<Vec<OwnedFd>> {
    [&stdio.stdout, &stdio.stderr].into_iter().flatten().map(OwnedFd::try_clone).collect()
}

/// Opened for reading too: writing to it never fails for want of a reader, so no log is lost while nobody
/// reads, and no container dies of SIGPIPE.
fn fifo(path: &Path, user: &rootfs::User) -> io::Result<OwnedFd> {
    match mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => {}
        Err(errno) => return Err(naming(path, errno)),
    }
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    chownat(CWD, path, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|errno| naming(path, errno))?;
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let fifo = rustix::fs::open(path, flags, Mode::empty());
    let fifo = fifo.map_err(|errno| naming(path, errno))?;
    rustix::io::ioctl_fionbio(&fifo, false)?;
    Ok(fifo)
}

/// A new container of a name begins a new log.
pub(super) fn prepare_log(job: &Job) -> io::Result<()> {
    match job.is_first {
        true => log::Writer::begin(&logging::directory(&job.own, &job.record)),
        false => Ok(()),
    }
}
