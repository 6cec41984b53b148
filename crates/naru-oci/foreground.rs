//! Staying with a process until it ends: signals are passed on to it, its terminal is copied.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use anyhow::Context as _;
use naru_runtime::{ExitStatus, Process};
use nix::sys::signalfd::SignalFd;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;

use crate::console::{self, Raw};

/// What a process that nobody can tell the end of is said to have exited with.
const UNKNOWN: u8 = 255;
/// How long a terminal may take to hand over what is still in it.
const REST: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// Stays with `process` until it ends; its exit code, `128 + n` for signal `n`.
///
/// `signals` was taken before the process was made, so that none is lost.
pub(crate) fn attend(process: &Process, signals: &SignalFd) -> anyhow::Result<u8> {
    let raw = match &process.terminal {
        Some(_) => Raw::enter()?,
        None => None,
    };
    let copied = Copying::new(process.terminal.as_ref()).until_ended(process, signals);
    drop(raw);
    copied?;
    let status = process.wait()?;
    Ok(code(status))
}

/// The exit code that stands for `status`.
pub(crate) fn code(status: ExitStatus) -> u8 {
    status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(UNKNOWN)
}

/// The copy between the user's standard files and a terminal; what has ended is `None`.
struct Copying<'a> {
    master: Option<&'a OwnedFd>,
    input: bool,
}

impl<'a> Copying<'a> {
    fn new(master: Option<&'a OwnedFd>) -> Self {
        Self { master, input: master.is_some() }
    }

    fn until_ended(mut self, process: &Process, signals: &SignalFd) -> anyhow::Result<()> {
        let stdin = std::io::stdin();
        loop {
            let mut ready = vec![readable(process.pidfd.as_fd()), readable(signals.as_fd())];
            ready.extend(self.master.map(|master| readable(master.as_fd())));
            if self.master.is_some() && self.input {
                ready.push(readable(stdin.as_fd()));
            }
            match rustix::event::poll(&mut ready, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno).context("cannot wait for the process"),
            }
            let is_ready: Vec<bool> = ready.iter().map(|one| !one.revents().is_empty()).collect();
            drop(ready);
            if is_ready[1] {
                pass_signals(signals, process);
            }
            if is_ready.get(2) == Some(&true) {
                self.pass_output()?;
            }
            if is_ready.get(3) == Some(&true) {
                self.pass_input()?;
            }
            if is_ready[0] {
                return self.drain();
            }
        }
    }

    /// What the process has written before it ended is still in its terminal.
    fn drain(&mut self) -> anyhow::Result<()> {
        while let Some(master) = self.master {
            let mut ready = [readable(master.as_fd())];
            if rustix::event::poll(&mut ready, Some(&REST)) == Ok(0) {
                break;
            }
            self.pass_output()?;
        }
        Ok(())
    }

    fn pass_output(&mut self) -> anyhow::Result<()> {
        let Some(master) = self.master else { return Ok(()) };
        let mut buffer = [0; 16 * 1024];
        match rustix::io::read(master, &mut buffer) {
            // The last process that had it open is gone.
            Ok(0) | Err(Errno::IO) => self.master = None,
            Ok(length) => write_all(std::io::stdout().as_fd(), &buffer[..length])?,
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(errno) => return Err(errno).context("cannot read from the terminal"),
        }
        Ok(())
    }

    fn pass_input(&mut self) -> anyhow::Result<()> {
        let Some(master) = self.master else { return Ok(()) };
        let mut buffer = [0; 4096];
        match rustix::io::read(std::io::stdin(), &mut buffer) {
            Ok(0) | Err(Errno::IO) => self.input = false,
            Ok(length) => match write_all(master.as_fd(), &buffer[..length]) {
                Ok(()) => {}
                // Nobody has the terminal open any more.
                Err(_) => self.input = false,
            },
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(errno) => return Err(errno).context("cannot read from stdin"),
        }
        Ok(())
    }
}

/// Passes on all signals that have come, except those about this process's own files and children.
fn pass_signals(signals: &SignalFd, process: &Process) {
    while let Ok(Some(info)) = signals.read_signal() {
        let Ok(number) = i32::try_from(info.ssi_signo) else { continue };
        match number {
            nix::libc::SIGCHLD | nix::libc::SIGURG | nix::libc::SIGPIPE => {}
            nix::libc::SIGWINCH => {
                if let Some(master) = &process.terminal {
                    console::resize(master.as_fd());
                }
            }
            // One that has ended meanwhile is reaped next.
            number => {
                let _ = naru_sys::process::send_signal(process.pidfd.as_fd(), number);
            }
        }
    }
}

fn readable(file: BorrowedFd<'_>) -> PollFd<'_> {
    PollFd::from_borrowed_fd(file, PollFlags::IN)
}

fn write_all(file: BorrowedFd<'_>, mut bytes: &[u8]) -> anyhow::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(file, bytes) {
            Ok(length) => bytes = &bytes[length..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let mut ready = [PollFd::from_borrowed_fd(file, PollFlags::OUT)];
                rustix::event::poll(&mut ready, None).context("cannot wait for a reader")?;
            }
            Err(errno) => return Err(errno).context("cannot pass on output"),
        }
    }
    Ok(())
}
