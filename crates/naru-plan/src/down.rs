//! `down`: stop and remove, dependents first, then what is no longer used.

use std::collections::BTreeSet;

use naru_compose::project::Project;

use crate::observed::{Container, Observed};
use crate::stops::{Stops, in_stop_order, subject};
use crate::{Action, Cause, Error, Notice, Plan, StepId};

/// What `down` was asked to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DownOptions {
    /// The services to take down, with everything that depends on them; the whole project when empty.
    pub services: Vec<String>,
    /// Remove named and anonymous volumes too.
    pub volumes: bool,
    /// Remove containers of services that are not in the file, and one-offs.
    pub remove_orphans: bool,
}

/// Plans to take a project down. Without a file, every service that has containers is part of it.
///
/// # Errors
/// When a service is asked for that neither the file nor a container knows.
pub fn down(
    project: Option<&Project>,
    observed: &Observed,
    options: &DownOptions,
) -> Result<Plan, Error> {
    let graph = crate::stops::graph(project, observed);
    crate::lifecycle::check_names(project, observed, &options.services)?;
    let services = (!options.services.is_empty()).then(|| graph.with_dependents(&options.services));
    let goes = |c: &&Container| {
        let is_known = |p: &Project| {
            p.services.contains_key(&c.service) || p.disabled_services.contains_key(&c.service)
        };
        let is_orphan = c.is_run() || !project.is_none_or(is_known);
        let is_asked = services.as_ref().is_none_or(|services| services.contains(&c.service));
        if is_orphan { options.remove_orphans } else { is_asked }
    };
    let (going, staying): (Vec<&Container>, Vec<&Container>) =
        observed.containers.iter().partition(goes);

    let mut plan = Plan::default();
    let mut stops = Stops::new(&graph);
    let sorted = in_stop_order(&graph, going.iter().copied());
    for container in &sorted {
        stops.stop(&mut plan, container, Cause::Requested, &[]);
    }
    let mut removals: Vec<(&Container, StepId)> = Vec::new();
    for container in &sorted {
        let action = Action::RemoveContainer {
            service: container.service.clone(),
            container: subject(container),
            anonymous_volumes: options.volumes,
        };
        let step = plan.push(action, Cause::Requested, stops.of(container));
        removals.push((container, step));
    }
    let whole = options.services.is_empty();
    networks(&mut plan, observed, (&going, &staying), &stops, whole);
    if options.volumes {
        volumes(&mut plan, observed, &removals, &staying, whole);
    }
    if plan.is_empty() && plan.notices.is_empty() {
        plan.notices.push(Notice::NothingToRemove { project: observed.project.clone() });
    }
    Ok(plan)
}

/// Removes the networks that nobody uses any more, as soon as their containers have stopped: nothing of
/// a network is needed to remove a container. With services named, only what those used is looked at.
fn networks(
    plan: &mut Plan,
    observed: &Observed,
    (going, staying): (&[&Container], &[&Container]),
    stops: &Stops<'_>,
    whole: bool,
) {
    for network in &observed.networks {
        let name = &network.name;
        let users: Vec<&&Container> = going.iter().filter(|c| c.networks.contains(name)).collect();
        if !whole && users.is_empty() {
            continue;
        }
        // Nobody starts a container again that `run` made: one that has ended needs no network.
        let is_done = |c: &Container| c.is_run() && !c.state.is_active();
        let stays = |c: &&Container| c.networks.contains(name) && !is_done(c);
        if network.is_used_by_others || staying.iter().any(stays) {
            if whole {
                plan.notices.push(Notice::NetworkInUse { name: name.clone() });
            }
            continue;
        }
        let after: BTreeSet<StepId> = users.into_iter().filter_map(|c| stops.of(c)).collect();
        plan.push(Action::RemoveNetwork { name: name.clone() }, Cause::Requested, after);
    }
}

/// Removes the named volumes that nobody uses any more, once the containers that used them are gone.
fn volumes(
    plan: &mut Plan,
    observed: &Observed,
    removals: &[(&Container, StepId)],
    staying: &[&Container],
    whole: bool,
) {
    for volume in &observed.volumes {
        let name = &volume.name;
        let uses = |c: &Container| c.volumes.values().any(|used| used == name);
        let after: Vec<StepId> =
            removals.iter().filter(|(c, _)| uses(c)).map(|(_, step)| *step).collect();
        if !whole && after.is_empty() {
            continue;
        }
        if staying.iter().any(|c| uses(c)) {
            plan.notices.push(Notice::VolumeInUse { name: name.clone() });
            continue;
        }
        plan.push(Action::RemoveVolume { name: name.clone() }, Cause::Requested, after);
    }
}

#[cfg(test)]
mod tests;
