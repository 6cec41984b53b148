//! Signals as events: blocked, and read from a descriptor (signalfd(2)).

use std::io;
use std::thread;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// From now on `signals` do nothing to this process but can be read from the descriptor.
///
/// Call it before other threads are started (they take over what is blocked) and after other programs are
/// (they would too).
///
/// # Errors
/// When the kernel has no descriptor to give.
pub(crate) fn take(signals: &[Signal]) -> io::Result<SignalFd> {
    let set: SigSet = signals.iter().copied().collect();
    set.thread_block()?;
    let flags = SfdFlags::SFD_CLOEXEC;
    Ok(SignalFd::with_flags(&set, flags)?)
}

/// The next signal; waits for it.
///
/// # Errors
/// When the descriptor cannot be read.
pub(crate) fn next(descriptor: &SignalFd) -> io::Result<Option<Signal>> {
    let read = descriptor.read_signal()?;
    let number = read.and_then(|information| i32::try_from(information.ssi_signo).ok());
    Ok(number.and_then(|number| Signal::try_from(number).ok()))
}

/// [`take`], and a thread that gives the signals to `tell`, one by one.
///
/// # Errors
/// As [`take`].
pub(crate) fn listen(
    signals: &[Signal],
    mut tell: impl FnMut(Signal) + Send + 'static,
) -> io::Result<()> {
    let descriptor = take(signals)?;
    thread::Builder::new().name("signals".into()).spawn(move || {
        while let Ok(signal) = next(&descriptor) {
            signal.into_iter().for_each(&mut tell);
        }
    })?;
    Ok(())
}
