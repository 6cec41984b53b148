//! Device nodes and links in /dev.

use std::path::Path;

use rustix::fs::{AtFlags, FileType, Gid, Mode, Uid};
use rustix::io::Errno;

use super::tree::Tree;
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
        let kind = match device.kind {
            'b' => FileType::BlockDevice,
            'p' => FileType::Fifo,
            _ => FileType::CharacterDevice,
        };
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
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        rustix::fs::chownat(&parent, name, Some(uid), Some(gid), flags)
    };
    make().at(Stage::Device, what)
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
