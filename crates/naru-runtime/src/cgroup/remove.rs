//! Removing groups.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::{Cgroup, cgroup_error, files, is_gone, subdirectories};
use crate::Error;

/// A group that is being emptied is busy for a moment after its last process was reaped.
pub(super) const REMOVE_DEADLINE: Duration = Duration::from_secs(2);

impl Cgroup {
    /// Removes the group and all groups below it from every hierarchy, waiting a moment while the
    /// kernel still holds processes that have ended. Groups that are not there are fine.
    ///
    /// # Errors
    /// When processes are left in it; all hierarchies are tried and the first failure is returned.
    pub fn remove(&self) -> Result<(), Error> {
        let deadline = Instant::now() + REMOVE_DEADLINE;
        let mut result = Ok(());
        for hierarchy in &self.hierarchies {
            let removed = remove_tree(&self.directory(hierarchy), deadline);
            if result.is_ok() {
                result = removed;
            }
        }
        result
    }
}

/// Removes a group and those below it, deepest first.
fn remove_tree(directory: &Path, deadline: Instant) -> Result<(), Error> {
    let error = |source| cgroup_error("remove", directory, source);
    match rmdir(directory, deadline) {
        Ok(()) => return Ok(()),
        Err(failure) if failure.raw_os_error() == Some(Errno::NOTEMPTY.raw_os_error()) => {}
        Err(failure) if failure.raw_os_error() == Some(Errno::BUSY.raw_os_error()) => {
            if subdirectories(directory).map_err(error)?.is_empty() {
                return Err(error(failure));
            }
        }
        Err(failure) => return Err(error(failure)),
    }
    for below in subdirectories(directory).map_err(error)? {
        remove_tree(&below, deadline)?;
    }
    rmdir(directory, deadline).map_err(error)
}

/// Removes one group; busy means processes that are still on their way out, or groups below.
pub(super) fn rmdir(directory: &Path, deadline: Instant) -> io::Result<()> {
    loop {
        match files::remove(directory) {
            Ok(()) => return Ok(()),
            Err(error) if is_gone(&error) => return Ok(()),
            Err(error) => {
                let busy = error.raw_os_error() == Some(Errno::BUSY.raw_os_error());
                if !busy || Instant::now() >= deadline || !subdirectories(directory)?.is_empty() {
                    return Err(error);
                }
            }
        }
        std::thread::sleep(Duration::from_micros(500));
    }
}
