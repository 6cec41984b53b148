//! Networks: made, joined by containers, deleted.
//!
//! A network is a bridge of its own ([`bridge`]), or it is made of links on an interface of the host ([`parent`]). What
//! containers have of it is made by [`attach()`](attach).

mod attach;
mod bridge;
mod error;
mod harden;
mod links;
mod parent;
mod setting;
#[cfg(test)]
pub(crate) mod tests;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::BorrowedFd;

use ipnetwork::{IpNetwork, Ipv4Network};

use crate::guard::Senders;
use crate::netlink::upper::Upper;
use crate::netlink::{link, route};
use crate::{MacAddress, pool};

pub use attach::{
    attach, detach, detach_inside, has_interface, loopback_up, rejoin, restore_guard,
    set_default_routes,
};
pub(crate) use attach::{attach_inside, host_socket, loopback_up_inside};
pub use error::Error;
pub use links::{addresses_of, delete_group, links_of_group, listed, wait_unlisted};

/// A network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Id of the network, for messages.
    pub id: String,
    /// What it is made of.
    pub kind: Kind,
    /// Name of the bridge interface, see [`crate::names::bridge`]; of links on a parent, that of the parent.
    pub bridge: String,
    /// Group of all links of the project; see [`crate::names::group`].
    pub group: u32,
    /// All addresses of the network, those of IPv4 first.
    pub subnets: Vec<Subnet>,
    /// Containers of an internal network get no default route, and nothing is forwarded for them.
    pub internal: bool,
    /// Largest packet; the kernel's default when absent.
    pub mtu: Option<u32>,
    /// What interfaces inside containers are called before their number.
    pub interface_prefix: String,
    /// Containers reach the host and what is beyond it, but not each other.
    pub isolated: bool,
}

/// What a network is made of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Kind {
    /// A bridge on the host, with a pair of links for each container.
    #[default]
    Bridge,
    /// One link for each container, on this parent.
    Upper(Upper, Parent),
}

/// What the links of a network stand on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parent {
    /// An interface of the host. One that is missing and is called `INTERFACE.ID` is a VLAN that is made, and deleted
    /// with the network.
    OfHost,
    /// One end of a pair, made for the network, that nobody listens at: only its containers are there.
    Own,
}

/// Addresses of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subnet {
    /// All of them.
    pub network: IpNetwork,
    /// The bridge's own address among them, which is the containers' way out.
    pub gateway: Option<IpAddr>,
}

impl Subnet {
    /// A subnet whose gateway is its first address.
    pub fn new(network: IpNetwork) -> Self {
        Self { network, gateway: Some(pool::gateway(network)) }
    }
}

/// A container's end of a network.
#[derive(Debug, Clone, Copy)]
pub struct Endpoint<'a> {
    /// Interface name inside the container, `eth0` for the first.
    pub interface: &'a str,
    /// Addresses, each with the length of its subnet's prefix.
    pub addresses: &'a [IpNetwork],
    /// Hardware address; see [`MacAddress::of`].
    pub mac: MacAddress,
    /// Where packets to everywhere else go; nothing where this network is not the way out.
    pub routes: DefaultRoutes,
    /// Kernel parameters of the interface, as paths below `/proc/sys` with their values.
    pub parameters: &'a [(String, String)],
    /// In whose name it may send, by a network that has a bridge.
    pub senders: &'a Senders,
    /// Name of the host's end; see [`crate::names::host_side`].
    pub host_side: &'a str,
    /// The container's network namespace.
    pub netns: BorrowedFd<'a>,
}

/// The ways out of a container through one of its networks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DefaultRoutes {
    /// The gateway of IPv4.
    pub v4: Option<Ipv4Addr>,
    /// The gateway of IPv6.
    pub v6: Option<Ipv6Addr>,
    /// There are no gateways: whether there is a way out is all that the addresses say, and packets leave by the link.
    pub is_routed: bool,
}

impl Network {
    /// The first subnet of IPv4.
    pub fn subnet_v4(&self) -> Option<Ipv4Network> {
        self.subnets.iter().find_map(|subnet| match subnet.network {
            IpNetwork::V4(network) => Some(network),
            IpNetwork::V6(_) => None,
        })
    }

    /// The first gateway of IPv4.
    pub fn gateway_v4(&self) -> Option<Ipv4Addr> {
        self.subnets.iter().find_map(|subnet| match subnet.gateway {
            Some(IpAddr::V4(gateway)) => Some(gateway),
            _ => None,
        })
    }

    /// The first gateway of IPv6.
    pub fn gateway_v6(&self) -> Option<Ipv6Addr> {
        self.subnets.iter().find_map(|subnet| match subnet.gateway {
            Some(IpAddr::V6(gateway)) => Some(gateway),
            _ => None,
        })
    }

    /// Whether packets leave by the link, not by a gateway.
    pub fn is_routed(&self) -> bool {
        matches!(self.kind, Kind::Upper(upper, _) if upper.is_routed())
    }

    /// Whether it has addresses of IPv6.
    pub fn has_ipv6(&self) -> bool {
        self.subnets.iter().any(|subnet| subnet.network.is_ipv6())
    }

    /// The ways out through it: none when it is internal.
    pub fn routes(&self) -> DefaultRoutes {
        match self.internal {
            true => DefaultRoutes::default(),
            false => DefaultRoutes {
                v4: self.gateway_v4(),
                v6: self.gateway_v6(),
                is_routed: self.is_routed(),
            },
        }
    }

    /// An address of the network with the length of its subnet's prefix; that of a single address where it is of no
    /// subnet.
    pub fn interface_address(&self, address: IpAddr) -> IpNetwork {
        let subnet = self.subnets.iter().find(|subnet| subnet.network.contains(address));
        subnet.map_or_else(|| address.into(), |subnet| with_prefix(address, subnet.network))
    }
}

impl DefaultRoutes {
    /// The way of each protocol that has one.
    fn ways(self) -> impl Iterator<Item = route::Way> {
        let gateways = self.v4.map(IpAddr::V4).into_iter().chain(self.v6.map(IpAddr::V6));
        gateways.map(move |gateway| match self.is_routed {
            false => route::Way::Gateway(gateway),
            true => route::Way::Link { is_v6: gateway.is_ipv6() },
        })
    }
}

/// Makes what a network stands on: its bridge with its addresses, up; or its parent, where that is not there already.
///
/// # Errors
/// When any step fails, or the kernel has no such links; what was made is then deleted again.
pub fn create(network: &Network) -> Result<(), Error> {
    match network.kind {
        Kind::Bridge => bridge::create(network),
        Kind::Upper(upper, own) => parent::create(network, upper, own),
    }
}

/// Makes what is missing of a network: all of it after a restart of the machine, its address and its being up when
/// whoever made it was killed on the way.
///
/// # Errors
/// When any step fails.
pub fn restore(network: &Network) -> Result<(), Error> {
    match network.kind {
        Kind::Bridge => bridge::restore(network),
        Kind::Upper(upper, own) => parent::create(network, upper, own),
    }
}

/// Those of some networks of which [`restore`] would make something.
///
/// # Errors
/// When the kernel does not list its links.
pub fn incomplete(mut networks: Vec<Network>) -> Result<Vec<Network>, Error> {
    let links = links::listed()?;
    networks.retain(|network| {
        let is_it = |link: &&crate::Link| link.name == network.bridge;
        let is_whole = |link: &crate::Link| match network.kind {
            Kind::Upper(_, Parent::OfHost) => true,
            Kind::Bridge | Kind::Upper(_, Parent::Own) => link.up && link.group == network.group,
        };
        !links.iter().find(is_it).is_some_and(is_whole)
    });
    Ok(networks)
}

/// Deletes what was made for a network, not an interface that was there before; that it is gone already is no error.
/// This waits for the kernel (about 30 ms); a whole project goes faster by [`delete_group`].
///
/// # Errors
/// When the kernel refuses.
pub fn remove(network: &Network) -> Result<(), Error> {
    links::delete_own(&network.bridge, network.group)
}

/// Links of networks without IPv6 give themselves no address of it.
fn link_local(has_ipv6: bool) -> link::LinkLocal {
    if has_ipv6 { link::LinkLocal::OfHardwareAddress } else { link::LinkLocal::None }
}

fn with_prefix(address: IpAddr, subnet: IpNetwork) -> IpNetwork {
    IpNetwork::new(address, subnet.prefix()).unwrap_or_else(|_| address.into())
}

impl Endpoint<'_> {
    fn has_ipv6(&self) -> bool {
        self.addresses.iter().any(IpNetwork::is_ipv6)
    }
}
