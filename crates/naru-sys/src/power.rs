//! Taking the power from a file system, for tests of what a power cut leaves.

use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::io::Errno;

/// `FS_IOC_SHUTDOWN`, which ext4, XFS and F2FS share: `_IOR('X', 125, __u32)`.
const SHUTDOWN: u64 = 0x8004_587d;

/// Neither data nor the journal is written first (`EXT4_GOING_FLAGS_NOLOGFLUSH`).
const WITHOUT_FLUSH: u32 = 2;

/// Shuts the file system that `file` is on down at once: nothing more is written to its device, and every call on it
/// fails until it is mounted again.
///
/// See `ioctl(2)` and fs/ext4/ioctl.c (Linux 4.11).
///
/// # Errors
/// `ENOTTY` for file systems without it, `EPERM` without `CAP_SYS_ADMIN`.
pub fn cut(file: BorrowedFd<'_>) -> Result<(), Errno> {
    let flags = WITHOUT_FLUSH;
    // SAFETY: the kernel reads one u32 from `flags`, which lives until the call returns, and writes nothing.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), SHUTDOWN as _, &raw const flags) };
    crate::result(result.into()).map(drop)
}
