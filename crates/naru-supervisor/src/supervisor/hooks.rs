//! Lifecycle hooks: `post_start` after a command has started a container, `pre_stop` before it stops one. They
//! run inside the container, one after the other, without a time limit; the first that fails fails the step.
//! `pre_start` hooks are containers of their own, and steps of the plan; here is only how their output is told.

use std::time::Duration;

use naru_compose::project::Hook;
use naru_state::{ContainerId, log};
use tokio::time::Instant;

use super::Supervisor;
use super::container::{Hooks, Stopping};
use super::control::Client;
use super::event::{Event, aside};
use super::inside::{Ended, Inside};
use super::operation::StepOf;
use super::timers::Due;
use crate::protocol::{Failure, Reply};
use crate::spec::Further;

/// Longer lines of a hook's output are cut into pieces.
const LINE_LIMIT: usize = 4096;

/// How often the output of a `pre_start` hook is looked for.
const TELLING: Duration = Duration::from_millis(100);

/// The hooks of one moment, on their way to a worker.
struct Job {
    inside: Inside,
    hooks: Vec<Hook>,
    /// `post_start` or `pre_stop`.
    moment: &'static str,
    service: String,
    container: String,
    /// `web-1`: how their lines are marked.
    mark: String,
    client: Option<Client>,
}

/// The hooks of one moment have ended.
#[derive(Debug)]
pub(super) struct Hooked {
    pub(super) generation: u16,
    /// The step that waits for `post_start` hooks; `None` before a stop.
    pub(super) step: Option<StepOf>,
    pub(super) result: Result<(), Failure>,
}

impl Supervisor {
    /// Runs a container's `post_start` hooks; false when it has none.
    pub(super) fn begin_post_start(&mut self, id: &ContainerId, step: StepOf) -> bool {
        self.begin_hooks(id, "post_start", Some(step))
    }

    /// Runs a container's `pre_stop` hooks, before which it is not told to stop; false when it has none.
    pub(super) fn begin_pre_stop(
        &mut self,
        id: &ContainerId,
        step: StepOf,
        timeout: Option<Duration>,
    ) -> bool {
        if !self.begin_hooks(id, "pre_stop", None) {
            return false;
        }
        if let Some(live) = self.containers.get_mut(id) {
            let hooks = Some(Hooks { timeout });
            live.stopping = Some(Stopping { hooks, ..Stopping::begun_by(step) });
        }
        true
    }

    fn begin_hooks(
        &mut self,
        id: &ContainerId,
        moment: &'static str,
        step: Option<StepOf>,
    ) -> bool {
        let (Some(inside), Some(live)) = (self.inside(id), self.containers.get(id)) else {
            return false;
        };
        let Some(service) = &live.service else { return false };
        let hooks = if step.is_some() { &service.post_start } else { &service.pre_stop };
        if hooks.is_empty() {
            return false;
        }
        let container = live.record.name.clone();
        let own = format!("{}{}", self.project, self.model.separator());
        let job = Job {
            inside,
            hooks: hooks.clone(),
            moment,
            service: live.record.service.clone(),
            mark: container.strip_prefix(&own).unwrap_or(&container).to_owned(),
            container,
            client: self.operation.as_ref().map(|operation| operation.client.clone()),
        };
        let generation = live.state.generation;
        let hooked = {
            let id = id.clone();
            move |result| Event::Hooked(id, Hooked { generation, step, result })
        };
        let refused = hooked.clone();
        // Its own thread: a hook may take as long as it likes, and workers are few.
        let work = move || hooked(job.run().map_err(|failure| *failure));
        aside(&self.events, work, |error| refused(Err(Failure::from_error(&error))));
        true
    }

    /// Hooks have ended: the start is done, or the stop goes on.
    pub(super) fn hooked(&mut self, id: &ContainerId, hooked: Hooked) {
        if let Some(step) = hooked.step {
            return self.end_step(step, hooked.result);
        }
        let Some(live) = self.containers.get_mut(id) else { return };
        if live.state.generation != hooked.generation {
            return;
        }
        let Some(Stopping { hooks: Some(hooks), .. }) = &live.stopping else { return };
        let timeout = hooks.timeout;
        match hooked.result {
            Ok(()) => self.signal_stop(id, timeout),
            Err(failure) => {
                // It runs on, as if nobody had asked.
                live.state.stopped_by_user = false;
                let steps = live.stopping.take().map(|stopping| stopping.steps);
                self.schedule_probe(id);
                self.schedule_look(id);
                self.changed(id);
                for step in steps.into_iter().flatten() {
                    self.end_step(step, Err(failure.clone()));
                }
            }
        }
    }
}

/// The output of a `pre_start` hook, which is its container's, on the way to the client.
#[derive(Debug)]
pub(super) struct Told {
    log: log::Exact,
    lines: Lines,
    mark: String,
    client: Client,
}

impl Told {
    /// Tells what has come since the last time, `to_end` also what has no end of line.
    fn tell(&mut self, to_end: bool) -> std::io::Result<()> {
        let (client, mark) = (&self.client, &self.mark);
        let tell = |line: &[u8]| {
            let line = String::from_utf8_lossy(line).into_owned();
            drop(client.send(Reply::Hook { container: mark.clone(), line }));
        };
        loop {
            let pieces = self.log.pieces()?;
            if pieces.is_empty() {
                break;
            }
            pieces.iter().for_each(|piece| self.lines.push(&piece.bytes, tell));
        }
        if to_end {
            self.lines.end(tell);
        }
        Ok(())
    }
}

impl Supervisor {
    /// From now on the client that waits for a `pre_start` hook is told what it says.
    pub(super) fn begin_telling(&mut self, id: &ContainerId) {
        let client = self.operation.as_ref().map(|operation| operation.client.clone());
        let own = format!("{}-", self.project);
        let (Some(live), Some(client)) = (self.containers.get_mut(id), client) else { return };
        if !live.record.one_off.as_ref().is_some_and(naru_state::record::OneOff::is_hook) {
            return;
        }
        let name = &live.record.name;
        live.told = Some(Told {
            log: log::Exact::new(&self.own.log(name)),
            lines: Lines::default(),
            mark: name.strip_prefix(&own).unwrap_or(name).to_owned(),
            client,
        });
        self.tell_output(id);
    }

    /// Tells what a `pre_start` hook has said, and what it says when it has ended.
    pub(super) fn tell_output(&mut self, id: &ContainerId) {
        let Some(live) = self.containers.get_mut(id) else { return };
        let is_over = live.running.is_none();
        let Some(told) = &mut live.told else { return };
        if let Err(error) = told.tell(is_over) {
            tracing::warn!(container = %live.record.name, %error, "its output is not told");
        }
        if is_over {
            live.told = None;
        } else {
            self.timers.add(Instant::now() + TELLING, Due::Output(id.clone()));
        }
    }
}

impl Job {
    fn run(&self) -> Result<(), Box<Failure>> {
        for (index, hook) in self.hooks.iter().enumerate() {
            let mut lines = Lines::default();
            let further = further(hook);
            let ended = self.inside.run(&further, None, |piece| {
                lines.push(piece, |line| self.tell(line));
            });
            lines.end(|line| self.tell(line));
            let mut causes = Vec::new();
            let message = match ended {
                Ok(Ended::Exited(Some(0))) => continue,
                Ok(Ended::Exited(Some(code))) => format!("exited with code {code}"),
                Ok(Ended::Exited(None) | Ended::TimedOut) => "ended without a code".to_owned(),
                Err(error) => {
                    let why = Failure::from_error(error.as_ref());
                    causes = why.causes;
                    format!("cannot be run: {}", why.message)
                }
            };
            return Err(Box::new(Failure { causes, ..self.failed(index, hook, &message) }));
        }
        Ok(())
    }

    fn failed(&self, index: usize, hook: &Hook, how: &str) -> Failure {
        let (moment, container) = (self.moment, &self.container);
        let command = hook.command.iter().flatten().map(String::as_str).collect::<Vec<_>>();
        let message =
            format!("the {moment} hook {:?} of container {container} {how}", command.join(" "));
        let failure = Failure { message, ..Failure::default() }
            .at(format!("services.{}.{moment}.{index}", self.service));
        match moment {
            "pre_stop" => failure.hint(format!(
                "the container runs on; `naru kill {}` ends it without the hook",
                self.service
            )),
            _ => failure,
        }
    }

    fn tell(&self, line: &[u8]) {
        if let Some(client) = &self.client {
            let line = String::from_utf8_lossy(line).into_owned();
            drop(client.send(Reply::Hook { container: self.mark.clone(), line }));
        }
    }
}

fn further(hook: &Hook) -> Further {
    let given = |text: &String| (!text.is_empty()).then(|| text.clone());
    let environment = hook.environment.iter();
    Further {
        command: hook.command.clone().unwrap_or_default(),
        user: given(&hook.user),
        directory: given(&hook.working_dir),
        // A name without a value was not found in the environment of whoever loaded the file.
        environment: environment
            .filter_map(|(name, value)| Some((name.clone(), Some(value.clone()?))))
            .collect(),
        privileged: hook.privileged,
    }
}

/// Cuts pieces of output into lines.
#[derive(Debug, Default)]
struct Lines {
    begun: Vec<u8>,
}

impl Lines {
    fn push(&mut self, piece: &[u8], mut tell: impl FnMut(&[u8])) {
        for &byte in piece {
            if byte != b'\n' {
                self.begun.push(byte);
            }
            if byte == b'\n' || self.begun.len() == LINE_LIMIT {
                tell(&self.begun);
                self.begun.clear();
            }
        }
    }

    fn end(&mut self, mut tell: impl FnMut(&[u8])) {
        if !self.begun.is_empty() {
            tell(&self.begun);
            self.begun.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_and_the_last_one_also_without_its_end() {
        let mut told = Vec::new();
        let mut lines = Lines::default();
        for piece in ["a\nb", "c\n\n", "d"] {
            lines.push(piece.as_bytes(), |line| told.push(line.to_vec()));
        }
        lines.end(|line| told.push(line.to_vec()));
        assert_eq!(told, [&b"a"[..], b"bc", b"", b"d"]);
    }
}
