//! Files that are not the container's to choose: a private /proc and the null device.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};

use crate::error::{At, Failure, Stage};

/// The type of procfs, as statfs(2) tells it.
const PROC_SUPER_MAGIC: u64 = 0x9fa0;

/// A /proc that is mounted nowhere: what is written here lands in the kernel and nowhere else.
#[derive(Debug)]
pub(super) struct Proc {
    mount: OwnedFd,
}

impl Proc {
    /// Makes it, for the pid namespace of the calling process.
    pub(super) fn open() -> Result<Self, Failure> {
        let make = || {
            let context = rustix::mount::fsopen("proc", FsOpenFlags::FSOPEN_CLOEXEC)?;
            rustix::mount::fsconfig_create(&context)?;
            let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
                | MountAttrFlags::MOUNT_ATTR_NODEV
                | MountAttrFlags::MOUNT_ATTR_NOEXEC;
            rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
        };
        make().map(|mount| Self { mount }).at(Stage::Mount, || "make a private /proc".to_owned())
    }

    /// Writes to the file at `path`, without following a link or leaving this mount.
    pub(super) fn write(&self, path: &str, value: &str) -> Result<(), Errno> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS;
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        let file = rustix::fs::openat2(&self.mount, path, flags, Mode::empty(), resolve)?;
        let written = rustix::io::write(&file, value.as_bytes())?;
        if written == value.len() { Ok(()) } else { Err(Errno::IO) }
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

/// Whether the descriptor is the character device with these numbers.
pub(super) fn is_device(file: BorrowedFd<'_>, major: u32, minor: u32) -> Result<bool, Errno> {
    let stat = rustix::fs::statat(file, c"", AtFlags::EMPTY_PATH)?;
    let numbers = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
    let is_character = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice;
    Ok(is_character && numbers == (major, minor))
}
