//! Directories for work in progress, each locked by its owner, so that a crash leaves nothing for ever.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use fs_err as fs;
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::Store;
use crate::beneath::to_io;
use crate::tree;

static NEXT: AtomicU64 = AtomicU64::new(0);

/// A directory of its own in the store's `tmp`, removed with everything in it when dropped.
#[derive(Debug)]
pub(crate) struct Temp {
    path: PathBuf,
    lock: OwnedFd,
}

impl Temp {
    pub(crate) fn new(store: &Store) -> io::Result<Self> {
        // Under the store's lock, so that nobody cleans between making the directory and locking it.
        let _lock = store.lock_file()?;
        Self::unlocked(store)
    }

    /// [`Temp::new`] for a caller that holds the store's lock.
    pub(crate) fn unlocked(store: &Store) -> io::Result<Self> {
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = store.path("tmp").join(format!("{}-{number}", std::process::id()));
            match fs::create_dir(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                result => result?,
            }
            let lock = open(&path)?;
            rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(to_io)?;
            return Ok(Self { path, lock });
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes everything of this file system to the disk: one call for thousands of small files.
    pub(crate) fn sync(&self) -> io::Result<()> {
        rustix::fs::syncfs(&self.lock).map_err(to_io)
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        if let Err(error) = tree::remove(&self.path) {
            // The next one who opens the store tries again.
            tracing::debug!(path = %self.path.display(), %error, "temporary files stay for now");
        }
    }
}

/// Removes the temporary directories whose owners are gone. Never waits: whoever holds the lock cleans another time.
pub(super) fn clean(store: &Store) -> io::Result<()> {
    let tmp = store.path("tmp");
    let mut entries = fs::read_dir(&tmp)?.peekable();
    if entries.peek().is_none() {
        return Ok(());
    }
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let store_lock =
        rustix::fs::open(store.path("lock"), flags, Mode::from_raw_mode(0o600)).map_err(to_io)?;
    if rustix::fs::flock(&store_lock, FlockOperation::NonBlockingLockExclusive).is_err() {
        return Ok(());
    }
    for entry in entries {
        let path = entry?.path();
        match open(&path).map(|directory| {
            rustix::fs::flock(&directory, FlockOperation::NonBlockingLockExclusive)
        }) {
            Ok(Err(Errno::WOULDBLOCK)) => {}
            Ok(_) => tree::remove(&path)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(_) => tree::remove(&path)?,
        }
    }
    Ok(())
}

fn open(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map_err(to_io)
}
