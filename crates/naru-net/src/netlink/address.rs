//! IPv4 addresses of links.

use std::net::{IpAddr, Ipv4Addr};

use ipnetwork::Ipv4Network;
use netlink_bindings::rt_addr::{Ifaddrmsg, Request};

use super::{INET, Refused, Socket};

/// Gives a link its address; `network` holds the address and the length of its prefix.
pub(crate) fn add(socket: &mut Socket, index: u32, network: Ipv4Network) -> Result<(), Refused> {
    let header = Ifaddrmsg {
        ifa_family: INET,
        ifa_prefixlen: network.prefix(),
        ifa_index: index,
        ..Default::default()
    };
    let address = IpAddr::V4(network.ip());
    let mut request = Request::new().set_create().set_excl().op_newaddr_do(&header);
    let attributes = request.encode().push_local(address).push_address(address);
    if network.prefix() < 31 {
        drop(attributes.push_broadcast(network.broadcast()));
    } else {
        drop(attributes);
    }
    socket.acknowledged(&request)
}

/// All IPv4 addresses with their prefix and the index of their link.
pub(crate) fn list(socket: &mut Socket) -> Result<Vec<(u32, Ipv4Network)>, Refused> {
    let mut found = Vec::new();
    let header = Ifaddrmsg { ifa_family: INET, ..Default::default() };
    socket.replies(&Request::new().op_getaddr_dump(&header), |(header, attributes)| {
        // For a point-to-point link the address is the other end, which is what its prefix is about.
        let address = attributes.get_address().or_else(|_| attributes.get_local());
        let Ok(IpAddr::V4(address)) = address else { return };
        if let Some(network) = network(address, header.ifa_prefixlen) {
            found.push((header.ifa_index, network));
        }
    })?;
    Ok(found)
}

fn network(address: Ipv4Addr, prefix: u8) -> Option<Ipv4Network> {
    Ipv4Network::new(address, prefix).ok()
}
