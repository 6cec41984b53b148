//! Carrying a plan out: steps begin when they can, end by events, and the command is answered when all have.

use std::time::Duration;

use naru_plan::gate::Member;
use naru_plan::{Action, Step, Subject};

use super::Supervisor;
use super::create::New;
use super::operation::{Operation, StepOf, words};
use crate::protocol::{self, Failure, Reply};

impl Supervisor {
    /// A number for the next operation.
    pub(super) fn next_operation(&mut self) -> u64 {
        self.operations += 1;
        self.operations
    }

    /// Begins every step that can begin, answers when nothing is left, and goes on with the next command.
    /// Called after each event.
    pub(super) fn advance(&mut self) {
        loop {
            if self.operation.is_none() {
                self.begin_next();
            }
            if self.operation.is_none() {
                return;
            }
            while self.begin_steps() {}
            self.tell_waiting();
            self.commit();
            if !self.answer_if_over() {
                return;
            }
        }
    }

    /// Begins what can begin; false when that is nothing.
    fn begin_steps(&mut self) -> bool {
        let Some(operation) = &mut self.operation else { return false };
        let containers = &self.containers;
        let created = &operation.created;
        let next = operation.progress.next(|subject| {
            let id = match subject {
                Subject::Existing { id, .. } => id.clone().try_into().ok()?,
                Subject::New { created_by, .. } => created.get(created_by)?.clone(),
            };
            let live = containers.get(&id)?;
            Some(Member { name: &live.record.name, state: live.observed() })
        });
        for (step, reason) in next.refused {
            let mut failure = refusal(&step, reason, operation.began.elapsed());
            failure.cause = {
                let gates = step.gates.iter().map(|gate| gate.service.as_str()).collect::<Vec<_>>();
                let of_gates = containers
                    .values()
                    .filter(|live| gates.contains(&live.record.service.as_str()));
                super::patience::cause(of_gates.map(super::container::Live::observed))
            };
            operation.failure.get_or_insert(failure);
        }
        for (_, warning) in next.warnings {
            drop(operation.client.send(Reply::Notice(warning)));
        }
        for step in &next.begin {
            self.begin_step(step);
        }
        !next.begin.is_empty()
    }

    fn begin_step(&mut self, step: &Step) {
        let Some(operation) = &mut self.operation else { return };
        operation.times.begin(step.id);
        let of = StepOf { operation: operation.id, step: step.id };
        let (kind, begins, _) = words(&step.action);
        if !matches!(step.action, Action::RenameContainer { .. }) {
            let (name, why) = match &step.action {
                // Not the name that it has until the old one is gone.
                Action::CreateContainer { replaces: Some(old), .. } => {
                    (old.name.as_str(), Some(step.cause.to_string()))
                }
                action => (action.name(), None),
            };
            operation.tell(kind, name, begins, why);
        }
        let timeout = operation.stop_timeout;
        let subject = match &step.action {
            Action::StartContainer { container, .. }
            | Action::StopContainer { container, .. }
            | Action::RemoveContainer { container, .. }
            | Action::RenameContainer { container, .. } => operation.container(container),
            _ => None,
        };
        match (&step.action, subject) {
            (Action::CreateNetwork { key, .. }, _) => {
                let result = self.create_network(key);
                self.end_step(of, result);
            }
            (Action::RemoveNetwork { name }, _) => self.remove_network(name, of),
            (Action::CreateVolume { key, name }, _) => {
                let result = self.create_volume(key, name);
                self.end_step(of, result);
            }
            (Action::RemoveVolume { name }, _) => self.remove_volume(name, of),
            (Action::CreateContainer { service, number, name, replaces, hook }, _) => {
                let (number, hook, replaces) = (*number, *hook, replaces.as_ref());
                let new = New { service, number, name, replaces, hook };
                let result = self.create_container(of, new);
                self.end_step(of, result);
            }
            (Action::StartContainer { .. }, Some(id)) => self.start(&id, Some(of)),
            (Action::StopContainer { .. }, Some(id)) => self.stop(&id, timeout, of),
            (Action::RemoveContainer { anonymous_volumes, .. }, Some(id)) => {
                self.remove_container(&id, *anonymous_volumes, of);
            }
            (Action::RenameContainer { to, .. }, Some(id)) => {
                let result = self.rename_container(&id, to);
                self.end_step(of, result);
            }
            (action, None) => {
                let message = format!("cannot {action}: the container is gone");
                self.end_step(of, Err(Failure { message, ..Failure::default() }));
            }
        }
    }

    /// A step has ended; one of an operation that is no longer there is of no interest.
    pub(super) fn end_step(&mut self, of: StepOf, result: Result<(), Failure>) {
        let Some(operation) = self.operation.as_mut().filter(|o| o.id == of.operation) else {
            return;
        };
        if let Some(action) = operation.action(of.step) {
            let (kind, _, ended) = words(action);
            let name = match action {
                Action::RenameContainer { to, .. } => to,
                other => other.name(),
            };
            let ended = if result.is_ok() { ended } else { protocol::Step::Error };
            let is_replacement =
                matches!(action, Action::CreateContainer { replaces: Some(_), .. })
                    && result.is_ok();
            if !is_replacement {
                operation.tell(kind, name, ended, None);
            }
        }
        operation.end_step(of.step, result);
    }

    /// Ends the operation when no step runs and none will; false when it goes on.
    fn answer_if_over(&mut self) -> bool {
        let Some(operation) = &self.operation else { return false };
        if operation.progress.is_busy() || !operation.progress.is_finished() {
            return false;
        }
        if operation.failure.is_none() && !operation.cancelled {
            match self.is_wait_over() {
                None => return false,
                Some(Ok(())) => {}
                Some(Err(failure)) => self.fail(*failure),
            }
        }
        if !self.commit() {
            return false;
        }
        let Some(operation) = self.operation.take() else { return false };
        self.answer(operation);
        true
    }

    pub(super) fn fail(&mut self, failure: Failure) {
        if let Some(operation) = &mut self.operation {
            operation.failure.get_or_insert(failure);
        }
    }

    /// Takes back what a failed command left half made, and answers.
    fn answer(&mut self, operation: Operation) {
        if operation.failure.is_some() || operation.cancelled {
            self.take_back(&operation);
        }
        self.save_timeline(&operation);
        let unused = operation.ports.values().flatten().cloned().collect::<Vec<_>>();
        self.release_unused_ports(&unused);
        let reply = match operation.failure {
            Some(failure) => Reply::Failed(failure),
            None if operation.cancelled => Reply::Failed(Failure {
                message: "the command was interrupted by another one".into(),
                ..Failure::default()
            }),
            None => Reply::Done,
        };
        let run = operation.run.and_then(|run| self.made_by(&run).map(|id| (run, id)));
        match run {
            Some((run, id)) if matches!(reply, Reply::Done) => {
                return self.answer_run(&run, &id, &operation.client);
            }
            Some((_, id)) => self.remove_if_done(&id),
            None => {}
        }
        // Before the answer: whoever asked may begin anew at once, with files of its own.
        self.end_if_empty();
        drop(operation.client.send(reply));
    }

    /// No new step begins; those that run are let to end.
    pub(super) fn cancel_operation(&mut self) {
        if let Some(operation) = &mut self.operation {
            operation.cancelled = true;
            operation.progress.abandon();
        }
    }
}

/// A start that a gate has ended: at its place in the file, with who has waited for whom how long.
fn refusal(step: &Step, reason: String, waited: Duration) -> Failure {
    let failure = Failure { message: reason, ..Failure::default() };
    let Some(service) = service_of(&step.action) else { return failure };
    let is_named = |gate: &&naru_plan::Gate| {
        failure.message.contains(&format!("\"{}\"", gate.service))
            || gate.containers.iter().any(|own| failure.message.contains(own.name()))
    };
    let gate = step.gates.iter().find(is_named);
    let key = format!("services.{service}.depends_on");
    let Some(gate) = gate else { return failure.at(key) };
    let dependency = &gate.service;
    if let Some((_, hook)) = dependency.split_once(" pre_start[") {
        let index = hook.trim_end_matches(']');
        return failure.at(format!("services.{service}.pre_start.{index}"));
    }
    let seconds = waited.as_secs_f64();
    failure
        .at(format!("{key}.{dependency}"))
        .hint(format!("{service} waited {seconds:.1} s for {dependency}"))
}

fn service_of(action: &Action) -> Option<&str> {
    match action {
        Action::CreateContainer { service, .. }
        | Action::StartContainer { service, .. }
        | Action::StopContainer { service, .. }
        | Action::RemoveContainer { service, .. }
        | Action::RenameContainer { service, .. } => Some(service),
        _ => None,
    }
}
