//! The last steps of `up`: every container that does not run is started once its gates open.

use std::collections::BTreeMap;

use super::containers::Emitter;
use super::decide::Decision;
use crate::{Action, Cause, Gate, StepId, Subject};

/// The containers of one service when everything is done, and the steps that start them.
#[derive(Debug, Default)]
struct Running {
    containers: Vec<Subject>,
    started_by: Vec<StepId>,
}

impl<'a> Emitter<'_, 'a> {
    /// Starts what does not run, dependencies first.
    pub(crate) fn start(&mut self, decisions: &BTreeMap<&'a str, Decision<'a>>) {
        let mut running = BTreeMap::<&str, Running>::new();
        for &service in &self.selection.services {
            let gates = self.gates(service, &running);
            let cleared = self.cleared(&decisions[service]);
            let mut now = Running::default();
            let all = self.to_run(service, &decisions[service]);
            let settled = all.iter().flat_map(|(.., after)| after).flatten();
            let before: Vec<StepId> = settled.chain(&cleared).copied().collect();
            let hooked = self.run_hooks(service, &before, &gates);
            for (container, cause, after) in all {
                now.containers.push(container.clone());
                let Some(cause) = cause else { continue };
                let action = Action::StartContainer { service: service.to_owned(), container };
                let after =
                    after.into_iter().flatten().chain(cleared.iter().copied()).chain(hooked);
                now.started_by.push(self.plan.push_gated(action, cause, after, gates.clone()));
            }
            running.insert(service, now);
        }
    }

    /// Runs a service's `pre_start` hooks, each when the one before it has succeeded; gives the step after the last.
    fn run_hooks(&mut self, service: &str, before: &[StepId], gates: &[Gate]) -> Option<StepId> {
        let mut done = None;
        for (index, hook) in self.hooks.remove(service).into_iter().flatten().enumerate() {
            let created_by = match hook {
                Subject::New { created_by, .. } => Some(created_by),
                Subject::Existing { .. } => None,
            };
            let after = before.iter().copied().chain(created_by).chain(done);
            let gates = if index == 0 { gates.to_vec() } else { Vec::new() };
            done = Some(self.plan.push_hook(service, (index, hook), after, gates));
        }
        done
    }

    /// All containers of a service: why each is started (if it is), and the steps that must be done before.
    fn to_run(
        &self,
        service: &str,
        decision: &Decision<'a>,
    ) -> Vec<(Subject, Option<Cause>, [Option<StepId>; 2])> {
        let kept = decision.keep.iter().map(|container| {
            let stop = self.stops.of(container);
            let cause = match (&decision.restarts_with, stop) {
                (Some(with), Some(_)) => Some(Cause::RestartsWith(with.clone())),
                _ if container.state.is_active() => None,
                _ => Some(Cause::NotRunning),
            };
            let name = self.name(service, container.number);
            let subject = Subject::Existing { id: container.id.clone(), name };
            (subject, cause, [stop, self.renamed.get(&container.id).copied()])
        });
        let new = self.units.iter().filter(|unit| unit.service == service).map(|unit| {
            let name = unit.name.clone();
            let subject = Subject::New { created_by: unit.created_by, name };
            (subject, Some(Cause::New), [Some(unit.settled), None])
        });
        kept.chain(new).collect()
    }

    /// Stops after which ports that this service may want are free: those of orphans and of its own
    /// superfluous replicas.
    fn cleared(&self, decision: &Decision<'a>) -> Vec<StepId> {
        let orphans = if self.selection.options.remove_orphans {
            self.selection.orphans()
        } else {
            Vec::new()
        };
        let gone = orphans.into_iter().chain(decision.remove.iter().map(|(c, _)| *c));
        gone.filter_map(|container| self.stops.of(container)).collect()
    }

    fn gates(&self, service: &str, running: &BTreeMap<&str, Running>) -> Vec<Gate> {
        let wanted = &self.selection.service(service).depends_on;
        wanted
            .iter()
            .filter_map(|(name, dependency)| {
                let now = running.get(name.as_str()).filter(|now| !now.containers.is_empty())?;
                Some(Gate {
                    service: name.clone(),
                    condition: dependency.condition,
                    required: dependency.required,
                    started_by: now.started_by.clone(),
                    containers: now.containers.clone(),
                })
            })
            .collect()
    }
}
