//! Keeping time: when each step of a command began and ended, for `naru analyze`.

use std::collections::BTreeMap;
use std::time::Instant;

use naru_plan::timeline::{Part, Span, Timeline, What};
use naru_plan::{Action, StepId};
use naru_state::{ContainerId, atomic, record};

use super::Supervisor;
use super::operation::Operation;

/// A part of a step: its name, its beginning and its end.
pub(super) type Lap = (&'static str, Instant, Instant);

/// The times of one command.
#[derive(Debug)]
pub(super) struct Times {
    began: Instant,
    began_ns: u64,
    steps: BTreeMap<StepId, Step>,
    ready: BTreeMap<ContainerId, Instant>,
}

#[derive(Debug)]
struct Step {
    began: Instant,
    ended: Option<Instant>,
    failed: bool,
    laps: Vec<Lap>,
}

impl Times {
    /// A command that begins now.
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            began_ns: record::now_ns(),
            steps: BTreeMap::new(),
            ready: BTreeMap::new(),
        }
    }

    /// A step begins.
    pub(super) fn begin(&mut self, step: StepId) {
        let began = Instant::now();
        self.steps.insert(step, Step { began, ended: None, failed: false, laps: Vec::new() });
    }

    /// A step has ended.
    pub(super) fn end(&mut self, step: StepId, failed: bool) {
        if let Some(step) = self.steps.get_mut(&step) {
            step.ended = Some(Instant::now());
            step.failed = failed;
        }
    }

    /// What a step was made of.
    pub(super) fn laps(&mut self, step: StepId, laps: Vec<Lap>) {
        if let Some(step) = self.steps.get_mut(&step) {
            step.laps = laps;
        }
    }

    /// A container is as those behind it want it.
    pub(super) fn ready(&mut self, id: &ContainerId) {
        self.ready.entry(id.clone()).or_insert_with(Instant::now);
    }

    fn us(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.began);
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    }
}

impl Supervisor {
    /// Keeps the times of an `up` that has ended, until the next one's.
    pub(super) fn save_timeline(&self, operation: &Operation) {
        if !operation.comes_up || operation.times.steps.is_empty() {
            return;
        }
        // Without it, the command was as good.
        if let Err(error) =
            atomic::save_volatile(&self.own.timeline_file(), &self.timeline(operation))
        {
            tracing::warn!(%error, "the times of the command are lost");
        }
    }

    fn timeline(&self, operation: &Operation) -> Timeline {
        let times = &operation.times;
        let steps = &operation.progress.plan().steps;
        let now = Instant::now();
        // Behind the numbers of the steps come those of the containers that were waited for.
        let first = steps.iter().map(|step| step.id.0).max().unwrap_or_default() + 1;
        let ready: BTreeMap<&ContainerId, u32> = times.ready.keys().zip(first..).collect();
        let mut spans = Vec::new();
        for step in steps {
            let Some(found) = times.steps.get(&step.id) else { continue };
            let gates = step.gates.iter().flat_map(|gate| {
                let waited = gate.containers.iter().filter_map(|subject| {
                    let id = operation.container(subject)?;
                    ready.get(&id).copied()
                });
                waited.chain(gate.started_by.iter().map(|step| step.0))
            });
            let (what, service) = kind(&step.action);
            spans.push(Span {
                id: step.id.0,
                what,
                service: service.map(str::to_owned),
                name: step.action.name().to_owned(),
                begin_us: times.us(found.began),
                end_us: times.us(found.ended.unwrap_or(now)),
                failed: found.failed,
                after: step.after.iter().map(|step| step.0).chain(gates).collect(),
                parts: found.laps.iter().map(|lap| part(times, lap)).collect(),
            });
        }
        let waited: Vec<Span> = ready
            .iter()
            .filter_map(|(id, number)| self.ready_span(operation, id, *number, &spans))
            .collect();
        spans.extend(waited);
        Timeline {
            version: record::VERSION,
            began_ns: times.began_ns,
            took_us: times.us(now),
            failed: operation.failure.is_some() || operation.cancelled,
            spans,
        }
    }

    /// From a container's start, where that was a step of this command, until it was ready.
    fn ready_span(
        &self,
        operation: &Operation,
        id: &ContainerId,
        number: u32,
        spans: &[Span],
    ) -> Option<Span> {
        let live = self.containers.get(id)?;
        let steps = operation.progress.plan().steps.iter();
        let start = steps
            .filter_map(|step| match &step.action {
                Action::StartContainer { container, .. } => {
                    (operation.container(container).as_ref() == Some(id)).then_some(step.id.0)
                }
                _ => None,
            })
            .next();
        let start = start.and_then(|start| spans.iter().find(|span| span.id == start));
        let noted_us = operation.times.us(*operation.times.ready.get(id)?);
        // What waited for it begins in the same turn of the loop, before that is noted.
        let behind = spans.iter().filter(|span| span.after.contains(&number));
        let end_us = behind.map(|span| span.begin_us).min().map_or(noted_us, |at| at.min(noted_us));
        Some(Span {
            id: number,
            what: What::Ready,
            service: Some(live.record.service.clone()),
            name: live.record.name.clone(),
            begin_us: start.map_or(0, |start| start.end_us),
            end_us,
            failed: false,
            after: start.map(|start| start.id).into_iter().collect(),
            parts: Vec::new(),
        })
    }
}

fn part(times: &Times, (name, begin, end): &Lap) -> Part {
    Part { name: (*name).to_owned(), begin_us: times.us(*begin), end_us: times.us(*end) }
}

fn kind(action: &Action) -> (What, Option<&str>) {
    match action {
        Action::CreateNetwork { .. } | Action::CreateVolume { .. } => (What::Make, None),
        Action::RemoveNetwork { .. } | Action::RemoveVolume { .. } => (What::Remove, None),
        Action::CreateContainer { service, .. } => (What::Create, Some(service)),
        Action::StartContainer { service, .. } => (What::Start, Some(service)),
        Action::StopContainer { service, .. } => (What::Stop, Some(service)),
        Action::RemoveContainer { service, .. } | Action::RenameContainer { service, .. } => {
            (What::Remove, Some(service))
        }
    }
}
