//! The bridge of a network.

use nix::libc;

use super::setting::set_parameter;
use super::{Error, Network, harden, link_local, with_prefix};
use crate::MacAddress;
use crate::netlink::link::NewBridge;
use crate::netlink::{Refused, Socket, address, link};

/// Makes the bridge of a network, with its address, and brings it up.
///
/// # Errors
/// When any step fails; the bridge is then deleted again.
pub(super) fn create(network: &Network) -> Result<(), Error> {
    let mut socket = Socket::new();
    let refused = |source| refused(network, source);
    link::create_bridge(&mut socket, &new_bridge(network)).map_err(refused)?;
    set_up_bridge(&mut socket, network, refused).inspect_err(|_| {
        // The first error is the one to tell; what is left carries the project's group.
        drop(link::delete(&mut socket, &network.bridge));
    })
}

/// Makes what is missing of it. A link of the same name that is not naru's is an error.
///
/// # Errors
/// When any step fails.
pub(super) fn restore(network: &Network) -> Result<(), Error> {
    let mut socket = Socket::new();
    let refused = |source| refused(network, source);
    let made = link::create_bridge(&mut socket, &new_bridge(network));
    let is_own = |socket: &mut Socket| {
        let there = link::state(socket, &network.bridge)?;
        Ok(there.is_some_and(|state| state.group == network.group))
    };
    if made.is_ok() || is_own(&mut socket).map_err(refused)? {
        existing(made).map_err(refused)?;
    } else {
        made.map_err(refused)?;
    }
    set_up_bridge(&mut socket, network, refused)
}

fn new_bridge(network: &Network) -> NewBridge<'_> {
    NewBridge {
        name: &network.bridge,
        group: network.group,
        // A fixed address: else the bridge takes that of its first port and changes it later.
        mac: MacAddress::of_first(network.subnets.iter().filter_map(|subnet| subnet.gateway)),
        mtu: network.mtu,
    }
}

pub(super) fn refused(network: &Network, source: Refused) -> Error {
    Error::Create { network: network.id.clone(), bridge: network.bridge.clone(), source }
}

/// That it is there already is as good.
fn existing(made: Result<(), Refused>) -> Result<(), Refused> {
    made.or_else(|refused| match refused.errno() {
        Some(libc::EEXIST) => Ok(()),
        _ => Err(refused),
    })
}

fn set_up_bridge(
    socket: &mut Socket,
    network: &Network,
    refused: impl Fn(Refused) -> Error,
) -> Result<(), Error> {
    let bridge = &network.bridge;
    let parameter = |name: &str, value: &str| {
        let path = format!("net/ipv6/conf/{bridge}/{name}");
        set_parameter(bridge, &path, value).map(drop)
    };
    // No router of the network is ever believed, and the gateway's address is usable at once.
    parameter("accept_ra", "0")?;
    parameter("accept_dad", "0")?;
    harden::bridge(bridge, network.internal)?;
    parameter("disable_ipv6", if network.has_ipv6() { "0" } else { "1" })?;
    let index = bridge_index(socket, network)?;
    for subnet in &network.subnets {
        let Some(gateway) = subnet.gateway else { continue };
        let own = with_prefix(gateway, subnet.network);
        existing(address::add(socket, index, own)).map_err(&refused)?;
    }
    // Last: a bridge that is up is a whole one.
    link::set_up(socket, &network.bridge, link_local(network.has_ipv6())).map_err(&refused)
}

pub(super) fn bridge_index(socket: &mut Socket, network: &Network) -> Result<u32, Error> {
    link::index_of(socket, &network.bridge).map_err(Error::List)?.ok_or_else(|| Error::NoBridge {
        network: network.id.clone(),
        bridge: network.bridge.clone(),
    })
}
