//! Links that stand on another one, their parent: macvlan, ipvlan, VLANs; and pairs that can be a parent themselves.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use netlink_bindings::rt_link::{Ifinfomsg, Request};
use netlink_bindings::traits::Pusher;
use netlink_bindings::utils::{finalize_nested_header, push_nested_header};
use nix::libc;

use super::link::{IFLA_IFNAME, IFLA_INFO_DATA, VETH_INFO_PEER, push_attribute};
use super::{Refused, Socket};
use crate::MacAddress;

/// Attribute numbers of `linux/if_link.h`.
const IFLA_GROUP: u16 = 27;
const IFLA_MACVLAN_MODE: u16 = 1;
const IFLA_IPVLAN_MODE: u16 = 1;
const IFLA_IPVLAN_FLAGS: u16 = 2;
const IFLA_VLAN_ID: u16 = 1;

/// How macvlan links of one parent reach each other (`MACVLAN_MODE_*` of `linux/if_link.h`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MacvlanMode {
    /// Not at all.
    Private = 1,
    /// By way of a switch outside that sends back what came from it.
    Vepa = 2,
    /// Directly.
    #[default]
    Bridge = 4,
    /// There is only one, which takes the parent over.
    Passthru = 8,
}

/// What ipvlan links do (`IPVLAN_MODE_*`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum IpvlanMode {
    /// They switch.
    #[default]
    L2 = 0,
    /// The host's parent routes for them; nothing is asked by broadcast.
    L3 = 1,
    /// The same, and the host's firewall sees what passes.
    L3S = 2,
}

/// How ipvlan links of one parent reach each other (`IPVLAN_F_*`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum IpvlanFlag {
    /// Directly.
    #[default]
    Bridge = 0,
    /// Not at all.
    Private = 1,
    /// By way of a switch outside.
    Vepa = 2,
}

/// The links that containers have on a parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upper {
    /// With hardware addresses of their own.
    Macvlan(MacvlanMode),
    /// With the parent's hardware address.
    Ipvlan(IpvlanMode, IpvlanFlag),
}

impl Upper {
    /// The kernel's name of the kind.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Macvlan(_) => "macvlan",
            Self::Ipvlan(..) => "ipvlan",
        }
    }

    /// The link has the parent's hardware address.
    pub fn shares_mac(self) -> bool {
        matches!(self, Self::Ipvlan(..) | Self::Macvlan(MacvlanMode::Passthru))
    }

    /// Packets leave by the link itself: there is nobody beside it to send them to.
    pub fn is_routed(self) -> bool {
        matches!(self, Self::Ipvlan(IpvlanMode::L3 | IpvlanMode::L3S, _))
    }
}

/// What a new link on a parent is made of; it is born inside the other namespace.
#[derive(Debug)]
pub(crate) struct NewUpper<'a> {
    pub(crate) upper: Upper,
    pub(crate) parent: u32,
    pub(crate) name: &'a str,
    /// Its own hardware address, for kinds that have one.
    pub(crate) mac: MacAddress,
    pub(crate) mtu: Option<u32>,
    pub(crate) netns: BorrowedFd<'a>,
}

/// Makes a link on a parent, down.
pub(crate) fn create(socket: &mut Socket, new: &NewUpper<'_>) -> Result<(), Refused> {
    let mut request = Request::new().set_create().set_excl().op_newlink_do(&Ifinfomsg::new());
    let netns = new.netns.as_raw_fd().cast_unsigned();
    let mut attributes = request
        .encode()
        .push_ifname_bytes(new.name.as_bytes())
        .push_link(new.parent)
        .push_net_ns_fd(netns);
    if !new.upper.shares_mac() {
        attributes = attributes.push_address(&new.mac.0);
    }
    if let Some(mtu) = new.mtu {
        attributes = attributes.push_mtu(mtu);
    }
    let mut info = attributes.nested_linkinfo();
    info = match new.upper {
        Upper::Macvlan(_) => info.push_kind(c"macvlan"),
        Upper::Ipvlan(..) => info.push_kind(c"ipvlan"),
    };
    let buffer = info.as_vec_mut();
    let data = push_nested_header(buffer, IFLA_INFO_DATA);
    match new.upper {
        Upper::Macvlan(mode) => {
            push_attribute(buffer, IFLA_MACVLAN_MODE, &(mode as u32).to_ne_bytes());
        }
        Upper::Ipvlan(mode, flag) => {
            push_attribute(buffer, IFLA_IPVLAN_MODE, &(mode as u16).to_ne_bytes());
            push_attribute(buffer, IFLA_IPVLAN_FLAGS, &(flag as u16).to_ne_bytes());
        }
    }
    finalize_nested_header(buffer, data);
    drop(info);
    socket.acknowledged(&request)
}

/// Whether the kernel has such links. It is asked for one without a parent: it looks for the kind first, and makes none.
pub(crate) fn is_known(socket: &mut Socket, upper: Upper) -> Result<bool, Refused> {
    let mut request = Request::new().set_create().set_excl().op_newlink_do(&Ifinfomsg::new());
    let info = request.encode().nested_linkinfo();
    drop(match upper {
        Upper::Macvlan(_) => info.push_kind(c"macvlan"),
        Upper::Ipvlan(..) => info.push_kind(c"ipvlan"),
    });
    match socket.acknowledged(&request) {
        Err(refused) if refused.errno() == Some(libc::EOPNOTSUPP) => Ok(false),
        Err(refused) if refused.errno() == Some(libc::EINVAL) => Ok(true),
        Err(refused) => Err(refused),
        Ok(()) => Err(io::Error::other("a link without a parent was made").into()),
    }
}

/// Makes a VLAN of a parent, down, in a group of links.
pub(crate) fn create_vlan(
    socket: &mut Socket,
    (name, group): (&str, u32),
    parent: u32,
    id: u16,
) -> Result<(), Refused> {
    let mut request = Request::new().set_create().set_excl().op_newlink_do(&Ifinfomsg::new());
    let attributes = request.encode().push_ifname_bytes(name.as_bytes());
    let attributes = attributes.push_group(group).push_link(parent);
    let mut info = attributes.nested_linkinfo().push_kind(c"vlan");
    let buffer = info.as_vec_mut();
    let data = push_nested_header(buffer, IFLA_INFO_DATA);
    push_attribute(buffer, IFLA_VLAN_ID, &id.to_ne_bytes());
    finalize_nested_header(buffer, data);
    drop(info);
    socket.acknowledged(&request)
}

/// Makes a pair of links of the namespace, down, in a group: what one sends the other gets, and nobody else.
pub(crate) fn create_pair(
    socket: &mut Socket,
    names: (&str, &str),
    group: u32,
    mtu: Option<u32>,
) -> Result<(), Refused> {
    let mut request = Request::new().set_create().set_excl().op_newlink_do(&Ifinfomsg::new());
    let mut attributes = request.encode().push_ifname_bytes(names.0.as_bytes()).push_group(group);
    if let Some(mtu) = mtu {
        attributes = attributes.push_mtu(mtu);
    }
    let mut info = attributes.nested_linkinfo().push_kind(c"veth");
    let buffer = info.as_vec_mut();
    let data = push_nested_header(buffer, IFLA_INFO_DATA);
    let peer = push_nested_header(buffer, VETH_INFO_PEER);
    buffer.extend_from_slice(Ifinfomsg::new().as_slice());
    push_attribute(buffer, IFLA_IFNAME, &[names.1.as_bytes(), &[0]].concat());
    push_attribute(buffer, IFLA_GROUP, &group.to_ne_bytes());
    if let Some(mtu) = mtu {
        push_attribute(buffer, super::link::IFLA_MTU, &mtu.to_ne_bytes());
    }
    finalize_nested_header(buffer, peer);
    finalize_nested_header(buffer, data);
    drop(info);
    socket.acknowledged(&request)
}
