//! Device nodes and links in /dev.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

use super::Session;
use super::root::{attach_on, clone_of};
use super::tree::{Tree, create_file};
use crate::error::{At, Failure, Stage};
use crate::plan::DeviceNode;

/// The links of the OCI specification (runtime-linux, "Dev symbolic links").
const LINKS: [(&str, &str); 6] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("core", "/proc/kcore"),
    ("ptmx", "pts/ptmx"),
];

/// Makes a device node, with its owner. One that exists must be the same device.
pub(super) fn make(tree: &Tree, device: &DeviceNode) -> Result<(), Failure> {
    let what = || format!("make the device {}", device.path.display());
    let make = || {
        let (parent, name) = tree.parent(&device.path)?;
        let kind = file_type(device);
        let numbers = rustix::fs::makedev(device.major, device.minor);
        let mode = Mode::from_bits_truncate(device.mode);
        match rustix::fs::mknodat(&parent, name, kind, mode, numbers) {
            Ok(()) => {}
            Err(Errno::EXIST) => {
                let stat = rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
                let same = FileType::from_raw_mode(stat.st_mode) == kind;
                // What naru did not make keeps its owner.
                return if same && stat.st_rdev == numbers { Ok(()) } else { Err(Errno::EXIST) };
            }
            Err(errno) => return Err(errno),
        }
        if (device.uid, device.gid) == (0, 0) {
            return Ok(());
        }
        let (uid, gid) = (Uid::from_raw(device.uid), Gid::from_raw(device.gid));
        // By descriptor: what has taken the name meanwhile was not made here.
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let node = rustix::fs::openat(&parent, name, flags, Mode::empty())?;
        if !is_device(&node, device)? {
            return Err(Errno::EXIST);
        }
        rustix::fs::chownat(&node, c"", Some(uid), Some(gid), AtFlags::EMPTY_PATH)
    };
    make().at(Stage::Device, what)
}

/// The nodes of the devices that are bound: the caller's, or the host's, verified; while the host can be seen.
pub(super) fn open_bound(
    devices: &[DeviceNode],
    session: &mut Session,
) -> Result<Vec<Option<OwnedFd>>, Failure> {
    let open = |device: &DeviceNode| {
        if !device.bound {
            return Ok(None);
        }
        if let Some(slot) = device.made {
            return session.take(slot).map(Some);
        }
        let what = || format!("open the host's device {}", device.path.display());
        open_node(device).map(Some).at(Stage::Device, what)
    };
    devices.iter().map(open).collect()
}

/// The node at the same path, or where udev(7) has it by its numbers.
fn open_node(device: &DeviceNode) -> Result<OwnedFd, Errno> {
    let folder = if device.kind == 'b' { "block" } else { "char" };
    let by_number = format!("/dev/{folder}/{}:{}", device.major, device.minor);
    let mut failure = Errno::NODEV;
    for (path, links) in [(device.path.as_path(), false), (Path::new(&by_number), true)] {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let flags = if links { flags } else { flags | OFlags::NOFOLLOW };
        match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(node) if is_device(&node, device)? => return clone_of(&node, false),
            Ok(_) | Err(Errno::NOENT) => {}
            Err(errno) => failure = errno,
        }
    }
    Err(failure)
}

fn is_device(node: &OwnedFd, device: &DeviceNode) -> Result<bool, Errno> {
    let stat = rustix::fs::statat(node, c"", AtFlags::EMPTY_PATH)?;
    let numbers = rustix::fs::makedev(device.major, device.minor);
    Ok(FileType::from_raw_mode(stat.st_mode) == file_type(device) && stat.st_rdev == numbers)
}

fn file_type(device: &DeviceNode) -> FileType {
    match device.kind {
        'b' => FileType::BlockDevice,
        'p' => FileType::Fifo,
        _ => FileType::CharacterDevice,
    }
}

/// Shows the host's node at the device's path.
pub(super) fn bind(tree: &Tree, device: &DeviceNode, node: &OwnedFd) -> Result<(), Failure> {
    let bind = || {
        let (parent, name) = tree.parent(&device.path)?;
        create_file(parent.as_fd(), name)?;
        let target = tree.open_plain(&device.path)?;
        attach_on(node, &target)
    };
    bind().at(Stage::Device, || format!("bind the device {}", device.path.display()))
}

/// Makes the links in /dev; what is there already stays.
pub(super) fn link(tree: &Tree) -> Result<(), Failure> {
    let what = || "make the links in /dev".to_owned();
    let made = tree.directory(Path::new("/dev"), 0o755);
    let dev = made.and_then(|_| tree.open_plain(Path::new("/dev"))).at(Stage::Device, what)?;
    for (name, target) in LINKS {
        match rustix::fs::symlinkat(target, &dev, name) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno).at(Stage::Device, what),
        }
    }
    Ok(())
}
