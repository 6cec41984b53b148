//! Connection tracking (ctnetlink): which UDP flows the kernel knows, and to forget some of them.

use std::net::{IpAddr, SocketAddr};

use netlink_bindings::conntrack::{IterableTupleAttrs, Nfgenmsg, OpGetDump, Request};
use netlink_bindings::traits::{NetlinkRequest, Protocol};
use nix::libc;

use super::{INET, INET6, Refused, Socket};

/// `NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE`.
const DELETE: u16 = 0x0102;
/// `CTA_TUPLE_ORIG | NLA_F_NESTED`.
const ORIGINAL: u16 = 0x8001;
/// `IPPROTO_UDP`.
const UDP: u8 = 17;

/// A flow of datagrams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Flow {
    /// Who sent its first datagram.
    pub(crate) from: SocketAddr,
    /// Where its first datagram went, before addresses were translated.
    pub(crate) to: SocketAddr,
    /// Who answers: the same, or the address it was translated to.
    pub(crate) answers: SocketAddr,
    family: u8,
    /// Its first direction, in the kernel's words.
    original: Vec<u8>,
}

#[cfg(test)]
impl Flow {
    /// A flow that the kernel does not know.
    pub(crate) fn between(to: SocketAddr, answers: SocketAddr) -> Self {
        let from = SocketAddr::from(([198, 51, 100, 7], 40_000));
        Self { from, to, answers, family: INET, original: Vec::new() }
    }
}

/// All flows of UDP, of both families.
pub(crate) fn udp_flows(socket: &mut Socket) -> Result<Vec<Flow>, Refused> {
    let mut found = Vec::new();
    for family in [INET, INET6] {
        let header = Nfgenmsg { nfgen_family: family, ..Default::default() };
        socket.replies(&Request::new().op_get_dump(&header), |(_, attributes)| {
            let (Ok(original), Ok(reply)) =
                (attributes.get_tuple_orig(), attributes.get_tuple_reply())
            else {
                return;
            };
            let bytes = original.get_buf().to_vec();
            if let (Some((from, to)), Some((answers, _))) = (ends(&original), ends(&reply)) {
                found.push(Flow { from, to, answers, family, original: bytes });
            }
        })?;
    }
    Ok(found)
}

/// Source and destination of a direction, if it is one of UDP.
fn ends(tuple: &IterableTupleAttrs<'_>) -> Option<(SocketAddr, SocketAddr)> {
    let (address, protocol) = (tuple.get_tuple_ip().ok()?, tuple.get_tuple_proto().ok()?);
    if protocol.get_proto_num().ok()? != UDP {
        return None;
    }
    let (from, to): (IpAddr, IpAddr) = match (address.get_ip_v4_src(), address.get_ip_v4_dst()) {
        (Ok(from), Ok(to)) => (from.into(), to.into()),
        _ => (address.get_ip_v6_src().ok()?.into(), address.get_ip_v6_dst().ok()?.into()),
    };
    let (source, destination) =
        (protocol.get_proto_src_port().ok()?, protocol.get_proto_dst_port().ok()?);
    Some((SocketAddr::new(from, source), SocketAddr::new(to, destination)))
}

/// Has the kernel forget a flow; that it is gone already is no error.
pub(crate) fn forget(socket: &mut Socket, flow: &Flow) -> Result<(), Refused> {
    match socket.acknowledged(&Delete::new(flow)) {
        Err(error) if !error.is_absent() => Err(error),
        _ => Ok(()),
    }
}

/// The request that the library has no name for.
struct Delete(Vec<u8>);

impl Delete {
    fn new(flow: &Flow) -> Self {
        let header = Nfgenmsg { nfgen_family: flow.family, ..Default::default() };
        let mut payload = header.as_slice().to_vec();
        let length = u16::try_from(4 + flow.original.len()).unwrap_or(u16::MAX);
        payload.extend(length.to_ne_bytes());
        payload.extend(ORIGINAL.to_ne_bytes());
        payload.extend(&flow.original);
        Self(payload)
    }
}

impl NetlinkRequest for Delete {
    fn protocol(&self) -> Protocol {
        let protonum = u16::try_from(libc::NETLINK_NETFILTER).unwrap_or_default();
        Protocol::Raw { protonum, request_type: DELETE }
    }

    fn flags(&self) -> u16 {
        0
    }

    fn payload(&self) -> &[u8] {
        &self.0
    }

    type ReplyType<'buf> = <OpGetDump<'static> as NetlinkRequest>::ReplyType<'buf>;

    fn decode_reply(buf: &[u8]) -> Self::ReplyType<'_> {
        OpGetDump::decode_reply(buf)
    }
}
