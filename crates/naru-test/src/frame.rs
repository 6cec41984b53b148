//! Ethernet frames made by hand, as who wants to mislead his neighbours makes them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A hardware address.
pub type Mac = [u8; 6];

/// Everybody on a link.
pub const BROADCAST: Mac = [0xff; 6];

/// Kinds of frames.
const IPV4: u16 = 0x0800;
const ARP: u16 = 0x0806;
const IPV6: u16 = 0x86dd;
/// Next headers.
const ICMPV6: u8 = 58;
const UDP: u8 = 17;
const DESTINATION_OPTIONS: u8 = 60;

/// A frame of any kind.
pub fn ethernet(from: Mac, to: Mac, kind: u16, body: &[u8]) -> Vec<u8> {
    [&to[..], &from, &kind.to_be_bytes(), body].concat()
}

/// The same frame with a VLAN tag.
pub fn tagged(frame: &[u8], vlan: u16) -> Vec<u8> {
    let (addresses, rest) = frame.split_at(12);
    [addresses, &[0x81, 0x00], &vlan.to_be_bytes(), rest].concat()
}

/// An ARP message, sent to `to`, that `says` is at `at`.
pub fn arp(
    from: Mac,
    to: Mac,
    is_reply: bool,
    (says, at): (Ipv4Addr, Mac),
    about: Ipv4Addr,
) -> Vec<u8> {
    let operation = if is_reply { 2 } else { 1 };
    let target = if is_reply { to } else { [0; 6] };
    let form = [0, 1, 8, 0, 6, 4, 0, operation];
    let body = [&form[..], &at, &says.octets(), &target, &about.octets()].concat();
    ethernet(from, to, ARP, &body)
}

/// A datagram of UDP.
pub fn udp(from: (Mac, IpAddr, u16), to: (Mac, IpAddr, u16), data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + data.len()).unwrap();
    let header = [from.2, to.2, length, 0].map(u16::to_be_bytes).concat();
    let datagram = [&header, data].concat();
    match (from.1, to.1) {
        (IpAddr::V4(source), IpAddr::V4(target)) => {
            ethernet(from.0, to.0, IPV4, &ipv4(source, target, UDP, &datagram))
        }
        (IpAddr::V6(source), IpAddr::V6(target)) => {
            ethernet(from.0, to.0, IPV6, &ipv6(source, target, UDP, &datagram))
        }
        mixed => panic!("{mixed:?} are of two families"),
    }
}

fn ipv4(source: Ipv4Addr, target: Ipv4Addr, protocol: u8, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(20 + data.len()).unwrap().to_be_bytes();
    let mut header = vec![0x45, 0, length[0], length[1], 0, 0, 0, 0, 64, protocol, 0, 0];
    header.extend(source.octets());
    header.extend(target.octets());
    let sum = checksum(&[&header]);
    header[10..12].copy_from_slice(&sum);
    [&header, data].concat()
}

fn ipv6(source: Ipv6Addr, target: Ipv6Addr, next: u8, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap().to_be_bytes();
    let header = [0x60, 0, 0, 0, length[0], length[1], next, 255];
    [&header[..], &source.octets(), &target.octets(), data].concat()
}

/// A message of ICMPv6 about neighbours: its kind, the address that it is about, and a hardware address as its option
/// of this kind; behind so many empty headers of options.
#[derive(Debug, Clone, Copy)]
pub struct Neighbour {
    /// 133 to 137 (RFC 4861).
    pub kind: u8,
    /// Who it is about.
    pub target: Ipv6Addr,
    /// Where that is said to be.
    pub at: Mac,
    /// How many headers come first.
    pub behind: usize,
}

/// A message about neighbours.
pub fn neighbour(from: (Mac, Ipv6Addr), to: (Mac, Ipv6Addr), message: Neighbour) -> Vec<u8> {
    const ADVERTISEMENT: u8 = 136;
    // Solicited, and it overrides what was known.
    let flags = if message.kind == ADVERTISEMENT { 0x60 } else { 0 };
    let option = if message.kind == ADVERTISEMENT { 2 } else { 1 };
    let mut data = vec![message.kind, 0, 0, 0, flags, 0, 0, 0];
    data.extend(message.target.octets());
    if !from.1.is_unspecified() {
        data.extend([option, 1]);
        data.extend(message.at);
    }
    let length = u32::try_from(data.len()).unwrap().to_be_bytes();
    let pseudo = [&from.1.octets()[..], &to.1.octets(), &length, &[0, 0, 0, ICMPV6]].concat();
    let sum = checksum(&[&pseudo, &data]);
    data[2..4].copy_from_slice(&sum);
    let mut next = ICMPV6;
    for _ in 0..message.behind {
        // Six bytes of padding.
        data.splice(0..0, [next, 0, 1, 4, 0, 0, 0, 0]);
        next = DESTINATION_OPTIONS;
    }
    ethernet(from.0, to.0, IPV6, &ipv6(from.1, to.1, next, &data))
}

/// The Internet checksum (RFC 1071).
fn checksum(parts: &[&[u8]]) -> [u8; 2] {
    let sum: u32 = parts
        .iter()
        .flat_map(|part| part.chunks(2))
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)))
        .sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    (!u16::try_from(folded).unwrap()).to_be_bytes()
}
