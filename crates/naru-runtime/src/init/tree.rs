//! Paths below the container's root, resolved on a held descriptor so that no link of the image or
//! of a volume leads out of it.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use naru_sys::beneath;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// How many links that lead nowhere are followed, one after the other, to make their end.
const LINKS: u32 = 8;

/// A directory that paths cannot leave.
#[derive(Debug)]
pub(super) struct Tree {
    root: OwnedFd,
}

impl Tree {
    /// The tree below `root`.
    pub(super) fn new(root: OwnedFd) -> Self {
        Self { root }
    }

    /// The file or directory at `path`, links followed inside the tree; an `O_PATH` descriptor.
    pub(super) fn open(&self, path: &Path) -> Result<OwnedFd, Errno> {
        self.resolve(path, ResolveFlags::empty())
    }

    /// As [`open`](Self::open), but no component may be a link.
    pub(super) fn open_plain(&self, path: &Path) -> Result<OwnedFd, Errno> {
        self.resolve(path, ResolveFlags::NO_SYMLINKS)
    }

    /// The directory at `path`, made with what is missing above it, and where a link leads to.
    pub(super) fn directory(&self, path: &Path, mode: u32) -> Result<OwnedFd, Errno> {
        let make = |parent: BorrowedFd<'_>, name: &OsStr| match rustix::fs::mkdirat(
            parent,
            name,
            Mode::from_bits_truncate(mode),
        ) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(errno) => Err(errno),
        };
        self.made(path, make, LINKS)
    }

    /// The file at `path`, made empty with what is missing above it, and where a link leads to.
    pub(super) fn file(&self, path: &Path) -> Result<OwnedFd, Errno> {
        self.made(path, create_file, LINKS)
    }

    /// The link at `path` itself, if there is one.
    pub(super) fn link(&self, path: &Path) -> Option<OwnedFd> {
        let parent = self.open(path.parent()?).ok()?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let link = rustix::fs::openat(&parent, path.file_name()?, flags, Mode::empty()).ok()?;
        let stat = rustix::fs::statat(&link, c"", AtFlags::EMPTY_PATH).ok()?;
        (FileType::from_raw_mode(stat.st_mode) == FileType::Symlink).then_some(link)
    }

    /// What is at `path`, made by `make` when it is missing. Of a link that leads nowhere it is the end
    /// that is made; what is opened at last is found by the kernel beneath the root all the same.
    fn made(
        &self,
        path: &Path,
        make: impl Fn(BorrowedFd<'_>, &OsStr) -> Result<(), Errno> + Copy,
        links: u32,
    ) -> Result<OwnedFd, Errno> {
        match self.open(path) {
            Err(Errno::NOENT) => {}
            found => return found,
        }
        let (parent, name) = self.parent(path)?;
        make(parent.as_fd(), name)?;
        match self.open(path) {
            Err(Errno::NOENT) if links > 0 => {}
            found => return found,
        }
        let words = rustix::fs::readlinkat(&parent, name, Vec::new())?;
        let end = path.parent().ok_or(Errno::INVAL)?.join(OsStr::from_bytes(words.as_bytes()));
        self.made(&without_dots(&end), make, links - 1)?;
        self.open(path)
    }

    /// The directory that `path` is in, made when missing, and its last component.
    pub(super) fn parent<'a>(&self, path: &'a Path) -> Result<(OwnedFd, &'a OsStr), Errno> {
        let name = path.file_name().ok_or(Errno::INVAL)?;
        let above = path.parent().ok_or(Errno::INVAL)?;
        Ok((self.directory(above, 0o755)?, name))
    }

    fn resolve(&self, path: &Path, flags: ResolveFlags) -> Result<OwnedFd, Errno> {
        beneath::open(&self.root, path, OFlags::PATH, flags | ResolveFlags::IN_ROOT)
    }
}

impl AsFd for Tree {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }
}

/// The path without `.` and `..`, which does not leave the root.
fn without_dots(path: &Path) -> PathBuf {
    let mut plain = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => plain.push(name),
            Component::ParentDir => {
                plain.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    plain
}

/// Makes an empty file unless there is something of that name, which is not followed.
pub(super) fn create_file(directory: BorrowedFd<'_>, name: &OsStr) -> Result<(), Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    match rustix::fs::openat(directory, name, flags, Mode::from_bits_truncate(0o644)) {
        Ok(_) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// Whether the descriptor is a directory.
pub(super) fn is_directory(file: BorrowedFd<'_>) -> Result<bool, Errno> {
    let stat = rustix::fs::statat(file, c"", AtFlags::EMPTY_PATH)?;
    Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}
