//! Opening paths of hostile trees: always from a held descriptor, never past its root.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

/// Opens `path` in the tree below `root`, as a process that has `root` as its root directory would: symlinks are
/// followed, absolute ones and `..` stay inside.
pub(crate) fn open(root: impl AsFd, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    resolve(root, path, flags, ResolveFlags::IN_ROOT)
}

/// Like [`open`], but no symlink may lie on the way.
pub(crate) fn open_plain(root: impl AsFd, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    resolve(root, path, flags, ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS)
}

fn resolve(
    root: impl AsFd,
    path: &[u8],
    flags: OFlags,
    resolve: ResolveFlags,
) -> Result<OwnedFd, Errno> {
    let path = if path.is_empty() { b"." } else { path };
    naru_sys::beneath::open(root, OsStr::from_bytes(path), flags, resolve)
}

/// A path to what a descriptor refers to, for the calls that take no descriptor of an O_PATH file.
pub(crate) fn magic_path(fd: impl AsFd) -> String {
    format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd())
}

/// Opens a file that was opened with O_PATH again, for reading.
pub(crate) fn reopen(fd: impl AsFd, flags: OFlags) -> Result<OwnedFd, Errno> {
    rustix::fs::open(magic_path(fd), flags | OFlags::CLOEXEC, Mode::empty())
}

/// What kind of file a stat describes.
pub(crate) fn file_type(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// Opens a regular file for reading without ever waiting for a FIFO or waking up a device.
pub(crate) fn open_regular(root: impl AsFd, path: &[u8]) -> Result<(OwnedFd, Stat), Irregular> {
    let found = open(root, path, OFlags::PATH).map_err(Irregular::Open)?;
    let stat = rustix::fs::fstat(&found).map_err(Irregular::Open)?;
    if file_type(&stat) != FileType::RegularFile {
        return Err(Irregular::Kind(file_type(&stat)));
    }
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    Ok((reopen(&found, flags).map_err(Irregular::Open)?, stat))
}

/// Why a file was not opened as a regular one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Irregular {
    Open(Errno),
    Kind(FileType),
}

/// An errno as the error type of the standard library.
pub(crate) fn to_io(errno: Errno) -> io::Error {
    io::Error::from_raw_os_error(errno.raw_os_error())
}
