//! Routes: the default routes of a container, and every route of the host.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::IpNetwork;
use netlink_bindings::rt_route::{Request, Rtmsg};
use nix::libc;

use super::{INET, INET6, Refused, Socket};

/// Where packets to everywhere else go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// To this neighbour.
    Gateway(IpAddr),
    /// Out by the link, whoever takes them.
    Link {
        /// Those of IPv6, else those of IPv4.
        is_v6: bool,
    },
}

/// Sends everything without a closer route this way, through the link.
pub(crate) fn add_default(socket: &mut Socket, index: u32, way: Way) -> Result<(), Refused> {
    set_default(socket, index, way, Request::new().set_create().set_excl())
}

/// The same, instead of what is there.
pub(crate) fn replace_default(socket: &mut Socket, index: u32, way: Way) -> Result<(), Refused> {
    set_default(socket, index, way, Request::new().set_create().set_replace())
}

fn set_default(
    socket: &mut Socket,
    index: u32,
    way: Way,
    request: Request<'_>,
) -> Result<(), Refused> {
    let (is_v6, scope) = match way {
        Way::Gateway(gateway) => (gateway.is_ipv6(), libc::RT_SCOPE_UNIVERSE),
        Way::Link { is_v6: true } => (true, libc::RT_SCOPE_UNIVERSE),
        Way::Link { is_v6: false } => (false, libc::RT_SCOPE_LINK),
    };
    let header = Rtmsg {
        rtm_family: if is_v6 { INET6 } else { INET },
        rtm_table: libc::RT_TABLE_MAIN,
        rtm_protocol: libc::RTPROT_BOOT,
        rtm_scope: scope,
        rtm_type: libc::RTN_UNICAST,
        ..Default::default()
    };
    let mut request = request.op_newroute_do(&header);
    let attributes = request.encode().push_oif(index);
    if let Way::Gateway(gateway) = way {
        drop(attributes.push_gateway(gateway));
    } else {
        drop(attributes);
    }
    socket.acknowledged(&request)
}

/// The destination of every route of every table except the kernel's own `local` one, with the
/// index of its link; a route that rejects has none. Of IPv6 without link-local and multicast ones, which every
/// interface has.
pub(crate) fn list(socket: &mut Socket) -> Result<Vec<(Option<u32>, IpNetwork)>, Refused> {
    let mut found = Vec::new();
    // All families.
    let header = Rtmsg::default();
    socket.replies(&Request::new().op_getroute_dump(&header), |(header, attributes)| {
        let cached = header.rtm_flags & libc::RTM_F_CLONED != 0;
        let everywhere = match header.rtm_family {
            INET => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            INET6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            _ => return,
        };
        if header.rtm_table == libc::RT_TABLE_LOCAL || cached {
            return;
        }
        let destination = attributes.get_dst().unwrap_or(everywhere);
        let is_of_links = matches!(destination, IpAddr::V6(destination)
            if destination.is_unicast_link_local() || destination.is_multicast());
        match IpNetwork::new(destination, header.rtm_dst_len) {
            Ok(network) if !is_of_links => found.push((attributes.get_oif().ok(), network)),
            _ => {}
        }
    })?;
    Ok(found)
}
