//! Programs that decide about devices in cgroup v2, and about what comes in by a link.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::io::Errno;

const PROG_LOAD: libc::c_long = 5;
const PROG_ATTACH: libc::c_long = 8;
const PROG_DETACH: libc::c_long = 9;
const PROG_GET_FD_BY_ID: libc::c_long = 13;
const PROG_QUERY: libc::c_long = 16;
const PROG_TYPE_SCHED_CLS: u32 = 3;
const PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const ATTACH_TYPE_CGROUP_DEVICE: u32 = 6;
/// Programs of this group and of the groups above all have to agree.
const ALLOW_MULTI: u32 = 2;
/// The program takes the place of another one.
const REPLACE: u32 = 4;
/// The most programs that the kernel lets a group have.
const MOST_PROGRAMS: usize = 64;

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

/// The beginning of `union bpf_attr` for `BPF_PROG_ATTACH` and `BPF_PROG_DETACH`.
#[repr(C)]
#[derive(Default)]
struct Attach {
    target: u32,
    program: u32,
    kind: u32,
    flags: u32,
    replaced: u32,
}

/// The beginning of `union bpf_attr` for `BPF_PROG_QUERY`.
#[repr(C)]
struct Query {
    target: u32,
    kind: u32,
    flags: u32,
    attach_flags: u32,
    ids: u64,
    count: u32,
}

/// The beginning of `union bpf_attr` for `BPF_PROG_GET_FD_BY_ID`.
#[repr(C)]
struct ById {
    id: u32,
    next: u32,
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
    load(PROG_TYPE_CGROUP_DEVICE, program)
}

/// Loads a program that decides about the frames of a link; see
/// [tc-bpf(8)](https://man7.org/linux/man-pages/man8/tc-bpf.8.html) (`BPF_PROG_TYPE_SCHED_CLS`, Linux 4.1).
///
/// # Errors
/// `EINVAL` or `EACCES` for a program the kernel's verifier refuses, `EPERM` without the right.
pub fn load_traffic_filter(program: &[Instruction]) -> Result<OwnedFd, Errno> {
    load(PROG_TYPE_SCHED_CLS, program)
}

fn load(kind: u32, program: &[Instruction]) -> Result<OwnedFd, Errno> {
    let load = Load {
        kind,
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
    change(PROG_ATTACH, cgroup, program, ALLOW_MULTI, None)
}

/// Attaches a loaded program in the place of another, in one step.
///
/// See [bpf(2)](https://man7.org/linux/man-pages/man2/bpf.2.html) (`BPF_F_REPLACE`, Linux 5.6).
///
/// # Errors
/// `ENOENT` when `old` is not attached to the group, else as [`attach_device_filter`].
pub fn replace_device_filter(
    cgroup: BorrowedFd<'_>,
    program: BorrowedFd<'_>,
    old: BorrowedFd<'_>,
) -> Result<(), Errno> {
    change(PROG_ATTACH, cgroup, program, ALLOW_MULTI | REPLACE, Some(old))
}

/// Takes a program away from a group.
///
/// See [bpf(2)](https://man7.org/linux/man-pages/man2/bpf.2.html) (`BPF_PROG_DETACH`).
///
/// # Errors
/// `ENOENT` when it is not attached to the group.
pub fn detach_device_filter(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>) -> Result<(), Errno> {
    change(PROG_DETACH, cgroup, program, 0, None)
}

/// The device programs that are attached to this very group.
///
/// See [bpf(2)](https://man7.org/linux/man-pages/man2/bpf.2.html) (`BPF_PROG_QUERY`, Linux 4.15).
///
/// # Errors
/// `EBADF` when the directory is no cgroup v2, `EPERM` without the right.
pub fn attached_device_filters(cgroup: BorrowedFd<'_>) -> Result<Vec<OwnedFd>, Errno> {
    let mut ids = [0_u32; MOST_PROGRAMS];
    let mut query = Query {
        target: cgroup.as_raw_fd().cast_unsigned(),
        kind: ATTACH_TYPE_CGROUP_DEVICE,
        flags: 0,
        attach_flags: 0,
        ids: ids.as_mut_ptr() as u64,
        count: u32::try_from(ids.len()).unwrap_or(0),
    };
    // SAFETY: `query` is the beginning of union bpf_attr and its size is passed; it points at `count`
    // numbers that may be written to and live until the call returns.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, PROG_QUERY, &raw mut query, size_of::<Query>()) };
    crate::result(result)?;
    let count = usize::try_from(query.count).unwrap_or(0).min(ids.len());
    ids.iter().take(count).map(|id| open_by_id(*id)).collect()
}

fn open_by_id(id: u32) -> Result<OwnedFd, Errno> {
    let by_id = ById { id, next: 0, flags: 0 };
    // SAFETY: `by_id` is the beginning of union bpf_attr, its size is passed, and it holds no pointers.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, PROG_GET_FD_BY_ID, &raw const by_id, size_of::<ById>())
    };
    let descriptor = crate::result(result)?;
    // SAFETY: the call returned a new descriptor, which nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

fn change(
    command: libc::c_long,
    cgroup: BorrowedFd<'_>,
    program: BorrowedFd<'_>,
    flags: u32,
    old: Option<BorrowedFd<'_>>,
) -> Result<(), Errno> {
    let attach = Attach {
        target: cgroup.as_raw_fd().cast_unsigned(),
        program: program.as_raw_fd().cast_unsigned(),
        kind: ATTACH_TYPE_CGROUP_DEVICE,
        flags,
        replaced: old.map_or(0, |old| old.as_raw_fd().cast_unsigned()),
    };
    // SAFETY: `attach` is the beginning of union bpf_attr, its size is passed, and it holds no
    // pointers.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, command, &raw const attach, size_of::<Attach>()) };
    crate::result(result).map(drop)
}
