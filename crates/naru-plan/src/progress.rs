//! How far the carrying out of a plan has come: which steps can begin, and which never will.

use std::collections::BTreeMap;

use crate::gate::{self, Member, Verdict};
use crate::{Gate, Plan, Step, StepId, Subject};

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It did what it should.
    Done,
    /// It did not.
    Failed,
    /// It was not begun, because a step before it or a gate failed.
    Skipped,
}

/// The book that is kept while a plan is carried out.
///
/// The one who carries it out asks [`Progress::next`] after every event, begins what it returns, and
/// reports each end with [`Progress::finish`].
#[derive(Debug, Clone)]
pub struct Progress {
    plan: Plan,
    begun: BTreeMap<StepId, Option<Outcome>>,
}

/// What [`Progress::next`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Next {
    /// Steps to begin now; they count as begun.
    pub begin: Vec<Step>,
    /// Steps that a failed gate has ended, with the reason; they count as skipped.
    pub refused: Vec<(Step, String)>,
    /// Failed gates that are not required: warnings, by step.
    pub warnings: Vec<(StepId, String)>,
}

impl Progress {
    /// Nothing has been done yet.
    pub fn new(plan: Plan) -> Self {
        Self { plan, begun: BTreeMap::new() }
    }

    /// The plan that is carried out.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Finds what can begin, given the name and state of each container that a gate asks about (`None`
    /// while it is not known).
    pub fn next<'s>(&mut self, container: impl Fn(&Subject) -> Option<Member<'s>>) -> Next {
        let mut next = Next::default();
        // Put back below: a plan is long and asked after each event, so its steps are not copied.
        let steps = std::mem::take(&mut self.plan.steps);
        for step in &steps {
            if self.begun.contains_key(&step.id) {
                continue;
            }
            match self.ready(step, &container, &mut next.warnings) {
                Verdict::Open => {
                    self.begun.insert(step.id, None);
                    next.begin.push(step.clone());
                }
                Verdict::Wait => {}
                Verdict::Failed(reason) => {
                    self.begun.insert(step.id, Some(Outcome::Skipped));
                    if !reason.is_empty() {
                        next.refused.push((step.clone(), reason));
                    }
                }
            }
        }
        self.plan.steps = steps;
        next
    }

    /// Records how a step that was begun has ended.
    pub fn finish(&mut self, step: StepId, outcome: Outcome) {
        self.begun.insert(step, Some(outcome));
    }

    /// Whether every step has ended.
    pub fn is_finished(&self) -> bool {
        self.plan.steps.iter().all(|step| self.outcome(step.id).is_some())
    }

    /// Whether steps were begun and have not ended.
    pub fn is_busy(&self) -> bool {
        self.begun.values().any(Option::is_none)
    }

    /// How a step ended, if it has.
    pub fn outcome(&self, step: StepId) -> Option<Outcome> {
        self.begun.get(&step).copied().flatten()
    }

    /// Gives up every step that has not begun, as after Ctrl-C.
    pub fn abandon(&mut self) {
        for step in &self.plan.steps {
            self.begun.entry(step.id).or_insert(Some(Outcome::Skipped));
        }
    }

    /// An empty reason stands for a step before this one that was not done.
    fn ready<'s>(
        &self,
        step: &Step,
        container: &impl Fn(&Subject) -> Option<Member<'s>>,
        warnings: &mut Vec<(StepId, String)>,
    ) -> Verdict {
        let before: Vec<_> = step.after.iter().map(|id| self.outcome(*id)).collect();
        if before.iter().flatten().any(|outcome| *outcome != Outcome::Done) {
            return Verdict::Failed(String::new());
        }
        if before.iter().any(Option::is_none) {
            return Verdict::Wait;
        }
        let mut found = Vec::new();
        for gate in &step.gates {
            match self.ask(gate, container) {
                Verdict::Failed(reason) if !gate.required => found.push((step.id, reason)),
                Verdict::Open => {}
                other => return other,
            }
        }
        warnings.append(&mut found);
        Verdict::Open
    }

    fn ask<'s>(&self, gate: &Gate, container: &impl Fn(&Subject) -> Option<Member<'s>>) -> Verdict {
        let starts: Vec<_> = gate.started_by.iter().map(|id| self.outcome(*id)).collect();
        if starts.iter().any(Option::is_none) {
            return Verdict::Wait;
        }
        if starts.iter().flatten().any(|outcome| *outcome != Outcome::Done) {
            return Verdict::Failed(format!(
                "dependency failed to start: service {}",
                gate.service
            ));
        }
        let members: Vec<Member<'_>> = gate.containers.iter().filter_map(container).collect();
        if members.len() < gate.containers.len() {
            return Verdict::Wait;
        }
        gate::check(&gate.service, gate.condition, &members)
    }
}

#[cfg(test)]
mod tests;
