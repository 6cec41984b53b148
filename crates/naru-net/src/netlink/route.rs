//! Routes: the default routes of a container, and every IPv4 route of the host.

use std::net::{IpAddr, Ipv4Addr};

use ipnetwork::Ipv4Network;
use netlink_bindings::rt_route::{Request, Rtmsg};
use nix::libc;

use super::{INET, INET6, Refused, Socket};

/// Sends everything without a closer route to `gateway` through the link.
pub(crate) fn add_default(socket: &mut Socket, index: u32, gateway: IpAddr) -> Result<(), Refused> {
    let header = Rtmsg {
        rtm_family: if gateway.is_ipv6() { INET6 } else { INET },
        rtm_table: libc::RT_TABLE_MAIN,
        rtm_protocol: libc::RTPROT_BOOT,
        rtm_scope: libc::RT_SCOPE_UNIVERSE,
        rtm_type: libc::RTN_UNICAST,
        ..Default::default()
    };
    let mut request = Request::new().set_create().set_excl().op_newroute_do(&header);
    drop(request.encode().push_gateway(gateway).push_oif(index));
    socket.acknowledged(&request)
}

/// The destination of every route of every table except the kernel's own `local` one, with the
/// index of its link; a route that rejects has none.
pub(crate) fn list(socket: &mut Socket) -> Result<Vec<(Option<u32>, Ipv4Network)>, Refused> {
    let mut found = Vec::new();
    let header = Rtmsg { rtm_family: INET, ..Default::default() };
    socket.replies(&Request::new().op_getroute_dump(&header), |(header, attributes)| {
        let cached = header.rtm_flags & libc::RTM_F_CLONED != 0;
        if header.rtm_family != INET || header.rtm_table == libc::RT_TABLE_LOCAL || cached {
            return;
        }
        let destination = match attributes.get_dst() {
            Ok(IpAddr::V4(destination)) => destination,
            _ => Ipv4Addr::UNSPECIFIED,
        };
        if let Ok(network) = Ipv4Network::new(destination, header.rtm_dst_len) {
            found.push((attributes.get_oif().ok(), network));
        }
    })?;
    Ok(found)
}
