//! Passes input, output and signals between the user and the process until that ends.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::thread;

use naru_runtime::Process;
use nix::sys::signal::Signal;
use nix::sys::signalfd::SignalFd;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::termios::tcsetwinsize;

use super::Ends;
use crate::signals;
use crate::terminal::{self, RawMode};

/// What is passed on rather than obeyed.
const SIGNALS: [Signal; 5] =
    [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGWINCH];

/// Once the process has ended: how long its terminal may take to hand over what is still in it.
const TERMINAL_REST: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
/// What is in a pipe is there at once.
const PIPE_REST: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

/// How long a process whose output nobody takes may take to end by that.
const FAREWELL: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// Where output goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sink {
    Stdout,
    Stderr,
}

/// Output that the process may still write.
struct Source {
    from: OwnedFd,
    to: Sink,
}

/// Stays until the process ends; gives its exit code.
///
/// # Errors
/// When output cannot be passed on or the process cannot be waited for.
pub(super) fn attend(mut process: Process, ends: Ends) -> anyhow::Result<u8> {
    // Before any thread, and after the process: both would take over what is blocked.
    let signals = signals::take(&SIGNALS)?;
    let terminal = process.terminal.take();
    let raw = terminal.as_ref().map(|_master| RawMode::enter()).transpose()?;
    let rest = if terminal.is_some() { TERMINAL_REST } else { PIPE_REST };
    let mut sources = Vec::new();
    match &terminal {
        Some(master) => {
            resize(master);
            pass_input(File::from(master.try_clone()?));
            sources.push(Source { from: master.try_clone()?, to: Sink::Stdout });
        }
        None => {
            ends.stdin.into_iter().for_each(pass_input);
            sources.extend(ends.stdout.map(|from| Source { from, to: Sink::Stdout }));
            sources.extend(ends.stderr.map(|from| Source { from, to: Sink::Stderr }));
        }
    }
    let mut passed = pump(&process, &signals, &mut sources, terminal.as_ref());
    while passed.is_ok() && !sources.is_empty() && is_ready(&sources, &rest)? {
        passed = pass_output(&mut sources).map_err(Into::into);
    }
    drop(raw);
    if let Err(error) = passed {
        // Nobody takes its output any more: it learns so, and may end by that.
        drop((sources, terminal));
        let _reaped = poll(&mut [poll_in(process.pidfd.as_fd())], Some(&FAREWELL))
            .map(|ended| if ended > 0 { process.wait().ok() } else { None });
        return Err(error);
    }
    let status = process.wait()?;
    // How it ended is not known: that is no success.
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX))
}

/// Passes output and signals until the process has ended.
fn pump(
    process: &Process,
    signals: &SignalFd,
    sources: &mut Vec<Source>,
    terminal: Option<&OwnedFd>,
) -> anyhow::Result<()> {
    loop {
        let mut watched = vec![poll_in(process.pidfd.as_fd()), poll_in(signals.as_fd())];
        watched.extend(sources.iter().map(|source| poll_in(source.from.as_fd())));
        match poll(&mut watched, None) {
            Err(Errno::INTR) => continue,
            result => result?,
        };
        let ready: Vec<bool> = watched.iter().map(|fd| !fd.revents().is_empty()).collect();
        if ready[1] {
            match signals::next(signals)? {
                Some(Signal::SIGWINCH) => terminal.into_iter().for_each(resize),
                Some(signal) => pass_signal(process, signal),
                None => {}
            }
        }
        if ready[2..].contains(&true) {
            pass_output(sources)?;
        }
        if ready[0] {
            return Ok(());
        }
    }
}

fn poll_in(fd: BorrowedFd<'_>) -> PollFd<'_> {
    PollFd::from_borrowed_fd(fd, PollFlags::IN)
}

fn is_ready(sources: &[Source], patience: &Timespec) -> io::Result<bool> {
    let mut watched: Vec<_> = sources.iter().map(|source| poll_in(source.from.as_fd())).collect();
    match poll(&mut watched, Some(patience)) {
        Err(Errno::INTR) => Ok(true),
        result => Ok(result? > 0),
    }
}

/// Passes on what each source has now; those that have ended are taken out.
fn pass_output(sources: &mut Vec<Source>) -> io::Result<()> {
    let mut failure = Ok(());
    sources.retain(|source| {
        let ready = is_ready(std::slice::from_ref(source), &PIPE_REST);
        match ready.and_then(|ready| if ready { pass(source) } else { Ok(true) }) {
            Ok(goes_on) => goes_on,
            Err(error) => {
                failure = Err(error);
                false
            }
        }
    });
    failure
}

/// Passes one piece; false when the source has ended.
fn pass(source: &Source) -> io::Result<bool> {
    let mut piece = [0; 16 << 10];
    let length = match rustix::io::read(&source.from, &mut piece) {
        // EIO: no process has the terminal's other side open.
        Ok(0) | Err(Errno::IO) => return Ok(false),
        Ok(length) => length,
        Err(Errno::INTR | Errno::AGAIN) => return Ok(true),
        Err(error) => return Err(error.into()),
    };
    crate::ui::pass_through(source.to == Sink::Stderr, &piece[..length])?;
    Ok(true)
}

/// Passes the user's input to the process from a thread that nobody waits for: it may never get any.
fn pass_input(mut to: File) {
    thread::spawn(move || {
        let mut piece = [0; 16 << 10];
        loop {
            match rustix::io::read(rustix::stdio::stdin(), &mut piece) {
                Ok(0) => return,
                Ok(length) if to.write_all(&piece[..length]).is_err() => return,
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => return,
            }
        }
    });
}

fn resize(master: &OwnedFd) {
    if let Some(size) = terminal::size() {
        // A process that has just ended has no use for the size.
        let _set = tcsetwinsize(master, size);
    }
}

fn pass_signal(process: &Process, signal: Signal) {
    if let Some(signal) = rustix::process::Signal::from_named_raw(signal as i32) {
        // It may just have ended.
        let _sent = process.signal(signal);
    }
}
