//! Lifecycle hooks: `post_start` after a command has started a container, `pre_stop` before it stops one. They
//! run inside the container, one after the other, without a time limit; the first that fails fails the step.

use std::time::Duration;

use naru_compose::project::Hook;
use naru_state::ContainerId;

use super::Supervisor;
use super::container::{Hooks, Stopping};
use super::control::Client;
use super::event::Event;
use super::inside::{Ended, Inside};
use super::operation::StepOf;
use crate::protocol::{Failure, Reply};
use crate::spec::Further;

/// Longer lines of a hook's output are cut into pieces.
const LINE_LIMIT: usize = 4096;

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
        let (events, id) = (self.events.clone(), id.clone());
        let generation = live.state.generation;
        // Its own thread: a hook may take as long as it likes, and workers are few.
        std::thread::spawn(move || {
            let result = job.run().map_err(|failure| *failure);
            drop(events.send(Event::Hooked(id, Hooked { generation, step, result })));
        });
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

impl Job {
    fn run(&self) -> Result<(), Box<Failure>> {
        for (index, hook) in self.hooks.iter().enumerate() {
            let mut lines = Lines::default();
            let further = further(hook);
            let ended = self.inside.run(&further, None, |piece| {
                lines.push(piece, |line| self.tell(line));
            });
            lines.end(|line| self.tell(line));
            let message = match ended {
                Ok(Ended::Exited(Some(0))) => continue,
                Ok(Ended::Exited(Some(code))) => format!("exited with code {code}"),
                Ok(Ended::Exited(None) | Ended::TimedOut) => "ended without a code".to_owned(),
                Err(error) => format!("cannot be run: {error}"),
            };
            return Err(Box::new(self.failed(index, hook, &message)));
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
