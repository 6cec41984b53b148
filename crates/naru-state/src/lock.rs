//! The project lock: only its holder changes anything of the project. It is an flock(2) on a held
//! descriptor, so it dies with its holder.

use std::io::{Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use fs_err as fs;
use rustix::fs::{FlockOperation, flock};

/// Why the lock was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Somebody else holds it.
    #[error("{path} is held by {holder}")]
    Held {
        /// The lock file.
        path: PathBuf,
        /// What the holder wrote about itself.
        holder: String,
    },
    /// The file could not be opened or locked.
    #[error("the lock could not be taken")]
    File(#[source] std::io::Error),
}

/// A held lock; dropping it releases it.
#[derive(Debug)]
pub struct Lock {
    file: fs::File,
}

impl Lock {
    /// Takes the lock at `path` without waiting, and writes `holder` (one line for people) into it.
    ///
    /// # Errors
    /// [`LockError::Held`] when somebody else has it.
    pub fn try_take(path: &Path, holder: &str) -> Result<Self, LockError> {
        let mut file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(LockError::File)?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut holder = String::new();
            // Who holds it is a courtesy: that it is held is the answer.
            let _read = file.read_to_string(&mut holder);
            return Err(LockError::Held {
                path: path.to_owned(),
                holder: holder.trim().to_owned(),
            });
        }
        if !is_still(&file, path) {
            // Its holder has removed it: who comes next makes another file, and would hold that.
            let gone = std::io::Error::new(std::io::ErrorKind::NotFound, "the lock was removed");
            return Err(LockError::File(gone));
        }
        let mut lock = Self { file };
        lock.say(holder).map_err(LockError::File)?;
        Ok(lock)
    }

    /// Writes another `holder` (one line) into the lock that is held.
    ///
    /// # Errors
    /// When the file cannot be written; who reads it meanwhile may find it empty.
    pub fn say(&mut self, holder: &str) -> std::io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        writeln!(self.file, "{holder}")
    }

    /// The descriptor that holds it, for the program that this process becomes by exec.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// The lock that a process of this project held by this descriptor and has handed over.
    pub fn inherited(descriptor: OwnedFd, path: &Path) -> Self {
        Self { file: fs::File::from_parts(descriptor.into(), path) }
    }
}

/// Whether this path still leads to the file that is held.
pub(crate) fn is_still(file: &fs::File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let at_path = fs::metadata(path).map(|found| (found.dev(), found.ino()));
    let held = file.metadata().map(|held| (held.dev(), held.ino()));
    matches!((at_path, held), (Ok(at_path), Ok(held)) if at_path == held)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_taker_learns_who_holds_the_lock_and_gets_it_once_it_is_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let held = Lock::try_take(&path, "pid 1: up").unwrap();
        let refused = Lock::try_take(&path, "pid 2: down").unwrap_err().to_string();
        assert!(refused.ends_with("is held by pid 1: up"), "{refused}");
        drop(held);
        Lock::try_take(&path, "pid 2: down").unwrap();
    }
}
