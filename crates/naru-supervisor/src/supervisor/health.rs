//! Health checks: each probe is a fresh process inside the container, ended at its time limit.

use std::time::Duration;

use naru_plan::health::{Entry, Outcome, Probe, Probes};
use naru_state::ContainerId;

use super::Supervisor;
use super::container::Probing;
use super::event::{Event, aside};
use super::inside::{Ended, Inside};
use super::timers::Due;
use crate::spec::{Check, Further};

/// How much of a probe's output is read; the rest is thrown away.
const OUTPUT_LIMIT: usize = 4096;

/// How a probe ended.
#[derive(Debug)]
pub(super) struct Probed {
    generation: u16,
    early: bool,
    began: tokio::time::Instant,
    outcome: Outcome,
    output: String,
}

/// What a probe needs, taken along by its thread.
struct Job {
    inside: Inside,
    further: Further,
    timeout: Duration,
}

impl Supervisor {
    /// A container with a health check has started: the first probe is due.
    pub(super) fn begin_probing(&mut self, id: &ContainerId, check: Option<Check>) {
        let Some(Check { settings, command }) = check else { return };
        let Some(live) = self.containers.get_mut(id) else { return };
        let Some(running) = &mut live.running else { return };
        running.probing =
            Some(Probing { probes: Probes::new(settings), command, under_way: false });
        live.note_health();
        self.schedule_probe(id);
    }

    /// A container with a health check runs on under this supervisor: its next probe is due when it was.
    pub(super) fn resume_probing(&mut self, id: &ContainerId, check: Option<Check>) {
        let Some(Check { settings, command }) = check else { return };
        let Some(live) = self.containers.get_mut(id) else { return };
        let probes = live.resumed_probes(settings);
        let Some(running) = &mut live.running else { return };
        running.probing = Some(Probing { probes, command, under_way: false });
        live.note_health();
        self.schedule_probe(id);
    }

    pub(super) fn schedule_probe(&mut self, id: &ContainerId) {
        let Some(live) = self.containers.get(id) else { return };
        let Some(running) = &live.running else { return };
        let Some(probing) = &running.probing else { return };
        let at = running.since + probing.probes.next().at;
        self.timers.add(at, Due::Probe(id.clone(), live.state.generation));
    }

    /// A probe is due: run it in a thread of its own, which waits for it.
    pub(super) fn probe_due(&mut self, id: &ContainerId, generation: u16) {
        let Some(inside) = self.inside(id) else { return };
        let Some(live) = self.containers.get_mut(id) else { return };
        if live.state.generation != generation || live.stopping.is_some() {
            return;
        }
        let Some(running) = &mut live.running else { return };
        let Some(probing) = &mut running.probing else { return };
        if std::mem::replace(&mut probing.under_way, true) {
            return;
        }
        let Probe { timeout, early, .. } = probing.probes.next();
        let command = probing.command.clone();
        let further = Further { command, ..Further::default() };
        let job = Job { inside, further, timeout };
        let began = tokio::time::Instant::now();
        let probed = {
            let id = id.clone();
            move |(outcome, output)| {
                Event::Probed(id, Probed { generation, early, began, outcome, output })
            }
        };
        let refused = probed.clone();
        let work = move || probed(probe(&job));
        aside(&self.events, work, |error| refused((Outcome::NotRun, error.to_string())));
    }

    /// A probe has ended.
    pub(super) fn probed(&mut self, id: &ContainerId, probed: Probed) {
        let Some(live) = self.containers.get_mut(id) else { return };
        if live.state.generation != probed.generation {
            return;
        }
        let is_stopping = live.stopping.is_some();
        let Some(running) = &live.running else { return };
        let since = running.since;
        let before = live.observed();
        let Some(running) = &mut live.running else { return };
        let Some(probing) = &mut running.probing else { return };
        probing.under_way = false;
        // What ends while its container is being ended has been ended with it, and says nothing.
        if is_stopping {
            return;
        }
        probing.probes.record(Entry {
            began: probed.began.saturating_duration_since(since),
            ended: since.elapsed(),
            outcome: probed.outcome,
            output: probed.output,
            early: probed.early,
        });
        live.note_health();
        self.changed(id);
        self.schedule_probe(id);
        self.health_changed(id, before);
    }
}

fn probe(job: &Job) -> (Outcome, String) {
    let mut output = Vec::new();
    let keep = |piece: &[u8]| {
        let room = OUTPUT_LIMIT.saturating_sub(output.len());
        output.extend_from_slice(&piece[..piece.len().min(room)]);
    };
    let outcome = match job.inside.run(&job.further, Some(job.timeout), keep) {
        Ok(Ended::Exited(Some(code))) => Outcome::Exited(code),
        Ok(Ended::Exited(None)) => Outcome::NotRun,
        Ok(Ended::TimedOut) => Outcome::TimedOut,
        Err(error) => return (Outcome::NotRun, error.to_string()),
    };
    (outcome, String::from_utf8_lossy(&output).into_owned())
}
