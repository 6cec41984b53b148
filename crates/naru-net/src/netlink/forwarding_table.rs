//! The bridge's memory of which hardware address is behind which of its ports.

use netlink_bindings::rt_neigh::{Ndmsg, Request};
use nix::libc;

use super::{Refused, Socket};
use crate::MacAddress;

/// `AF_BRIDGE` in the width that the message header has.
const BRIDGE: u8 = 7;

/// Tells the bridge that an address is behind this port from now on, as if a frame had come from
/// there; an older entry is replaced, and this one ages like all others.
pub(crate) fn learn(socket: &mut Socket, port: u32, mac: MacAddress) -> Result<(), Refused> {
    let header = Ndmsg {
        ndm_family: BRIDGE,
        ndm_ifindex: port.cast_signed(),
        ndm_state: libc::NUD_REACHABLE,
        ndm_flags: libc::NTF_MASTER,
        ..Default::default()
    };
    let mut request = Request::new().set_create().set_replace().op_newneigh_do(&header);
    drop(request.encode().push_lladdr(&mac.0));
    socket.acknowledged(&request)
}
