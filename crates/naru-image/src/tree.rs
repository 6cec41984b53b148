//! Removing directory trees however deep a hostile layer made them.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Dir, Mode, OFlags};
use rustix::io::Errno;

use crate::beneath::to_io;

/// Directories held open at once; what lies deeper is moved up first.
const MAX_OPEN: usize = 32;

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Removes the file or directory `name` in `parent` with everything below it; no symlink is followed.
pub(crate) fn remove_at(parent: impl AsFd, name: &[u8]) -> Result<(), Errno> {
    let parent = parent.as_fd();
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Err(Errno::ISDIR | Errno::PERM) => {}
        result => return result,
    }
    let top = rustix::fs::openat(parent, name, DIRECTORY, Mode::empty())?;
    let mut moved = 0;
    loop {
        clear(top.as_fd(), top.as_fd(), 0, &mut moved)?;
        match rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR) {
            // Something was moved up into it meanwhile.
            Err(Errno::NOTEMPTY) => {}
            result => return result,
        }
    }
}

/// Removes a path that may not exist.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let parent: OwnedFd = match rustix::fs::open(parent, DIRECTORY, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(()),
        result => result.map_err(to_io)?,
    };
    match remove_at(&parent, name.as_encoded_bytes()) {
        Err(Errno::NOENT) => Ok(()),
        result => result.map_err(to_io),
    }
}

fn clear(
    top: BorrowedFd<'_>,
    directory: BorrowedFd<'_>,
    depth: usize,
    moved: &mut u64,
) -> Result<(), Errno> {
    let entries = Dir::read_from(directory)?;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if matches!(name, b"." | b"..") {
            continue;
        }
        match rustix::fs::unlinkat(directory, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => continue,
            Err(Errno::ISDIR | Errno::PERM) => {}
            Err(error) => return Err(error),
        }
        if depth >= MAX_OPEN {
            move_up(directory, name, top, moved)?;
            continue;
        }
        let child = rustix::fs::openat(directory, name, DIRECTORY, Mode::empty())?;
        clear(top, child.as_fd(), depth + 1, moved)?;
        match rustix::fs::unlinkat(directory, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Moves a deep directory into `top`, under the first name that is free: a hostile tree may use any.
fn move_up(
    directory: BorrowedFd<'_>,
    name: &[u8],
    top: BorrowedFd<'_>,
    moved: &mut u64,
) -> Result<(), Errno> {
    loop {
        *moved += 1;
        match rustix::fs::renameat(directory, name, top, format!(".naru-removing-{moved}")) {
            Err(Errno::NOTEMPTY | Errno::NOTDIR | Errno::EXIST) => {}
            result => return result,
        }
    }
}
