//! The network of another container: `network_mode: service:NAME` and `container:NAME`. Whoever joins has no
//! interfaces, names, ports and files of his own: host name, hosts and resolv.conf are those of the other, as in
//! Docker.

use std::os::fd::AsRawFd;
use std::path::PathBuf;

use fs_err as fs;
use naru_compose::project::{NetworkMode, Service};
use naru_state::record;

use super::Supervisor;
use crate::observe;
use crate::protocol::{Cause, Failure};
use crate::spec::MadeFiles;

/// The network of another container that runs.
#[derive(Debug)]
pub(super) struct Joined {
    netns: fs::File,
    /// The other's host name.
    pub(super) hostname: String,
    /// The other's files: what is changed in them is changed for both.
    pub(super) files: MadeFiles,
}

impl Joined {
    /// A path by which this process opens the namespace, whatever becomes of the other container.
    pub(super) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.netns.as_raw_fd()))
    }
}

impl Supervisor {
    /// The network that a service's container joins, if it does.
    pub(super) fn joined(&self, service: &Service) -> Result<Option<Joined>, Failure> {
        let (name, found) = match &service.network_mode {
            Some(NetworkMode::Service(name)) => (name, self.first_of(name)),
            Some(NetworkMode::Container(name)) => (name, self.container_of_anyone(name)?),
            _ => return Ok(None),
        };
        let failed = |message: String| Failure { message, ..Failure::default() };
        let (record, pid, run) = match found {
            Some((record, Some(pid), run)) => (record, pid, run),
            Some((record, None, _)) => {
                let name = record.name;
                return Err(failed(format!(
                    "cannot join network namespace of container {name}, which is not running"
                )));
            }
            None => return Err(failed(format!("No such container: {name}"))),
        };
        let netns = fs::File::open(format!("/proc/{pid}/ns/net"))
            .map_err(|error| Failure::from_error(&error))?;
        let files = MadeFiles {
            hosts: run.join("hosts"),
            hostname: run.join("hostname"),
            resolv_conf: run.join("resolv.conf"),
        };
        Ok(Some(Joined { netns, hostname: record.hostname, files }))
    }

    /// The first replica of a service: one that runs before one that does not.
    fn first_of(&self, service: &str) -> Option<Found> {
        let own = self.containers.values();
        let own = own.filter(|live| live.is_replica() && live.record.service == service);
        let first = own.min_by_key(|live| (live.running.is_none(), live.record.number))?;
        let pid = first.running.as_ref().map(|running| running.process.pid);
        Some((first.record.clone(), pid, self.own.container_run(&first.record.id)))
    }

    /// A container of any project, by its name or the beginning of its id.
    fn container_of_anyone(&self, name: &str) -> Result<Option<Found>, Failure> {
        let own = self.containers.values().find(|live| observe::is_called(&live.record, name));
        if let Some(live) = own {
            let pid = live.running.as_ref().map(|running| running.process.pid);
            return Ok(Some((live.record.clone(), pid, self.own.container_run(&live.record.id))));
        }
        let found = observe::find(&self.directories, name);
        let found = found.map_err(|error| Failure::from_error(&error))?;
        Ok(found.map(|(project, seen)| {
            let run = self.directories.project(&project).container_run(&seen.record.id);
            let pid = seen.state.process.as_ref().filter(|_| seen.is_running());
            let pid = pid.map(|process| process.pid);
            (seen.record, pid, run)
        }))
    }
}

/// A container, its first process if that runs, and its run directory.
type Found = (record::Container, Option<i32>, PathBuf);

/// What contradicts the network of another container, in Docker's words.
pub(super) fn check(name: &str, service: &Service) -> Result<(), Box<Failure>> {
    let joins =
        matches!(service.network_mode, Some(NetworkMode::Service(_) | NetworkMode::Container(_)));
    if !joins {
        return Ok(());
    }
    let has_dns = !service.dns.is_empty();
    let conflicts = [
        ("hostname", !service.hostname.is_empty(), "hostname and the network mode"),
        (
            "links",
            !service.links.is_empty(),
            "container type network can't be used with links. This would result in undefined behavior",
        ),
        ("dns", has_dns, "dns and the network mode"),
        (
            "extra_hosts",
            !service.extra_hosts.0.is_empty(),
            "custom host-to-IP mapping and the network mode",
        ),
        ("mac_address", !service.mac_address.is_empty(), "mac-address and the network mode"),
        ("ports", !service.ports.is_empty(), "port publishing and the container type network mode"),
        ("expose", !service.expose.is_empty(), "port exposing and the container type network mode"),
    ];
    match conflicts.into_iter().find(|(_, is_set, _)| *is_set) {
        None => Ok(()),
        Some((attribute, _, text)) => {
            let message = format!("conflicting options: {text}");
            let failure = Failure { message, ..Failure::default() }.because(Cause::Config);
            Err(Box::new(failure.at(format!("services.{name}.{attribute}"))))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(service: serde_json::Value) -> Option<(String, String)> {
        let service: Service = serde_json::from_value(service).unwrap();
        let failure = check("web", &service).err()?;
        Some((failure.key.unwrap(), failure.message))
    }

    #[test]
    fn what_a_container_cannot_have_of_its_own_in_anothers_network_is_refused_in_dockers_words() {
        let ports =
            json!([{"target": 80, "published": "80", "protocol": "tcp", "mode": "ingress"}]);
        let service = json!({"network_mode": "service:vpn", "ports": ports});
        let (key, message) = refused(service).unwrap();
        assert_eq!(key, "services.web.ports");
        let expected = "conflicting options: port publishing and the container type network mode";
        assert_eq!(message, expected);
        let service = json!({"network_mode": "container:vpn", "hostname": "a"});
        let (key, message) = refused(service).unwrap();
        assert_eq!(key, "services.web.hostname");
        assert_eq!(message, "conflicting options: hostname and the network mode");
        assert_eq!(refused(json!({"network_mode": "host", "ports": ports})), None);
        assert_eq!(refused(json!({"network_mode": "service:vpn"})), None);
    }
}
