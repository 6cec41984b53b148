//! What becomes of each container: it stays, is recreated, is removed, or is missing.

use std::collections::{BTreeMap, BTreeSet};

use super::resources::Changes;
use super::selection::Selection;
use crate::observed::Container;
use crate::{Cause, Fingerprint};

/// What becomes of the containers of one service.
#[derive(Debug, Default)]
pub(crate) struct Decision<'a> {
    pub(crate) keep: Vec<&'a Container>,
    pub(crate) recreate: Vec<(&'a Container, Cause)>,
    /// Superfluous ones: too many for the scale, or left over from an interrupted replacement.
    pub(crate) remove: Vec<(&'a Container, Cause)>,
    /// The numbers of the replicas to make.
    pub(crate) create: Vec<u32>,
    /// The dependency because of which the running ones that stay are restarted.
    pub(crate) restarts_with: Option<String>,
}

/// Decides about all selected services, dependencies first.
pub(crate) fn all<'a>(
    selection: &Selection<'a>,
    changes: &Changes,
) -> BTreeMap<&'a str, Decision<'a>> {
    let mut decisions = BTreeMap::<&str, Decision<'_>>::new();
    let mut recreated = BTreeSet::new();
    for &name in &selection.services {
        if !selection.has_replicas(name) {
            decisions.insert(name, Decision::default());
            continue;
        }
        let mut decision = one(selection, changes, name, &recreated);
        if !decision.recreate.is_empty() {
            recreated.insert(name);
        }
        let service = selection.service(name);
        decision.restarts_with = service
            .depends_on
            .iter()
            .find(|(dependency, wanted)| wanted.restart && recreated.contains(dependency.as_str()))
            .map(|(dependency, _)| dependency.clone());
        decisions.insert(name, decision);
    }
    decisions
}

fn one<'a>(
    selection: &Selection<'a>,
    changes: &Changes,
    name: &str,
    recreated: &BTreeSet<&str>,
) -> Decision<'a> {
    let fingerprint = Fingerprint::of(selection.project, selection.service(name));
    let mut existing: Vec<(&Container, Option<Cause>)> = selection
        .containers(name)
        .into_iter()
        .map(|c| (c, obsolete(selection, changes, c, &fingerprint, recreated)))
        .collect();
    let scale = usize::try_from(selection.scale(name)).unwrap_or(usize::MAX);
    let highest = existing.iter().map(|(c, _)| c.number).max().unwrap_or(0);

    // Scaling down takes the obsolete ones first, then the highest numbers. Of two with the same number,
    // which an interrupted replacement leaves behind, only one stays.
    existing.sort_by_key(|(c, cause)| (cause.is_some(), c.number, !c.state.is_active()));
    let mut numbers = BTreeSet::new();
    let (mut existing, doubles): (Vec<_>, Vec<_>) =
        existing.into_iter().partition(|(c, _)| numbers.insert(c.number));
    let surplus = existing.split_off(scale.min(existing.len()));
    existing.sort_by_key(|(c, _)| c.number);

    let mut decision = Decision::default();
    decision.remove.extend(doubles.into_iter().map(|(c, _)| (c, Cause::LeftOver)));
    decision.remove.extend(surplus.into_iter().map(|(c, _)| (c, Cause::ScaledDown)));
    let missing = u32::try_from(scale.saturating_sub(existing.len())).unwrap_or(u32::MAX);
    decision.create.extend((1..=missing).map(|n| highest.saturating_add(n)));
    for (container, cause) in existing {
        match cause {
            Some(cause) => decision.recreate.push((container, cause)),
            None => decision.keep.push(container),
        }
    }
    decision
}

/// Why a container has to be recreated, if it has to.
fn obsolete(
    selection: &Selection<'_>,
    changes: &Changes,
    container: &Container,
    fingerprint: &Fingerprint,
    recreated: &BTreeSet<&str>,
) -> Option<Cause> {
    let name = container.service.as_str();
    if selection.options.no_recreate {
        return None;
    }
    if selection.is_forced(name) {
        return Some(Cause::Forced);
    }
    if let Some(shared) = selection.shares_with(name).into_iter().find(|s| recreated.contains(s)) {
        return Some(Cause::SharesWith(shared.to_owned()));
    }
    if container.fingerprint.hash != fingerprint.hash {
        return Some(Cause::ConfigChanged(container.fingerprint.changes(fingerprint)));
    }
    let image = selection.options.images.get(name);
    if image.is_some_and(|image| image.id != container.image_id) {
        return Some(Cause::ImageChanged);
    }
    if let Some(network) = changes.network_under(container) {
        return Some(Cause::NetworkChanged(network.clone()));
    }
    if let Some(volume) = changes.volume_under(container) {
        return Some(Cause::VolumeChanged(volume.clone()));
    }
    unattached(selection, changes, container)
}

/// A network or volume that the file wants for a container and that it does not have.
fn unattached(
    selection: &Selection<'_>,
    changes: &Changes,
    container: &Container,
) -> Option<Cause> {
    let project = selection.project;
    let networks = selection.networks(&container.service).filter_map(|key| {
        project
            .networks
            .get(key)
            .map(|network| (changes.new_networks.contains_key(key), &network.name))
    });
    for (is_new, name) in networks {
        let is_attached = container.networks.contains(name) || changes.kept_networks.contains(name);
        if is_new || !is_attached {
            return Some(Cause::NetworkMissing(name.clone()));
        }
    }
    let volumes = selection.volumes(&container.service).filter_map(|key| {
        project.volumes.get(key).map(|volume| (changes.new_volumes.contains_key(key), &volume.name))
    });
    for (is_new, name) in volumes {
        if is_new || !container.volumes.values().any(|used| used == name) {
            return Some(Cause::VolumeMissing(name.clone()));
        }
    }
    None
}
