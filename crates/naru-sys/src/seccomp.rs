//! Installing a system call filter.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::io::Errno;

/// One instruction of classic BPF (`struct sock_filter`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    /// Operation code.
    pub code: u16,
    /// Instructions to skip when the comparison holds.
    pub jump_true: u8,
    /// Instructions to skip when it does not.
    pub jump_false: u8,
    /// The operand.
    pub operand: u32,
}

/// `struct sock_fprog`.
#[repr(C)]
struct Program {
    length: u16,
    filter: *const Instruction,
}

/// Filters the system calls of the calling thread and all its descendants, for good.
///
/// `flags` are `SECCOMP_FILTER_FLAG_*`. The caller needs `CAP_SYS_ADMIN` or no_new_privs.
///
/// See [seccomp(2)](https://man7.org/linux/man-pages/man2/seccomp.2.html) (Linux 3.17).
///
/// # Errors
/// `EINVAL` for a program the kernel refuses, `EACCES` without the privilege.
pub fn install(filter: &[Instruction], flags: u32) -> Result<(), Errno> {
    set_filter(filter, flags).map(drop)
}

/// As [`install`], and returns the descriptor at which calls with the verdict "notify" wait for an answer.
///
/// See [seccomp_unotify(2)](https://man7.org/linux/man-pages/man2/seccomp_unotify.2.html) (Linux 5.0).
///
/// # Errors
/// As [`install`]; `EBUSY` when a filter before this one has a listener.
pub fn install_with_listener(filter: &[Instruction], flags: u32) -> Result<OwnedFd, Errno> {
    const NEW_LISTENER: u32 = 1 << 3;
    let descriptor = set_filter(filter, flags | NEW_LISTENER)?;
    // SAFETY: with this flag the call returns a new descriptor, which nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

fn set_filter(filter: &[Instruction], flags: u32) -> Result<i32, Errno> {
    let length = u16::try_from(filter.len()).map_err(|_| Errno::TOOBIG)?;
    let program = Program { length, filter: filter.as_ptr() };
    // SAFETY: `program` has the layout of struct sock_fprog and points at `length` instructions,
    // which live until the call returns; the kernel copies and checks them.
    let result = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program)
    };
    crate::result(result)
}

/// A call that waits for an answer (`struct seccomp_notif`).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Notification {
    /// To be given with the answer.
    pub id: u64,
    /// The thread that made the call.
    pub pid: u32,
    flags: u32,
    /// The call's number.
    pub number: i32,
    /// `AUDIT_ARCH_*`.
    pub architecture: u32,
    /// Where the call was made.
    pub instruction: u64,
    /// The call's arguments.
    pub arguments: [u64; 6],
}

/// `struct seccomp_notif_resp`.
#[repr(C)]
struct Answer {
    id: u64,
    value: i64,
    error: i32,
    flags: u32,
}

/// The number of an ioctl(2) that reads and writes `size` bytes.
const fn request(number: u64, size: usize) -> u64 {
    3 << 30 | (size as u64) << 16 | 0x21 << 8 | number
}

/// Waits for the next call at a listener.
///
/// See [seccomp_unotify(2)](https://man7.org/linux/man-pages/man2/seccomp_unotify.2.html) (Linux 5.0).
///
/// # Errors
/// `ENOENT` when the caller is gone, `EINTR`.
pub fn receive_notification(listener: BorrowedFd<'_>) -> Result<Notification, Errno> {
    let mut notification = Notification::default();
    let request = request(0, size_of::<Notification>());
    // SAFETY: the request contains the size of `notification`, which is all zeros as the kernel asks
    // and lives until the call returns.
    let result = unsafe { libc::ioctl(listener.as_raw_fd(), request as _, &raw mut notification) };
    crate::result(result.into())?;
    Ok(notification)
}

/// Answers a call with an error, instead of making it.
///
/// See [seccomp_unotify(2)](https://man7.org/linux/man-pages/man2/seccomp_unotify.2.html) (Linux 5.0).
///
/// # Errors
/// `ENOENT` when the caller is gone.
pub fn refuse(listener: BorrowedFd<'_>, id: u64, errno: Errno) -> Result<(), Errno> {
    let mut answer = Answer { id, value: 0, error: -errno.raw_os_error(), flags: 0 };
    let request = request(1, size_of::<Answer>());
    // SAFETY: the request contains the size of `answer`, which lives until the call returns.
    let result = unsafe { libc::ioctl(listener.as_raw_fd(), request as _, &raw mut answer) };
    crate::result(result.into()).map(drop)
}
