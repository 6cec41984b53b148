//! Installing a system call filter.

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
    let length = u16::try_from(filter.len()).map_err(|_| Errno::TOOBIG)?;
    let program = Program { length, filter: filter.as_ptr() };
    // SAFETY: `program` has the layout of struct sock_fprog and points at `length` instructions,
    // which live until the call returns; the kernel copies and checks them.
    let result = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program)
    };
    crate::result(result).map(drop)
}
