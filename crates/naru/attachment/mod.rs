//! Taking part in a container until it ends: its output as it comes, input, terminal and signals, and its exit code as
//! this command's.
//!
//! Output is read from the container's log, where the keeper puts it: so it is whole whoever of naru's processes dies
//! meanwhile, and there for whoever looks later. Everything that happens is one [`Event`] in one channel.

mod input;
mod keys;
mod output;
mod signals;

use std::io::IsTerminal;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;

use naru_compose::Loaded;
use naru_state::ProjectDirectories;
use naru_supervisor::client::Client;
use naru_supervisor::protocol::{Failure, Reply, Request, Running};
use naru_supervisor::{logging, observe};
use nix::sys::signal::Signal;

use crate::conversation::{self, TICK};
use crate::error::{Blame, CommandError, INTERRUPTED};
use crate::settings::{Settings, Target};
use crate::terminal::{self, RawMode};
use crate::ui::{Printer, Progress};

pub(crate) use keys::DetachKeys;

/// The exit code when nobody saw the container's: that is no success.
const UNKNOWN: u8 = u8::MAX;

/// How to take part.
pub(crate) struct Attachment<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) target: &'a Target,
    pub(crate) loaded: Option<&'a Loaded>,
    pub(crate) printer: &'a Printer,
    /// Follows "naru: cannot ".
    pub(crate) doing: String,
    /// Nothing is told of what is done before the container runs.
    pub(crate) is_quiet: bool,
    /// Only output that is yet to come is of interest.
    pub(crate) is_late: bool,
    /// The container goes when it has ended.
    pub(crate) is_removed: bool,
    /// What becomes of signals.
    pub(crate) passes_signals: bool,
    pub(crate) input: Input,
    pub(crate) keys: DetachKeys,
}

/// Where this command's input goes.
#[derive(Debug)]
pub(crate) enum Input {
    /// Nowhere.
    Nowhere,
    /// To the container's terminal, or to its input where that is open.
    Container,
    /// Into this pipe; the reading end is the container's.
    Pipe { read: OwnedFd, write: OwnedFd },
}

/// What happens.
#[derive(Debug)]
enum Event {
    /// A line of the answer, and what was beside it; `None` when the supervisor has gone for good.
    Reply(Option<Reply>, Option<OwnedFd>),
    /// The container was left.
    Left,
    /// A signal came.
    Signal(Signal),
    /// The log has grown.
    Output,
    /// The user has typed the keys that detach.
    Detached,
}

impl Attachment<'_> {
    /// Sends `request`, stays until the container has ended, and gives its exit code. `again` makes what is asked of the
    /// next supervisor should this one die.
    ///
    /// # Errors
    /// When there is no container to take part in, or nobody takes its output.
    pub(crate) fn run(
        mut self,
        mut client: Client,
        request: &Request,
        again: impl Fn(&Running) -> Request + Send + 'static,
    ) -> Result<u8, CommandError> {
        let (sender, events) = mpsc::channel();
        // Before any thread is started: they take over what is blocked.
        let signalled = sender.clone();
        crate::signals::listen(&signals::ALL, move |signal| {
            drop(signalled.send(Event::Signal(signal)));
        })
        .host("watch for signals")?;
        client.send(request).host(&self.doing)?;
        let (leave, left) = mpsc::channel();
        let answers = sender.clone();
        thread::spawn(move || listen(client, &answers, again, &left));
        let Some(running) = self.await_start(&events)? else { return Ok(INTERRUPTED) };
        let (running, descriptor) = match running {
            Start::Running(running, descriptor) => (running, descriptor),
            Start::Failed(code) => return Ok(code),
        };
        let session = Session::begin(&mut self, *running, descriptor, sender)?;
        let end = session.stay(&events)?;
        if let End::Exited(code) = end {
            let _heard = leave.send(self.is_removed);
            while self.is_removed && !matches!(events.recv(), Ok(Event::Left) | Err(_)) {}
            return Ok(code);
        }
        Ok(if end == End::Detached { 0 } else { INTERRUPTED })
    }

    /// Sends `request` and comes back when its container runs; gives the exit code.
    ///
    /// # Errors
    /// When it does not run.
    pub(crate) fn begin(self, mut client: Client, request: &Request) -> Result<u8, CommandError> {
        client.send(request).host(&self.doing)?;
        let mut progress = Progress::new(self.printer);
        loop {
            let reply = client.next_reply().unwrap_or_else(conversation::unreadable);
            if self.is_quiet && matches!(reply, Some(Reply::Progress(_) | Reply::Notice(_))) {
                continue;
            }
            let shown = conversation::show(self.printer, &mut progress, reply);
            let Some(result) = shown else { continue };
            progress.finish();
            return result.map_or_else(|failure| self.failed(failure), |()| Ok(0));
        }
    }

    /// The exit code of a container that does not run.
    fn failed(&self, failure: Failure) -> Result<u8, CommandError> {
        let code = failure.code;
        let error = conversation::explain(failure, self.loaded, &self.doing);
        let Some(code) = code else { return Err(error) };
        error.explain(self.printer);
        Ok(code)
    }

    /// Shows what is done until the container runs; nothing when the user wants no more of it.
    fn await_start(&self, events: &Receiver<Event>) -> Result<Option<Start>, CommandError> {
        let mut progress = Progress::new(self.printer);
        loop {
            let event = match events.recv_timeout(TICK) {
                Ok(event) => event,
                Err(RecvTimeoutError::Timeout) => {
                    progress.tick();
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
            };
            match event {
                Event::Signal(signal) if signals::ends(signal) => {
                    progress.finish();
                    return Ok(None);
                }
                Event::Reply(Some(Reply::Running(running)), descriptor) => {
                    progress.finish();
                    return Ok(Some(Start::Running(running, descriptor)));
                }
                Event::Reply(Some(Reply::Progress(_) | Reply::Notice(_)), _) if self.is_quiet => {}
                Event::Reply(reply, _) => {
                    let shown = conversation::show(self.printer, &mut progress, reply);
                    let Some(result) = shown else { continue };
                    progress.finish();
                    let Err(failure) = result else { return Ok(None) };
                    return self.failed(failure).map(|code| Some(Start::Failed(code)));
                }
                _ => {}
            }
        }
    }
}

/// How the start went.
enum Start {
    Running(Box<Running>, Option<OwnedFd>),
    /// The command cannot be executed: the exit code that says so.
    Failed(u8),
}

/// Why it is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Exited(u8),
    Detached,
    Interrupted,
}

/// Passes the answer on. Once the container has ended, it is left when the last of its output has been read.
fn listen(
    mut client: Client,
    sender: &Sender<Event>,
    again: impl Fn(&Running) -> Request,
    left: &Receiver<bool>,
) {
    let mut id = None;
    loop {
        let reply = client.next_reply().unwrap_or_else(conversation::unreadable);
        if let Some(Reply::Running(running)) = &reply {
            id = Some(running.id.clone());
            client.go_on_with(again(running));
        }
        // It may have come with what was read before this line.
        let descriptor = match &reply {
            Some(Reply::Running(running)) if running.has_terminal => client.take_descriptor(),
            _ => None,
        };
        let is_last = matches!(reply, None | Some(Reply::Done | Reply::Failed(_)));
        let has_ended = matches!(reply, Some(Reply::Ended { .. }));
        if sender.send(Event::Reply(reply, descriptor)).is_err() || is_last {
            return;
        }
        if has_ended {
            break;
        }
    }
    if left.recv() == Ok(true)
        && let Some(id) = id
        && client.send(&Request::Leave { id }).is_ok()
    {
        while !matches!(
            client.next_reply(),
            Ok(None | Some(Reply::Done | Reply::Failed(_))) | Err(_)
        ) {}
    }
    drop(sender.send(Event::Left));
}

/// A container that runs, and this command in it.
struct Session<'a> {
    attachment: &'a Attachment<'a>,
    output: output::Output,
    terminal: Option<OwnedFd>,
    raw: Option<RawMode>,
    signals: signals::Passing,
}

/// Where a container's output goes. Its record is there as long as it is; without it the name must do.
fn log_of(directories: &ProjectDirectories, running: &Running) -> PathBuf {
    let all = observe::containers(directories).unwrap_or_default();
    let record =
        all.into_iter().map(|seen| seen.record).find(|record| record.id.as_str() == running.id);
    record.map_or_else(
        || directories.log(&running.name),
        |record| logging::directory(directories, &record),
    )
}

impl<'a> Session<'a> {
    fn begin(
        attachment: &'a mut Attachment<'_>,
        running: Running,
        terminal: Option<OwnedFd>,
        sender: Sender<Event>,
    ) -> Result<Self, CommandError> {
        let doing = attachment.doing.clone();
        let directories = &attachment.target.directories;
        let log = log_of(directories, &running);
        let output =
            output::Output::begin(&log, attachment.is_late, sender.clone()).host(&doing)?;
        let input = std::mem::replace(&mut attachment.input, Input::Nowhere);
        let has_input = !matches!(input, Input::Nowhere);
        let is_typed = has_input && terminal.is_some() && std::io::stdin().is_terminal();
        let raw = is_typed.then(RawMode::enter).transpose().host(&doing)?;
        let to =
            input::destination(input, terminal.as_ref(), directories, &running).host(&doing)?;
        if let Some(to) = to {
            let keys = terminal.is_some().then(|| attachment.keys.clone());
            input::pass(to, keys, sender);
        }
        let signals = signals::Passing::begin(attachment.settings, attachment.target, running.id);
        let session = Self { attachment, output, terminal, raw, signals };
        session.resize();
        Ok(session)
    }

    /// Until the container has ended, or the user has had enough of it.
    fn stay(mut self, events: &Receiver<Event>) -> Result<End, CommandError> {
        loop {
            let patience = self.output.watch();
            self.output.pass(&self.attachment.doing)?;
            let event = match events.recv_timeout(patience) {
                Ok(event) => event,
                Err(RecvTimeoutError::Timeout) => Event::Output,
                Err(RecvTimeoutError::Disconnected) => return Ok(End::Exited(UNKNOWN)),
            };
            if let Some(end) = self.take(event)? {
                self.output.pass(&self.attachment.doing)?;
                // Before anything else is written to it.
                drop(self.raw.take());
                return Ok(end);
            }
        }
    }

    fn take(&mut self, event: Event) -> Result<Option<End>, CommandError> {
        match event {
            Event::Reply(Some(Reply::Ended { code }), _) => {
                Ok(Some(End::Exited(code.unwrap_or(UNKNOWN))))
            }
            Event::Reply(Some(Reply::Failed(failure)), _) => {
                drop(self.raw.take());
                let Attachment { loaded, doing, .. } = self.attachment;
                Err(conversation::explain(failure, *loaded, doing))
            }
            Event::Reply(None, _) => Ok(Some(End::Exited(UNKNOWN))),
            Event::Reply(Some(Reply::Hook { container, line }), _) => {
                self.attachment.printer.hook(&container, &line);
                Ok(None)
            }
            Event::Detached => Ok(Some(End::Detached)),
            Event::Signal(Signal::SIGWINCH) => {
                self.resize();
                Ok(None)
            }
            Event::Signal(signal) if self.attachment.passes_signals => {
                self.signals.pass(signal);
                Ok(None)
            }
            Event::Signal(signal) => Ok(signals::ends(signal).then_some(End::Interrupted)),
            // Answered again by the next supervisor.
            Event::Reply(..) | Event::Output | Event::Left => Ok(None),
        }
    }

    fn resize(&self) {
        if let (Some(terminal), Some(size)) = (&self.terminal, terminal::size()) {
            // A container that has just ended has no use for the size.
            let _set = rustix::termios::tcsetwinsize(terminal, size);
        }
    }
}
