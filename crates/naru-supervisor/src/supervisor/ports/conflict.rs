//! Who has a port that was asked for, in words.

use naru_net::ports::{Error, Holder, Publish};
use naru_state::record::{self, Phase, Port};
use naru_state::{ProjectName, atomic};

use super::super::Supervisor;
use crate::observe;
use crate::protocol::Failure;
use crate::role::Role;

/// Who holds a port, when that is naru.
#[derive(Debug, PartialEq, Eq)]
struct Owner {
    project: ProjectName,
    /// The project's folder.
    folder: String,
    service: Option<String>,
}

impl Supervisor {
    /// A refusal to bind, with the holder by the name that a user knows it by.
    pub(super) fn refused(&self, wanted: &Publish, error: &Error) -> Failure {
        let Error::InUse { address, protocol, holder } = error else {
            return Failure::from_error(error);
        };
        let own = self.own_holder(wanted);
        let owner = || holder.as_ref().and_then(|holder| owner(holder, wanted.host_port));
        let (message, way) = match (own, owner()) {
            (Some(service), _) => (
                format!("{protocol} port {address} is published by service {service} already"),
                "publish another port for one of the two".to_owned(),
            ),
            (None, Some(Owner { project, folder, service })) => {
                let service = service.map(|it| format!(", service {it}")).unwrap_or_default();
                let pid = holder.as_ref().map(|it| it.pid).unwrap_or_default();
                let way = format!(
                    "`naru -p {project} stop` lets go of it, if nobody needs that project now"
                );
                let by = format!("by naru project {project} ({folder}){service}, process {pid}");
                (format!("{protocol} port {address} is in use {by}"), way)
            }
            (None, None) => {
                (error.to_string(), "stop what holds this one, or publish another".to_owned())
            }
        };
        let auto = "`--ports auto` gives every published port of the project a free one";
        Failure { message, ..Failure::default() }.hint(way).hint(auto.to_owned())
    }

    /// Whether a port is in use by naru only, for a container that has ended: it is free in a moment.
    pub(super) fn is_being_let_go(&self, wanted: &Publish, error: &Error) -> bool {
        let Error::InUse { address, protocol, .. } = error else { return false };
        if self.own_holder(wanted).is_some() {
            return false;
        }
        if self.ports.was_let_go(wanted) {
            return true;
        }
        let holder = naru_net::ports::holder_of(*address, *protocol);
        let owner = holder.as_ref().and_then(|holder| owner(holder, wanted.host_port));
        owner.is_some_and(|owner| owner.service.is_none())
    }

    /// The service of this project that holds a port.
    fn own_holder(&self, wanted: &Publish) -> Option<String> {
        let clashes = |(_, held): &(&Port, &super::Held)| held.bound.clashes(wanted);
        let (port, held) = self.ports.held.iter().find(clashes)?;
        let of_container = self.containers.values().find(|live| live.record.ports.contains(port));
        Some(of_container.map_or_else(|| held.service.clone(), |live| live.record.service.clone()))
    }
}

/// The project of a naru process, and the service that has this port.
fn owner(holder: &Holder, host_port: u16) -> Option<Owner> {
    let (_program, arguments) = holder.arguments.split_first()?;
    let arguments: Vec<String> =
        arguments.iter().filter(|part| !part.is_empty()).cloned().collect();
    let (_, role) = Role::parse(&arguments)?;
    let own = role.directories.project(&role.project);
    let project = atomic::load::<record::Project>(&own.project_file()).ok().flatten();
    let folder =
        project.map_or_else(|| "its folder is not known".to_owned(), |it| it.working_directory);
    let containers = observe::containers(&own).unwrap_or_default();
    let has = |seen: &&observe::Seen| {
        let comes_back = matches!(seen.state.phase, Phase::Running | Phase::Restarting);
        comes_back && seen.record.ports.iter().any(|port| port.host_port == host_port)
    };
    let service = containers.iter().find(has).map(|seen| seen.record.service.clone());
    Some(Owner { project: role.project, folder, service })
}
