//! One change at a time to a container: an flock, which dies with its holder.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::Error;

/// The right to change a container, until it is dropped.
#[derive(Debug)]
pub(super) struct Lock {
    _file: OwnedFd,
}

impl Lock {
    /// Waits for the lock of the container in `directory`.
    ///
    /// `ENOENT` when the container is deleted meanwhile.
    pub(super) fn take(directory: &Path) -> Result<Self, Error> {
        let path = directory.join("lock");
        let take = || {
            let file = open(&path)?;
            loop {
                match rustix::fs::flock(&file, FlockOperation::LockExclusive) {
                    Ok(()) => break,
                    Err(Errno::INTR) => {}
                    Err(errno) => return Err(errno),
                }
            }
            // The holder before may have deleted the container, and another may have been made.
            let (held, there) = (rustix::fs::fstat(&file)?, rustix::fs::stat(&path)?);
            if (held.st_dev, held.st_ino) == (there.st_dev, there.st_ino) {
                Ok(Self { _file: file })
            } else {
                Err(Errno::NOENT)
            }
        };
        take().map_err(|errno| Error::File {
            action: "lock",
            path: path.clone(),
            source: errno.into(),
        })
    }

    /// Whether somebody holds the lock now.
    pub(super) fn is_held(directory: &Path) -> bool {
        let look = || -> io::Result<bool> {
            let file = open(&directory.join("lock"))?;
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) {
                Ok(()) => Ok(false),
                Err(Errno::WOULDBLOCK) => Ok(true),
                Err(errno) => Err(errno.into()),
            }
        };
        look().unwrap_or(false)
    }
}

fn open(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)
}
