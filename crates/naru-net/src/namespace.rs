//! Work inside a network namespace, by a thread that lives only for it.
//!
//! A thread that has entered a namespace must never go back to a pool: it would run strangers' work
//! in the wrong network. So every visit is a plain thread of its own, and what it hands back is a
//! value or a socket, which stays in the namespace it was made in.

use std::io;
use std::os::fd::BorrowedFd;
use std::panic::resume_unwind;
use std::thread;

use nix::sched::{CloneFlags, setns};

/// Why a namespace could not be entered.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No thread could be started.
    #[error("cannot start a thread to enter a network namespace")]
    Thread(#[source] io::Error),
    /// The kernel refused `setns`.
    #[error("cannot enter the network namespace")]
    Enter(#[source] nix::Error),
}

/// Stack of a visiting thread: netlink requests need a few kilobytes, and debug builds several times that.
const STACK: usize = 256 * 1024;

/// Runs `work` inside `netns` and waits for it; a panic of `work` goes on in the caller.
///
/// # Errors
/// When the namespace cannot be entered; `work` has then not run.
pub fn within<T: Send>(netns: BorrowedFd<'_>, work: impl FnOnce() -> T + Send) -> Result<T, Error> {
    thread::scope(|scope| {
        let visitor = thread::Builder::new()
            .name("netns".into())
            .stack_size(STACK)
            .spawn_scoped(scope, move || {
                setns(netns, CloneFlags::CLONE_NEWNET).map_err(Error::Enter)?;
                Ok(work())
            })
            .map_err(Error::Thread)?;
        visitor.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}
