//! Single system calls by their numbers, for programs that test what a sandbox refuses.
//!
//! Each is made in a forked copy of the process that does nothing else, so that whatever the call does to memory or
//! descriptors is gone with the copy.

use rustix::io::Errno;
use rustix::process::{WaitOptions, waitpid};

use crate::process::{Fork, fork};

/// What became of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It returned this.
    Returned(i64),
    /// It failed.
    Failed(Errno),
    /// The copy ended, or did not get on within a second.
    NoReturn,
}

/// Calls the native system call `number`; only in a program with one thread.
///
/// # Errors
/// When no copy of the process can be made.
pub fn system_call(number: i64, arguments: [u64; 6]) -> Result<Answer, Errno> {
    attempt(|| {
        let [a, b, c, d, e, f] = arguments;
        // SAFETY: the call is made in a copy of the process that goes on with one write and its end; whatever the
        // arguments make the kernel do to its memory, nobody else uses that memory.
        let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
        match crate::result(result) {
            Err(errno) if result == -1 => -i64::from(errno.raw_os_error()),
            _ => result,
        }
    })
}

/// Calls the 32-bit system call `number` by its interrupt (`int 0x80`), as an i386 program would; only in a program
/// with one thread.
///
/// # Errors
/// When no copy of the process can be made.
#[cfg(target_arch = "x86_64")]
pub fn system_call_32(number: u32, arguments: [u32; 3]) -> Result<Answer, Errno> {
    attempt(|| {
        let [first, second, third] = arguments;
        let result: i32;
        // SAFETY: as for `system_call`; rbx, which the compiler keeps for itself, is restored, and the kernel's 32-bit
        // entry may clear r8 to r11, which are named.
        unsafe {
            std::arch::asm!(
                "push rbx",
                "mov ebx, {first:e}",
                "int 0x80",
                "pop rbx",
                first = in(reg) first,
                inlateout("eax") number => result,
                in("ecx") second,
                in("edx") third,
                lateout("r8") _,
                lateout("r9") _,
                lateout("r10") _,
                lateout("r11") _,
            );
        }
        result.into()
    })
}

/// The answer of `call`, made in a copy of this process.
fn attempt(call: impl FnOnce() -> i64) -> Result<Answer, Errno> {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let child = match fork()? {
        Fork::Child => {
            // SAFETY: alarm(2) touches no memory.
            unsafe { libc::alarm(1) };
            let result = call();
            // Nobody hears of a failure here; the answer is then that there is none.
            let _ = rustix::io::write(&write, &result.to_ne_bytes());
            // SAFETY: ends this process, without running any of its exit handlers.
            unsafe { libc::_exit(0) }
        }
        Fork::Parent(pid) => rustix::process::Pid::from_raw(pid).ok_or(Errno::SRCH)?,
    };
    drop(write);
    let mut bytes = [0; 8];
    let length = rustix::io::retry_on_intr(|| rustix::io::read(&read, &mut bytes))?;
    rustix::io::retry_on_intr(|| waitpid(Some(child), WaitOptions::empty()))?;
    let result = i64::from_ne_bytes(bytes);
    Ok(match i32::try_from(-result) {
        _ if length != bytes.len() => Answer::NoReturn,
        Ok(errno @ 1..4096) => Answer::Failed(Errno::from_raw_os_error(errno)),
        _ => Answer::Returned(result),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_answers_with_its_value_its_errno_or_not_at_all() {
        let call = |number, first| system_call(number, [first, 0, 0, 0, 0, 0]).unwrap();
        assert!(matches!(call(libc::SYS_getppid, 0), Answer::Returned(pid) if pid > 0));
        assert_eq!(call(libc::SYS_close, 9999), Answer::Failed(Errno::BADF));
        assert_eq!(call(libc::SYS_exit_group, 0), Answer::NoReturn);
        assert_eq!(call(libc::SYS_pause, 0), Answer::NoReturn);
    }
}
