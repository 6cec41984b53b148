//! Links: bridges and veth pairs made, brought up, listed and deleted.

use std::os::fd::{AsRawFd, BorrowedFd};

use netlink_bindings::rt_link::{Ifinfomsg, Request};
use netlink_bindings::traits::Pusher;
use netlink_bindings::utils::{finalize_nested_header, push_header, push_nested_header};
use nix::libc;

use super::{Refused, Socket};
use crate::MacAddress;

/// Attribute numbers of `linux/if_link.h` and `linux/veth.h` that the typed encoder has no words for.
pub(super) const IFLA_INFO_DATA: u16 = 2;
const IFLA_INFO_SLAVE_KIND: u16 = 4;
const IFLA_INFO_SLAVE_DATA: u16 = 5;
const IFLA_BRPORT_ISOLATED: u16 = 33;
pub(super) const VETH_INFO_PEER: u16 = 1;
const IFLA_ADDRESS: u16 = 1;
pub(super) const IFLA_IFNAME: u16 = 3;
pub(super) const IFLA_MTU: u16 = 4;
const IFLA_NET_NS_FD: u16 = 28;

/// The index of no link: the request names the link instead.
const BY_NAME: u32 = 0;

/// Which link-local address of IPv6 an interface gives itself (`IN6_ADDR_GEN_MODE_*` of `linux/if_link.h`).
#[derive(Debug, Clone, Copy)]
pub(crate) enum LinkLocal {
    /// One made of its hardware address.
    OfHardwareAddress = 0,
    /// None.
    None = 1,
}

/// What a new bridge is made of.
#[derive(Debug)]
pub(crate) struct NewBridge<'a> {
    pub(crate) name: &'a str,
    pub(crate) group: u32,
    pub(crate) mac: MacAddress,
    pub(crate) mtu: Option<u32>,
}

/// What a new veth pair is made of; the peer is born inside the other namespace.
#[derive(Debug)]
pub(crate) struct NewVeth<'a> {
    pub(crate) host_name: &'a str,
    pub(crate) group: u32,
    pub(crate) bridge: u32,
    pub(crate) peer_name: &'a str,
    pub(crate) peer_mac: MacAddress,
    pub(crate) peer_netns: BorrowedFd<'a>,
    pub(crate) mtu: Option<u32>,
}

/// One link as the kernel lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Interface index.
    pub index: u32,
    /// Interface name.
    pub name: String,
    /// Group number; 0 is the kernel's default group.
    pub group: u32,
    /// Whether it was brought up.
    pub up: bool,
    /// Index of the bridge that it is a port of.
    pub master: Option<u32>,
}

/// Makes a bridge that is still down.
pub(crate) fn create_bridge(socket: &mut Socket, bridge: &NewBridge<'_>) -> Result<(), Refused> {
    let mut request = Request::new().set_create().set_excl().op_newlink_do(&Ifinfomsg::new());
    let mut attributes = request
        .encode()
        .push_ifname_bytes(bridge.name.as_bytes())
        .push_group(bridge.group)
        .push_address(&bridge.mac.0);
    if let Some(mtu) = bridge.mtu {
        attributes = attributes.push_mtu(mtu);
    }
    drop(attributes.nested_linkinfo().push_kind(c"bridge"));
    socket.acknowledged(&request)
}

/// Makes a veth pair, both ends down, the host's end already a port of the bridge.
pub(crate) fn create_veth(socket: &mut Socket, veth: &NewVeth<'_>) -> Result<(), Refused> {
    let mut request = Request::new().set_create().set_excl().op_newlink_do(&Ifinfomsg::new());
    let mut attributes = request
        .encode()
        .push_ifname_bytes(veth.host_name.as_bytes())
        .push_group(veth.group)
        .push_master(veth.bridge);
    if let Some(mtu) = veth.mtu {
        attributes = attributes.push_mtu(mtu);
    }
    let mut info = attributes.nested_linkinfo().push_kind(c"veth");
    push_peer(info.as_vec_mut(), veth);
    drop(info);
    socket.acknowledged(&request)
}

/// Writes the nested description of a veth's other end.
fn push_peer(buffer: &mut Vec<u8>, veth: &NewVeth<'_>) {
    let data = push_nested_header(buffer, IFLA_INFO_DATA);
    let peer = push_nested_header(buffer, VETH_INFO_PEER);
    buffer.extend_from_slice(Ifinfomsg::new().as_slice());
    push_attribute(buffer, IFLA_IFNAME, &[veth.peer_name.as_bytes(), &[0]].concat());
    push_attribute(buffer, IFLA_ADDRESS, &veth.peer_mac.0);
    if let Some(mtu) = veth.mtu {
        push_attribute(buffer, IFLA_MTU, &mtu.to_ne_bytes());
    }
    push_attribute(buffer, IFLA_NET_NS_FD, &veth.peer_netns.as_raw_fd().to_ne_bytes());
    finalize_nested_header(buffer, peer);
    finalize_nested_header(buffer, data);
}

pub(super) fn push_attribute(buffer: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(value.len()).expect("link attributes are shorter than 64 KiB");
    push_header(buffer, kind, length);
    buffer.extend_from_slice(value);
}

/// Keeps a port of a bridge from every other port that is kept so (bridge(8): `isolated`, Linux 4.18).
pub(crate) fn isolate(socket: &mut Socket, name: &str) -> Result<(), Refused> {
    let mut request = Request::new().op_newlink_do(&Ifinfomsg::new());
    let attributes = request.encode().push_ifname_bytes(name.as_bytes());
    let mut info = attributes.nested_linkinfo();
    let buffer = info.as_vec_mut();
    push_attribute(buffer, IFLA_INFO_SLAVE_KIND, b"bridge\0");
    let data = push_nested_header(buffer, IFLA_INFO_SLAVE_DATA);
    push_attribute(buffer, IFLA_BRPORT_ISOLATED, &[1]);
    finalize_nested_header(buffer, data);
    drop(info);
    socket.acknowledged(&request)
}

/// Brings a link up.
pub(crate) fn set_up(
    socket: &mut Socket,
    name: &str,
    link_local: LinkLocal,
) -> Result<(), Refused> {
    let mut request = Request::new().op_setlink_do(&up(BY_NAME));
    drop(
        request
            .encode()
            .push_ifname_bytes(name.as_bytes())
            .nested_af_spec()
            .nested_inet6()
            .push_addr_gen_mode(link_local as u8),
    );
    match socket.acknowledged(&request) {
        // A kernel without IPv6, or with it switched off, knows no such attribute.
        Err(refused) if refused.errno() == Some(libc::EAFNOSUPPORT) => {
            let mut request = Request::new().op_setlink_do(&up(BY_NAME));
            drop(request.encode().push_ifname_bytes(name.as_bytes()));
            socket.acknowledged(&request)
        }
        outcome => outcome,
    }
}

/// Makes a link a port of a bridge.
pub(crate) fn set_master(socket: &mut Socket, name: &str, bridge: u32) -> Result<(), Refused> {
    let mut request = Request::new().op_setlink_do(&Ifinfomsg::new());
    drop(request.encode().push_ifname_bytes(name.as_bytes()).push_master(bridge));
    socket.acknowledged(&request)
}

/// Brings the loopback interface up, with its addresses 127.0.0.1 and ::1.
pub(crate) fn set_loopback_up(socket: &mut Socket) -> Result<(), Refused> {
    const LOOPBACK: u32 = 1;
    socket.acknowledged(&Request::new().op_setlink_do(&up(LOOPBACK)))
}

fn up(index: u32) -> Ifinfomsg {
    let flag = libc::IFF_UP.cast_unsigned();
    let mut header = Ifinfomsg::new();
    header.ifi_index = index.cast_signed();
    header.ifi_flags = flag;
    header.ifi_change = flag;
    header
}

/// The index of the link called `name`, if there is one.
pub(crate) fn index_of(socket: &mut Socket, name: &str) -> Result<Option<u32>, Refused> {
    Ok(state(socket, name)?.map(|state| state.index))
}

/// What changes of a link by itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct State {
    pub(crate) index: u32,
    /// Whether it carries packets. It does so a little after it came up, by deferred work of the
    /// kernel, which Linux 6.8 and later do at the latest when they are asked.
    pub(crate) operational: bool,
    pub(crate) group: u32,
}

/// The state of the link called `name`, if there is one.
pub(crate) fn state(socket: &mut Socket, name: &str) -> Result<Option<State>, Refused> {
    /// `IF_OPER_UP` of `linux/if.h`.
    const UP: u8 = 6;
    let mut request = Request::new().op_getlink_do(&Ifinfomsg::new());
    drop(request.encode().push_ifname_bytes(name.as_bytes()));
    let mut state = None;
    let outcome = socket.replies(&request, |(header, attributes)| {
        let index = header.ifi_index.cast_unsigned();
        let operational = attributes.get_operstate() == Ok(UP);
        state = Some(State { index, operational, group: attributes.get_group().unwrap_or(0) });
    });
    match outcome {
        Err(refused) if refused.is_absent() => Ok(None),
        outcome => outcome.map(|()| state),
    }
}

/// Deletes the link called `name`; that it is gone already is no error.
pub(crate) fn delete(socket: &mut Socket, name: &str) -> Result<(), Refused> {
    let mut request = Request::new().op_dellink_do(&Ifinfomsg::new());
    drop(request.encode().push_ifname_bytes(name.as_bytes()));
    match socket.acknowledged(&request) {
        Err(refused) if refused.is_absent() => Ok(()),
        outcome => outcome,
    }
}

/// Deletes all links of a group in one request; that there are none is no error.
pub(crate) fn delete_group(socket: &mut Socket, group: u32) -> Result<(), Refused> {
    let mut request = Request::new().op_dellink_do(&Ifinfomsg::new());
    drop(request.encode().push_group(group));
    match socket.acknowledged(&request) {
        Err(refused) if refused.is_absent() => Ok(()),
        outcome => outcome,
    }
}

/// All links of the namespace.
pub(crate) fn list(socket: &mut Socket) -> Result<Vec<Link>, Refused> {
    let mut links = Vec::new();
    socket.replies(
        &Request::new().op_getlink_dump(&Ifinfomsg::new()),
        |(header, attributes)| {
            let name = attributes.get_ifname().map(|name| name.to_string_lossy().into_owned());
            links.push(Link {
                index: header.ifi_index.cast_unsigned(),
                name: name.unwrap_or_default(),
                group: attributes.get_group().unwrap_or(0),
                up: header.ifi_flags & libc::IFF_UP.cast_unsigned() != 0,
                master: attributes.get_master().ok(),
            });
        },
    )?;
    Ok(links)
}
