//! Waiting for the word to go on: from the creator, or from anybody at a listening socket that
//! outlives it.

use std::os::fd::{AsFd, OwnedFd};

use nix::sys::signal::SigSet;
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::SocketFlags;

use super::Session;
use crate::error::{At, Failure, Stage};
use crate::plan::ContainerPlan;
use crate::wire::Channel;

/// Signals that do not end a process by default, and those that stop it.
const HARMLESS: [i32; 7] = [
    nix::libc::SIGCHLD,
    nix::libc::SIGCONT,
    nix::libc::SIGURG,
    nix::libc::SIGWINCH,
    nix::libc::SIGTSTP,
    nix::libc::SIGTTIN,
    nix::libc::SIGTTOU,
];

/// Tells that everything is set up and waits for the start; the error is the code to end with.
pub(super) fn wait(
    plan: &ContainerPlan,
    session: &mut Session,
) -> Result<Result<(), i32>, Failure> {
    let what = || "wait for the start".to_owned();
    let Some(slot) = plan.waits_at else {
        session.ready()?;
        let may_start = session.channel.receive_start().at(Stage::Plan, what)?;
        return Ok(if may_start { Ok(()) } else { Err(super::FAILED) });
    };
    let listener = session.take(slot)?;
    let signals = SignalFd::with_flags(&SigSet::all(), SfdFlags::SFD_CLOEXEC)
        .map_err(|errno| Errno::from_raw_os_error(errno as i32))
        .at(Stage::Plan, what)?;
    session.ready()?;
    session.channel.close();
    match wait_at(&listener, &signals).at(Stage::Plan, what)? {
        Ok(channel) => {
            session.channel = channel;
            if !session.further.is_empty() {
                session.channel.move_above(above(session)).at(Stage::Plan, what)?;
            }
            Ok(Ok(()))
        }
        Err(signal) => Ok(Err(128 + signal)),
    }
}

/// The first number that is free for this process's own descriptors.
fn above(session: &Session) -> i32 {
    3 + i32::try_from(session.further.len()).unwrap_or(0)
}

/// The first to connect and say so; the error is a signal that ends a process by default, which
/// does not reach a first process of a pid namespace that only blocks it.
fn wait_at(listener: &OwnedFd, signals: &SignalFd) -> Result<Result<Channel, i32>, Errno> {
    loop {
        let mut ready = [
            PollFd::from_borrowed_fd(listener.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN),
        ];
        match rustix::event::poll(&mut ready, None) {
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(errno) => return Err(errno),
        }
        let [connected, signaled] = [&ready[0], &ready[1]].map(|entry| !entry.revents().is_empty());
        if connected {
            let socket = rustix::net::accept_with(listener, SocketFlags::CLOEXEC)?;
            let channel = Channel::from_socket(socket);
            // Whoever leaves without the word has changed its mind; the next may come.
            if channel.receive_start() == Ok(true) {
                return Ok(Ok(channel));
            }
        } else if signaled
            && let Ok(Some(info)) = signals.read_signal()
            && let Ok(signal) = i32::try_from(info.ssi_signo)
            && !HARMLESS.contains(&signal)
        {
            return Ok(Err(signal));
        }
    }
}
