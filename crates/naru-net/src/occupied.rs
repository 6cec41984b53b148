//! Which addresses are in use on this host, so that no network is laid over them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use ipnetwork::{IpNetwork, Ipv4Network};

use crate::dns::resolv;
use crate::netlink::{Refused, Socket, address, link, route};

/// A route this short is the way to everything, not to a place: the default route, and the halves
/// of it by which VPNs take its place.
const SHORTEST_PLACE: u8 = 8;

/// Everything a new subnet has to keep clear of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Occupied {
    /// All uses, each with the addresses it takes.
    pub uses: Vec<(Ipv4Network, Use)>,
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
}

impl Use {
    fn interface(&self) -> Option<&str> {
        match self {
            Self::Route { interface } => interface.as_deref(),
            Self::Address { interface } => Some(interface),
            Self::Resolver | Self::Recorded => None,
        }
    }
}

/// The first use that a subnet overlaps.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Conflict {
    /// Addresses in use.
    pub network: Ipv4Network,
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
        }
    }
}

impl Occupied {
    /// The first use that overlaps with `subnet`. What hangs on the interface `own` does not count,
    /// so that a network can be checked again when it already exists.
    pub fn conflict(&self, subnet: Ipv4Network, own: Option<&str>) -> Option<Conflict> {
        self.uses
            .iter()
            .filter(|(_, by)| own.is_none() || by.interface() != own)
            .find(|(network, _)| network.overlaps(subnet))
            .map(|(network, by)| Conflict { network: *network, by: by.clone() })
    }
}

/// The host's routes and addresses could not be listed.
#[derive(Debug, thiserror::Error)]
#[error("cannot list the {what} of the host")]
pub struct Error {
    what: &'static str,
    source: Refused,
}

/// Reads all routes, link addresses and name servers of the host, and adds the subnets that other
/// projects have recorded.
///
/// # Errors
/// When the kernel does not list them.
pub fn occupied(recorded: &[Ipv4Network]) -> Result<Occupied, Error> {
    let mut socket = Socket::new();
    let failed = |what| move |source| Error { what, source };
    let links = link::list(&mut socket).map_err(failed("network interfaces"))?;
    let name_of =
        |index| links.iter().find(|link| link.index == index).map(|link| link.name.clone());

    let mut uses = Vec::new();
    for (index, network) in address::list(&mut socket).map_err(failed("addresses"))? {
        let IpNetwork::V4(network) = network else { continue };
        let interface = name_of(index).unwrap_or_default();
        uses.push((network, Use::Address { interface }));
    }
    for (index, network) in route::list(&mut socket).map_err(failed("routes"))? {
        if network.prefix() >= SHORTEST_PLACE {
            uses.push((network, Use::Route { interface: index.and_then(name_of) }));
        }
    }
    let servers = resolv::Config::read(resolv::HOST_FILE).unwrap_or_default().servers;
    uses.extend(servers.into_iter().filter_map(|server| match server {
        IpAddr::V4(server) => Some((single(server), Use::Resolver)),
        IpAddr::V6(_) => None,
    }));
    uses.extend(recorded.iter().map(|network| (*network, Use::Recorded)));
    Ok(Occupied { uses })
}

fn single(address: Ipv4Addr) -> Ipv4Network {
    Ipv4Network::from(address)
}
