//! The steps of `up` up to the point where every container exists under its name.

use std::collections::BTreeMap;

use super::decide::Decision;
use super::resources::Changes;
use super::selection::Selection;
use crate::hooks;
use crate::observed::Container;
use crate::stops::{Stops, in_stop_order, subject};
use crate::{Action, Cause, OneOff, Plan, Replaced, StepId, Subject};

/// The plan while its steps are written down.
#[derive(Debug)]
pub(crate) struct Emitter<'p, 'a> {
    pub(crate) selection: &'p Selection<'a>,
    pub(crate) plan: &'p mut Plan,
    pub(crate) stops: Stops<'p>,

    /// The step that makes a network or volume, by kind and full name.
    pub(crate) ready: BTreeMap<(Kind, String), StepId>,
    /// The step that removes a container, by its id.
    pub(crate) removed: BTreeMap<String, StepId>,
    /// The step that gives an existing container its real name, by its id.
    pub(crate) renamed: BTreeMap<String, StepId>,
    /// New containers, in the order of their creation.
    pub(crate) units: Vec<Unit<'a>>,
    /// Containers for `pre_start` hooks, in their order.
    pub(crate) hooks: BTreeMap<&'a str, Vec<Subject>>,
}

/// What a container may have to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Network,
    Volume,
}

/// A new container on its way.
#[derive(Debug)]
pub(crate) struct Unit<'a> {
    pub(crate) service: &'a str,
    /// Its real name.
    pub(crate) name: String,
    /// The step that creates it.
    pub(crate) created_by: StepId,
    /// The container it replaces.
    replaces: Option<&'a Container>,
    /// The step after which it can start: its creation, or its renaming.
    pub(crate) settled: StepId,
}

impl<'a> Emitter<'_, 'a> {
    /// Stops what uses networks and volumes that are made anew; users of such volumes go altogether.
    pub(crate) fn stop_for_resources(
        &mut self,
        decisions: &BTreeMap<&'a str, Decision<'a>>,
        changes: &Changes,
    ) {
        let leaving = decisions.values().flat_map(|decision| {
            let recreated = decision.recreate.iter().map(|(c, _)| *c);
            recreated.chain(decision.remove.iter().map(|(c, _)| *c))
        });
        for container in in_stop_order(self.stops.graph(), leaving) {
            let volume = changes.volume_under(container).cloned().map(Cause::VolumeChanged);
            let network = changes.network_under(container).cloned().map(Cause::NetworkChanged);
            let needs_removal = volume.is_some();
            let Some(cause) = volume.or(network) else { continue };
            self.stops.stop(self.plan, container, cause.clone(), &[]);
            if needs_removal {
                self.remove(container, cause);
            }
        }
    }

    /// Removes superfluous containers that do not run: nothing is lost, and their names may be needed.
    pub(crate) fn remove_idle(&mut self, decisions: &BTreeMap<&'a str, Decision<'a>>) {
        let superfluous = decisions.values().flat_map(|decision| decision.remove.clone());
        for (container, cause) in superfluous.filter(|(c, _)| !c.state.is_active()) {
            self.remove(container, cause);
        }
    }

    /// Stops and removes orphans, if that was asked for.
    pub(crate) fn orphans(&mut self) {
        if !self.selection.options.remove_orphans {
            return;
        }
        for container in in_stop_order(self.stops.graph(), self.selection.orphans()) {
            self.stops.stop(self.plan, container, Cause::Orphan, &[]);
            self.remove(container, Cause::Orphan);
        }
    }

    /// Makes networks and volumes, and makes anew those that have changed.
    pub(crate) fn resources(&mut self, changes: &Changes) {
        for (key, (old, name)) in &changes.changed_networks {
            let stops: Vec<StepId> = self
                .users(|c| c.networks.contains(old))
                .filter_map(|c| self.removed.get(&c.id).copied().or_else(|| self.stops.of(c)))
                .collect();
            let cause = Cause::NetworkChanged(old.clone());
            let gone =
                self.plan.push(Action::RemoveNetwork { name: old.clone() }, cause.clone(), stops);
            self.make(Kind::Network, (key, name), cause, Some(gone));
        }
        for (key, name) in &changes.changed_volumes {
            let removals: Vec<StepId> = self
                .users(|c| c.volumes.values().any(|used| used == name))
                .filter_map(|c| self.removed.get(&c.id).copied())
                .collect();
            let cause = Cause::VolumeChanged(name.clone());
            let gone = self.plan.push(
                Action::RemoveVolume { name: name.clone() },
                cause.clone(),
                removals,
            );
            self.make(Kind::Volume, (key, name), cause, Some(gone));
        }
        for (key, name) in &changes.new_networks {
            self.make(Kind::Network, (key, name), Cause::Missing, None);
        }
        for (key, name) in &changes.new_volumes {
            self.make(Kind::Volume, (key, name), Cause::Missing, None);
        }
    }

    fn make(&mut self, kind: Kind, (key, name): (&str, &str), cause: Cause, after: Option<StepId>) {
        let (key, name) = (key.to_owned(), name.to_owned());
        let action = match kind {
            Kind::Network => Action::CreateNetwork { key, name: name.clone() },
            Kind::Volume => Action::CreateVolume { key, name: name.clone() },
        };
        let step = self.plan.push(action, cause, after);
        self.ready.insert((kind, name), step);
    }

    fn users(&self, uses: impl Fn(&Container) -> bool) -> impl Iterator<Item = &'a Container> {
        self.selection.observed.containers.iter().filter(move |c| uses(c))
    }

    /// Prepares all new containers, dependencies first.
    pub(crate) fn create(&mut self, decisions: &BTreeMap<&'a str, Decision<'a>>) {
        for &service in &self.selection.services {
            let decision = &decisions[service];
            for (old, cause) in &decision.recreate {
                self.create_one(service, old.number, cause.clone(), Some(old));
            }
            for &number in &decision.create {
                self.create_one(service, number, Cause::Missing, None);
            }
            if !self.hooks.contains_key(service) && Self::has_hooks(decision) {
                self.create_hooks(service);
            }
        }
        self.create_one_off();
    }

    /// Whether the service's `pre_start` hooks run: when it starts, and no replica of it runs meanwhile.
    fn has_hooks(decision: &Decision<'a>) -> bool {
        let stays_up = |container: &&Container| {
            container.state.is_active() && decision.restarts_with.is_none()
        };
        let starts = !decision.create.is_empty()
            || !decision.recreate.is_empty()
            || decision.keep.iter().any(|container| !stays_up(container));
        starts && !decision.keep.iter().any(stays_up)
    }

    /// Prepares a container for each `pre_start` hook; they share the volumes of the first replica.
    fn create_hooks(&mut self, service: &'a str) {
        for hook in 0..self.selection.service(service).pre_start.len() {
            let name = hooks::name(self.selection.project, service, hook);
            let units = self.units.iter().filter(|unit| unit.service == service);
            let replicas: Vec<StepId> = units.map(|unit| unit.created_by).collect();
            let needs = self.needs(service, &name).into_iter().chain(replicas);
            let action = Action::CreateContainer {
                service: service.to_owned(),
                number: 0,
                name: name.clone(),
                replaces: None,
                hook: u32::try_from(hook).ok(),
            };
            let created_by = self.plan.push(action, Cause::PreStart, needs);
            self.hooks.entry(service).or_default().push(Subject::New { created_by, name });
        }
    }

    /// Keeps the containers that were prepared for hooks of services whose containers stay. Takes away what hooks of the
    /// selected services have left otherwise: one that failed, or was interrupted.
    pub(crate) fn remove_hooks(&mut self, decisions: &BTreeMap<&'a str, Decision<'a>>) {
        for (&service, decision) in decisions {
            let stays = decision.create.is_empty() && decision.recreate.is_empty();
            let observed = self.selection.observed;
            let prepared = hooks::prepared(self.selection.project, observed, service);
            let prepared = prepared.filter(|all| !all.is_empty() && stays);
            if let Some(prepared) = prepared.filter(|_| Self::has_hooks(decision)) {
                self.hooks.insert(service, prepared.into_iter().map(subject).collect());
            }
        }
        let is_left = |c: &&&Container| {
            c.hook
                && self.selection.has_replicas(&c.service)
                && !self.hooks.contains_key(c.service.as_str())
        };
        let left: Vec<&Container> =
            self.selection.observed.containers.iter().filter(|c| is_left(&c)).collect();
        for container in in_stop_order(self.stops.graph(), left) {
            self.stops.stop(self.plan, container, Cause::LeftOver, &[]);
            self.remove(container, Cause::LeftOver);
        }
    }

    /// Prepares the container that `run` asks for.
    fn create_one_off(&mut self) {
        let Some(OneOff { service, name, .. }) = &self.selection.options.one_off else { return };
        let action = Action::CreateContainer {
            service: service.clone(),
            number: 0,
            name: name.clone(),
            replaces: None,
            hook: None,
        };
        let needs = self.needs(service, name);
        let created_by = self.plan.push(action, Cause::Requested, needs);
        let name = name.clone();
        self.units.push(Unit { service, name, created_by, replaces: None, settled: created_by });
    }

    fn create_one(
        &mut self,
        service: &'a str,
        number: u32,
        cause: Cause,
        old: Option<&'a Container>,
    ) {
        let name = self.name(service, number);
        let old = old.filter(|old| !self.removed.contains_key(&old.id));
        let after = self.needs(service, &name);
        let action = Action::CreateContainer {
            service: service.to_owned(),
            number,
            name: old.map_or_else(|| name.clone(), |old| format!("{}_{name}", old.short_id())),
            replaces: old.map(|old| Replaced {
                id: old.id.clone(),
                name: old.name.clone(),
                inherit_anonymous_volumes: !self.selection.options.renew_anon_volumes,
            }),
            hook: None,
        };
        let created_by = self.plan.push(action, cause, after);
        self.units.push(Unit { service, name, created_by, replaces: old, settled: created_by });
    }

    /// Steps that come before the creation of a container of this service and name.
    fn needs(&self, service: &str, name: &str) -> Vec<StepId> {
        let project = self.selection.project;
        let networks = self.selection.networks(service).filter_map(|key| project.networks.get(key));
        let volumes = self.selection.volumes(service).filter_map(|key| project.volumes.get(key));
        let made = networks
            .map(|network| (Kind::Network, network.name.clone()))
            .chain(volumes.map(|volume| (Kind::Volume, volume.name.clone())))
            .filter_map(|key| self.ready.get(&key).copied());
        let same_name =
            self.users(|c| c.name == name).filter_map(|c| self.removed.get(&c.id).copied());
        let shared = self.selection.shares_with(service);
        let providers = self.units.iter().filter(|unit| shared.contains(unit.service));
        made.chain(same_name).chain(providers.map(|unit| unit.created_by)).collect()
    }

    /// Stops and removes what is replaced or superfluous, dependents first; the new ones get their names.
    pub(crate) fn replace(&mut self, decisions: &BTreeMap<&'a str, Decision<'a>>) {
        let mut leaving: Vec<(&Container, Cause, Vec<StepId>)> = Vec::new();
        for unit in &self.units {
            if let Some(old) = unit.replaces {
                leaving.push((old, Cause::Replaced, vec![unit.created_by]));
            }
        }
        for decision in decisions.values() {
            leaving
                .extend(decision.remove.iter().map(|(c, cause)| (*c, cause.clone(), Vec::new())));
            if let Some(with) =
                decision.restarts_with.as_ref().filter(|_| self.selection.options.start)
            {
                let prepared: Vec<StepId> = self
                    .units
                    .iter()
                    .filter(|unit| unit.service == with)
                    .map(|unit| unit.created_by)
                    .collect();
                let cause = Cause::RestartsWith(with.clone());
                leaving.extend(decision.keep.iter().map(|c| (*c, cause.clone(), prepared.clone())));
            }
        }
        for container in in_stop_order(self.stops.graph(), leaving.iter().map(|(c, ..)| *c)) {
            let Some((_, cause, after)) = leaving.iter().find(|(c, ..)| c.id == container.id)
            else {
                continue;
            };
            self.stops.stop(self.plan, container, cause.clone(), after);
        }
        for (container, cause, _) in leaving {
            match cause {
                Cause::Replaced => self.take_over(container),
                Cause::ScaledDown | Cause::LeftOver => self.remove(container, cause),
                _ => {}
            }
        }
        for decision in decisions.values() {
            for container in &decision.keep {
                self.finish_replacement(container);
            }
        }
    }

    /// Gives a container its real name that an interrupted `up` has left with a temporary one.
    fn finish_replacement(&mut self, container: &'a Container) {
        let name = self.name(&container.service, container.number);
        if container.name == name {
            return;
        }
        let holder = self.users(|c| c.name == name).find_map(|c| self.removed.get(&c.id).copied());
        let action = Action::RenameContainer {
            service: container.service.clone(),
            container: subject(container),
            to: name,
        };
        let step = self.plan.push(action, Cause::Replaced, holder);
        self.renamed.insert(container.id.clone(), step);
    }

    /// Removes the old container and gives the new one its name.
    fn take_over(&mut self, old: &'a Container) {
        let is_its = |unit: &&mut Unit<'_>| unit.replaces.is_some_and(|r| r.id == old.id);
        let Some(unit) = self.units.iter_mut().find(is_its) else { return };
        let renew = self.selection.options.renew_anon_volumes;
        let after = [Some(unit.created_by), self.stops.of(old)];
        let action = Action::RemoveContainer {
            service: unit.service.to_owned(),
            container: subject(old),
            anonymous_volumes: renew,
        };
        let removed = self.plan.push(action, Cause::Replaced, after.into_iter().flatten());
        let action = Action::RenameContainer {
            service: unit.service.to_owned(),
            container: Subject::New {
                created_by: unit.created_by,
                name: format!("{}_{}", old.short_id(), unit.name),
            },
            to: unit.name.clone(),
        };
        unit.settled = self.plan.push(action, Cause::Replaced, [unit.created_by, removed]);
        self.removed.insert(old.id.clone(), removed);
    }

    fn remove(&mut self, container: &'a Container, cause: Cause) {
        if self.removed.contains_key(&container.id) {
            return;
        }
        let action = Action::RemoveContainer {
            service: container.service.clone(),
            container: subject(container),
            anonymous_volumes: matches!(cause, Cause::VolumeChanged(_)),
        };
        let step = self.plan.push(action, cause, self.stops.of(container));
        self.removed.insert(container.id.clone(), step);
    }

    pub(crate) fn name(&self, service: &str, number: u32) -> String {
        let fixed = &self.selection.service(service).container_name;
        if fixed.is_empty() {
            let project = &self.selection.project;
            let between = project.separator();
            format!("{}{between}{service}{between}{number}", project.name)
        } else {
            fixed.clone()
        }
    }
}
