//! The calling process: descriptors, forking, keyrings; and what a pidfd tells of another one.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};

use rustix::io::Errno;

/// Marks all descriptors from `first` up close-on-exec.
///
/// See [close_range(2)](https://man7.org/linux/man-pages/man2/close_range.2.html)
/// (`CLOSE_RANGE_CLOEXEC`, Linux 5.11).
///
/// # Errors
/// `EINVAL` for a negative `first`.
pub fn close_on_exec_from(first: RawFd) -> Result<(), Errno> {
    // SAFETY: with CLOSE_RANGE_CLOEXEC no descriptor is closed, only a flag is set, so no owner of
    // a descriptor loses it.
    let result = unsafe {
        libc::syscall(libc::SYS_close_range, first, libc::c_int::MAX, libc::CLOSE_RANGE_CLOEXEC)
    };
    crate::result(result).map(drop)
}

/// Does `work` in a thread that shares no descriptor but the first three with the rest of the process. Who is killed while
/// a thread waits for a disk has its descriptors, and the locks on them, until that has answered; but not this one's.
///
/// `work` can use only what it opens itself: the number of a descriptor from outside means nothing there.
///
/// See [close_range(2)](https://man7.org/linux/man-pages/man2/close_range.2.html) (`CLOSE_RANGE_UNSHARE`, Linux 5.9).
///
/// # Errors
/// When there can be no further thread.
pub fn spawn_apart<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> std::io::Result<std::thread::JoinHandle<T>> {
    std::thread::Builder::new().name("naru".into()).stack_size(APART_STACK).spawn(move || {
        // SAFETY: with CLOSE_RANGE_UNSHARE the calling thread gets a table of its own first, and what is closed is in that
        // one: no owner elsewhere loses a descriptor, and this thread, which begins here, owns none.
        let closed = unsafe {
            libc::syscall(
                libc::SYS_close_range,
                3 as libc::c_int,
                libc::c_int::MAX,
                libc::CLOSE_RANGE_UNSHARE,
            )
        };
        // Refused, the work is as good; only a death would be slower.
        let _refused = crate::result(closed);
        work()
    })
}

/// Room for opening and writing files.
const APART_STACK: usize = 128 << 10;

/// Makes `number` a copy of `file` that the next program keeps; what was there is closed.
///
/// For the last step before execve(2) of a process that has one thread: nothing that still owns
/// `number` may be used afterwards.
///
/// See [dup(2)](https://man7.org/linux/man-pages/man2/dup.2.html).
///
/// # Errors
/// `EINVAL` when they are the same, `EBADF` for a number above the limit.
pub fn place(file: BorrowedFd<'_>, number: RawFd) -> Result<(), Errno> {
    // SAFETY: dup3 touches no memory. It closes what has this number, which by the contract above
    // nobody uses any more: the caller becomes another program, and on failure ends.
    let result = unsafe { libc::dup3(file.as_raw_fd(), number, 0) };
    crate::result(result.into()).map(drop)
}

/// Takes ownership of the descriptor `number`, once: for one that was handed over by exec.
///
/// # Errors
/// `EBADF` when it is not open, or was taken before.
pub fn take_inherited(number: RawFd) -> Result<std::os::fd::OwnedFd, Errno> {
    use std::os::fd::FromRawFd;
    use std::sync::atomic::{AtomicBool, Ordering};
    static TAKEN: AtomicBool = AtomicBool::new(false);

    if TAKEN.swap(true, Ordering::SeqCst) {
        return Err(Errno::BADF);
    }
    // SAFETY: F_GETFD only reads a flag of the descriptor.
    let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
    crate::result(flags.into())?;
    // SAFETY: the descriptor is open, and the flag above makes this the only owner made here. It
    // was inherited, so nothing in this program can have opened it before.
    Ok(unsafe { std::os::fd::OwnedFd::from_raw_fd(number) })
}

/// Looks at the descriptor `number`, if it is open, without taking it: for one that was handed over
/// by exec, before anything else was opened.
pub fn with_inherited<T>(number: RawFd, look: impl FnOnce(BorrowedFd<'_>) -> T) -> Option<T> {
    // SAFETY: F_GETFD only reads a flag of the descriptor.
    let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
    if flags < 0 {
        return None;
    }
    // SAFETY: the descriptor is open, and the borrow ends before this function returns; its
    // owner, if there is one, is a value of the same program's start and lives longer.
    Some(look(unsafe { BorrowedFd::borrow_raw(number) }))
}

/// The two sides of a fork.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fork {
    /// In the parent: the child's number.
    Parent(i32),
    /// In the child.
    Child,
}

/// Forks a process that has only one thread.
///
/// See [fork(2)](https://man7.org/linux/man-pages/man2/fork.2.html).
///
/// # Errors
/// `EAGAIN` when a limit on processes is reached.
pub fn fork() -> Result<Fork, Errno> {
    // SAFETY: the callers are single-threaded programs that have just been exec'ed, so no lock can
    // be held by a thread that does not exist in the child.
    match unsafe { libc::fork() } {
        0 => Ok(Fork::Child),
        pid => crate::result(pid.into()).map(Fork::Parent),
    }
}

/// The two sides of a [`fork_sibling`].
#[derive(Debug)]
pub enum Sibling {
    /// In the caller: the other's number in the caller's pid namespace, and its descriptor.
    Other(i32, OwnedFd),
    /// In the copy.
    Own,
}

/// Forks a process that has only one thread; the copy is the child of the caller's parent, and in the pid namespace
/// that the caller has joined for its children.
///
/// See [clone3(2)](https://man7.org/linux/man-pages/man2/clone.2.html) (`CLONE_PARENT`, `CLONE_PIDFD`; Linux 5.3).
///
/// # Errors
/// `ENOMEM` when the first process of that pid namespace has ended, `EAGAIN` when a limit is reached.
pub fn fork_sibling() -> Result<Sibling, Errno> {
    let mut pidfd: libc::c_int = -1;
    // SAFETY: all fields of clone_args are integers, for which zero is a value.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = u64::from((libc::CLONE_PARENT | libc::CLONE_PIDFD).cast_unsigned());
    args.pidfd = (&raw mut pidfd) as u64;
    // SAFETY: without CLONE_VM the copy has memory of its own and goes on, on its copy of this stack, where the caller
    // stands; the callers are single-threaded programs that have just been exec'ed, so no lock is left held. `pidfd`
    // lives until the call returns.
    let result = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of_val(&args)) };
    match crate::result(result)? {
        0 => Ok(Sibling::Own),
        // SAFETY: the call succeeded in the caller, so the kernel stored a new descriptor that nobody else owns.
        pid => Ok(Sibling::Other(pid, unsafe { OwnedFd::from_raw_fd(pidfd) })),
    }
}

/// Gives the calling process a new, empty session keyring, so that it shares no keys with what
/// started it.
///
/// See [keyctl(2)](https://man7.org/linux/man-pages/man2/keyctl.2.html).
///
/// # Errors
/// `ENOSYS` in kernels without keyrings, `EDQUOT` when the user's quota of keys is used up.
pub fn join_new_session_keyring() -> Result<(), Errno> {
    // SAFETY: a null name asks for an anonymous keyring; no memory is read.
    let result = unsafe {
        libc::syscall(
            libc::SYS_keyctl,
            libc::KEYCTL_JOIN_SESSION_KEYRING,
            std::ptr::null::<libc::c_char>(),
        )
    };
    crate::result(result).map(drop)
}

/// Sends a signal by its number, real-time ones included; 0 only asks whether that could be done.
///
/// See [pidfd_send_signal(2)](https://man7.org/linux/man-pages/man2/pidfd_send_signal.2.html)
/// (Linux 5.1).
///
/// # Errors
/// `ESRCH` when the process has ended and was reaped, `EINVAL` for a number that is no signal.
pub fn send_signal(pidfd: BorrowedFd<'_>, signal: i32) -> Result<(), Errno> {
    // SAFETY: with a null siginfo the kernel fills in what kill(2) would; no memory is read.
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            signal,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    };
    crate::result(result).map(drop)
}

/// `struct pidfd_info` in its first size, 64 bytes.
#[derive(Default)]
#[repr(C)]
struct PidfdInfo {
    mask: u64,
    cgroup: u64,
    ids: [u32; 11],
    exit_code: i32,
}

const PIDFD_INFO_EXIT: u64 = 1 << 3;

/// The wait status of a process that has ended and was reaped by somebody else, if the kernel
/// still knows it.
///
/// See `PIDFD_GET_INFO` in
/// [pidfd_open(2)](https://man7.org/linux/man-pages/man2/pidfd_open.2.html) (`PIDFD_INFO_EXIT`,
/// Linux 6.15).
///
/// # Errors
/// `ENOTTY` or `EINVAL` in older kernels, `ESRCH` when the descriptor was opened too late.
pub fn exit_status(pidfd: BorrowedFd<'_>) -> Result<Option<i32>, Errno> {
    let mut info = PidfdInfo { mask: PIDFD_INFO_EXIT, ..PidfdInfo::default() };
    let size = size_of::<PidfdInfo>() as libc::c_ulong;
    let request = (3 << 30) | (size << 16) | (0xff << 8) | 11;
    // SAFETY: the request number contains the size of `info`, which is what the kernel writes at
    // most, and `info` lives until the call returns.
    let result = unsafe { libc::ioctl(pidfd.as_raw_fd(), request as _, &raw mut info) };
    crate::result(result.into())?;
    Ok((info.mask & PIDFD_INFO_EXIT != 0).then_some(info.exit_code))
}

/// Policy and parameters of the scheduler.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Scheduling {
    /// `SCHED_*`.
    pub policy: u32,
    /// `SCHED_FLAG_*`.
    pub flags: u64,
    /// -20 to 19, for the ordinary policies.
    pub nice: i32,
    /// 1 to 99, for the real-time policies.
    pub priority: u32,
    /// Nanoseconds of a deadline.
    pub runtime: u64,
    /// Nanoseconds of a deadline.
    pub deadline: u64,
    /// Nanoseconds of a deadline.
    pub period: u64,
}

/// `struct sched_attr` in its first size, 48 bytes.
#[repr(C)]
struct SchedulerAttributes {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
}

/// Sets policy and parameters of the scheduler for a process, 0 for the calling one.
///
/// See [sched_setattr(2)](https://man7.org/linux/man-pages/man2/sched_setattr.2.html) (Linux 3.14).
///
/// # Errors
/// `EPERM` without `CAP_SYS_NICE`, `EINVAL` for parameters that do not go together.
pub fn set_scheduling(pid: i32, scheduling: &Scheduling) -> Result<(), Errno> {
    let Scheduling { policy, flags, nice, priority, runtime, deadline, period } = *scheduling;
    let size = u32::try_from(size_of::<SchedulerAttributes>()).map_err(|_| Errno::INVAL)?;
    let attributes =
        SchedulerAttributes { size, policy, flags, nice, priority, runtime, deadline, period };
    // SAFETY: `attributes` has the layout of struct sched_attr and says its own size; the kernel
    // only reads it, before the call returns.
    let result = unsafe { libc::syscall(libc::SYS_sched_setattr, pid, &raw const attributes, 0) };
    crate::result(result).map(drop)
}

/// Sets the priority of a process, 0 for the calling one, for its reads and writes: the class in the
/// upper three bits of 16, the level in the others.
///
/// See [ioprio_set(2)](https://man7.org/linux/man-pages/man2/ioprio_set.2.html) (Linux 2.6.13).
///
/// # Errors
/// `EPERM` without the right to the real-time class, `EINVAL` for another class.
pub fn set_io_priority(pid: i32, priority: u16) -> Result<(), Errno> {
    const PROCESS: libc::c_int = 1;
    // SAFETY: three numbers; no memory is touched.
    let result =
        unsafe { libc::syscall(libc::SYS_ioprio_set, PROCESS, pid, libc::c_int::from(priority)) };
    crate::result(result).map(drop)
}

/// The priority of the calling process, as [`set_io_priority`] sets it; 0 when none was set.
///
/// See [ioprio_set(2)](https://man7.org/linux/man-pages/man2/ioprio_set.2.html) (Linux 2.6.13).
///
/// # Errors
/// `ENOSYS` in a kernel without priorities of reads and writes.
pub fn io_priority() -> Result<u16, Errno> {
    const PROCESS: libc::c_int = 1;
    // SAFETY: two numbers; no memory is touched.
    let result = unsafe { libc::syscall(libc::SYS_ioprio_get, PROCESS, 0) };
    crate::result(result).and_then(|value| u16::try_from(value).map_err(|_| Errno::OVERFLOW))
}

/// Sets from which nodes the calling thread, and what it makes and executes, gets memory: `mode` with its flags, and
/// the nodes as bits.
///
/// See [set_mempolicy(2)](https://man7.org/linux/man-pages/man2/set_mempolicy.2.html).
///
/// # Errors
/// `EINVAL` for nodes that there are not and for what does not go with the mode; `ENOSYS` without NUMA.
pub fn set_memory_policy(mode: u32, nodes: &[u64]) -> Result<(), Errno> {
    // The kernel takes one away from the number of bits.
    let (mask, bits) = match nodes.is_empty() {
        true => (std::ptr::null(), 0),
        false => (nodes.as_ptr(), nodes.len() * 64 + 1),
    };
    // SAFETY: the kernel reads `bits - 1` bits at `mask`, which are those of `nodes`, or none.
    let result = unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, mask, bits) };
    crate::result(result).map(drop)
}

/// Sets the execution domain of the calling process.
///
/// See [personality(2)](https://man7.org/linux/man-pages/man2/personality.2.html).
///
/// # Errors
/// `EINVAL` when the kernel does not have it.
pub fn set_personality(domain: u32) -> Result<(), Errno> {
    // SAFETY: a number; no memory is touched.
    let result = unsafe { libc::personality(domain.into()) };
    crate::result(result.into()).map(drop)
}
