//! The program of a link: what it looks at, and in which order. Pure.
//!
//! A frame with one VLAN tag arrives here without it, so that what is inside is looked at; one that still has a tag had
//! several, and receivers unpack those: it is dropped. Fragments of IPv6 are not looked into, as nobody takes neighbour
//! discovery from them (RFC 6980).

use std::net::IpAddr;

use ipnetwork::IpNetwork;
use naru_sys::bpf::Instruction;

use super::assembler::{AT, Assembler, From, KIND, Label, STATE};
use crate::MacAddress;

/// `TC_ACT_UNSPEC`: whoever else looks at the link's frames decides.
const GO_ON: i32 = -1;
/// `TC_ACT_SHOT`.
const DROP: i32 = 2;

/// Kinds of frames (`linux/if_ether.h`), as they lie in memory.
const IPV4: [u8; 2] = [0x08, 0x00];
const ARP: [u8; 2] = [0x08, 0x06];
const IPV6: [u8; 2] = [0x86, 0xdd];
const TAGS: [[u8; 2]; 2] = [[0x81, 0x00], [0x88, 0xa8]];

/// Length of the Ethernet header.
const HEADER: i32 = 14;
/// Where things are copied to, below the stack's top; addresses lie at multiples of 4.
const ETHERNET: i16 = -22;
const ETHERNET_SOURCE: i16 = ETHERNET + 6;
const ETHERNET_KIND: i16 = ETHERNET + 12;
const IPV4_SOURCE: i16 = -8;
const BODY: i16 = -66;
const ARP_OPERATION: i16 = BODY + 6;
const ARP_HARDWARE: i16 = BODY + 8;
const ARP_SOURCE: i16 = BODY + 14;
const IPV6_HEADER: i16 = -112;
const IPV6_NEXT: i16 = IPV6_HEADER + 6;
const IPV6_SOURCE: i16 = IPV6_HEADER + 8;
const EXTENSION: i16 = -114;
const ICMP_KIND: i16 = -116;
const TARGET: i16 = -136;

/// Next headers of IPv6.
const TCP: i32 = 6;
const UDP: i32 = 17;
const ICMP: i32 = 58;
/// Those that another follows: hop-by-hop options, routing, destination options.
const FOLLOWED: [i32; 3] = [0, 43, 60];
/// More of them than anybody has a use for are dropped.
const MOST_EXTENSIONS: usize = 4;

/// Messages of ICMPv6: about listeners (RFC 2710, RFC 3810) and neighbours (RFC 4861).
const LISTENERS: [i32; 3] = [131, 132, 143];
const ROUTER_ADVERTISEMENT: i32 = 134;
const SOLICITATION: i32 = 135;
const ADVERTISEMENT: i32 = 136;
const REDIRECT: i32 = 137;

/// Who asks for an address by DHCP has none yet: UDP from port 68 to port 67.
const IPV4_WITHOUT_OPTIONS: u8 = 0x45;
const DHCP_PORTS: [u8; 4] = [0, 68, 0, 67];

/// The program for who has this hardware address and these addresses.
pub(super) fn of(mac: MacAddress, addresses: &[IpNetwork]) -> Vec<Instruction> {
    let mut code = Assembler::default();
    let ends = Ends { pass: code.label(), drop: code.label() };
    let (v4, v6): (Vec<_>, Vec<_>) = addresses.iter().copied().partition(IpNetwork::is_ipv4);
    code.keep_context();
    code.copy(From::Offset(0), ETHERNET, HEADER, ends.drop);
    equal(&mut code, ETHERNET_SOURCE, &mac.0, ends.drop);
    code.read_pair(KIND, ETHERNET_KIND);
    let kinds = [(IPV4, code.label()), (ARP, code.label()), (IPV6, code.label())];
    for (kind, label) in kinds {
        code.jump_if(KIND, pair(kind), label);
    }
    for tag in TAGS {
        code.jump_if(KIND, pair(tag), ends.drop);
    }
    code.jump(ends.pass);
    code.place(kinds[0].1);
    from_ipv4(&mut code, &v4, ends);
    code.place(kinds[1].1);
    from_arp(&mut code, mac, &v4, ends);
    code.place(kinds[2].1);
    from_ipv6(&mut code, &v6, ends);
    code.place(ends.pass);
    code.end(GO_ON);
    code.place(ends.drop);
    code.end(DROP);
    code.finish()
}

/// Where the program ends.
#[derive(Clone, Copy)]
struct Ends {
    pass: Label,
    drop: Label,
}

fn pair(bytes: [u8; 2]) -> i32 {
    u16::from_ne_bytes(bytes).into()
}

fn equal(code: &mut Assembler, at: i16, bytes: &[u8], otherwise: Label) {
    code.jump_unless_equal(at, bytes, &vec![0xff; bytes.len()], otherwise);
}

/// Jumps when the address on the stack is one of these.
fn jump_if_one_of(code: &mut Assembler, at: i16, all: &[IpNetwork], found: Label) {
    for network in all {
        let next = code.label();
        let octets = |address: IpAddr| match address {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        let (bytes, mask) = (octets(network.network()), octets(network.mask()));
        code.jump_unless_equal(at, &bytes, &mask, next);
        code.jump(found);
        if !code.is_used(next) {
            // Everybody's: nothing can follow.
            return;
        }
        code.place(next);
    }
}

/// Whether the last of [`jump_if_one_of`] is decided: then nothing leads past it.
fn is_everybody(all: &[IpNetwork]) -> bool {
    all.iter().any(|network| network.prefix() == 0)
}

fn from_ipv4(code: &mut Assembler, own: &[IpNetwork], ends: Ends) {
    const SOURCE: i32 = HEADER + 12;
    code.copy(From::Offset(SOURCE), IPV4_SOURCE, 4, ends.drop);
    jump_if_one_of(code, IPV4_SOURCE, own, ends.pass);
    if is_everybody(own) {
        return;
    }
    equal(code, IPV4_SOURCE, &[0; 4], ends.drop);
    code.copy(From::Offset(HEADER), BODY, 24, ends.drop);
    equal(code, BODY, &[IPV4_WITHOUT_OPTIONS], ends.drop);
    equal(code, BODY + 9, &[17], ends.drop);
    equal(code, BODY + 20, &DHCP_PORTS, ends.drop);
    code.jump(ends.pass);
}

fn from_arp(code: &mut Assembler, mac: MacAddress, own: &[IpNetwork], ends: Ends) {
    /// Ethernet, IPv4, and the lengths of their addresses.
    const FORM: [u8; 6] = [0, 1, 8, 0, 6, 4];
    const REQUEST: [u8; 2] = [0, 1];
    code.copy(From::Offset(HEADER), BODY, 28, ends.drop);
    equal(code, BODY, &FORM, ends.drop);
    equal(code, ARP_HARDWARE, &mac.0, ends.drop);
    jump_if_one_of(code, ARP_SOURCE, own, ends.pass);
    if is_everybody(own) {
        return;
    }
    // A question whether an address is in use changes nobody's memory (RFC 5227).
    equal(code, ARP_SOURCE, &[0; 4], ends.drop);
    equal(code, ARP_OPERATION, &REQUEST, ends.drop);
    code.jump(ends.pass);
}

fn from_ipv6(code: &mut Assembler, own: &[IpNetwork], ends: Ends) {
    const LENGTH: i32 = 40;
    if own.is_empty() {
        return code.jump(ends.drop);
    }
    code.copy(From::Offset(HEADER), IPV6_HEADER, LENGTH, ends.drop);
    code.set(STATE, 0);
    code.set(AT, HEADER + LENGTH);
    code.read_byte(KIND, IPV6_NEXT);
    let sent = code.label();
    jump_if_one_of(code, IPV6_SOURCE, own, sent);
    if !is_everybody(own) {
        // Without an address yet, only what asks for one or joins a group.
        equal(code, IPV6_SOURCE, &[0; 16], ends.drop);
        code.set(STATE, 1);
    }
    code.place(sent);
    let (plain, icmp) = (code.label(), code.label());
    code.jump_if(KIND, TCP, plain);
    code.jump_if(KIND, UDP, plain);
    for _ in 0..MOST_EXTENSIONS {
        let extended = code.label();
        code.jump_if(KIND, ICMP, icmp);
        FOLLOWED.iter().for_each(|kind| code.jump_if(KIND, *kind, extended));
        code.jump(plain);
        code.place(extended);
        code.copy(From::At, EXTENSION, 2, ends.drop);
        code.read_byte(KIND, EXTENSION);
        code.skip_header(AT, EXTENSION + 1);
    }
    code.jump_if(KIND, ICMP, icmp);
    FOLLOWED.iter().for_each(|kind| code.jump_if(KIND, *kind, ends.drop));
    code.place(plain);
    code.jump_if(STATE, 0, ends.pass);
    code.jump(ends.drop);
    code.place(icmp);
    from_icmp(code, own, ends);
}

fn from_icmp(code: &mut Assembler, own: &[IpNetwork], ends: Ends) {
    let (unspecified, target) = (code.label(), code.label());
    code.copy(From::At, ICMP_KIND, 1, ends.drop);
    code.read_byte(KIND, ICMP_KIND);
    code.jump_if(KIND, ROUTER_ADVERTISEMENT, ends.drop);
    code.jump_if(KIND, REDIRECT, ends.drop);
    code.jump_if(KIND, ADVERTISEMENT, target);
    code.jump_if(STATE, 1, unspecified);
    code.jump(ends.pass);
    code.place(unspecified);
    LISTENERS.iter().for_each(|kind| code.jump_if(KIND, *kind, ends.pass));
    code.jump_unless(KIND, SOLICITATION, ends.drop);
    code.place(target);
    // The address that is spoken for.
    code.add(AT, 8);
    code.copy(From::At, TARGET, 16, ends.drop);
    jump_if_one_of(code, TARGET, own, ends.pass);
    if !is_everybody(own) {
        code.jump(ends.drop);
    }
}
