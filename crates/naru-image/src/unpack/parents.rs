//! The directories entries are made in: found in-root, or made when the archive does not list them.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use rustix::fs::{AtFlags, Gid, Mode, OFlags, Stat, Uid};
use rustix::io::Errno;

use super::{metadata, whiteout};
use crate::beneath;

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Bytes of path names of directories that archives imply rather than list.
const MAX_IMPLIED: usize = 16 << 20;

/// Opens parents of entries below one root.
pub(super) struct Parents<'a> {
    root: BorrowedFd<'a>,
    below: &'a [OwnedFd],
    /// The last directory, since entries of one directory mostly follow each other.
    last: Option<(Vec<u8>, Rc<OwnedFd>)>,
    /// Times of directories that were made without an entry of their own.
    implied: HashMap<Vec<u8>, (i64, u32)>,
    implied_names: usize,
}

impl<'a> Parents<'a> {
    pub(super) fn new(root: BorrowedFd<'a>, below: &'a [OwnedFd]) -> Result<Self, Errno> {
        let parents = Self { root, below, last: None, implied: HashMap::new(), implied_names: 0 };
        parents.lend(root, b"")?;
        Ok(parents)
    }

    pub(super) fn root(&self) -> BorrowedFd<'a> {
        self.root
    }

    /// Something was removed: a remembered directory may no longer be where its path says.
    pub(super) fn forget(&mut self) {
        self.last = None;
    }

    /// Opens the directory of this path, making what is missing.
    pub(super) fn open(&mut self, names: &[&[u8]]) -> Result<Rc<OwnedFd>, Errno> {
        let path = names.join(&b'/');
        if let Some((last, directory)) = &self.last
            && *last == path
        {
            return Ok(Rc::clone(directory));
        }
        let directory = match beneath::open(self.root, &path, OFlags::RDONLY | OFlags::DIRECTORY) {
            Err(Errno::NOENT | Errno::NOTDIR) => self.make_all(names)?,
            result => result?,
        };
        let directory = Rc::new(directory);
        self.last = Some((path, Rc::clone(&directory)));
        Ok(directory)
    }

    /// Opens the directory of this path, which must be there.
    pub(super) fn open_existing(&self, names: &[&[u8]]) -> Result<OwnedFd, Errno> {
        beneath::open(self.root, &names.join(&b'/'), OFlags::RDONLY | OFlags::DIRECTORY)
    }

    fn make_all(&mut self, names: &[&[u8]]) -> Result<OwnedFd, Errno> {
        let mut directory = beneath::open(self.root, b"", OFlags::RDONLY | OFlags::DIRECTORY)?;
        for (index, name) in names.iter().enumerate() {
            let path = names[..=index].join(&b'/');
            let found = beneath::open(self.root, &path, OFlags::RDONLY | OFlags::DIRECTORY);
            directory = match found {
                Err(Errno::NOENT | Errno::NOTDIR) => self.make(&directory, name, path)?,
                result => result?,
            };
        }
        Ok(directory)
    }

    /// Makes one missing directory; a whiteout in its place makes it opaque, anything else is an error.
    fn make(&mut self, parent: &OwnedFd, name: &[u8], path: Vec<u8>) -> Result<OwnedFd, Errno> {
        let hidden = match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => false,
            Ok(stat) if whiteout::is(&stat) => {
                rustix::fs::unlinkat(parent, name, AtFlags::empty())?;
                true
            }
            Ok(_) => return Err(Errno::NOTDIR),
            Err(errno) => return Err(errno),
        };
        self.implied_names += path.len() + 64;
        if self.implied_names > MAX_IMPLIED {
            return Err(Errno::NAMETOOLONG);
        }
        rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o700))?;
        let directory = rustix::fs::openat(parent, name, DIRECTORY, Mode::empty())?;
        if hidden {
            whiteout::make_opaque(&directory)?;
        }
        if let Some(modified) = self.lend(directory.as_fd(), &path)? {
            self.implied.insert(path, modified);
        }
        Ok(directory)
    }

    /// overlayfs shows the attributes of the uppermost layer that has a directory. One that this layer only implies
    /// must therefore look like the one below it, or `/tmp` would lose its mode to a layer that adds `/tmp/x`.
    fn lend(&self, directory: BorrowedFd<'_>, path: &[u8]) -> Result<Option<(i64, u32)>, Errno> {
        let Some(stat) = self.in_below(path) else {
            rustix::fs::fchmod(directory, Mode::from_raw_mode(0o755))?;
            return Ok(None);
        };
        let (owner, group) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
        rustix::fs::fchown(directory, Some(owner), Some(group))?;
        rustix::fs::fchmod(directory, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
        Ok(Some((stat.st_mtime, u32::try_from(stat.st_mtime_nsec).unwrap_or_default())))
    }

    fn in_below(&self, path: &[u8]) -> Option<Stat> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        let found =
            self.below.iter().find_map(|layer| beneath::open_plain(layer, path, flags).ok())?;
        rustix::fs::fstat(&found).ok()
    }

    /// Sets the times of implied directories, after everything in them was made.
    pub(super) fn finish(&self) -> Result<(), Errno> {
        for (path, modified) in &self.implied {
            match beneath::open_plain(self.root, path, DIRECTORY) {
                Ok(directory) => metadata::set_times(directory.as_fd(), *modified)?,
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }
}
