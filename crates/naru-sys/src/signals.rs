//! Signal masks and dispositions of the calling thread and process.

use std::mem;
use std::ptr;

use rustix::io::Errno;

/// Size of the kernel's signal set, in bytes.
const SET_SIZE: usize = 8;

/// The number of rt_sigtimedwait(2), as `/proc/PID/syscall` shows a thread that is in it.
pub const WAIT_CALL: i64 = libc::SYS_rt_sigtimedwait;

/// Restores the thread's signal mask when dropped.
#[derive(Debug)]
#[must_use]
pub struct BlockedSignals {
    previous: u64,
}

/// Blocks every signal of the calling thread, also the two that the C library keeps for itself.
///
/// See [sigprocmask(2)](https://man7.org/linux/man-pages/man2/sigprocmask.2.html).
pub fn block_all() -> BlockedSignals {
    BlockedSignals { previous: set_mask(u64::MAX) }
}

/// Unblocks every signal of the calling thread.
///
/// See [sigprocmask(2)](https://man7.org/linux/man-pages/man2/sigprocmask.2.html).
pub fn unblock_all() {
    set_mask(0);
}

impl Drop for BlockedSignals {
    fn drop(&mut self) {
        set_mask(self.previous);
    }
}

/// Sets the thread's mask and returns the previous one.
fn set_mask(mask: u64) -> u64 {
    let mut previous: u64 = 0;
    // SAFETY: both sets are 8 bytes, the size passed, and live until the call returns; changing
    // the mask of the calling thread touches no memory.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            &raw const mask,
            &raw mut previous,
            SET_SIZE,
        );
    }
    previous
}

/// Gives every signal its default action, as a program expects it after execve(2), which keeps
/// ignored signals ignored (Rust's runtime ignores SIGPIPE).
///
/// See [sigaction(2)](https://man7.org/linux/man-pages/man2/sigaction.2.html).
///
/// The C library keeps two signals for itself and would leave those ignored, so it is not asked.
pub fn reset_dispositions() {
    /// `struct sigaction` of the kernel: handler, flags, restorer, mask; zero is the default action.
    const DEFAULT: [u64; 4] = [0; 4];
    for signal in 1..=64 {
        // SAFETY: the new action is 32 bytes, which is what the kernel reads on 64-bit machines; it
        // names no code, and no old action is asked for. SIGKILL and SIGSTOP are refused, which
        // changes nothing.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                DEFAULT.as_ptr(),
                ptr::null_mut::<u64>(),
                SET_SIZE,
            );
        }
    }
}

/// Waits for the next of the blocked signals and returns its number.
///
/// See [sigwaitinfo(2)](https://man7.org/linux/man-pages/man2/sigwaitinfo.2.html).
///
/// # Errors
/// `EINTR` when a stopped process was continued.
pub fn wait_for_any() -> Result<i32, Errno> {
    let mask = u64::MAX;
    // SAFETY: the set is 8 bytes, the size passed, and lives until the call returns; no signal
    // information and no time-out is asked for.
    let signal = unsafe {
        libc::syscall(
            libc::SYS_rt_sigtimedwait,
            &raw const mask,
            ptr::null_mut::<libc::siginfo_t>(),
            ptr::null::<libc::timespec>(),
            SET_SIZE,
        )
    };
    crate::result(signal)
}

/// Whether the process ignores `signal`.
///
/// See [sigaction(2)](https://man7.org/linux/man-pages/man2/sigaction.2.html).
///
/// # Errors
/// `EINVAL` for a number that is no signal.
pub fn is_ignored(signal: i32) -> Result<bool, Errno> {
    // SAFETY: sigaction is plain data for which zero is a value.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    // SAFETY: no new action is given; the old one is written to `action`, which is of its type.
    let result = unsafe { libc::sigaction(signal, ptr::null(), &raw mut action) };
    crate::result(result.into())?;
    Ok(action.sa_sigaction == libc::SIG_IGN)
}
