//! Attributes of mounts, by descriptor.

use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::io::Errno;

/// What to change on a mount; the values are the kernel's `MOUNT_ATTR_*` and `MS_*` constants.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Attributes {
    /// `MOUNT_ATTR_*` to set.
    pub set: u64,
    /// `MOUNT_ATTR_*` to clear, before setting.
    pub clear: u64,
    /// One of `MS_PRIVATE`, `MS_SLAVE`, `MS_SHARED`, `MS_UNBINDABLE`, or 0.
    pub propagation: u64,
    /// A user namespace for `MOUNT_ATTR_IDMAP`, or 0.
    pub user_namespace: u64,
}

/// Changes the mount at `mount`, with `recursive` all mounts below it too, in one step.
///
/// See [mount_setattr(2)](https://man7.org/linux/man-pages/man2/mount_setattr.2.html) (Linux 5.12).
///
/// # Errors
/// `EINVAL` when the descriptor is not the root of a mount.
pub fn set_attributes(
    mount: BorrowedFd<'_>,
    recursive: bool,
    attributes: &Attributes,
) -> Result<(), Errno> {
    let mut flags = libc::AT_EMPTY_PATH;
    if recursive {
        flags |= libc::AT_RECURSIVE;
    }
    // SAFETY: the path is an empty string, `attributes` has the layout of struct mount_attr, whose
    // exact size is passed, and lives until the call returns.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            std::ptr::from_ref(attributes),
            size_of::<Attributes>(),
        )
    };
    crate::result(result).map(drop)
}
