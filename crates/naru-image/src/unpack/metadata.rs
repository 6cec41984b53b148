//! Ownership, attributes, modes and times of unpacked files, in the order in which one does not undo another.
//!
//! 1. Owner: changing it clears setuid bits and file capabilities.
//! 2. Extended attributes, the capabilities among them.
//! 3. Mode, and with it setuid, only when the file belongs to its final owner.
//! 4. Times, because everything before changes them.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Gid, Mode, OFlags, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use crate::archive::Entry;
use crate::beneath::magic_path;
use crate::unpack::{magic_child, timestamps};

/// Gives an open file or directory the entry's owner, attributes and mode.
pub(super) fn apply(fd: BorrowedFd<'_>, entry: &Entry) -> Result<(), Errno> {
    let (owner, group) = owner(entry);
    rustix::fs::fchown(fd, Some(owner), Some(group))?;
    for (name, value) in &entry.attributes {
        if is_wanted(name) {
            tolerate(rustix::fs::fsetxattr(fd, &name[..], value, XattrFlags::empty()))?;
        }
    }
    rustix::fs::fchmod(fd, Mode::from_raw_mode(entry.mode))
}

/// [`apply`] and times for what must not be opened: a FIFO or a device.
pub(super) fn apply_at(parent: &OwnedFd, name: &[u8], entry: &Entry) -> Result<(), Errno> {
    let nofollow = AtFlags::SYMLINK_NOFOLLOW;
    let (owner, group) = owner(entry);
    rustix::fs::chownat(parent, name, Some(owner), Some(group), nofollow)?;
    set_attributes_at(parent, name, &entry.attributes)?;
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let node = rustix::fs::openat(parent, name, flags, Mode::empty())?;
    rustix::fs::chmod(magic_path(&node), Mode::from_raw_mode(entry.mode))?;
    rustix::fs::utimensat(parent, name, &times(entry.modified), nofollow)
}

/// Sets the wanted attributes of what must not be opened or followed.
pub(super) fn set_attributes_at(
    parent: &OwnedFd,
    name: &[u8],
    attributes: &[(Vec<u8>, Vec<u8>)],
) -> Result<(), Errno> {
    for (key, value) in attributes.iter().filter(|(key, _)| is_wanted(key)) {
        let path = magic_child(parent, name);
        tolerate(rustix::fs::lsetxattr(path, &key[..], value, XattrFlags::empty()))?;
    }
    Ok(())
}

pub(super) fn owner(entry: &Entry) -> (Uid, Gid) {
    (Uid::from_raw(entry.uid), Gid::from_raw(entry.gid))
}

pub(super) fn times(modified: (i64, u32)) -> Timestamps {
    timestamps(modified)
}

pub(super) fn set_times(fd: BorrowedFd<'_>, modified: (i64, u32)) -> Result<(), Errno> {
    rustix::fs::futimens(fd.as_fd(), &times(modified))
}

/// Whether an attribute of an image means something in a container.
///
/// overlayfs would obey its own attributes in whatever namespace they come, so all of them are left out; the other
/// `security.` attributes belong to the security modules of the machine the image was made on.
pub(crate) fn is_wanted(name: &[u8]) -> bool {
    let (namespace, rest) = match name.iter().position(|byte| *byte == b'.') {
        Some(dot) => (&name[..dot], &name[dot + 1..]),
        None => return false,
    };
    if rest.starts_with(b"overlay.") {
        return false;
    }
    match namespace {
        b"user" | b"trusted" => true,
        b"security" => rest == b"capability",
        b"system" => matches!(rest, b"posix_acl_access" | b"posix_acl_default"),
        _ => false,
    }
}

/// A file system without attributes, or a user without the right to set them, is no reason to refuse an image.
fn tolerate(result: Result<(), Errno>) -> Result<(), Errno> {
    match result {
        Err(Errno::NOTSUP | Errno::PERM) => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::is_wanted;

    #[test]
    fn overlay_attributes_and_host_labels_are_left_out() {
        for name in [
            "trusted.overlay.opaque",
            "trusted.overlay.redirect",
            "user.overlay.metacopy",
            "security.selinux",
            "security.overlay.x",
            "trusted.overlay.overlay.opaque",
            "nothing",
            "btrfs.x",
        ] {
            assert!(!is_wanted(name.as_bytes()), "{name}");
        }
        for name in [
            "user.a",
            "user.overlaying",
            "security.capability",
            "trusted.a",
            "system.posix_acl_access",
        ] {
            assert!(is_wanted(name.as_bytes()), "{name}");
        }
    }
}
