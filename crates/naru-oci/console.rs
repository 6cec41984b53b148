//! Terminals: handing the master over to `--console-socket`, and the user's own terminal.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use anyhow::{Context as _, bail};
use rustix::fs::{Mode, OFlags};
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix,
    SocketFlags, SocketType,
};
use rustix::termios::{OptionalActions, OutputModes, Termios};

/// A socket that takes one descriptor.
#[derive(Debug)]
pub(crate) struct Receiver {
    socket: OwnedFd,
}

impl Receiver {
    /// Connects to the socket at `path`, which is relative to the working directory.
    pub(crate) fn connect(path: &Path) -> anyhow::Result<Self> {
        let connect = || {
            let flags = SocketFlags::CLOEXEC;
            let socket =
                rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
            // An address has 108 bytes, which a path may exceed; a descriptor's does not.
            let opened = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
            let address = SocketAddrUnix::new(format!("/proc/self/fd/{}", opened.as_raw_fd()))?;
            rustix::net::connect(&socket, &address)?;
            Ok::<_, rustix::io::Errno>(socket)
        };
        let socket = connect().with_context(|| format!("cannot connect to {}", path.display()))?;
        Ok(Self { socket })
    }

    /// Sends `descriptor` with a name beside it, which nobody looks at.
    pub(crate) fn send(&self, descriptor: BorrowedFd<'_>, name: &str) -> anyhow::Result<()> {
        let descriptors = [descriptor];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(&descriptors));
        let parts = [IoSlice::new(name.as_bytes())];
        rustix::net::sendmsg(&self.socket, &parts, &mut control, SendFlags::NOSIGNAL)
            .context("cannot hand over a descriptor")?;
        Ok(())
    }
}

/// Who takes the master of a new terminal, after the flags are checked against each other.
pub(crate) fn receiver(
    terminal: bool,
    detached: bool,
    socket: Option<&Path>,
) -> anyhow::Result<Option<Receiver>> {
    match (terminal && detached, socket) {
        (true, None) => {
            bail!("cannot allocate tty if naru-oci will detach without setting console socket")
        }
        (false, Some(_)) => {
            bail!("cannot use console socket if naru-oci will not detach or allocate tty")
        }
        (_, socket) => socket.map(Receiver::connect).transpose(),
    }
}

/// The user's terminal in raw mode, until this is dropped.
#[derive(Debug)]
pub(crate) struct Raw {
    before: Termios,
}

impl Raw {
    /// Makes stdin raw, if it is a terminal. Output still gets its carriage returns here, since the
    /// container's terminal does not add them.
    pub(crate) fn enter() -> anyhow::Result<Option<Self>> {
        let stdin = std::io::stdin();
        let Ok(before) = rustix::termios::tcgetattr(&stdin) else { return Ok(None) };
        let mut raw = before.clone();
        raw.make_raw();
        raw.output_modes |= OutputModes::OPOST;
        rustix::termios::tcsetattr(&stdin, OptionalActions::Now, &raw)
            .context("cannot set the terminal")?;
        Ok(Some(Self { before }))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // There is nobody left to tell.
        let _ = rustix::termios::tcsetattr(std::io::stdin(), OptionalActions::Now, &self.before);
    }
}

/// Prepares a container's terminal for being copied: lines end with a newline alone, and its size is that
/// of the user's terminal.
pub(crate) fn prepare(master: BorrowedFd<'_>) {
    if let Ok(mut modes) = rustix::termios::tcgetattr(master) {
        modes.output_modes &= !OutputModes::ONLCR;
        // Only the looks of lines depend on it.
        let _ = rustix::termios::tcsetattr(master, OptionalActions::Now, &modes);
    }
    resize(master);
}

/// Gives a container's terminal the size of the user's.
pub(crate) fn resize(master: BorrowedFd<'_>) {
    let stdin = std::io::stdin();
    if let Ok(size) = rustix::termios::tcgetwinsize(stdin.as_fd()) {
        // A terminal that has just gone needs no size.
        let _ = rustix::termios::tcsetwinsize(master, size);
    }
}
