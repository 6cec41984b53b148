//! Chains and rules as netlink messages.

use std::net::{IpAddr, SocketAddr};

use ipnetwork::IpNetwork;
use netlink_bindings::nftables::{
    Chained, CmpOps, CtKeys, FibFlags, MetaKeys, PayloadBase, PushExprListAttrs, PushRuleAttrs,
    Registers, VerdictCode,
};
use netlink_bindings::utils::RequestBuf;
use nix::libc;

use super::{Place, header};
use crate::firewall::language::{Chain, ChainKind, Hook, Match, Rule, Verdict};
use crate::forwarding::Family;
use crate::names::OWN_GROUPS;
use crate::ports::Protocol;

/// `NFPROTO_IPV4` and `NFPROTO_IPV6`, as packets carry them.
const IPV4: u8 = 2;
const IPV6: u8 = 10;
/// Bits of `ct state`: established and related.
const KNOWN_CONNECTION: u32 = 2 | 4;
/// `IPS_DST_NAT` of `ct status`.
const TRANSLATED: u32 = 1 << 5;
/// Where an IPv4 and an IPv6 header have their addresses; the destination follows the source.
const IPV4_SOURCE: u32 = 12;
const IPV6_SOURCE: u32 = 8;
/// Where TCP and UDP headers have their ports.
const SOURCE_PORT: u32 = 0;
const DESTINATION_PORT: u32 = 2;
/// Where they have their checksums.
const TCP_CHECKSUM: u32 = 16;
const UDP_CHECKSUM: u32 = 6;
/// `NFT_PAYLOAD_CSUM_INET`: the checksum is adjusted to what is written.
const INTERNET_CHECKSUM: u32 = 1;
/// `NF_NAT_MANIP_DST`: translate the destination.
const DESTINATION_NAT: u32 = 1;

/// `NFT_FIB_RESULT_ADDRTYPE`; the library counts these from 0, the kernel from 1.
const ADDRESS_TYPE: u32 = 3;

const REGISTER: u32 = Registers::Reg1 as u32;
const SECOND_REGISTER: u32 = Registers::Reg2 as u32;

type Expressions<'a> = PushExprListAttrs<PushRuleAttrs<RequestBuf<'a>>>;

/// Adds a base chain with this policy.
pub(super) fn new_chain(
    batch: &mut Chained<'static>,
    (family, table): (u8, &str),
    chain: &Chain,
    policy: VerdictCode,
) {
    let kind = match chain.kind {
        ChainKind::Filter => c"filter",
        ChainKind::Nat => c"nat",
    };
    let hook = match chain.hook {
        Hook::Prerouting => libc::NF_INET_PRE_ROUTING,
        Hook::Forward => libc::NF_INET_FORWARD,
        Hook::Output => libc::NF_INET_LOCAL_OUT,
        Hook::Postrouting => libc::NF_INET_POST_ROUTING,
    };
    batch
        .request()
        .set_create()
        .op_newchain_do(&header(family))
        .encode()
        .push_table_bytes(table.as_bytes())
        .push_name_bytes(chain.name.as_bytes())
        .push_type(kind)
        .push_policy(policy as u32)
        .nested_hook()
        .push_num(hook.cast_unsigned())
        .push_priority(chain.priority);
}

/// Adds a rule at the end of its chain.
pub(super) fn append_rule(batch: &mut Chained<'static>, place: &Place, rule: &Rule) {
    let attributes = batch
        .request()
        .set_create()
        .set_append()
        .op_newrule_do(&header(place.family))
        .into_encoder()
        .push_table_bytes(place.table.as_bytes())
        .push_chain_bytes(place.chain.as_bytes());
    drop(push_rule(attributes.nested_expressions(), rule));
}

/// Adds a rule at the top of its chain, counted and with a comment, in the form that `iptables` would give it.
pub(super) fn insert_rule(
    batch: &mut Chained<'static>,
    place: &Place,
    rule: &Rule,
    comment: &[u8],
) {
    let attributes = batch
        .request()
        .set_create()
        .op_newrule_do(&header(place.family))
        .into_encoder()
        .push_table_bytes(place.table.as_bytes())
        .push_chain_bytes(place.chain.as_bytes())
        .push_userdata(comment);
    let mut expressions = attributes.nested_expressions();
    for condition in &rule.matches {
        expressions = push_match(expressions, condition);
    }
    let counter = expressions.nested_elem().nested_data_counter().push_bytes(0).push_packets(0);
    drop(push_verdict(counter.end_nested().end_nested(), rule.verdict));
}

fn push_rule<'a>(mut list: Expressions<'a>, rule: &Rule) -> Expressions<'a> {
    for condition in &rule.matches {
        list = push_match(list, condition);
    }
    push_verdict(list, rule.verdict)
}

fn push_match<'a>(list: Expressions<'a>, condition: &Match) -> Expressions<'a> {
    let (equal, other) = (CmpOps::Eq, CmpOps::Neq);
    let (input, output) = (MetaKeys::Iifname, MetaKeys::Oifname);
    match condition {
        Match::In(name) => compare(meta(list, input), equal, &padded(name)),
        Match::Out(name) => compare(meta(list, output), equal, &padded(name)),
        Match::NotOut(name) => compare(meta(list, output), other, &padded(name)),
        Match::InPrefix(prefix) => compare(meta(list, input), equal, prefix.as_bytes()),
        Match::OutPrefix(prefix) => compare(meta(list, output), equal, prefix.as_bytes()),
        Match::NotInOwn => group(list, MetaKeys::Iifgroup),
        Match::NotOutOwn => group(list, MetaKeys::Oifgroup),
        Match::KnownConnection => bits(list, CtKeys::State, KNOWN_CONNECTION, other),
        Match::Translated => bits(list, CtKeys::Status, TRANSLATED, other),
        Match::NotTranslated => bits(list, CtKeys::Status, TRANSLATED, equal),
        Match::Source(network) => address(list, network, false, equal),
        Match::Destination(network) => address(list, network, true, equal),
        Match::NotDestination(network) => address(list, network, true, other),
        Match::Of(Family::Ipv4) => compare(meta(list, MetaKeys::Nfproto), equal, &[IPV4]),
        Match::Of(Family::Ipv6) => compare(meta(list, MetaKeys::Nfproto), equal, &[IPV6]),
        Match::ToLocal => to_local(list),
        Match::Port(protocol, port) => port_is(list, *protocol, DESTINATION_PORT, *port),
        Match::FromPort(protocol, port) => port_is(list, *protocol, SOURCE_PORT, *port),
    }
}

fn port_is(list: Expressions<'_>, protocol: Protocol, offset: u32, port: u16) -> Expressions<'_> {
    let number = match protocol {
        Protocol::Tcp => libc::IPPROTO_TCP,
        Protocol::Udp => libc::IPPROTO_UDP,
    };
    let number = u8::try_from(number).expect("protocol numbers have 8 bits");
    let list = compare(meta(list, MetaKeys::L4Proto), CmpOps::Eq, &[number]);
    let list = load(list, PayloadBase::TransportHeader, offset, 2);
    compare(list, CmpOps::Eq, &port.to_be_bytes())
}

fn meta(list: Expressions<'_>, key: MetaKeys) -> Expressions<'_> {
    list.nested_elem()
        .nested_data_meta()
        .push_dreg(REGISTER)
        .push_key(key as u32)
        .end_nested()
        .end_nested()
}

/// Whether an interface's group lacks the bit of naru's.
fn group(list: Expressions<'_>, key: MetaKeys) -> Expressions<'_> {
    let list = mask(meta(list, key), &OWN_GROUPS.to_ne_bytes());
    compare(list, CmpOps::Eq, &0u32.to_ne_bytes())
}

/// Whether some of these bits of a connection's value are set ([`CmpOps::Neq`] 0), or none.
fn bits(list: Expressions<'_>, key: CtKeys, bits: u32, operation: CmpOps) -> Expressions<'_> {
    let list = list
        .nested_elem()
        .nested_data_ct()
        .push_dreg(REGISTER)
        .push_key(key as u32)
        .end_nested()
        .end_nested();
    compare(mask(list, &bits.to_ne_bytes()), operation, &0u32.to_ne_bytes())
}

/// The packet's family first: its header is read by it.
fn address<'a>(
    list: Expressions<'a>,
    network: &IpNetwork,
    destination: bool,
    operation: CmpOps,
) -> Expressions<'a> {
    let (family, first, length) = match network {
        IpNetwork::V4(_) => (IPV4, IPV4_SOURCE, 4),
        IpNetwork::V6(_) => (IPV6, IPV6_SOURCE, 16),
    };
    let offset = if destination { first + length } else { first };
    let list = compare(meta(list, MetaKeys::Nfproto), CmpOps::Eq, &[family]);
    let list = load(list, PayloadBase::NetworkHeader, offset, length);
    let list = mask(list, &octets(network.mask()));
    compare(list, operation, &octets(network.network()))
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn load(list: Expressions<'_>, base: PayloadBase, offset: u32, length: u32) -> Expressions<'_> {
    list.nested_elem()
        .nested_data_payload()
        .push_dreg(REGISTER)
        .push_base(base as u32)
        .push_offset(offset)
        .push_len(length)
        .end_nested()
        .end_nested()
}

fn to_local(list: Expressions<'_>) -> Expressions<'_> {
    let list = list
        .nested_elem()
        .nested_data_fib()
        .push_dreg(REGISTER)
        .push_result(ADDRESS_TYPE)
        .push_flags(FibFlags::Daddr as u32)
        .end_nested()
        .end_nested();
    compare(list, CmpOps::Eq, &u32::from(libc::RTN_LOCAL).to_ne_bytes())
}

fn compare<'a>(list: Expressions<'a>, operation: CmpOps, value: &[u8]) -> Expressions<'a> {
    list.nested_elem()
        .nested_data_cmp()
        .push_sreg(REGISTER)
        .push_op(operation as u32)
        .nested_data()
        .push_value(value)
        .end_nested()
        .end_nested()
        .end_nested()
}

/// Keeps the bits of `mask` in the register.
fn mask<'a>(list: Expressions<'a>, mask: &[u8]) -> Expressions<'a> {
    list.nested_elem()
        .nested_data_bitwise()
        .push_sreg(REGISTER)
        .push_dreg(REGISTER)
        .push_len(u32::try_from(mask.len()).expect("at most 16 bytes"))
        .nested_mask()
        .push_value(mask)
        .end_nested()
        .nested_xor()
        .push_value(&vec![0; mask.len()])
        .end_nested()
        .end_nested()
        .end_nested()
}

fn push_verdict(list: Expressions<'_>, verdict: Verdict) -> Expressions<'_> {
    let code = match verdict {
        Verdict::Accept => VerdictCode::Accept,
        Verdict::Drop => VerdictCode::Drop,
        Verdict::Masquerade => return list.nested_elem().push_name(c"masq").end_nested(),
        Verdict::TranslateTo(to) => return translate(list, to),
        Verdict::SetPort(protocol, port) => {
            return set_port(list, protocol, DESTINATION_PORT, port);
        }
        Verdict::SetFromPort(protocol, port) => {
            return set_port(list, protocol, SOURCE_PORT, port);
        }
    };
    list.nested_elem()
        .nested_data_immediate()
        .push_dreg(Registers::RegVerdict as u32)
        .nested_data()
        .nested_verdict()
        .push_code(code as u32)
        .end_nested()
        .end_nested()
        .end_nested()
        .end_nested()
}

fn translate(list: Expressions<'_>, to: SocketAddr) -> Expressions<'_> {
    let family = if to.is_ipv4() { IPV4 } else { IPV6 };
    let list = immediate(list, REGISTER, &octets(to.ip()));
    let list = immediate(list, SECOND_REGISTER, &to.port().to_be_bytes());
    list.nested_elem()
        .nested_data_nat()
        .push_type(DESTINATION_NAT)
        .push_family(u32::from(family))
        .push_reg_addr_min(REGISTER)
        .push_reg_proto_min(SECOND_REGISTER)
        .end_nested()
        .end_nested()
}

fn set_port(list: Expressions<'_>, protocol: Protocol, offset: u32, port: u16) -> Expressions<'_> {
    let checksum = match protocol {
        Protocol::Tcp => TCP_CHECKSUM,
        Protocol::Udp => UDP_CHECKSUM,
    };
    let list = immediate(list, REGISTER, &port.to_be_bytes());
    list.nested_elem()
        .nested_data_payload()
        .push_sreg(REGISTER)
        .push_base(PayloadBase::TransportHeader as u32)
        .push_offset(offset)
        .push_len(2)
        .push_csum_type(INTERNET_CHECKSUM)
        .push_csum_offset(checksum)
        .end_nested()
        .end_nested()
}

fn immediate<'a>(list: Expressions<'a>, register: u32, value: &[u8]) -> Expressions<'a> {
    list.nested_elem()
        .nested_data_immediate()
        .push_dreg(register)
        .nested_data()
        .push_value(value)
        .end_nested()
        .end_nested()
        .end_nested()
}

/// An interface name as the kernel compares it: all 16 bytes.
fn padded(name: &str) -> [u8; libc::IFNAMSIZ] {
    let mut bytes = [0; libc::IFNAMSIZ];
    let length = name.len().min(libc::IFNAMSIZ - 1);
    bytes[..length].copy_from_slice(&name.as_bytes()[..length]);
    bytes
}
