//! Telling whom a command waits for: "Waiting" once the container runs, then how that ended.

use std::collections::BTreeMap;

use naru_compose::project::Condition;
use naru_plan::Gate;
use naru_plan::observed::{Health, State};
use naru_state::ContainerId;

use super::Supervisor;
use super::operation::{Operation, Then};
use crate::protocol::{Kind, Step};

impl Supervisor {
    /// Tells what has changed about the containers that the command under way waits for.
    pub(super) fn tell_waiting(&mut self) {
        let Some(operation) = &self.operation else { return };
        let mut news = Vec::new();
        for (id, until) in self.waited_for(operation) {
            let Some(live) = self.containers.get(&id) else { continue };
            let mut told = operation.waiting.get(&id).copied();
            // Who is ready at the first look has two words to be told.
            while let Some(step) = next_word(live.observed(), until, told.as_ref()) {
                operation.tell(Kind::Container, &live.record.name, step, None);
                told = Some(step);
            }
            news.extend(told.map(|step| (id, step)));
        }
        if let Some(operation) = &mut self.operation {
            for (id, _) in news.iter().filter(|(_, step)| *step != Step::Waiting) {
                operation.times.ready(id);
            }
            operation.waiting.extend(news);
        }
    }

    /// Containers behind a gate that takes time, and with `--wait` all that are waited for at the end.
    fn waited_for(&self, operation: &Operation) -> BTreeMap<ContainerId, Until> {
        let gates = operation.progress.plan().steps.iter().flat_map(|step| &step.gates);
        // Who is yet to be started is not waited for: how its last run ended is no news.
        let is_due = |gate: &&Gate| {
            gate.condition != Condition::Started
                && gate.started_by.iter().all(|step| operation.progress.outcome(*step).is_some())
        };
        let mut waited = BTreeMap::new();
        for gate in gates.filter(is_due) {
            let until = match gate.condition {
                Condition::CompletedSuccessfully => Until::End,
                Condition::Started | Condition::Healthy => Until::Ready,
            };
            for id in gate.containers.iter().filter_map(|subject| operation.container(subject)) {
                let known = waited.entry(id).or_insert(until);
                *known = until.min(*known);
            }
        }
        if let Then::Wait(targets) = &operation.then
            && operation.progress.is_finished()
        {
            let is_target = |service: &str| targets.iter().any(|target| target.service == service);
            let all = self.containers.iter().filter(|(_, live)| live.is_replica());
            let all = all.filter(|(_, live)| is_target(&live.record.service));
            waited.extend(all.map(|(id, _)| (id.clone(), Until::Ready)));
        }
        waited
    }
}

/// What somebody waits for, the sooner first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Until {
    /// It runs, and is healthy where it has a health check.
    Ready,
    /// It has ended.
    End,
}

/// What is to be told of a container in this state after `told`; nothing when that says it all.
fn next_word(state: State, until: Until, told: Option<&Step>) -> Option<Step> {
    let word = match state {
        State::Created | State::Restarting => return None,
        State::Running { health: Health::Starting } => Step::Waiting,
        State::Running { .. } if until == Until::End => Step::Waiting,
        State::Running { health: Health::Healthy | Health::None } => Step::Healthy,
        State::Running { health: Health::Unhealthy } => Step::Error,
        State::Exited { code: Some(0) } => Step::Exited,
        State::Exited { .. } => Step::Error,
    };
    match told {
        // Who is ready at the first look was waited for all the same.
        None if word == Step::Healthy => Some(Step::Waiting),
        Some(told) if *told == word => None,
        _ => Some(word),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEALTHY: State = State::Running { health: Health::Healthy };

    #[test]
    fn waiting_is_told_before_its_end_and_nothing_is_told_twice() {
        let next = |state, told| next_word(state, Until::Ready, told);
        let starting = State::Running { health: Health::Starting };
        assert_eq!(next(State::Created, None), None);
        assert_eq!(next(starting, None), Some(Step::Waiting));
        assert_eq!(next(starting, Some(&Step::Waiting)), None);
        assert_eq!(next(HEALTHY, None), Some(Step::Waiting));
        assert_eq!(next(HEALTHY, Some(&Step::Waiting)), Some(Step::Healthy));
        assert_eq!(next(HEALTHY, Some(&Step::Healthy)), None);
        let failed = State::Exited { code: Some(1) };
        assert_eq!(next(failed, Some(&Step::Waiting)), Some(Step::Error));
    }

    #[test]
    fn who_is_waited_for_to_end_is_never_called_healthy() {
        let next = |state, told| next_word(state, Until::End, told);
        assert_eq!(next(HEALTHY, None), Some(Step::Waiting));
        assert_eq!(next(HEALTHY, Some(&Step::Waiting)), None);
        let done = State::Exited { code: Some(0) };
        assert_eq!(next(done, Some(&Step::Waiting)), Some(Step::Exited));
    }
}
