//! Published ports: bound before anything is made, held by the keeper as well, served by the proxy.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};

use naru_compose::project::{self, Service};
use naru_net::ports::{self as bind, Bound, Publish};
use naru_net::proxy::Proxy;
use naru_state::ContainerId;
use naru_state::record::{Phase, Port};

use super::Supervisor;
use crate::keeper::link::ToKeeper;
use crate::protocol::{Cause, Failure};

/// The ports of the project.
#[derive(Debug)]
pub(super) struct Ports {
    proxy: Proxy,
    /// All that are bound, to be handed to another keeper; the proxy has duplicates.
    held: BTreeMap<Port, Bound>,
    /// Served by the proxy.
    served: BTreeMap<Port, SocketAddr>,
}

impl Ports {
    /// Starts the proxy's thread.
    pub(super) fn start() -> io::Result<Self> {
        Ok(Self {
            proxy: Proxy::start().map_err(io::Error::other)?,
            held: BTreeMap::new(),
            served: BTreeMap::new(),
        })
    }

    /// Sockets that the keeper held while there was no supervisor.
    pub(super) fn take_back(&mut self, port: Port, sockets: Vec<OwnedFd>) {
        match Bound::from_sockets(sockets) {
            Ok(bound) => drop(self.held.insert(port, bound)),
            Err(error) => tracing::error!(?port, %error, "a held port is of no use"),
        }
    }

    /// All that are bound.
    pub(super) fn held(&self) -> impl Iterator<Item = (&Port, &Bound)> {
        self.held.iter()
    }

    /// Ports that are published by translating addresses.
    pub(super) fn translated(&self) -> Vec<naru_net::firewall::Published> {
        Vec::new()
    }

    fn has(&self, port: &Port) -> bool {
        self.held.contains_key(port)
    }

    /// Serves a port: connections go to `target` from now on.
    pub(super) fn serve(&mut self, port: &Port, target: SocketAddr) {
        let Some(bound) = self.held.get(port) else { return };
        let served = match self.served.contains_key(port) {
            // Also to the same address: what the process before this one had accepted is gone with it.
            true => self.proxy.retarget(key(port), target).map_err(io::Error::other),
            false => bound.duplicate().and_then(|bound| {
                self.proxy.publish(key(port), bound, target).map_err(io::Error::other)
            }),
        };
        match served {
            Ok(()) => drop(self.served.insert(port.clone(), target)),
            Err(error) => tracing::error!(?port, %error, "a port is not served"),
        }
    }
}

fn key(port: &Port) -> String {
    format!("{}:{}/{}", port.host_ip, port.host_port, port.protocol)
}

impl Supervisor {
    /// Binds what the next replica of a service publishes. Of a range the lowest free port is taken.
    ///
    /// `reusable` are ports of a container that this one replaces: it keeps them.
    pub(super) fn bind_ports(
        &mut self,
        name: &str,
        service: &Service,
        reusable: &[Port],
    ) -> Result<Vec<Port>, Box<Failure>> {
        let mut ports = Vec::new();
        for (index, wanted) in service.ports.iter().enumerate() {
            match self.bind_port(wanted, reusable, &ports) {
                Ok(port) => ports.push(port),
                Err(failure) => {
                    self.release_unused_ports(&ports);
                    let failure = failure.at(format!("services.{name}.ports.{index}"));
                    return Err(Box::new(failure.because(Cause::Conflict)));
                }
            }
        }
        Ok(ports)
    }

    fn bind_port(
        &mut self,
        wanted: &project::Port,
        reusable: &[Port],
        own: &[Port],
    ) -> Result<Port, Failure> {
        let (first, last) = range(wanted)?;
        let fits = |port: &&Port| {
            port.host_ip == wanted.host_ip
                && port.container_port == wanted.target
                && port.protocol == wanted.protocol.to_string()
                && (first == 0 || (first..=last).contains(&port.host_port))
                && !own.contains(port)
        };
        if let Some(kept) = reusable.iter().find(fits)
            && self.ports.has(kept)
        {
            return Ok(kept.clone());
        }
        // A random port of the replaced container is asked for again; if it has gone, any other will do.
        let kept = reusable.iter().find(fits).map(|port| port.host_port);
        let mut refused = None;
        for host_port in kept.into_iter().chain(first..=last) {
            match self.bind_one(wanted, host_port) {
                Ok(port) => return Ok(port),
                Err(failure) => refused = refused.or(Some(failure)),
            }
        }
        Err(refused.unwrap_or_default())
    }

    fn bind_one(&mut self, wanted: &project::Port, host_port: u16) -> Result<Port, Failure> {
        let host_ip = match wanted.host_ip.as_str() {
            "" => None,
            text => Some(text.parse::<IpAddr>().map_err(|_| Failure {
                message: format!("{text} is not an IP address"),
                ..Failure::default()
            })?),
        };
        let protocol = match wanted.protocol {
            project::Protocol::Tcp => bind::Protocol::Tcp,
            project::Protocol::Udp => bind::Protocol::Udp,
            project::Protocol::Sctp => {
                let message = "SCTP ports cannot be published".to_owned();
                return Err(Failure { message, ..Failure::default() });
            }
        };
        let publish = Publish { host_ip, host_port, protocol };
        let bound = bind::bind(&publish)
            .map_err(|error| in_use_hint(Failure::from_error(&error), &error))?;
        let port = Port {
            host_ip: wanted.host_ip.clone(),
            host_port: bound.port(),
            container_port: wanted.target,
            protocol: wanted.protocol.to_string(),
        };
        let sockets: Vec<_> = bound.sockets().iter().map(AsFd::as_fd).collect();
        if let Err(error) = self.link.send(&ToKeeper::Hold(port.clone()), &sockets) {
            // The next one is handed them with everything else.
            tracing::warn!(%error, "the keeper could not take a port's sockets");
        }
        self.ports.held.insert(port.clone(), bound);
        Ok(port)
    }

    /// Binds a container's recorded ports again where they were let go of.
    pub(super) fn rebind_ports(&mut self, id: &ContainerId) -> Result<(), Box<Failure>> {
        let Some(live) = self.containers.get(id) else { return Ok(()) };
        let (service, ports) = (live.record.service.clone(), live.record.ports.clone());
        for (index, port) in ports.iter().enumerate().filter(|(_, port)| !port.host_port.eq(&0)) {
            if self.ports.has(port) {
                continue;
            }
            let wanted = project::Port {
                host_ip: port.host_ip.clone(),
                target: port.container_port,
                protocol: port.protocol.parse().unwrap_or_default(),
                ..project::Port::default()
            };
            self.bind_one(&wanted, port.host_port).map_err(|failure| {
                Box::new(failure.at(format!("services.{service}.ports.{index}")))
            })?;
        }
        Ok(())
    }

    /// Lets go of ports.
    pub(super) fn release_ports(&mut self, ports: &[Port]) {
        for port in ports {
            if self.ports.served.remove(port).is_some()
                && let Err(error) = self.ports.proxy.withdraw(key(port))
            {
                tracing::error!(?port, %error, "a port is still served");
            }
            self.ports.held.remove(port);
            // A keeper that is gone holds nothing.
            let _released = self.link.send(&ToKeeper::Release(port.clone()), &[]);
        }
    }

    /// Lets go of what the keeper held and no container runs or is about to run with.
    pub(super) fn release_left_ports(&mut self) {
        let wants = |live: &super::container::Live, port: &Port| {
            let runs = live.running.is_some() || live.state.phase == Phase::Restarting;
            runs && live.record.ports.contains(port)
        };
        let is_left = |port: &&Port| !self.containers.values().any(|live| wants(live, port));
        let left: Vec<_> = self.ports.held.keys().filter(is_left).cloned().collect();
        self.release_ports(&left);
    }

    /// Lets go of those of these ports that no container has.
    pub(super) fn release_unused_ports(&mut self, ports: &[Port]) {
        let used =
            |port: &Port| self.containers.values().any(|live| live.record.ports.contains(port));
        let unused: Vec<_> = ports.iter().filter(|port| !used(port)).cloned().collect();
        self.release_ports(&unused);
    }
}

/// The host ports to choose from; `0..=0` for any.
fn range(wanted: &project::Port) -> Result<(u16, u16), Failure> {
    let Some(text) = wanted.published.as_deref().filter(|text| !text.is_empty()) else {
        return Ok((0, 0));
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (first.parse(), last.parse()) {
        (Ok(first), Ok(last)) if first <= last => Ok((first, last)),
        _ => {
            let message = format!("{text} is neither a port nor a range of ports");
            Err(Failure { message, ..Failure::default() })
        }
    }
}

fn in_use_hint(failure: Failure, error: &bind::Error) -> Failure {
    match error {
        bind::Error::InUse { .. } => {
            failure.hint("publish another port, or stop what holds this one".to_owned())
        }
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published(text: &str) -> project::Port {
        project::Port { published: Some(text.to_owned()), ..project::Port::default() }
    }

    #[test]
    fn a_published_port_is_one_a_range_or_any() {
        assert_eq!(range(&published("80")).unwrap(), (80, 80));
        assert_eq!(range(&published("8000-8010")).unwrap(), (8000, 8010));
        assert_eq!(range(&project::Port::default()).unwrap(), (0, 0));
        assert!(range(&published("9-8")).is_err());
        assert!(range(&published("http")).is_err());
    }
}
