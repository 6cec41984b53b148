//! What a descriptor of a namespace is.

use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::io::Errno;

/// `NS_GET_NSTYPE`: `_IO(0xb7, 3)`.
const GET_TYPE: u32 = 0xb703;

/// The `CLONE_NEW*` flag of the namespace that `file` is.
///
/// See [ioctl_nsfs(2)](https://man7.org/linux/man-pages/man2/ioctl_nsfs.2.html) (Linux 4.11).
///
/// # Errors
/// `ENOTTY` when it is no namespace.
pub fn kind(file: BorrowedFd<'_>) -> Result<u32, Errno> {
    // SAFETY: this request takes no argument and touches no memory.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), GET_TYPE as _) };
    crate::result(result.into()).map(i32::cast_unsigned)
}
