//! Addresses of links.

use ipnetwork::IpNetwork;
use netlink_bindings::rt_addr::{IfaFlags, Ifaddrmsg, Request};

use super::{INET, INET6, Refused, Socket};

/// Gives a link an address; `network` holds the address and the length of its prefix. One of IPv6 is usable at once:
/// nobody is asked whether he has it already.
pub(crate) fn add(socket: &mut Socket, index: u32, network: IpNetwork) -> Result<(), Refused> {
    let header = Ifaddrmsg {
        ifa_family: if network.is_ipv6() { INET6 } else { INET },
        ifa_prefixlen: network.prefix(),
        ifa_index: index,
        ..Default::default()
    };
    let address = network.ip();
    let mut request = Request::new().set_create().set_excl().op_newaddr_do(&header);
    let attributes = request.encode().push_local(address).push_address(address);
    match network {
        IpNetwork::V4(network) if network.prefix() < 31 => {
            drop(attributes.push_broadcast(network.broadcast()));
        }
        IpNetwork::V4(_) => drop(attributes),
        IpNetwork::V6(_) => drop(attributes.push_flags(IfaFlags::Nodad as u32)),
    }
    socket.acknowledged(&request)
}

/// All addresses with their prefix and the index of their link.
pub(crate) fn list(socket: &mut Socket) -> Result<Vec<(u32, IpNetwork)>, Refused> {
    let mut found = Vec::new();
    socket.replies(
        &Request::new().op_getaddr_dump(&Ifaddrmsg::default()),
        |(header, attributes)| {
            // For a point-to-point link the address is the other end, which is what its prefix is about.
            let address = attributes.get_address().or_else(|_| attributes.get_local());
            let Ok(address) = address else { return };
            if let Ok(network) = IpNetwork::new(address, header.ifa_prefixlen) {
                found.push((header.ifa_index, network));
            }
        },
    )?;
    Ok(found)
}
