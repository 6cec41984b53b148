//! The three networks that are there without being made: `bridge`, `host` and `none`, as with Docker.
//!
//! `host` and `none` are another way to write `network_mode`. `bridge` is one network for all projects that use it: its
//! bridge and its record are made for the first of them and go with the last. Containers know those of other projects
//! there by their addresses only.

use naru_compose::project::{Attachment, Network, NetworkMode, Project, Service};
use naru_state::record::{self, Driver};
use naru_state::{Directories, ProjectName, atomic};

use super::{choose_alone, describe, shared};
use crate::protocol::{Cause, Failure, Request};

/// Their names, those of their drivers, and what they are made of.
const ALL: [(&str, Driver); 3] =
    [(BRIDGE, Driver::Bridge), ("host", Driver::Host), ("none", Driver::None)];

/// The one that is a network of its own.
pub const BRIDGE: &str = "bridge";

/// Whether a network is one of them.
pub fn is_one(name: &str) -> bool {
    ALL.iter().any(|(own, _)| *own == name)
}

/// Those that no record tells of, as records.
pub(super) fn unrecorded(
    directories: &Directories,
    recorded: &[record::Network],
) -> impl Iterator<Item = record::Network> {
    let is_recorded = |name: &str| recorded.iter().any(|record| record.name == name);
    let missing: Vec<_> = ALL.iter().filter(|(name, _)| !is_recorded(name)).collect();
    missing.into_iter().map(move |(name, driver)| record::Network {
        name: (*name).to_owned(),
        id: id(directories, name),
        driver: *driver,
        ..record::Network::default()
    })
}

/// The same at all times: nobody makes it.
fn id(directories: &Directories, name: &str) -> String {
    let name = format!("{} {name}", directories.root_id());
    naru_plan::hash::network(&Network { name, ..Network::default() })
}

/// Makes the network `bridge` where this project is the first in it, and leaves the project's name there.
///
/// # Errors
/// When no subnet is free, or the kernel refuses.
pub(crate) fn enter_bridge(
    directories: &Directories,
    project: &ProjectName,
) -> Result<record::Network, Failure> {
    let failed = |error: &dyn std::error::Error| Failure::from_error(error);
    let _alone = choose_alone(directories).map_err(|error| failed(&error))?;
    let unowned = shared::unowned(directories).map_err(|error| failed(&error))?;
    let found = unowned.into_iter().find(|record| record.name == BRIDGE);
    let record = match found {
        Some(record) => record,
        None => {
            let model = Network { name: BRIDGE.to_owned(), ..Network::default() };
            let made = describe(directories, None, &model).map_err(|wrong| failed(&wrong))?;
            let record = record::Network { id: id(directories, BRIDGE), ..made };
            shared::record(directories, &record).map_err(|error| failed(&error))?;
            record
        }
    };
    let known = shared::Known { record, project: None };
    shared::restore(directories, &known)?;
    shared::enter(directories, &known, project).map_err(|error| failed(&error))?;
    Ok(known.record)
}

/// Takes a project's name from the network `bridge`, and the network away when it was the last.
pub(super) fn leave_bridge(directories: &Directories, leave: impl FnOnce()) {
    let alone = choose_alone(directories);
    leave();
    if !shared::using(directories, BRIDGE).is_empty() {
        return;
    }
    let path = directories.network(BRIDGE).join("network.json");
    let recorded: Option<record::SharedNetwork> = atomic::load(&path).ok().flatten();
    let Some(record) = recorded.map(|recorded| recorded.network) else { return };
    let known = shared::Known { record, project: None };
    if let Err(failure) = shared::remove(directories, &known) {
        tracing::warn!(error = failure.message, "the network bridge is left");
    }
    drop(alone);
}

/// Writes what a request says of these networks as the rest of naru knows it: `host` and `none` as a service's
/// `network_mode`, and other networks in `network_mode` as networks of others.
///
/// # Errors
/// When a service is in one of those two and in another network besides, or has options there.
pub(crate) fn settle(request: &mut Request) -> Result<(), Box<Failure>> {
    match request {
        Request::Up(up) => settle_project(&mut up.project),
        Request::Run(run) => {
            settle_service(&mut run.up.project, &run.service, &mut run.definition)?;
            settle_project(&mut run.up.project)
        }
        Request::DryRun(request) => settle(request),
        _ => Ok(()),
    }
}

fn settle_project(project: &mut Project) -> Result<(), Box<Failure>> {
    let mut services = std::mem::take(&mut project.services);
    let mut all = services.iter_mut();
    let settled = all.try_for_each(|(name, service)| settle_service(project, name, service));
    project.services = services;
    settled
}

fn settle_service(
    project: &mut Project,
    name: &str,
    service: &mut Service,
) -> Result<(), Box<Failure>> {
    let other = match &service.network_mode {
        None => return settle_networks(project, name, service),
        Some(NetworkMode::Bridge) => BRIDGE.to_owned(),
        Some(NetworkMode::Other(other)) if other == "default" => BRIDGE.to_owned(),
        Some(NetworkMode::Other(other)) => other.clone(),
        Some(_) => return Ok(()),
    };
    // No key of a file begins so.
    let key = format!(":{other}");
    service.network_mode = None;
    service.networks = [(key.clone(), None)].into_iter().collect();
    let network = Network { name: other, external: true, ..Network::default() };
    project.networks.insert(key, network);
    Ok(())
}

/// `host` and `none` among a service's networks.
fn settle_networks(
    project: &Project,
    name: &str,
    service: &mut Service,
) -> Result<(), Box<Failure>> {
    let mode = |key: &String| {
        let network = project.networks.get(key).filter(|network| network.external)?;
        match network.name.as_str() {
            "host" => Some(NetworkMode::Host),
            "none" => Some(NetworkMode::None),
            _ => None,
        }
    };
    let mut networks = service.networks.iter();
    let found = networks.find_map(|(key, place)| Some((key, place, mode(key)?)));
    let Some((key, place, mode)) = found else { return Ok(()) };
    let refuse = |message: String| {
        let failure = Failure { message, ..Failure::default() }.because(Cause::Config);
        Err(Box::new(failure.at(format!("services.{name}.networks.{key}"))))
    };
    if service.networks.len() > 1 {
        return refuse(format!("a container in network {mode} can be in no other"));
    }
    if place.as_deref().is_some_and(|place| *place != Attachment::default()) {
        return refuse(format!("a place in network {mode} has no options"));
    }
    service.networks.clear();
    service.network_mode = Some(mode);
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn settled(service: Value) -> Result<(Service, Project), String> {
        let networks = json!({
            "lan": {"external": true, "name": "host"},
            "off": {"external": true, "name": "none"},
            "own": {"name": "host"},
        });
        let mut project: Project =
            serde_json::from_value(json!({"services": {"a": service}, "networks": networks}))
                .unwrap();
        match settle_project(&mut project) {
            Ok(()) => Ok((project.services["a"].clone(), project)),
            Err(failure) => Err(format!("{}: {}", failure.key.unwrap(), failure.message)),
        }
    }

    #[test]
    fn external_networks_called_host_and_none_are_network_modes() {
        let mode = |service: Value| {
            let (service, _) = settled(service).unwrap();
            assert!(service.networks.is_empty());
            service.network_mode.map(|mode| mode.to_string())
        };
        assert_eq!(mode(json!({"networks": {"lan": null}})).as_deref(), Some("host"));
        assert_eq!(mode(json!({"networks": {"off": null}})).as_deref(), Some("none"));
        let (own, _) = settled(json!({"networks": {"own": null}})).unwrap();
        assert!(own.network_mode.is_none() && own.networks.contains_key("own"));
        let both = settled(json!({"networks": {"lan": null, "own": null}})).unwrap_err();
        let text = "services.a.networks.lan: a container in network host can be in no other";
        assert_eq!(both, text);
        let place = settled(json!({"networks": {"off": {"aliases": ["x"]}}})).unwrap_err();
        assert_eq!(place, "services.a.networks.off: a place in network none has no options");
    }

    #[test]
    fn another_network_in_network_mode_is_one_of_others() {
        for (mode, name) in [("bridge", "bridge"), ("default", "bridge"), ("proxy", "proxy")] {
            let (service, project) = settled(json!({"network_mode": mode})).unwrap();
            assert!(service.network_mode.is_none());
            let key = format!(":{name}");
            assert!(service.networks.contains_key(&key), "{service:?}");
            assert!(project.networks[&key].external && project.networks[&key].name == name);
        }
    }
}
