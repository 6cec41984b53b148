//! One layer's archive becomes one directory that overlayfs can use as a lower layer.
//!
//! Everything an archive names is resolved below the layer's own directory by the kernel (`openat2` on a held
//! descriptor); the last name of a path is never followed. Whiteouts become what overlayfs reads: a character device
//! 0:0 for a removed name, an attribute for a directory that hides the ones below. They are only ever written into
//! this layer. What came out is believed only after the caller compared the digest of all that was read.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Timespec, Timestamps};
use rustix::io::Errno;

use crate::archive::{self, Entry, Kind, Reader, components};
use crate::beneath::{self, file_type, magic_path, to_io};
use crate::digest::{Digest, Hashing};
use crate::limits::Limits;
use crate::tree;

mod metadata;
mod parents;
mod whiteout;

use parents::Parents;

/// Bytes of directory names whose times are kept in memory until the end.
const MAX_DIRECTORY_NAMES: usize = 32 << 20;

/// Why a layer could not be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The archive itself is refused.
    #[error(transparent)]
    Archive(#[from] archive::Error),
    /// The kernel refused to make an entry, or making it would leave the layer.
    #[error("the layer's entry {entry:?} cannot be made")]
    Entry {
        /// The entry's path in the archive.
        entry: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The layer's directory itself cannot be used.
    #[error("the layer's directory cannot be written")]
    Directory(#[source] io::Error),
    /// The content is not what the image's configuration promises.
    #[error("the layer's content is {found}, but the image's configuration says {expected}")]
    DiffId {
        /// What the configuration says.
        expected: Digest,
        /// What the content is.
        found: Digest,
    },
}

/// What came out of one layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unpacked {
    /// The digest of the expanded archive.
    pub(crate) diff_id: Digest,
    /// Bytes of all files in it.
    pub(crate) size: u64,
    /// Whether the layer hides everything below it.
    pub(crate) opaque: bool,
    /// Device nodes that the kernel did not let us make.
    pub(crate) skipped_devices: u64,
}

/// Unpacks the expanded archive `stream` into the empty directory `root`. `below` are the layers under it, top first:
/// they lend their attributes to directories that the archive does not list.
pub(crate) fn unpack(
    stream: impl Read,
    root: BorrowedFd<'_>,
    below: &[OwnedFd],
    limits: &Limits,
) -> Result<Unpacked, Error> {
    let mut hashing = Hashing::new(stream);
    let mut reader = Reader::new(&mut hashing, limits);
    let mut layer = Layer::new(root, below, limits)?;
    while let Some(entry) = reader.next()? {
        layer.add(&entry, &mut reader)?;
    }
    reader.drain()?;
    let (size, skipped_devices, opaque) = (layer.size, layer.skipped_devices, layer.opaque);
    layer.finish()?;
    let (diff_id, _, _) = hashing.finish();
    Ok(Unpacked { diff_id, size, opaque, skipped_devices })
}

struct Layer<'a> {
    parents: Parents<'a>,
    limits: &'a Limits,
    /// Times of directories, set at the end because every entry in a directory changes them.
    directories: HashMap<Vec<u8>, (i64, u32)>,
    directory_names: usize,
    size: u64,
    skipped_devices: u64,
    opaque: bool,
    buffer: Vec<u8>,
}

/// What stands at an entry's place before the entry is made.
#[derive(PartialEq, Eq)]
enum Existing {
    Nothing,
    Directory,
    Whiteout,
    Other,
}

impl<'a> Layer<'a> {
    fn new(root: BorrowedFd<'a>, below: &'a [OwnedFd], limits: &'a Limits) -> Result<Self, Error> {
        let parents = Parents::new(root, below).map_err(|errno| Error::Directory(to_io(errno)))?;
        Ok(Self {
            parents,
            limits,
            directories: HashMap::new(),
            directory_names: 0,
            size: 0,
            skipped_devices: 0,
            opaque: false,
            buffer: vec![0; 128 << 10],
        })
    }

    fn add(&mut self, entry: &Entry, data: &mut impl Read) -> Result<(), Error> {
        let names = components(&entry.path, self.limits)?;
        let Some((name, parents)) = names.split_last() else { return self.add_root(entry) };
        if names.iter().any(|name| name.starts_with(whiteout::RESERVED))
            && *name != whiteout::OPAQUE
        {
            // aufs kept its own bookkeeping under such names; it means nothing to anybody else.
            return Ok(());
        }
        if parents.iter().any(|name| name.starts_with(whiteout::PREFIX)) {
            return Err(entry.refused("it lies below a whiteout").into());
        }
        let parent = self.parent(entry, parents)?;
        if let Some(hidden) = name.strip_prefix(whiteout::PREFIX) {
            return self.hide(entry, parents.is_empty(), &parent, hidden);
        }
        self.make(entry, &parent, name, data).map_err(|failure| failure.about(entry))
    }

    fn parent(&mut self, entry: &Entry, names: &[&[u8]]) -> Result<std::rc::Rc<OwnedFd>, Error> {
        self.parents.open(names).map_err(|errno| failed(entry, errno))
    }

    /// An entry for the layer's own root: it can only be a directory.
    fn add_root(&mut self, entry: &Entry) -> Result<(), Error> {
        if entry.kind != Kind::Directory {
            return Err(entry.refused("it names the layer's root but is no directory").into());
        }
        metadata::apply(self.parents.root(), entry).map_err(|errno| failed(entry, errno))?;
        self.remember(entry)
    }

    fn hide(
        &mut self,
        entry: &Entry,
        at_root: bool,
        parent: &OwnedFd,
        name: &[u8],
    ) -> Result<(), Error> {
        if whiteout::PREFIX.iter().chain(name).eq(whiteout::OPAQUE) {
            self.opaque |= at_root;
            return whiteout::make_opaque(parent).map_err(|errno| failed(entry, errno));
        }
        if matches!(name, b"" | b"." | b"..") {
            return Err(entry.refused("it is a whiteout of no name").into());
        }
        whiteout::hide(parent, name).map_err(|errno| failed(entry, errno))
    }

    fn make(
        &mut self,
        entry: &Entry,
        parent: &OwnedFd,
        name: &[u8],
        data: &mut impl Read,
    ) -> Result<(), Failure> {
        let existing = existing(parent, name)?;
        if entry.kind == Kind::HardLink {
            return self.link(entry, parent, name, &existing);
        }
        let keep = existing == Existing::Directory && entry.kind == Kind::Directory;
        if existing != Existing::Nothing && !keep {
            self.clear_place(parent, name)?;
        }
        match entry.kind {
            Kind::File => self.file(entry, parent, name, data),
            Kind::Directory => {
                self.directory(entry, parent, name, &existing).map_err(Failure::Kernel)?;
                self.remember(entry).map_err(Failure::Told)
            }
            Kind::Symlink => symlink(entry, parent, name),
            Kind::Fifo | Kind::CharacterDevice | Kind::BlockDevice => {
                self.node(entry, parent, name)
            }
            Kind::HardLink => Ok(()),
        }
    }

    /// Removes what an earlier entry of the same layer left at this place.
    fn clear_place(&mut self, parent: &OwnedFd, name: &[u8]) -> Result<(), Errno> {
        self.parents.forget();
        tree::remove_at(parent, name)
    }

    fn file(
        &mut self,
        entry: &Entry,
        parent: &OwnedFd,
        name: &[u8],
        data: &mut impl Read,
    ) -> Result<(), Failure> {
        let flags =
            OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(parent, name, flags, Mode::from_raw_mode(0o600))?;
        let mut file = std::fs::File::from(fd);
        loop {
            let count = data.read(&mut self.buffer).map_err(Failure::Read)?;
            if count == 0 {
                break;
            }
            file.write_all(&self.buffer[..count]).map_err(Failure::Write)?;
        }
        self.size += entry.size;
        metadata::apply(file.as_fd(), entry)?;
        metadata::set_times(file.as_fd(), entry.modified)?;
        Ok(())
    }

    fn directory(
        &mut self,
        entry: &Entry,
        parent: &OwnedFd,
        name: &[u8],
        existing: &Existing,
    ) -> Result<(), Errno> {
        if *existing != Existing::Directory {
            rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o700))?;
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(parent, name, flags, Mode::empty())?;
        if *existing == Existing::Whiteout {
            // The name was removed from the layers below, so the new directory must not show what they hold.
            whiteout::make_opaque(&fd)?;
        }
        metadata::apply(fd.as_fd(), entry)
    }

    /// Times of directories wait until the end.
    fn remember(&mut self, entry: &Entry) -> Result<(), Error> {
        self.directory_names += entry.path.len() + 64;
        if self.directory_names > MAX_DIRECTORY_NAMES {
            return Err(entry
                .refused("the layer's directories have more than 32 MiB of names")
                .into());
        }
        self.directories.insert(entry.path.clone(), entry.modified);
        Ok(())
    }

    fn node(&mut self, entry: &Entry, parent: &OwnedFd, name: &[u8]) -> Result<(), Failure> {
        let kind = match entry.kind {
            Kind::CharacterDevice if entry.device == (0, 0) => {
                let problem =
                    "it is a character device 0:0, which overlayfs would take for a whiteout";
                return Err(Failure::Told(entry.refused(problem).into()));
            }
            Kind::CharacterDevice => FileType::CharacterDevice,
            Kind::BlockDevice => FileType::BlockDevice,
            _ => FileType::Fifo,
        };
        let device = rustix::fs::makedev(entry.device.0, entry.device.1);
        match rustix::fs::mknodat(parent, name, kind, Mode::from_raw_mode(0o600), device) {
            Err(Errno::PERM) if kind != FileType::Fifo => {
                // Without the right to make devices: containers get theirs from their own /dev anyway.
                self.skipped_devices += 1;
                return Ok(());
            }
            result => result?,
        }
        metadata::apply_at(parent, name, entry)?;
        Ok(())
    }

    fn link(
        &mut self,
        entry: &Entry,
        parent: &OwnedFd,
        name: &[u8],
        existing: &Existing,
    ) -> Result<(), Failure> {
        let names =
            components(&entry.link, self.limits).map_err(|error| Failure::Told(error.into()))?;
        let Some((target, parents)) = names.split_last() else {
            return Err(Failure::Told(entry.refused("it is a hard link to no file").into()));
        };
        let directory = self.parents.open_existing(parents)?;
        let stat = rustix::fs::statat(&directory, *target, AtFlags::SYMLINK_NOFOLLOW)?;
        if whiteout::is(&stat) {
            return Err(Failure::Told(entry.refused("it is a hard link to a removed name").into()));
        }
        if *existing != Existing::Nothing {
            let here = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
            if (here.st_dev, here.st_ino) == (stat.st_dev, stat.st_ino) {
                return Ok(());
            }
            self.clear_place(parent, name)?;
        }
        rustix::fs::linkat(&directory, *target, parent, name, AtFlags::empty())?;
        Ok(())
    }

    fn finish(mut self) -> Result<(), Error> {
        self.parents.finish().map_err(|errno| Error::Directory(to_io(errno)))?;
        let directories = std::mem::take(&mut self.directories);
        for (path, modified) in directories {
            let set = || -> Result<(), Errno> {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
                let directory = beneath::open(self.parents.root(), &path, flags)?;
                metadata::set_times(directory.as_fd(), modified)
            };
            match set() {
                // A later entry put something else there.
                Ok(()) | Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                Err(errno) => {
                    let entry = String::from_utf8_lossy(&path).into_owned();
                    return Err(Error::Entry { entry, source: to_io(errno) });
                }
            }
        }
        Ok(())
    }
}

fn existing(parent: &OwnedFd, name: &[u8]) -> Result<Existing, Errno> {
    match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => Ok(Existing::Nothing),
        Err(errno) => Err(errno),
        Ok(stat) if file_type(&stat) == FileType::Directory => Ok(Existing::Directory),
        Ok(stat) if whiteout::is(&stat) => Ok(Existing::Whiteout),
        Ok(_) => Ok(Existing::Other),
    }
}

fn symlink(entry: &Entry, parent: &OwnedFd, name: &[u8]) -> Result<(), Failure> {
    if entry.link.is_empty() || entry.link.contains(&0) {
        return Err(Failure::Told(entry.refused("it is a symbolic link to no name").into()));
    }
    rustix::fs::symlinkat(&entry.link[..], parent, name)?;
    let nofollow = AtFlags::SYMLINK_NOFOLLOW;
    let (owner, group) = metadata::owner(entry);
    rustix::fs::chownat(parent, name, Some(owner), Some(group), nofollow)?;
    metadata::set_attributes_at(parent, name, &entry.attributes)?;
    rustix::fs::utimensat(parent, name, &metadata::times(entry.modified), nofollow)?;
    Ok(())
}

/// What went wrong while one entry was made, before its name is added.
enum Failure {
    Kernel(Errno),
    Write(io::Error),
    Read(io::Error),
    Told(Error),
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Self {
        Self::Kernel(errno)
    }
}

impl Failure {
    fn about(self, entry: &Entry) -> Error {
        match self {
            Self::Kernel(errno) => failed(entry, errno),
            Self::Write(source) => Error::Entry { entry: entry.name(), source },
            Self::Read(source) => Error::Archive(archive::Error::Read(source)),
            Self::Told(error) => error,
        }
    }
}

fn failed(entry: &Entry, errno: Errno) -> Error {
    Error::Entry { entry: entry.name(), source: to_io(errno) }
}

/// The times of a file: the one of its content for both.
pub(crate) fn timestamps((seconds, nanoseconds): (i64, u32)) -> Timestamps {
    let time = Timespec { tv_sec: seconds, tv_nsec: nanoseconds.into() };
    Timestamps { last_access: time, last_modification: time }
}

/// A path to `name` in `parent` for calls that take only paths; its last name is not followed by the `l` calls.
pub(crate) fn magic_child(parent: impl AsFd, name: &[u8]) -> Vec<u8> {
    let mut path = magic_path(parent).into_bytes();
    path.push(b'/');
    path.extend_from_slice(name);
    path
}

pub(crate) use metadata::is_wanted;

#[cfg(test)]
mod tests;
