//! Files that are not the container's to choose: a private /proc and the null device.

use std::io::Read;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use naru_sys::beneath;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};

use super::tree::Tree;
use crate::error::{At, Failure, Stage};

/// The type of procfs, as statfs(2) tells it.
const PROC_SUPER_MAGIC: u64 = 0x9fa0;
/// The root of every procfs.
const PROC_ROOT_INODE: u64 = 1;

/// A /proc that is mounted nowhere: what is written here lands in the kernel and nowhere else.
#[derive(Debug)]
pub(super) struct Proc {
    mount: OwnedFd,
}

impl Proc {
    /// Makes it, for the pid namespace of the calling process. Where the kernel refuses that to a user
    /// namespace, because the host's own /proc is covered in parts, it is the host's, as long as that
    /// can be seen.
    pub(super) fn open() -> Result<Self, Failure> {
        let make = || {
            let context = rustix::mount::fsopen("proc", FsOpenFlags::FSOPEN_CLOEXEC)?;
            rustix::mount::fsconfig_create(&context)?;
            let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
                | MountAttrFlags::MOUNT_ATTR_NODEV
                | MountAttrFlags::MOUNT_ATTR_NOEXEC;
            rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
        };
        let made = match make() {
            Err(Errno::PERM) => Self::hosts(),
            result => result,
        };
        made.map(|mount| Self { mount }).at(Stage::Mount, || "make a private /proc".to_owned())
    }

    fn hosts() -> Result<OwnedFd, Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let proc = rustix::fs::open("/proc", flags, Mode::empty())?;
        let root = rustix::fs::statat(&proc, c"", AtFlags::EMPTY_PATH)?;
        let is_root = is_proc(proc.as_fd())? && root.st_ino == PROC_ROOT_INODE;
        if is_root { Ok(proc) } else { Err(Errno::PERM) }
    }

    /// Writes to a file of the calling process.
    pub(super) fn write_own(&self, name: &str, value: &str) -> Result<(), Errno> {
        self.write(&self.own(name)?, value)
    }

    /// Reads a file of the calling process.
    pub(super) fn read_own(&self, name: &str) -> Result<String, Errno> {
        let file = self.open_file(&self.own(name)?, OFlags::RDONLY)?;
        let mut text = String::new();
        std::fs::File::from(file).read_to_string(&mut text).map_err(|_| Errno::IO)?;
        Ok(text)
    }

    /// The path of such a file: the process's number is what this /proc says it is.
    pub(super) fn own(&self, name: &str) -> Result<String, Errno> {
        let number = rustix::fs::readlinkat(&self.mount, "self", Vec::new())?;
        Ok(format!("{}/{name}", number.to_string_lossy()))
    }

    /// Writes to the file at `path`, without following a link or leaving this mount.
    pub(super) fn write(&self, path: &str, value: &str) -> Result<(), Errno> {
        let file = self.open_file(path, OFlags::WRONLY)?;
        let written = rustix::io::write(&file, value.as_bytes())?;
        if written == value.len() { Ok(()) } else { Err(Errno::IO) }
    }

    /// Opens the file at `path`, without following a link or leaving this mount.
    pub(super) fn open_file(&self, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS;
        beneath::open(&self.mount, path, flags, resolve)
    }
}

impl AsFd for Proc {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.mount.as_fd()
    }
}

/// Whether the descriptor is on a procfs.
pub(super) fn is_proc(file: BorrowedFd<'_>) -> Result<bool, Errno> {
    let kind = rustix::fs::fstatfs(file)?.f_type;
    Ok(u64::try_from(kind).is_ok_and(|kind| kind == PROC_SUPER_MAGIC))
}

/// Opens the null device of the host, read and write, and makes sure that it is.
pub(super) fn open_null() -> Result<OwnedFd, Failure> {
    let open = || {
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let null = rustix::fs::open(Path::new("/dev/null"), flags, Mode::empty())?;
        if is_device(null.as_fd(), 1, 3)? { Ok(null) } else { Err(Errno::NODEV) }
    };
    open().at(Stage::Stdio, || "open the host's /dev/null".to_owned())
}

/// Opens a null device, held as a path on a read-only mount of its own, read and write. Who has it can write to the
/// device but not change its mode or owner, which the host's processes need.
pub(super) fn reopen(proc: &Proc, null: BorrowedFd<'_>) -> Result<OwnedFd, Failure> {
    let open = || {
        let path = proc.own(&format!("fd/{}", null.as_raw_fd()))?;
        // A magic link, of a /proc that is ours, is what is to be followed.
        let null = rustix::fs::openat(proc, path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
        if is_device(null.as_fd(), 1, 3)? { Ok(null) } else { Err(Errno::NODEV) }
    };
    open().at(Stage::Stdio, || "open the null device".to_owned())
}

/// The container's own null device, unless what it has there is something else or cannot be opened.
pub(super) fn null_of(tree: &Tree) -> Option<OwnedFd> {
    let path = Path::new("/dev/null");
    let is_null = |file: &OwnedFd| is_device(file.as_fd(), 1, 3) == Ok(true);
    tree.open_plain(path).ok().filter(is_null)?;
    let (flags, resolve) =
        (OFlags::RDWR | OFlags::NOCTTY, ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS);
    // It may have been exchanged in between.
    beneath::open(tree, path, flags, resolve).ok().filter(is_null)
}

/// Whether the descriptor is the character device with these numbers.
pub(super) fn is_device(file: BorrowedFd<'_>, major: u32, minor: u32) -> Result<bool, Errno> {
    let stat = rustix::fs::statat(file, c"", AtFlags::EMPTY_PATH)?;
    let numbers = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
    let is_character = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice;
    Ok(is_character && numbers == (major, minor))
}

/// What is read of /etc/passwd, in bytes.
const PASSWD_LIMIT: u64 = 1 << 20;

/// The home directory of a user by the container's /etc/passwd, which may be anything; else the root.
pub(super) fn home_of(uid: u32) -> String {
    let home = |line: &str| {
        let fields: Vec<&str> = line.split(':').collect();
        let is_user = fields.get(2)?.parse() == Ok(uid);
        let home = fields.get(5).filter(|home| home.starts_with('/'))?;
        (is_user && !home.contains(char::is_control)).then(|| (*home).to_owned())
    };
    let text = read_passwd().unwrap_or_default();
    text.lines().find_map(home).unwrap_or_else(|| "/".to_owned())
}

/// Only from a regular file: nothing that could be waited for.
fn read_passwd() -> Option<String> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = rustix::fs::open("/etc/passwd", flags, Mode::empty()).ok()?;
    let kind = FileType::from_raw_mode(rustix::fs::fstat(&file).ok()?.st_mode);
    if kind != FileType::RegularFile {
        return None;
    }
    let mut text = Vec::new();
    std::fs::File::from(file).take(PASSWD_LIMIT).read_to_end(&mut text).ok()?;
    Some(String::from_utf8_lossy(&text).into_owned())
}
