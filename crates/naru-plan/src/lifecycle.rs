//! `stop`, `start` and `restart`: containers change what they do, and none is made or removed.

use std::collections::{BTreeMap, BTreeSet};

use naru_compose::project::{Dependency, Project};

use crate::observed::{Container, Observed};
use crate::stops::{Stops, graph, in_stop_order, subject};
use crate::{Action, Cause, Error, Fingerprint, Gate, Graph, Plan, StepId, Subject, hooks};

/// Plans to stop services (all when empty), dependents first, and nothing else.
///
/// # Errors
/// When a service is asked for that neither the file nor a container knows.
pub fn stop(
    project: Option<&Project>,
    observed: &Observed,
    services: &[String],
) -> Result<Plan, Error> {
    check_names(project, observed, services)?;
    let graph = graph(project, observed);
    let mut plan = Plan::default();
    let mut stops = Stops::new(&graph);
    // Hooks that are at work too: their service waits for them.
    let all = observed.containers.iter().filter(|container| !container.is_run());
    for container in in_stop_order(&graph, all) {
        if services.is_empty() || services.contains(&container.service) {
            stops.stop(&mut plan, container, Cause::Requested, &[]);
        }
    }
    Ok(plan)
}

/// Plans to start the existing containers of services (all when empty) and of what they depend on.
///
/// # Errors
/// When a service is asked for that neither the file nor a container knows, or that has no container; when `pre_start`
/// hooks have to run before, and what `create` has prepared for them was used up.
pub fn start(
    project: Option<&Project>,
    observed: &Observed,
    services: &[String],
) -> Result<Plan, Error> {
    check_names(project, observed, services)?;
    let has_container = |name: &&String| replicas(observed).any(|c| c.service == **name);
    if let Some(name) = services.iter().find(|name| !has_container(name)) {
        return Err(Error::NoContainer { name: name.clone() });
    }
    let graph = graph(project, observed);
    let selected = (!services.is_empty()).then(|| graph.with_dependencies(services));
    let is_meant = |name: &str| selected.as_ref().is_none_or(|names| names.contains(name));
    let mut hooks = BTreeMap::new();
    for service in hooked(project, observed).filter(|name| is_meant(name)) {
        let prepared = project.and_then(|project| hooks::prepared(project, observed, service));
        let missing = || Error::HooksBefore { service: service.to_owned() };
        hooks.insert(service, prepared.ok_or_else(missing)?);
    }
    let mut plan = Plan::default();
    let starts = Starts { project, observed, graph: &graph, hooks };
    starts.push(&mut plan, |container| {
        let is_selected = selected.as_ref().is_none_or(|names| names.contains(&container.service));
        (is_selected && !container.state.is_active()).then_some((Cause::Requested, None))
    });
    Ok(plan)
}

/// The services with `pre_start` hooks that have containers of which none runs: before one of them starts, the hooks run.
fn hooked<'a>(
    project: Option<&'a Project>,
    observed: &'a Observed,
) -> impl Iterator<Item = &'a str> {
    let services = project.into_iter().flat_map(|project| &project.services);
    let hooked = services.filter(|(_, service)| !service.pre_start.is_empty());
    hooked.map(|(name, _)| name.as_str()).filter(|name| {
        let mut own = replicas(observed).filter(|container| container.service == **name).peekable();
        own.peek().is_some() && own.all(|container| !container.state.is_active())
    })
}

/// Plans to restart services (all when empty), running or not, and the running containers of those that
/// depend on them with `restart: true`, directly or by way of others, unless `no_deps` says otherwise.
///
/// # Errors
/// When a service is asked for that neither the file nor a container knows.
pub fn restart_services(
    project: Option<&Project>,
    observed: &Observed,
    services: &[String],
    no_deps: bool,
) -> Result<Plan, Error> {
    check_names(project, observed, services)?;
    let graph = graph(project, observed);
    let starts = Starts { project, observed, graph: &graph, hooks: BTreeMap::new() };
    let mut causes: BTreeMap<&str, Cause> = BTreeMap::new();
    for container in replicas(observed) {
        if services.is_empty() || services.contains(&container.service) {
            causes.insert(&container.service, Cause::Requested);
        }
    }
    if !no_deps {
        // Dependencies first: who is restarted with one takes along who is restarted with it.
        for service in graph.order() {
            let of_service = replicas(observed).filter(|c| c.service == service);
            for container in of_service.filter(|c| c.state.is_active()) {
                let wanted = starts.dependencies(container).iter();
                let mut with = wanted.filter(|(_, d)| d.restart).map(|(name, _)| name);
                if let Some(with) = with.find(|name| causes.contains_key(name.as_str())) {
                    let cause = Cause::RestartsWith(with.clone());
                    causes.entry(&container.service).or_insert(cause);
                }
            }
        }
    }
    let mut plan = Plan::default();
    let mut stops = Stops::new(&graph);
    for container in in_stop_order(&graph, replicas(observed)) {
        if let Some(cause) = causes.get(container.service.as_str()) {
            stops.stop(&mut plan, container, cause.clone(), &[]);
        }
    }
    starts.push(&mut plan, |container| {
        let cause = causes.get(container.service.as_str())?;
        let stop = stops.of(container);
        (stop.is_some() || *cause == Cause::Requested).then(|| (cause.clone(), stop))
    });
    Ok(plan)
}

/// The services among `services` (all when empty) whose containers were made from another definition than
/// the file's, each with the keys that differ: only `up` applies those.
pub fn outdated(
    project: &Project,
    observed: &Observed,
    services: &[String],
) -> BTreeMap<String, Vec<String>> {
    let is_meant = |c: &&Container| services.is_empty() || services.contains(&c.service);
    let changes = replicas(observed).filter(is_meant).filter_map(|container| {
        let service = project.services.get(&container.service)?;
        let wanted = Fingerprint::of(project, service);
        let differs = wanted.hash != container.fingerprint.hash;
        differs.then(|| (container.service.clone(), container.fingerprint.changes(&wanted)))
    });
    changes.collect()
}

/// Refuses names that neither the file nor a container knows.
pub(crate) fn check_names(
    project: Option<&Project>,
    observed: &Observed,
    services: &[String],
) -> Result<(), Error> {
    let known: BTreeSet<&String> = observed
        .containers
        .iter()
        .map(|container| &container.service)
        .chain(project.into_iter().flat_map(|p| p.services.keys()))
        .collect();
    match services.iter().find(|name| !known.contains(name)) {
        Some(name) => Err(Error::NoSuchService { name: name.clone() }),
        None => Ok(()),
    }
}

/// All containers but one-offs.
pub(crate) fn replicas(observed: &Observed) -> impl Iterator<Item = &Container> {
    observed.containers.iter().filter(|container| !container.one_off)
}

/// Where starts get their order and gates from.
pub(crate) struct Starts<'a> {
    pub(crate) project: Option<&'a Project>,
    pub(crate) observed: &'a Observed,
    pub(crate) graph: &'a Graph,
    /// Containers of hooks that run before their service starts, in their order.
    pub(crate) hooks: BTreeMap<&'a str, Vec<&'a Container>>,
}

impl<'a> Starts<'a> {
    /// What a container waits for: as the file says, or as recorded where the file is silent.
    fn dependencies(&self, container: &'a Container) -> &'a BTreeMap<String, Dependency> {
        let service = self.project.and_then(|p| p.services.get(&container.service));
        service.map_or(&container.depends_on, |service| &service.depends_on)
    }

    /// Adds a start for every container that `wants` gives a cause for, dependencies first.
    pub(crate) fn push(
        &self,
        plan: &mut Plan,
        wants: impl Fn(&Container) -> Option<(Cause, Option<StepId>)>,
    ) {
        let mut started: BTreeMap<&str, Vec<StepId>> = BTreeMap::new();
        let mut hooked: BTreeMap<&str, Option<StepId>> = BTreeMap::new();
        let mut sorted = in_stop_order(self.graph, replicas(self.observed));
        sorted.reverse();
        for container in sorted {
            let Some((cause, after)) = wants(container) else { continue };
            let gates = self.gates(container, &started);
            let name = container.service.as_str();
            let hooked = hooked.entry(name).or_insert_with(|| self.run_hooks(plan, name, &gates));
            let after = after.into_iter().chain(*hooked);
            let service = container.service.clone();
            let action = Action::StartContainer { service, container: subject(container) };
            let step = plan.push_gated(action, cause, after, gates);
            started.entry(&container.service).or_default().push(step);
        }
    }

    /// Runs what was prepared for a service's hooks, each when the one before it has succeeded; gives the step after the
    /// last.
    fn run_hooks(&self, plan: &mut Plan, service: &str, gates: &[Gate]) -> Option<StepId> {
        let mut done = None;
        let hooks = self.hooks.get(service).into_iter().flatten();
        for (index, hook) in hooks.enumerate() {
            let hook = subject(hook);
            let gates = if index == 0 { gates.to_vec() } else { Vec::new() };
            done = Some(plan.push_hook(service, (index, hook), done, gates));
        }
        done
    }

    fn gates(&self, container: &'a Container, started: &BTreeMap<&str, Vec<StepId>>) -> Vec<Gate> {
        let wanted = self.dependencies(container).iter();
        wanted
            .filter_map(|(name, dependency)| {
                let of_service = replicas(self.observed).filter(|c| c.service == *name);
                let containers: Vec<Subject> = of_service.map(subject).collect();
                (!containers.is_empty()).then(|| Gate {
                    service: name.clone(),
                    condition: dependency.condition,
                    required: dependency.required,
                    started_by: started.get(name.as_str()).cloned().unwrap_or_default(),
                    containers,
                })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests;
