//! The first content of a named volume: what the image has at the place where the volume goes.
//!
//! A crash must never leave a volume that looks used and is half filled, and the volume's directory must stay the same
//! one, because another container may have it mounted already. Therefore, with the volume locked:
//!
//! 1. Copy into `.NAME.naru-filling` beside the volume. What a crash leaves of it is removed by the next attempt.
//! 2. Make it durable and rename it to `.NAME.naru-filled`: from now on the copy is whole.
//! 3. Move what is in it into the volume, name by name, and give the volume the attributes of the image's directory.
//! 4. Remove `.NAME.naru-filled`. Where it is found, a crash came between, and the steps go on from 3.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, Dir, FileType, FlockOperation, Gid, Mode, OFlags, RenameFlags, SeekFrom, Stat, Uid,
    XattrFlags,
};
use rustix::io::Errno;

use crate::beneath::{self, file_type, magic_path, to_io};
use crate::tree;
use crate::unpack::{is_wanted, timestamps};

/// Directories below each other; each holds two descriptors open while it is copied.
const MAX_DEPTH: usize = 200;
/// Bytes of one extended attribute's value, as the kernel counts them.
const MAX_ATTRIBUTE: usize = 64 << 10;

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Why a volume could not be filled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What the image has there is no directory.
    #[error(
        "the image has something at {path} that is no directory, so no volume can be filled from it"
    )]
    NotADirectory {
        /// The path in the image.
        path: String,
    },
    /// Something could not be read or written.
    #[error("{entry} cannot be copied into the volume")]
    Copy {
        /// The path in the image.
        entry: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The volume itself cannot be used.
    #[error("the volume's directory {path} cannot be filled")]
    Volume {
        /// The directory.
        path: String,
        /// What the kernel said.
        source: io::Error,
    },
}

/// Fills the empty directory `volume` with what the root file system has at `path`: content, owners, modes, times,
/// attributes, and links among the files. The directory itself stays and gets the attributes of the image's. False, and
/// nothing done, when the volume has content already or the image has nothing there.
///
/// Device nodes are left out; containers get theirs from their own /dev.
///
/// # Errors
/// When the image's path is no directory, or copying fails; the volume is then as empty as before.
pub fn copy_up(root: BorrowedFd<'_>, path: &str, volume: &Path) -> Result<bool, Error> {
    let about = |source: io::Error| Error::Volume { path: volume.display().to_string(), source };
    let source = match beneath::open(root, path.as_bytes(), OFlags::RDONLY | OFlags::DIRECTORY) {
        Ok(source) => source,
        Err(Errno::NOENT) => return Ok(false),
        Err(Errno::NOTDIR) => return Err(Error::NotADirectory { path: path.to_owned() }),
        Err(errno) => return Err(Error::Copy { entry: path.to_owned(), source: to_io(errno) }),
    };
    let directory = lock(volume).map_err(about)?;
    let (filling, filled) = (beside(volume, "filling"), beside(volume, "filled"));
    if !filled.exists() {
        if !is_empty(&directory).map_err(about)? {
            return Ok(false);
        }
        // What a crash left under this name belongs to nobody: the lock is ours.
        tree::remove(&filling).map_err(about)?;
        rustix::fs::mkdir(&filling, Mode::from_raw_mode(0o700))
            .map_err(|errno| about(to_io(errno)))?;
        if let Err(error) = fill(&source, &filling, path) {
            // The first error is the one that matters; the rubbish goes with the next attempt.
            tree::remove(&filling).ok();
            return Err(error);
        }
        rustix::fs::rename(&filling, &filled).map_err(|errno| about(to_io(errno)))?;
    }
    move_in(&filled, &directory).map_err(|errno| about(to_io(errno)))?;
    Ok(true)
}

fn beside(volume: &Path, state: &str) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(volume.file_name().unwrap_or_default());
    name.push(format!(".naru-{state}"));
    volume.with_file_name(name)
}

/// Opens the volume's directory and waits for whoever is filling it; the lock goes with the descriptor.
fn lock(volume: &Path) -> io::Result<OwnedFd> {
    let directory = rustix::fs::open(volume, DIRECTORY, Mode::empty()).map_err(to_io)?;
    rustix::io::retry_on_intr(|| rustix::fs::flock(&directory, FlockOperation::LockExclusive))
        .map_err(to_io)?;
    Ok(directory)
}

fn is_empty(directory: &OwnedFd) -> io::Result<bool> {
    for entry in Dir::read_from(directory).map_err(to_io)? {
        let entry = entry.map_err(to_io)?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Moves a whole copy into the volume; names that are there, because they were moved before a crash, stay.
fn move_in(filled: &Path, volume: &OwnedFd) -> Result<(), Errno> {
    let copy = rustix::fs::open(filled, DIRECTORY, Mode::empty())?;
    let stat = rustix::fs::fstat(&copy)?;
    for entry in Dir::read_from(&copy)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        match rustix::fs::renameat_with(&copy, name, volume, name, RenameFlags::NOREPLACE) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno),
        }
    }
    attributes(&copy, volume, &stat)?;
    rustix::fs::futimens(volume, &times(&stat))?;
    tree::remove(filled).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
}

fn fill(source: &OwnedFd, copy: &Path, path: &str) -> Result<(), Error> {
    let failed = |source: Errno| Error::Copy { entry: path.to_owned(), source: to_io(source) };
    let target = rustix::fs::open(copy, DIRECTORY, Mode::empty()).map_err(failed)?;
    let mut copying = Copying {
        top: target.as_fd(),
        seen: HashMap::new(),
        here: Vec::new(),
        shown: path.to_owned(),
        bytes: 0,
    };
    copying.directory(source, &target)?;
    if copying.bytes == 0 {
        // Nothing that a power cut could tear: the volume is then filled or still empty, and filled again.
        return Ok(());
    }
    rustix::fs::syncfs(&target).map_err(failed)
}

/// One copy in progress.
struct Copying<'a> {
    top: BorrowedFd<'a>,
    /// Files with several names that were copied already: their path below `top`.
    seen: HashMap<(u64, u64), Vec<u8>>,
    here: Vec<Vec<u8>>,
    shown: String,
    /// Bytes of all files, holes included.
    bytes: u64,
}

impl Copying<'_> {
    fn directory(&mut self, source: &OwnedFd, target: &OwnedFd) -> Result<(), Error> {
        if self.here.len() > MAX_DEPTH {
            return Err(self.failed(Errno::NAMETOOLONG));
        }
        let entries = Dir::read_from(source).map_err(|errno| self.failed(errno))?;
        for entry in entries {
            let entry = entry.map_err(|errno| self.failed(errno))?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            self.here.push(name.to_vec());
            self.entry(source, target, name)?;
            self.here.pop();
        }
        let finish = || {
            let stat = rustix::fs::fstat(source)?;
            attributes(source, target, &stat)?;
            rustix::fs::futimens(target, &times(&stat))
        };
        finish().map_err(|errno| self.failed(errno))
    }

    fn entry(&mut self, source: &OwnedFd, target: &OwnedFd, name: &[u8]) -> Result<(), Error> {
        let stat = rustix::fs::statat(source, name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|errno| self.failed(errno))?;
        if file_type(&stat) == FileType::Directory {
            let open = || {
                let from = rustix::fs::openat(source, name, DIRECTORY, Mode::empty())?;
                rustix::fs::mkdirat(target, name, Mode::from_raw_mode(0o700))?;
                Ok((from, rustix::fs::openat(target, name, DIRECTORY, Mode::empty())?))
            };
            let (from, to) = open().map_err(|errno| self.failed(errno))?;
            return self.directory(&from, &to);
        }
        let identity = (stat.st_dev, stat.st_ino);
        if stat.st_nlink > 1
            && let Some(first) = self.seen.get(&identity)
        {
            return rustix::fs::linkat(self.top, &first[..], target, name, AtFlags::empty())
                .map_err(|errno| self.failed(errno));
        }
        let copied = match file_type(&stat) {
            FileType::RegularFile => {
                self.bytes += u64::try_from(stat.st_size).unwrap_or_default();
                regular(source, target, name)
            }
            FileType::Symlink => symlink(source, target, name, &stat),
            FileType::Fifo | FileType::Socket => node(target, name, &stat),
            _ => return Ok(()),
        };
        copied.map_err(|errno| self.failed(errno))?;
        if stat.st_nlink > 1 {
            self.seen.insert(identity, self.here.join(&b'/'));
        }
        Ok(())
    }

    fn failed(&self, errno: Errno) -> Error {
        let below = String::from_utf8_lossy(&self.here.join(&b'/')).into_owned();
        let entry = format!("{}/{below}", self.shown.trim_end_matches('/'));
        Error::Copy { entry, source: to_io(errno) }
    }
}

fn regular(source: &OwnedFd, target: &OwnedFd, name: &[u8]) -> Result<(), Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let from = rustix::fs::openat(source, name, flags, Mode::empty())?;
    let stat = rustix::fs::fstat(&from)?;
    if file_type(&stat) != FileType::RegularFile {
        return Err(Errno::INVAL);
    }
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let to = rustix::fs::openat(target, name, flags, Mode::from_raw_mode(0o600))?;
    content(&from, &to, u64::try_from(stat.st_size).unwrap_or_default())?;
    attributes(&from, &to, &stat)?;
    rustix::fs::futimens(&to, &times(&stat))
}

/// Copies the parts of a file that hold data and leaves its holes as holes.
fn content(from: &OwnedFd, to: &OwnedFd, size: u64) -> Result<(), Errno> {
    rustix::fs::ftruncate(to, size)?;
    let mut end = 0;
    loop {
        let begin = match rustix::fs::seek(from, SeekFrom::Data(end)) {
            Ok(begin) => begin,
            Err(Errno::NXIO) => return Ok(()),
            Err(errno) => return Err(errno),
        };
        end = rustix::fs::seek(from, SeekFrom::Hole(begin))?;
        range(from, to, begin, end)?;
    }
}

fn range(from: &OwnedFd, to: &OwnedFd, begin: u64, end: u64) -> Result<(), Errno> {
    let (mut read, mut written) = (begin, begin);
    while read < end {
        let length = usize::try_from(end - read).unwrap_or(usize::MAX).min(1 << 30);
        match rustix::fs::copy_file_range(from, Some(&mut read), to, Some(&mut written), length) {
            // The file became shorter.
            Ok(0) => return Ok(()),
            Ok(_) => {}
            // Not between these two file systems.
            Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                return by_hand(from, to, read, end);
            }
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

fn by_hand(from: &OwnedFd, to: &OwnedFd, mut position: u64, end: u64) -> Result<(), Errno> {
    let mut buffer = vec![0; 128 << 10];
    while position < end {
        let most = usize::try_from(end - position).unwrap_or(usize::MAX).min(buffer.len());
        let count = rustix::io::pread(from, &mut buffer[..most], position)?;
        if count == 0 {
            return Ok(());
        }
        let mut done = 0;
        while done < count {
            let count = rustix::io::pwrite(to, &buffer[done..count], position)?;
            done += count;
            position += count as u64;
        }
    }
    Ok(())
}

fn symlink(source: &OwnedFd, target: &OwnedFd, name: &[u8], stat: &Stat) -> Result<(), Errno> {
    let text = rustix::fs::readlinkat(source, name, Vec::new())?;
    rustix::fs::symlinkat(text, target, name)?;
    let nofollow = AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::chownat(target, name, Some(owner(stat)), Some(group(stat)), nofollow)?;
    rustix::fs::utimensat(target, name, &times(stat), nofollow)
}

fn node(target: &OwnedFd, name: &[u8], stat: &Stat) -> Result<(), Errno> {
    rustix::fs::mknodat(target, name, file_type(stat), Mode::from_raw_mode(0o600), 0)?;
    let nofollow = AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::chownat(target, name, Some(owner(stat)), Some(group(stat)), nofollow)?;
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let made = rustix::fs::openat(target, name, flags, Mode::empty())?;
    rustix::fs::chmod(magic_path(&made), mode(stat))?;
    rustix::fs::utimensat(target, name, &times(stat), nofollow)
}

/// Owner, extended attributes, mode: in this order, as each would undo the one before.
fn attributes(source: &OwnedFd, target: &OwnedFd, stat: &Stat) -> Result<(), Errno> {
    rustix::fs::fchown(target, Some(owner(stat)), Some(group(stat)))?;
    for name in attribute_names(source)? {
        let mut value = vec![0; MAX_ATTRIBUTE];
        match rustix::fs::fgetxattr(source, &name[..], &mut value) {
            Ok(length) => value.truncate(length),
            Err(Errno::NODATA) => continue,
            Err(errno) => return Err(errno),
        }
        match rustix::fs::fsetxattr(target, &name[..], &value, XattrFlags::empty()) {
            Ok(()) | Err(Errno::NOTSUP | Errno::PERM) => {}
            Err(errno) => return Err(errno),
        }
    }
    rustix::fs::fchmod(target, mode(stat))
}

fn attribute_names(source: &OwnedFd) -> Result<Vec<Vec<u8>>, Errno> {
    let mut list = vec![0_u8; MAX_ATTRIBUTE];
    match rustix::fs::flistxattr(source, &mut list) {
        Ok(length) => list.truncate(length),
        Err(Errno::NOTSUP) => return Ok(Vec::new()),
        Err(errno) => return Err(errno),
    }
    let names = list.split(|byte| *byte == 0).filter(|name| is_wanted(name));
    Ok(names.map(<[u8]>::to_vec).collect())
}

fn owner(stat: &Stat) -> Uid {
    Uid::from_raw(stat.st_uid)
}

fn group(stat: &Stat) -> Gid {
    Gid::from_raw(stat.st_gid)
}

fn mode(stat: &Stat) -> Mode {
    Mode::from_raw_mode(stat.st_mode & 0o7777)
}

fn times(stat: &Stat) -> rustix::fs::Timestamps {
    timestamps((stat.st_mtime, u32::try_from(stat.st_mtime_nsec).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};

    use fs_err as fs;

    use super::*;
    use crate::testing::TempDir;

    fn image() -> TempDir {
        let dir = TempDir::new();
        let data = dir.dir("var/lib/data");
        fs::write(data.join("file"), "content").unwrap();
        fs::hard_link(data.join("file"), data.join("again")).unwrap();
        fs::set_permissions(data.join("file"), PermissionsExt::from_mode(0o4751)).unwrap();
        symlink("/etc/passwd", data.join("link")).unwrap();
        fs::write(dir.dir("var/lib/data/sub").join("deep"), "x").unwrap();
        std::os::unix::fs::chown(data.join("sub"), Some(7), Some(8)).unwrap();
        std::os::unix::fs::chown(&data, Some(999), Some(998)).unwrap();
        fs::set_permissions(&data, PermissionsExt::from_mode(0o1750)).unwrap();
        let path = data.join("file");
        rustix::fs::setxattr(&path, "user.note", b"kept", XattrFlags::empty()).unwrap();
        let past = timestamps((1_000_000_000, 5));
        for path in [data.join("sub"), data.join("file"), data] {
            rustix::fs::utimensat(rustix::fs::CWD, &path, &past, AtFlags::empty()).unwrap();
        }
        dir
    }

    #[test]
    fn everything_of_the_files_comes_along() {
        let (image, place) = (image(), TempDir::new());
        let volume = place.dir("volume");
        assert!(copy_up(image.open().as_fd(), "/var/lib/data", &volume).unwrap());
        let top = fs::metadata(&volume).unwrap();
        assert_eq!(
            (top.uid(), top.gid(), top.mode() & 0o7777, top.mtime()),
            (999, 998, 0o1750, 1_000_000_000)
        );
        let file = fs::metadata(volume.join("file")).unwrap();
        assert_eq!((file.mode() & 0o7777, file.nlink(), file.mtime_nsec()), (0o4751, 2, 5));
        assert_eq!(file.ino(), fs::metadata(volume.join("again")).unwrap().ino());
        assert_eq!(fs::read_link(volume.join("link")).unwrap(), Path::new("/etc/passwd"));
        assert_eq!(fs::metadata(volume.join("sub")).unwrap().uid(), 7);
        assert_eq!(fs::metadata(volume.join("sub")).unwrap().mtime(), 1_000_000_000);
        assert_eq!(fs::read_to_string(volume.join("sub/deep")).unwrap(), "x");
        let mut value = [0; 16];
        let length = rustix::fs::getxattr(volume.join("file"), "user.note", &mut value).unwrap();
        assert_eq!(&value[..length], b"kept");
        assert_eq!(
            fs::read_dir(place.path()).unwrap().count(),
            1,
            "nothing is left beside the volume"
        );
    }

    #[test]
    fn a_volume_with_content_is_left_alone() {
        let (image, place) = (image(), TempDir::new());
        let volume = place.dir("volume");
        fs::write(volume.join("mine"), "old").unwrap();
        assert!(!copy_up(image.open().as_fd(), "/var/lib/data", &volume).unwrap());
        assert_eq!(fs::read_dir(&volume).unwrap().count(), 1);
        assert_ne!(fs::metadata(&volume).unwrap().uid(), 999);
    }

    #[test]
    fn a_path_the_image_does_not_have_fills_nothing() {
        let (image, place) = (image(), TempDir::new());
        let volume = place.dir("volume");
        assert!(!copy_up(image.open().as_fd(), "/not/there", &volume).unwrap());
        let error = copy_up(image.open().as_fd(), "/var/lib/data/file", &volume).unwrap_err();
        assert!(matches!(error, Error::NotADirectory { .. }));
    }

    #[test]
    fn hostile_volume_paths_stay_in_the_image() {
        let (image, place, outside) = (image(), TempDir::new(), TempDir::new());
        fs::write(outside.path().join("secret"), "SECRET").unwrap();
        symlink(outside.path(), image.path().join("out")).unwrap();
        symlink(
            format!("{}{}", "../".repeat(30), outside.path().display()),
            image.path().join("up"),
        )
        .unwrap();
        symlink("/proc/self/root", image.path().join("proc")).unwrap();
        let escape = format!("/../../..{}", outside.path().display());
        for path in
            ["/out", "/up", "/proc", &escape, "out/../out", "/out/", "\u{0}", "/proc/self/cwd"]
        {
            let volume = place.dir("volume");
            let copied = copy_up(image.open().as_fd(), path, &volume);
            assert!(!matches!(copied, Ok(true)), "{path:?}");
            assert_eq!(fs::read_dir(&volume).unwrap().count(), 0, "{path:?}");
        }
    }

    #[test]
    fn links_out_of_the_image_are_copied_as_links() {
        let (image, place, outside) = (image(), TempDir::new(), TempDir::new());
        symlink(outside.path(), image.path().join("var/lib/data/out")).unwrap();
        let volume = place.dir("volume");
        copy_up(image.open().as_fd(), "var/lib/data", &volume).unwrap();
        assert!(fs::symlink_metadata(volume.join("out")).unwrap().is_symlink());
    }

    #[test]
    fn holes_stay_holes_and_special_files_do_not_block() {
        let (image, place) = (image(), TempDir::new());
        let data = image.path().join("var/lib/data");
        let sparse = fs::File::create(data.join("sparse")).unwrap();
        sparse.set_len(1 << 30).unwrap();
        std::os::unix::fs::FileExt::write_at(sparse.file(), b"end", (1 << 30) - 3).unwrap();
        let mode = Mode::from_raw_mode(0o622);
        rustix::fs::mknodat(rustix::fs::CWD, data.join("fifo"), FileType::Fifo, mode, 0).unwrap();
        let null = rustix::fs::makedev(1, 3);
        rustix::fs::mknodat(
            rustix::fs::CWD,
            data.join("null"),
            FileType::CharacterDevice,
            mode,
            null,
        )
        .unwrap();
        let volume = place.dir("volume");
        copy_up(image.open().as_fd(), "var/lib/data", &volume).unwrap();
        let copied = fs::metadata(volume.join("sparse")).unwrap();
        assert_eq!(copied.len(), 1 << 30);
        assert!(copied.blocks() * 512 < 1 << 20, "{} blocks", copied.blocks());
        assert!(fs::metadata(volume.join("fifo")).unwrap().file_type().is_fifo());
        assert!(!volume.join("null").exists());
    }

    #[test]
    fn a_copy_that_was_cut_short_is_begun_again() {
        let (image, place) = (image(), TempDir::new());
        let volume = place.dir("volume");
        fs::write(place.dir(".volume.naru-filling").join("half"), "x").unwrap();
        assert!(copy_up(image.open().as_fd(), "var/lib/data", &volume).unwrap());
        assert!(!volume.join("half").exists());
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_move_that_was_cut_short_is_finished() {
        let (image, place) = (image(), TempDir::new());
        let volume = place.dir("volume");
        fs::write(volume.join("moved"), "1").unwrap();
        fs::write(place.dir(".volume.naru-filled").join("waiting"), "2").unwrap();
        assert!(copy_up(image.open().as_fd(), "var/lib/data", &volume).unwrap());
        assert!(volume.join("moved").exists() && volume.join("waiting").exists());
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
        assert!(!copy_up(image.open().as_fd(), "var/lib/data", &volume).unwrap());
    }

    #[test]
    fn a_volume_stays_the_directory_that_others_have_mounted() {
        let (image, place) = (image(), TempDir::new());
        let volume = place.dir("volume");
        let before = fs::metadata(&volume).unwrap().ino();
        image.dir("empty");
        for path in ["empty", "empty", "var/lib/data"] {
            assert!(copy_up(image.open().as_fd(), path, &volume).unwrap());
            assert_eq!(fs::metadata(&volume).unwrap().ino(), before);
        }
    }

    #[test]
    fn two_containers_fill_a_volume_once() {
        let (image, place) = (image(), TempDir::new());
        let volume = place.dir("volume");
        let copies: Vec<bool> = std::thread::scope(|scope| {
            let copy = || copy_up(image.open().as_fd(), "var/lib/data", &volume).unwrap();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(copy)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(copies.iter().filter(|copied| **copied).count(), 1);
        assert_eq!(fs::read_dir(&volume).unwrap().count(), 4);
    }
}
