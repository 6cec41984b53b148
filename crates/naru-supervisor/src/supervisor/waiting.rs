//! Telling whom a command waits for: "Waiting" once the container runs, then how that ended.

use std::collections::BTreeSet;

use naru_compose::project::Condition;
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
        for id in self.waited_for(operation) {
            let Some(live) = self.containers.get(&id) else { continue };
            let mut told = operation.waiting.get(&id).copied();
            // Who is ready at the first look has two words to be told.
            while let Some(step) = next_word(live.observed(), told.as_ref()) {
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
    fn waited_for(&self, operation: &Operation) -> BTreeSet<ContainerId> {
        let gates = operation.progress.plan().steps.iter().flat_map(|step| &step.gates);
        let slow = gates.filter(|gate| gate.condition != Condition::Started);
        let mut ids: BTreeSet<_> = slow
            .flat_map(|gate| &gate.containers)
            .filter_map(|subject| operation.container(subject))
            .collect();
        if let Then::Wait(targets) = &operation.then
            && operation.progress.is_finished()
        {
            let is_target = |service: &str| targets.iter().any(|target| target.service == service);
            let all = self.containers.iter().filter(|(_, live)| live.is_replica());
            let all = all.filter(|(_, live)| is_target(&live.record.service));
            ids.extend(all.map(|(id, _)| id.clone()));
        }
        ids
    }
}

/// What is to be told of a container in this state after `told`; nothing when that says it all.
fn next_word(state: State, told: Option<&Step>) -> Option<Step> {
    let word = match state {
        State::Created | State::Restarting => return None,
        State::Running { health: Health::Starting } => Step::Waiting,
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

    #[test]
    fn waiting_is_told_before_its_end_and_nothing_is_told_twice() {
        let healthy = State::Running { health: Health::Healthy };
        let starting = State::Running { health: Health::Starting };
        assert_eq!(next_word(State::Created, None), None);
        assert_eq!(next_word(starting, None), Some(Step::Waiting));
        assert_eq!(next_word(starting, Some(&Step::Waiting)), None);
        assert_eq!(next_word(healthy, None), Some(Step::Waiting));
        assert_eq!(next_word(healthy, Some(&Step::Waiting)), Some(Step::Healthy));
        assert_eq!(next_word(healthy, Some(&Step::Healthy)), None);
        let failed = State::Exited { code: Some(1) };
        assert_eq!(next_word(failed, Some(&Step::Waiting)), Some(Step::Error));
    }
}
