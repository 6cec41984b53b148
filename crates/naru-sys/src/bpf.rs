//! Programs that decide about devices in cgroup v2.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::io::Errno;

const PROG_LOAD: libc::c_long = 5;
const PROG_ATTACH: libc::c_long = 8;
const PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const ATTACH_TYPE_CGROUP_DEVICE: u32 = 6;
/// Programs of this group and of the groups above all have to agree.
const ALLOW_MULTI: u32 = 2;

/// One instruction (`struct bpf_insn`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    /// Operation code.
    pub code: u8,
    /// Destination register in the low four bits, source register in the high four.
    pub registers: u8,
    /// Distance of a jump, or of a memory access.
    pub offset: i16,
    /// Constant operand.
    pub operand: i32,
}

/// The beginning of `union bpf_attr` for `BPF_PROG_LOAD`.
#[repr(C)]
struct Load {
    kind: u32,
    count: u32,
    instructions: u64,
    licence: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
}

/// The beginning of `union bpf_attr` for `BPF_PROG_ATTACH`.
#[repr(C)]
struct Attach {
    target: u32,
    program: u32,
    kind: u32,
    flags: u32,
}

/// Loads a program that decides about the use of devices in a control group.
///
/// See [bpf(2)](https://man7.org/linux/man-pages/man2/bpf.2.html) (`BPF_PROG_TYPE_CGROUP_DEVICE`,
/// Linux 4.15).
///
/// # Errors
/// `EINVAL` or `EACCES` for a program the kernel's verifier refuses, `EPERM` without the right.
pub fn load_device_filter(program: &[Instruction]) -> Result<OwnedFd, Errno> {
    let load = Load {
        kind: PROG_TYPE_CGROUP_DEVICE,
        count: u32::try_from(program.len()).map_err(|_| Errno::TOOBIG)?,
        instructions: program.as_ptr() as u64,
        licence: c"Apache-2.0".as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log: 0,
        kernel_version: 0,
        flags: 0,
    };
    // SAFETY: `load` is the beginning of union bpf_attr and its size is passed; it points at
    // `count` instructions and at a string, which live until the call returns.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, PROG_LOAD, &raw const load, size_of::<Load>()) };
    let descriptor = crate::result(result)?;
    // SAFETY: the call returned a new descriptor, which nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Attaches a loaded program to a cgroup v2 directory; it stays as long as the group.
///
/// See [bpf(2)](https://man7.org/linux/man-pages/man2/bpf.2.html) (`BPF_CGROUP_DEVICE`, Linux 4.15).
///
/// # Errors
/// `EBADF` when the directory is no cgroup v2, `EPERM` without the right.
pub fn attach_device_filter(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>) -> Result<(), Errno> {
    let attach = Attach {
        target: cgroup.as_raw_fd().cast_unsigned(),
        program: program.as_raw_fd().cast_unsigned(),
        kind: ATTACH_TYPE_CGROUP_DEVICE,
        flags: ALLOW_MULTI,
    };
    // SAFETY: `attach` is the beginning of union bpf_attr, its size is passed, and it holds no
    // pointers.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, PROG_ATTACH, &raw const attach, size_of::<Attach>())
    };
    crate::result(result).map(drop)
}
