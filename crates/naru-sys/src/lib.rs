//! System calls that no safe crate offers; the only crate with unsafe code.
//!
//! std comes first, then the safe calls of rustix and nix; what is left is here, one system call
//! per function, with owned descriptors in and out. Each function names its man page and the first
//! kernel that has it. Where a call can be missing or denied, what takes its place is beside it. There
//! is no policy here.

pub mod attempt;
pub mod beneath;
pub mod bpf;
pub mod clone;
pub mod iptables;
pub mod memory;
pub mod mount;
pub mod namespace;
pub mod network;
pub mod power;
pub mod process;
pub mod seccomp;
pub mod signals;
pub mod spawn;

use rustix::io::Errno;

/// What a wrapper of the C library returned: -1 means that the thread's errno says why.
pub(crate) fn result(value: i64) -> Result<i32, Errno> {
    if value == -1 {
        let errno = std::io::Error::last_os_error();
        return Err(errno.raw_os_error().map_or(Errno::INVAL, Errno::from_raw_os_error));
    }
    i32::try_from(value).map_err(|_| Errno::OVERFLOW)
}
