//! Which addresses are in use on this host, so that no network is laid over them.

use std::fmt;
use std::path::Path;

use fs_err as fs;
use ipnetwork::IpNetwork;
use serde_json::Value;

use crate::dns::resolv;
use crate::netlink::{Refused, Socket, address, link, route};

/// A route this short is the way to everything, not to a place: the default route, and the halves
/// of it by which VPNs take its place.
const SHORTEST_PLACE: u8 = 8;
/// The same for IPv6, where 2000::/3 is everything.
const SHORTEST_PLACE_V6: u8 = 16;

/// Everything a new subnet has to keep clear of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Occupied {
    /// All uses, each with the addresses it takes.
    pub uses: Vec<(IpNetwork, Use)>,
}

/// What takes some addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Use {
    /// A route, through this interface if it names one.
    Route {
        /// The interface.
        interface: Option<String>,
    },
    /// The address of an interface.
    Address {
        /// The interface.
        interface: String,
    },
    /// A name server of the host.
    Resolver,
    /// A network of another project that has no link at the moment.
    Recorded,
    /// A network of another engine that may have no link at the moment.
    Engine {
        /// The file that says so.
        file: String,
    },
}

impl Use {
    fn interface(&self) -> Option<&str> {
        match self {
            Self::Route { interface } => interface.as_deref(),
            Self::Address { interface } => Some(interface),
            Self::Resolver | Self::Recorded | Self::Engine { .. } => None,
        }
    }
}

/// The first use that a subnet overlaps.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Conflict {
    /// Addresses in use.
    pub network: IpNetwork,
    /// By what.
    pub by: Use,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let network = self.network;
        match &self.by {
            Use::Route { interface: Some(interface) } => {
                write!(f, "the route to {network} through interface {interface}")
            }
            Use::Route { interface: None } => write!(f, "the route to {network}"),
            Use::Address { interface } => {
                write!(f, "the address {network} of interface {interface}")
            }
            Use::Resolver => write!(f, "the name server {}", network.ip()),
            Use::Recorded => write!(f, "the network {network} of another project"),
            Use::Engine { file } => write!(f, "the network {network} that {file} tells of"),
        }
    }
}

impl Occupied {
    /// The first use that overlaps with `subnet`. What hangs on the interface `own` does not count,
    /// so that a network can be checked again when it already exists.
    pub fn conflict(&self, subnet: IpNetwork, own: Option<&str>) -> Option<Conflict> {
        self.uses
            .iter()
            .filter(|(_, by)| own.is_none() || by.interface() != own)
            .find(|(network, _)| overlap(*network, subnet))
            .map(|(network, by)| Conflict { network: *network, by: by.clone() })
    }
}

fn overlap(one: IpNetwork, other: IpNetwork) -> bool {
    one.contains(other.network()) || other.contains(one.network())
}

/// The host's routes and addresses could not be listed.
#[derive(Debug, thiserror::Error)]
#[error("cannot list the {what} of the host")]
pub struct Error {
    what: &'static str,
    source: Refused,
}

/// Reads all routes, link addresses and name servers of the host, and what other engines have written down, and adds
/// the subnets that other projects have recorded.
///
/// # Errors
/// When the kernel does not list them.
pub fn occupied(recorded: &[IpNetwork]) -> Result<Occupied, Error> {
    let mut socket = Socket::new();
    let failed = |what| move |source| Error { what, source };
    let links = link::list(&mut socket).map_err(failed("network interfaces"))?;
    let name_of =
        |index| links.iter().find(|link| link.index == index).map(|link| link.name.clone());

    let mut uses = Vec::new();
    for (index, network) in address::list(&mut socket).map_err(failed("addresses"))? {
        let is_of_every_link =
            matches!(network, IpNetwork::V6(network) if network.ip().is_unicast_link_local());
        if !is_of_every_link {
            let interface = name_of(index).unwrap_or_default();
            uses.push((network, Use::Address { interface }));
        }
    }
    for (index, network) in route::list(&mut socket).map_err(failed("routes"))? {
        let shortest = if network.is_ipv4() { SHORTEST_PLACE } else { SHORTEST_PLACE_V6 };
        if network.prefix() >= shortest {
            uses.push((network, Use::Route { interface: index.and_then(name_of) }));
        }
    }
    let servers = resolv::Config::read(resolv::HOST_FILE).unwrap_or_default().servers;
    uses.extend(servers.into_iter().map(|server| (server.address.into(), Use::Resolver)));
    uses.extend(of_engines(Path::new("/")));
    uses.extend(recorded.iter().map(|network| (*network, Use::Recorded)));
    Ok(Occupied { uses })
}

/// Folders where podman (netavark and CNI) keeps one file for each network.
const NETWORKS: [&str; 4] = [
    "etc/containers/networks",
    "var/lib/containers/storage/networks",
    "run/containers/networks",
    "etc/cni/net.d",
];

/// Docker's settings, with the addresses of `docker0`.
const DOCKER: &str = "etc/docker/daemon.json";

/// The networks that other engines will use as soon as they need them. Docker's own have a link and a route while Docker
/// runs. What cannot be read says nothing.
fn of_engines(root: &Path) -> Vec<(IpNetwork, Use)> {
    let folders = NETWORKS.iter().filter_map(|folder| fs::read_dir(root.join(folder)).ok());
    let files = folders.flatten().filter_map(Result::ok).map(|entry| entry.path());
    let mut uses = Vec::new();
    for path in files.chain([root.join(DOCKER)]) {
        let value = fs::read(&path).ok().and_then(|text| serde_json::from_slice(&text).ok());
        let Some(value): Option<Value> = value else { continue };
        let mut subnets = Vec::new();
        subnets_of(&value, &mut subnets);
        let file = path.display().to_string();
        uses.extend(subnets.into_iter().map(|subnet| (subnet, Use::Engine { file: file.clone() })));
    }
    uses
}

/// Every `subnet` of a file of podman's, wherever it stands, and the `bip` of Docker's.
fn subnets_of(value: &Value, found: &mut Vec<IpNetwork>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| subnets_of(value, found)),
        Value::Object(entries) => {
            for (key, value) in entries {
                match value {
                    Value::String(text) if matches!(key.as_str(), "subnet" | "bip" | "bip6") => {
                        found.extend(text.parse::<IpNetwork>());
                    }
                    value => subnets_of(value, found),
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_that_podman_and_docker_have_written_down_are_in_use() {
        let root = std::env::temp_dir().join(format!("naru-engines-{}", std::process::id()));
        let write = |path: &str, text: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write(
            "etc/containers/networks/shop.json",
            r#"{"name": "shop", "subnets": [{"subnet": "10.213.7.0/24", "gateway": "10.213.7.1"}]}"#,
        );
        write(
            "etc/cni/net.d/87-podman.conflist",
            r#"{"plugins": [{"ipam": {"ranges": [[{"subnet": "10.214.0.0/16"}]]}}]}"#,
        );
        write("etc/cni/net.d/broken", "no");
        write(DOCKER, r#"{"bip": "192.168.161.1/24", "default-address-pools": []}"#);
        let mut found: Vec<_> =
            of_engines(&root).into_iter().map(|(network, _)| network.to_string()).collect();
        fs::remove_dir_all(&root).unwrap();
        found.sort();
        assert_eq!(found, ["10.213.7.0/24", "10.214.0.0/16", "192.168.161.1/24"]);
    }
}
