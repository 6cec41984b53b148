//! `naru up` in the foreground: output of the containers from their first byte, until all have ended or the
//! user has had enough.
//!
//! Everything that happens is one [`Event`] in one channel: replies on the connections, grown logs, Ctrl-C.

mod display;
mod ending;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use naru_compose::Loaded;
use naru_compose::project::Condition;
use naru_state::log::Range;
use naru_state::process::Identity;
use naru_state::record::{Phase, now_ns};
use naru_supervisor::client::Client;
use naru_supervisor::observe::{self, Seen};
use naru_supervisor::protocol::{Changed, Reply, Request};
use nix::sys::signal::Signal;

use super::{Args, attached};
use crate::conversation::{self, TICK, listen};
use crate::error::{Blame, CommandError, INTERRUPTED};
use crate::follow::{Alarm, Logs, Selection};
use crate::settings::Target;
use crate::signals;
use crate::ui::{Layout, Output, Printer, Progress};

/// What happens while `up` is in the foreground.
#[derive(Debug)]
enum Event {
    /// A line of the answer to `up`; `None` when the connection ended.
    Up(Option<Reply>),
    /// A line of the answer to `watch`.
    Watch(Option<Reply>),
    /// A line of the answer to `stop`.
    Stop(Option<Reply>),
    /// Of the answer to `kill`: of no interest, the containers' ends come by `watch`.
    Kill,
    /// Logs have grown.
    Logs,
    /// The user wants an end.
    Interrupted,
}

/// Why the containers are being stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stopping {
    /// Ctrl-C.
    Asked,
    /// Ctrl-C again.
    Forced,
    /// A container exited, with this code, and an abort mode is on.
    Aborted(u8),
}

/// What a foreground `up` is about.
pub(super) struct Session<'a> {
    pub(super) args: &'a Args,
    pub(super) loaded: &'a Loaded,
    pub(super) target: &'a Target,
    pub(super) printer: &'a Printer,
}

impl Session<'_> {
    /// Sends `request` and stays until the end; gives the exit code.
    pub(super) fn run(&self, mut client: Client, request: &Request) -> Result<u8, CommandError> {
        let doing = format!("bring up project {}", self.target.name);
        let (sender, events) = mpsc::channel();
        // Before any thread is started: they take over what is blocked.
        let interrupted = sender.clone();
        signals::listen(&[Signal::SIGINT, Signal::SIGTERM], move |_signal| {
            drop(interrupted.send(Event::Interrupted));
        })
        .host("watch for Ctrl-C")?;
        let attached = attached::services(self.args, &self.loaded.project.services);
        let since_ns = now_ns();
        let selection = Selection {
            services: Some(attached.clone()),
            range: Range { since_ns: Some(since_ns), until_ns: None },
            follows: true,
            passing: true,
            ..Selection::default()
        };
        let layout = Layout {
            prefix: !self.args.no_log_prefix,
            colour: !self.args.no_color,
            timestamps: self.args.timestamps,
            raw: false,
        };
        let mut view = View {
            session: self,
            doing,
            attached,
            since_ns,
            output: Output::new(self.printer, layout),
            logs: Logs::new(self.target.directories.clone(), selection),
            progress: Progress::new(self.printer),
            sender,
            is_up: false,
            is_watching: false,
            stopping: None,
            announced: BTreeMap::new(),
        };
        view.announce_attached();
        view.watch();
        client.send(request).host(&view.doing)?;
        listen(client, view.sender.clone(), Event::Up);
        view.run(&events)
    }
}

/// The running state of a session.
struct View<'a> {
    session: &'a Session<'a>,
    doing: String,
    attached: BTreeSet<String>,
    /// Nanoseconds since 1970; what ended before that is no news.
    since_ns: u64,
    output: Output,
    logs: Logs,
    progress: Progress<'a>,
    sender: Sender<Event>,
    /// `up` is done.
    is_up: bool,
    is_watching: bool,
    stopping: Option<Stopping>,
    /// The process whose end was told last, by container.
    announced: BTreeMap<String, Identity>,
}

impl View<'_> {
    fn run(&mut self, events: &Receiver<Event>) -> Result<u8, CommandError> {
        let sender = self.sender.clone();
        let mut alarm = Alarm::new(&self.session.target.directories, move || {
            let sender = sender.clone();
            Box::new(move || drop(sender.send(Event::Logs)))
        });
        let mut more = false;
        loop {
            let mut patience = if more { Duration::ZERO } else { alarm.set() };
            if self.progress.is_live() {
                patience = patience.min(TICK);
            }
            let event = match events.recv_timeout(patience) {
                Ok(event) => event,
                Err(RecvTimeoutError::Timeout) => Event::Logs,
                Err(RecvTimeoutError::Disconnected) => return Ok(1),
            };
            let mut end = self.take(event)?;
            // Whatever else is there already: logs are read once for all of it.
            while end.is_none() {
                let Ok(event) = events.try_recv() else { break };
                end = self.take(event)?;
            }
            more = self.show_logs()?;
            self.progress.tick();
            if !self.is_watching {
                self.watch();
            }
            let end = match end {
                None => self.end_of_all()?,
                end => end,
            };
            if let Some(code) = end {
                self.finish()?;
                return Ok(code);
            }
        }
    }

    /// Deals with an event; gives the exit code when it was the last.
    fn take(&mut self, event: Event) -> Result<Option<u8>, CommandError> {
        match event {
            Event::Up(reply) => self.take_up(reply).map(|()| None),
            Event::Watch(Some(Reply::Changed(changed))) => {
                self.take_change(&changed).map(|()| None)
            }
            Event::Watch(_) => {
                self.is_watching = false;
                Ok(None)
            }
            // The supervisor died over it: its successor is asked again.
            Event::Stop(None) if self.runs()? => self.send_stop().map(|()| None),
            Event::Stop(reply) => self.take_stop(reply),
            Event::Kill | Event::Logs => Ok(None),
            Event::Interrupted => self.interrupt(),
        }
    }

    fn take_up(&mut self, reply: Option<Reply>) -> Result<(), CommandError> {
        let Some(result) = conversation::show(self.session.printer, &mut self.progress, reply)
        else {
            return Ok(());
        };
        self.progress.finish();
        match result {
            Ok(()) => self.is_up = true,
            // It was cut short: what follows is the stop.
            Err(_) if self.stopping.is_some() => {}
            Err(failure) => {
                self.show_all_logs()?;
                let Session { target, printer, .. } = self.session;
                super::evidence::show(&failure, target, &self.attached, printer)?;
                let loaded = Some(self.session.loaded);
                return Err(conversation::explain(failure, loaded, &self.doing));
            }
        }
        Ok(())
    }

    fn take_stop(&mut self, reply: Option<Reply>) -> Result<Option<u8>, CommandError> {
        let printer = self.session.printer;
        let Some(result) = conversation::show(printer, &mut self.progress, reply) else {
            return Ok(None);
        };
        self.progress.finish();
        if let Err(failure) = result {
            let mut words = vec![failure.message];
            words.extend(failure.causes);
            printer.error(&words.join(": "));
        }
        let containers = observe::containers(&self.session.target.directories).host(&self.doing)?;
        self.take_changes(containers)?;
        Ok(Some(match self.stopping {
            Some(Stopping::Aborted(code)) => self.code_from_service().unwrap_or(code),
            _ => INTERRUPTED,
        }))
    }

    fn take_change(&mut self, changed: &Changed) -> Result<(), CommandError> {
        let Changed { name, service, state, one_off } = changed;
        let Some(exit) = state.exit.as_ref().filter(|_| !one_off) else { return Ok(()) };
        let ended = matches!(state.phase, Phase::Exited | Phase::Restarting);
        let is_old = exit.time_ns < self.since_ns;
        if !ended || is_old || self.announced.get(name) == Some(&exit.process) {
            return Ok(());
        }
        self.announced.insert(name.clone(), exit.process.clone());
        if self.attached.contains(service) {
            self.announce_exit(name, exit, state.phase)?;
        }
        let aborts = match exit.code {
            _ if state.phase == Phase::Restarting || self.stopping.is_some() => false,
            // What others wait for to complete has done so: that ends nothing.
            Some(0) => self.aborts_on_exit() && !self.is_awaited(service),
            _ => self.aborts_on_exit() || self.session.args.abort_on_container_failure,
        };
        if aborts {
            self.session.printer.say("Aborting on container exit...");
            self.stop(Stopping::Aborted(exit.code.unwrap_or(1)))?;
        }
        Ok(())
    }

    /// Asks to be told about changes; tried again at the next event when there is nobody to ask.
    fn watch(&mut self) {
        if let Ok(Some(mut client)) = Client::connect(&self.session.target.directories)
            && client.send(&Request::Watch).is_ok()
        {
            self.is_watching = true;
            listen(client, self.sender.clone(), Event::Watch);
        }
    }

    /// 0 when `up` is done and no attached container runs or will.
    fn end_of_all(&mut self) -> Result<Option<u8>, CommandError> {
        if !self.is_up || self.stopping.is_some() {
            return Ok(None);
        }
        let containers = observe::containers(&self.session.target.directories).host(&self.doing)?;
        let is_watched =
            |seen: &&Seen| self.attached.is_empty() || self.attached.contains(&seen.record.service);
        let replicas = containers.iter().filter(|seen| !seen.record.is_one_off());
        let watched: Vec<_> = replicas.filter(is_watched).cloned().collect();
        if watched.iter().any(|seen| seen.state.phase != Phase::Exited) {
            return Ok(None);
        }
        self.take_changes(watched)?;
        Ok(self.stopping.is_none().then_some(0))
    }

    /// The news of the last ends may still be on their way.
    fn take_changes(&mut self, containers: Vec<Seen>) -> Result<(), CommandError> {
        for Seen { record, state } in containers {
            let one_off = record.is_one_off();
            let (name, service) = (record.name, record.service);
            self.take_change(&Changed { name, service, state, one_off })?;
        }
        Ok(())
    }

    /// Whether another service starts after this one has completed.
    fn is_awaited(&self, service: &str) -> bool {
        let services = self.session.loaded.project.services.values();
        let mut wanted = services.filter_map(|other| other.depends_on.get(service));
        wanted.any(|wanted| wanted.condition == Condition::CompletedSuccessfully)
    }

    fn aborts_on_exit(&self) -> bool {
        self.session.args.abort_on_container_exit || self.session.args.exit_code_from.is_some()
    }

    /// The exit code of `--exit-code-from`'s service.
    fn code_from_service(&self) -> Option<u8> {
        let service = self.session.args.exit_code_from.as_ref()?;
        let containers = observe::containers(&self.session.target.directories).ok()?;
        let replicas = containers.iter().filter(|seen| !seen.record.is_one_off());
        let mut own = replicas.filter(|seen| seen.record.service == *service);
        // An unknown code is no success.
        own.next().map(|seen| seen.exit_code().unwrap_or(1))
    }
}
