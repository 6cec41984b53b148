//! Telling a service manager that a container is ready: `NOTIFY_SOCKET` (sd_notify(3)).
//!
//! The container writes to a socket of its own, never to the manager's. Of what it writes, which nobody can
//! trust, one thing counts: a line `READY=1`. The manager is then told in this program's words that the
//! service is ready, and that its main process is the container's first one.

use std::ffi::OsString;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, bail};
use naru_runtime::store::Container;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix,
    SocketFlags, SocketType,
};
use rustix::pipe::PipeFlags;

use crate::ui::Ui;

/// The variable with the manager's socket.
const VARIABLE: &str = "NOTIFY_SOCKET";
/// The longest message of a container that is read, in bytes; longer ones are thrown away.
const LONGEST: usize = 4096;
/// How many messages are read before it is looked whether the container still runs.
const ROUND: usize = 512;
/// How long the manager's socket may be full.
const FULL: Duration = Duration::from_secs(5);
/// How long the manager may take to look at what it was told.
const HEARD: Timespec = Timespec { tv_sec: 30, tv_nsec: 0 };

/// A service manager's socket, by the two kinds of names that Unix sockets have.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Address(OsString);

impl Address {
    /// The one of `NOTIFY_SOCKET`; an empty value is none.
    ///
    /// # Errors
    /// When it is neither an absolute path nor `@` and a name.
    pub(crate) fn from_environment() -> anyhow::Result<Option<Self>> {
        let variable = std::env::vars_os().find(|(name, _)| name == VARIABLE);
        variable.map_or(Ok(None), |(_, value)| Self::parse(value))
    }

    fn parse(value: OsString) -> anyhow::Result<Option<Self>> {
        match value.as_bytes() {
            [] => Ok(None),
            [b'/' | b'@', _, ..] => Ok(Some(Self(value))),
            _ => bail!("{VARIABLE}={value:?} is not supported: an absolute path or @NAME is"),
        }
    }

    fn connect(&self) -> anyhow::Result<OwnedFd> {
        self.connected().with_context(|| format!("cannot connect to {VARIABLE} {:?}", self.0))
    }

    fn connected(&self) -> Result<OwnedFd, Errno> {
        let flags = SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?;
        set_socket_timeout(&socket, Timeout::Send, Some(FULL))?;
        match self.0.as_bytes() {
            [b'@', name @ ..] => {
                rustix::net::connect(&socket, &SocketAddrUnix::new_abstract_name(name)?)?;
            }
            path => {
                // An address has 108 bytes, which a path may exceed; a descriptor's does not.
                let opened = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
                let short = format!("/proc/self/fd/{}", opened.as_raw_fd());
                rustix::net::connect(&socket, &SocketAddrUnix::new(short)?)?;
            }
        }
        Ok(socket)
    }
}

/// Starts the container; what is to be waited for, if a manager is to be told.
///
/// # Errors
/// As [`Container::start`]; when the manager cannot be reached, then nothing is started.
pub(crate) fn start(container: &Container) -> anyhow::Result<Option<Waiting>> {
    let (address, process) = (Address::from_environment()?, container.process()?);
    let (Some(address), Some(process)) = (address, process) else {
        container.start()?;
        return Ok(None);
    };
    let pid = container.pid()?;
    let manager = address.connect()?;
    let socket = container.start_notified()?;
    Ok(socket.map(|socket| Waiting { socket, process, pid, manager }))
}

/// A started container that has not said yet that it is ready.
#[derive(Debug)]
pub(crate) struct Waiting {
    /// Where it says so.
    socket: OwnedFd,
    /// Its first process.
    process: OwnedFd,
    pid: i32,
    manager: OwnedFd,
}

impl Waiting {
    /// Stays until the container is ready and the manager has heard of it, or until it has ended.
    ///
    /// The container runs in any case, so that failures are warnings.
    pub(crate) fn stay(&self, ui: &Ui) {
        let told = self.forward().and_then(|told| match told {
            true => wait_until_heard(&self.manager),
            false => Ok(()),
        });
        warn(told, ui);
    }

    /// Waits beside what this process does with the container.
    pub(crate) fn stay_beside(self) -> Beside {
        // No need to wait until it was heard: this process stays as long as the container runs.
        Beside(std::thread::spawn(move || self.forward().map(drop)))
    }

    /// Waits for the container to be ready, and tells the manager; false when it has ended before.
    fn forward(&self) -> anyhow::Result<bool> {
        loop {
            let mut ready =
                [&self.process, &self.socket].map(|file| PollFd::new(file, PollFlags::IN));
            match rustix::event::poll(&mut ready, None) {
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(errno).context("cannot wait for the container"),
            }
            let has_ended = !ready[0].revents().is_empty();
            // What it has written before it ended counts.
            if self.is_ready()? {
                let message = format!("READY=1\nMAINPID={}\n", self.pid);
                rustix::net::send(&self.manager, message.as_bytes(), SendFlags::NOSIGNAL)
                    .with_context(|| format!("cannot write to {VARIABLE}"))?;
                return Ok(true);
            }
            if has_ended {
                return Ok(false);
            }
        }
    }

    /// Whether one of the messages that have come says so. Descriptors that are sent along are closed by
    /// the kernel, since there is no room for them.
    fn is_ready(&self) -> anyhow::Result<bool> {
        let mut buffer = [0; LONGEST];
        for _ in 0..ROUND {
            match rustix::net::recv(&self.socket, &mut buffer[..], RecvFlags::TRUNC) {
                Ok((_, length)) => {
                    if buffer.get(..length).is_some_and(says_ready) {
                        return Ok(true);
                    }
                }
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno).context("cannot read what the container says"),
            }
        }
        Ok(false)
    }
}

/// Waiting in a thread of its own.
#[derive(Debug)]
pub(crate) struct Beside(JoinHandle<anyhow::Result<()>>);

impl Beside {
    /// Waits for its end, which comes with the container's.
    pub(crate) fn finish(self, ui: &Ui) {
        let result = self.0.join();
        warn(result.unwrap_or_else(|_| bail!("cannot tell {VARIABLE}: its thread panicked")), ui);
    }
}

fn warn(result: anyhow::Result<()>, ui: &Ui) {
    if let Err(error) = result {
        ui.warning(&format!("{error:#}"));
    }
}

fn says_ready(message: &[u8]) -> bool {
    message.split(|byte| *byte == b'\n').any(|line| line == b"READY=1")
}

/// Waits until the manager has looked at all it was told (sd_notify_barrier(3)): it has to, while this
/// process still exists, to know whom it comes from. It closes the pipe's end that it is sent.
fn wait_until_heard(manager: &OwnedFd) -> anyhow::Result<()> {
    let (reader, writer) =
        rustix::pipe::pipe_with(PipeFlags::CLOEXEC).context("cannot make a pipe")?;
    let descriptors = [writer.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&descriptors));
    let parts = [IoSlice::new(b"BARRIER=1")];
    rustix::net::sendmsg(manager, &parts, &mut control, SendFlags::NOSIGNAL)
        .with_context(|| format!("cannot write to {VARIABLE}"))?;
    drop(writer);
    let mut closed = [PollFd::new(&reader, PollFlags::IN)];
    match rustix::event::poll(&mut closed, Some(&HEARD)) {
        Ok(0) => bail!("{VARIABLE} was told, but does not answer"),
        // An interruption: it was told.
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(errno) => Err(errno).context("cannot wait for an answer"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_line_says_that_it_is_ready() {
        for message in ["READY=1", "READY=1\n", "STATUS=up\nREADY=1", "MAINPID=1\nREADY=1\nX=2"] {
            assert!(says_ready(message.as_bytes()), "{message:?}");
        }
        for message in ["", "READY=10", "READY=0", " READY=1", "STATUS=READY=1", "READY=1\0"] {
            assert!(!says_ready(message.as_bytes()), "{message:?}");
        }
    }

    #[test]
    fn a_manager_is_named_by_a_path_or_in_the_abstract() {
        let parse = |text: &str| Address::parse(text.into());
        assert_eq!(parse("").unwrap(), None);
        for text in ["/run/systemd/notify", "@name"] {
            assert_eq!(parse(text).unwrap(), Some(Address(text.into())));
        }
        for text in ["vsock:2:1234", "relative", "@", "/"] {
            let said = parse(text).unwrap_err().to_string();
            assert!(said.contains(text), "{said}");
        }
    }
}
