//! Names that a layer removes: how archives write them and how overlayfs reads them.

use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, XattrFlags};
use rustix::io::Errno;

use crate::beneath::file_type;

/// In front of a removed name.
pub(super) const PREFIX: &[u8] = b".wh.";
/// In front of names that aufs kept for itself.
pub(super) const RESERVED: &[u8] = b".wh..wh.";
/// The entry that makes its directory hide everything below.
pub(super) const OPAQUE: &[u8] = b".wh..wh..opq";

const OPAQUE_ATTRIBUTE: &str = "trusted.overlay.opaque";

/// Whether this is overlayfs's mark for a removed name.
pub(super) fn is(stat: &Stat) -> bool {
    file_type(stat) == FileType::CharacterDevice && stat.st_rdev == 0
}

/// Removes `name` from the layers below `parent`'s. What this same layer has put there stays: a whiteout is about
/// the layers below only, so a directory becomes opaque and anything else hides them already.
pub(super) fn hide(parent: &OwnedFd, name: &[u8]) -> Result<(), Errno> {
    let device = rustix::fs::makedev(0, 0);
    match rustix::fs::mknodat(parent, name, FileType::CharacterDevice, Mode::empty(), device) {
        Err(Errno::EXIST) => {}
        result => return result,
    }
    let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
    if file_type(&stat) != FileType::Directory {
        return Ok(());
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    make_opaque(&rustix::fs::openat(parent, name, flags, Mode::empty())?)
}

/// Makes a directory of this layer hide everything the layers below have in it.
pub(super) fn make_opaque(directory: &OwnedFd) -> Result<(), Errno> {
    rustix::fs::fsetxattr(directory, OPAQUE_ATTRIBUTE, b"y", XattrFlags::empty())
}
