//! The plain clone: a copy of this process in new namespaces, for programs that have one thread.

use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::io::Errno;

const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Which side of a [`clone()`] this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clone {
    /// The caller, with the copy's number in its pid namespace.
    Parent(i32),
    /// The copy.
    Child,
}

/// Copies this process; the copy starts in the new namespaces that `namespaces` (`CLONE_NEW*`) names and its death
/// sends SIGCHLD. With `cgroup`, the directory of a cgroup v2, the copy starts in that group.
///
/// See [clone3(2)](https://man7.org/linux/man-pages/man2/clone.2.html) (Linux 5.3; `CLONE_INTO_CGROUP` 5.7).
///
/// # Errors
/// `EBUSY` when this process has more than one thread: the copy would hold locks that nobody opens again.
pub fn clone(namespaces: u64, cgroup: Option<BorrowedFd<'_>>) -> Result<Clone, Errno> {
    let threads = rustix::fs::stat("/proc/self/task")?.st_nlink;
    if threads != 3 {
        return Err(Errno::BUSY);
    }
    let args = libc::clone_args {
        flags: namespaces | if cgroup.is_some() { CLONE_INTO_CGROUP } else { 0 },
        pidfd: 0,
        child_tid: 0,
        parent_tid: 0,
        exit_signal: u64::from(libc::SIGCHLD.cast_unsigned()),
        stack: 0,
        stack_size: 0,
        tls: 0,
        set_tid: 0,
        set_tid_size: 0,
        cgroup: cgroup.map_or(0, |cgroup| u64::from(cgroup.as_raw_fd().cast_unsigned())),
    };
    // SAFETY: without CLONE_VM the copy has memory of its own and goes on, on its copy of this stack, where the caller
    // stands; no other thread exists (its folder in /proc has two links and one per thread), so no lock is left held.
    let result = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of_val(&args)) };
    match crate::result(result)? {
        0 => Ok(Clone::Child),
        pid => Ok(Clone::Parent(pid)),
    }
}
