//! Frames of all kinds through a guarded link, and what they do to the neighbours.

use std::io::Read as _;
use std::os::fd::AsFd as _;
use std::time::Duration;

use naru_test::frame::{self, BROADCAST, Mac, Neighbour};
use nix::sys::socket::{setsockopt, sockopt};

use super::*;
use crate::network::tests::with_ipv6;
use crate::network::{self, Endpoint, Network};
use crate::sandbox::{self, Netns};

/// A container with an address of each family.
struct Container {
    netns: Netns,
    mac: Mac,
    v4: std::net::Ipv4Addr,
    v6: Ipv6Addr,
    link_local: Ipv6Addr,
}

impl Container {
    fn new(network: &Network, host: u8, senders: &Senders) -> Self {
        let netns = Netns::new();
        let v4 = std::net::Ipv4Addr::from([10, 213, 1, host]);
        let v6: Ipv6Addr = format!("fd00:213:1::{host:x}").parse().unwrap();
        let addresses = [
            network.interface_address(v4.into()),
            network.interface_address(v6.into()),
            "169.254.7.7/16".parse().unwrap(),
        ];
        let mac = MacAddress::of(v4);
        network::attach(network, &endpoint((&addresses, mac), senders, host, &netns)).unwrap();
        let IpAddr::V6(link_local) = link_local(mac) else { unreachable!() };
        Self { netns, mac: mac.0, v4, v6, link_local }
    }

    fn packets(&self) -> Packets {
        let socket = self.netns.run(|| naru_sys::network::packet_socket("eth0")).unwrap();
        let second = nix::sys::time::TimeVal::new(1, 0);
        setsockopt(&socket, sockopt::ReceiveTimeout, &second).unwrap();
        Packets(socket.into())
    }

    /// The hardware address that the kernel has for a neighbour.
    fn knows(&self, address: impl Into<IpAddr>) -> String {
        let address = address.into().to_string();
        let known = self.netns.run(|| {
            let arguments = ["neighbour", "show", &address];
            std::process::Command::new("ip").args(arguments).output().unwrap()
        });
        let text = String::from_utf8(known.stdout).unwrap();
        let mac = text.split_once("lladdr ").map(|(_, rest)| rest.split(' ').next());
        mac.flatten().unwrap_or_default().to_owned()
    }
}

fn endpoint<'a>(
    (addresses, mac): (&'a [IpNetwork], MacAddress),
    senders: &'a Senders,
    host: u8,
    netns: &'a Netns,
) -> Endpoint<'a> {
    Endpoint {
        interface: "eth0",
        addresses,
        mac,
        routes: network::DefaultRoutes::default(),
        parameters: &[],
        senders,
        host_side: ["nv-0", "nv-1", "nv-2", "nv-3"][usize::from(host - 1)],
        netns: netns.as_fd(),
    }
}

struct Packets(std::fs::File);

impl Packets {
    fn send(&self, frame: &[u8]) {
        rustix::io::write(&self.0, frame).unwrap();
    }

    /// The frames that come before `last`.
    fn until(&mut self, last: &[u8]) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        let mut buffer = [0; 2048];
        loop {
            let length = self.0.read(&mut buffer).expect("the last frame comes");
            if buffer[..length].starts_with(last) {
                return found;
            }
            found.push(buffer[..length].to_vec());
        }
    }
}

const GATEWAY: [u8; 4] = [10, 213, 1, 1];
const GATEWAY_6: &str = "fd00:213:1::1";

fn v6(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

/// An attacker whose link is guarded in this way, and a victim.
fn two(senders: &Senders) -> (Container, Container) {
    let network = with_ipv6(1, true);
    network::create(&network).unwrap();
    (Container::new(&network, 2, senders), Container::new(&network, 3, &Senders::Own))
}

/// The names of the frames that come through to the victim.
fn passed(attacker: &Container, victim: &Container, frames: &[(&str, Vec<u8>)]) -> Vec<String> {
    let (sender, mut receiver) = (attacker.packets(), victim.packets());
    let mut passed = Vec::new();
    for (name, frame) in frames {
        sender.send(frame);
        // Who sends with its hardware address takes its place; it comes back.
        receiver.send(&frame::ethernet(victim.mac, BROADCAST, 0x88b5, b"here"));
        let last = frame::ethernet(attacker.mac, victim.mac, 0x88b5, name.as_bytes());
        sender.send(&last);
        let came = receiver.until(&last);
        // A tag is taken off and told besides; what is inside is the same.
        let header = if frame[12..14] == [0x81, 0] { 16 } else { 14 };
        let body = &frame[header..];
        if came.iter().any(|other| other.ends_with(body) && other[..12] == frame[..12]) {
            passed.push((*name).to_owned());
        }
    }
    passed
}

fn names(frames: &[(&str, Vec<u8>)]) -> Vec<String> {
    frames.iter().map(|(name, _)| (*name).to_owned()).collect()
}

/// What a container has to be able to send.
fn honest(own: &Container, other: &Container) -> Vec<(&'static str, Vec<u8>)> {
    let arp = |is_reply, says: [u8; 4]| {
        frame::arp(own.mac, other.mac, is_reply, (says.into(), own.mac), other.v4)
    };
    let udp =
        |from: IpAddr, to: IpAddr| frame::udp((own.mac, from, 68), (other.mac, to, 67), b"hello");
    let about = |kind, from, target| {
        let message = Neighbour { kind, target, at: own.mac, behind: 0 };
        frame::neighbour((own.mac, from), (other.mac, other.v6), message)
    };
    let none = Ipv6Addr::UNSPECIFIED;
    let own_v4 = udp(own.v4.into(), other.v4.into());
    vec![
        ("ARP reply", arp(true, own.v4.octets())),
        ("ARP request", arp(false, own.v4.octets())),
        ("ARP probe", arp(false, [0; 4])),
        ("IPv4", own_v4.clone()),
        ("IPv4 in a VLAN", frame::tagged(&own_v4, 7)),
        ("IPv4 link-local", udp([169, 254, 7, 7].into(), other.v4.into())),
        ("DHCP", udp([0, 0, 0, 0].into(), [255; 4].into())),
        ("IPv6", udp(own.v6.into(), other.v6.into())),
        ("IPv6 link-local", udp(own.link_local.into(), other.v6.into())),
        ("solicitation", about(135, own.link_local, other.v6)),
        ("advertisement", about(136, own.v6, own.v6)),
        ("router solicitation", about(133, own.link_local, none)),
        ("address in use?", about(135, none, own.v6)),
        ("report of a listener", about(143, none, none)),
        ("of another kind", frame::ethernet(own.mac, other.mac, 0x88cc, b"hello")),
    ]
}

#[test]
fn what_a_container_sends_in_its_own_name_passes() {
    sandbox::run(|| {
        let (own, other) = two(&Senders::Own);
        let frames = honest(&own, &other);
        assert_eq!(passed(&own, &other, &frames), names(&frames));
    });
}

/// What a container must not send.
fn forged(own: &Container, other: &Container) -> Vec<(&'static str, Vec<u8>)> {
    let arp = |is_reply, at, says: [u8; 4]| {
        frame::arp(own.mac, other.mac, is_reply, (says.into(), at), other.v4)
    };
    let udp = |mac, from: &str, port| {
        let from: IpAddr = from.parse().unwrap();
        let to = if from.is_ipv4() { IpAddr::from(other.v4) } else { other.v6.into() };
        frame::udp((mac, from, port), (BROADCAST, to, 4000), b"hello")
    };
    let about = |kind, from, target, behind| {
        let message = Neighbour { kind, target, at: own.mac, behind };
        frame::neighbour((own.mac, from), (other.mac, other.v6), message)
    };
    let gateway = v6(GATEWAY_6);
    let stolen = arp(true, own.mac, GATEWAY);
    let mut odd = stolen.clone();
    odd[15] = 6;
    let none = Ipv6Addr::UNSPECIFIED;
    vec![
        ("ARP reply for the gateway", stolen.clone()),
        ("ARP request of the gateway", arp(false, own.mac, GATEWAY)),
        ("ARP reply for the sibling", arp(true, own.mac, other.v4.octets())),
        ("ARP reply for nobody", arp(true, own.mac, [0; 4])),
        ("ARP with the sibling's hardware address", arp(true, other.mac, own.v4.octets())),
        ("ARP of another kind of hardware", odd),
        ("ARP behind a priority", frame::tagged(&stolen, 0)),
        ("ARP behind two tags", frame::tagged(&frame::tagged(&stolen, 0), 0)),
        ("ARP cut short", stolen[..30].to_vec()),
        ("the sibling's hardware address", udp(other.mac, "10.213.1.2", 1)),
        ("the sibling's IPv4 address", udp(own.mac, "10.213.1.3", 1)),
        ("the gateway's IPv4 address", udp(own.mac, "10.213.1.1", 1)),
        ("a name server's answer", udp(own.mac, "8.8.8.8", 53)),
        ("nobody's IPv4 address", udp(own.mac, "0.0.0.0", 1)),
        ("the sibling's IPv6 address", udp(own.mac, "fd00:213:1::3", 1)),
        ("another link-local address", udp(own.mac, "fe80::1", 1)),
        ("nobody's IPv6 address", udp(own.mac, "::", 1)),
        ("advertisement of the gateway", about(136, own.v6, gateway, 0)),
        ("advertisement behind options", about(136, own.v6, gateway, 2)),
        ("advertisement behind many options", about(136, own.v6, gateway, 7)),
        ("advertisement of nobody", about(136, none, gateway, 0)),
        ("the sibling's address in use", about(135, none, other.v6, 0)),
        ("router advertisement", about(134, own.link_local, gateway, 0)),
        ("redirect", about(137, own.link_local, gateway, 0)),
    ]
}

#[test]
fn nothing_in_anothers_name_passes_unless_the_network_is_told_so() {
    // G7
    sandbox::run(|| {
        let (own, other) = two(&Senders::Anybody);
        let frames = forged(&own, &other);
        let all = passed(&own, &other, &frames);
        assert_eq!(all, names(&frames), "without a guard they are seen");
    });
    sandbox::run(|| {
        let (own, other) = two(&Senders::Own);
        let none: [String; 0] = [];
        assert_eq!(passed(&own, &other, &forged(&own, &other)), none);
    });
}

#[test]
fn neighbours_keep_what_they_know_of_each_other_and_of_the_gateway() {
    // G7: what the frames are sent for.
    let poison = |senders: &Senders| {
        let (own, other) = two(senders);
        let gateway = v6(GATEWAY_6);
        other.netns.run(|| {
            // So that there is something to change.
            let to = [(IpAddr::from(GATEWAY), 9), (gateway.into(), 9)];
            for to in to {
                let from: IpAddr = if to.0.is_ipv4() { other.v4.into() } else { other.v6.into() };
                std::net::UdpSocket::bind((from, 0)).unwrap().send_to(b"x", to).unwrap();
            }
        });
        std::thread::sleep(Duration::from_millis(100));
        let sender = own.packets();
        // Those with the sibling's hardware address would keep the others from it.
        let frames = forged(&own, &other).into_iter().map(|(_, frame)| frame);
        for frame in frames.filter(|frame| frame[6..12] == own.mac) {
            sender.send(&frame);
        }
        std::thread::sleep(Duration::from_millis(100));
        let mac = MacAddress(own.mac).to_string();
        [other.knows(GATEWAY) == mac, other.knows(gateway) == mac]
    };
    sandbox::run(move || assert_eq!(poison(&Senders::Anybody), [true, true]));
    sandbox::run(move || assert_eq!(poison(&Senders::Own), [false, false]));
}

#[test]
fn a_bridge_does_not_learn_a_siblings_address_from_who_is_not_it() {
    // By a frame to an address that bridges keep to themselves, past all hooks of theirs.
    let stolen = |senders: &Senders| {
        let (own, other) = two(senders);
        let to = [0x01, 0x80, 0xc2, 0, 0, 0x0e];
        let theft = frame::ethernet(other.mac, to, 0x88cc, b"hello");
        let (mut packets, bridge) = (own.packets(), with_ipv6(1, true).bridge);
        let host = Netns(sandbox::current());
        let from_host = host.run(|| naru_sys::network::packet_socket(&bridge)).unwrap();
        let gateway = [2, 0, 0, 0, 0, 9];
        let for_other = frame::ethernet(gateway, other.mac, 0x88b5, b"for the other");
        let last = frame::ethernet(gateway, BROADCAST, 0x88b5, b"last");
        // The other may just send something, and the bridge learns where it is again.
        (0..20).any(|_| {
            packets.send(&theft);
            rustix::io::write(&from_host, &for_other).unwrap();
            rustix::io::write(&from_host, &last).unwrap();
            packets.until(&last).contains(&for_other)
        })
    };
    sandbox::run(move || assert!(stolen(&Senders::Anybody), "it does without a guard"));
    sandbox::run(move || assert!(!stolen(&Senders::Own)));
}

#[test]
fn addresses_that_the_network_is_told_of_may_be_sent_from_and_no_others() {
    sandbox::run(|| {
        let senders = "10.213.1.100, 10.9.0.0/16,fd00:9::/32".parse().unwrap();
        let (own, other) = two(&senders);
        let udp = |from: &str| {
            let from: IpAddr = from.parse().unwrap();
            let to = if from.is_ipv4() { IpAddr::from(other.v4) } else { other.v6.into() };
            frame::udp((own.mac, from, 1), (other.mac, to, 4000), b"hello")
        };
        let claims = |says: [u8; 4]| {
            frame::arp(own.mac, BROADCAST, true, (says.into(), own.mac), says.into())
        };
        let right = [
            ("its own", udp("10.213.1.2")),
            ("one besides", udp("10.213.1.100")),
            ("claimed", claims([10, 213, 1, 100])),
            ("of a subnet", udp("10.9.255.7")),
            ("of another", udp("fd00:9:1::1")),
        ];
        assert_eq!(passed(&own, &other, &right), names(&right));
        let wrong = [
            ("the next", udp("10.213.1.101")),
            ("claimed", claims([10, 213, 1, 101])),
            ("beside the subnet", udp("10.10.0.1")),
            ("beside the other", udp("fd00:a::1")),
        ];
        assert_eq!(passed(&own, &other, &wrong), [""; 0]);
    });
    sandbox::run(|| {
        let (own, other) = two(&"0.0.0.0/0,::/0".parse().unwrap());
        let frames = honest(&own, &other);
        assert_eq!(passed(&own, &other, &frames), names(&frames), "all addresses");
    });
}

#[test]
fn a_guard_that_is_gone_is_noticed_and_set_again() {
    sandbox::run(|| {
        let (own, other) = two(&Senders::Own);
        let network = with_ipv6(1, true);
        let addresses = [network.interface_address(own.v4.into())];
        let mac = MacAddress(own.mac);
        let endpoint = endpoint((&addresses, mac), &Senders::Own, 2, &own.netns);
        assert!(!network::restore_guard(&network, &endpoint).unwrap(), "it is there");
        let words = ["qdisc", "delete", "dev", "nv-1", "ingress"];
        assert!(std::process::Command::new("tc").args(words).status().unwrap().success());
        assert!(network::restore_guard(&network, &endpoint).unwrap(), "it was gone");
        let theirs = [(
            "its",
            frame::udp((own.mac, other.v4.into(), 1), (other.mac, other.v4.into(), 2), b""),
        )];
        assert_eq!(passed(&own, &other, &theirs), [""; 0]);
    });
}

#[test]
fn who_may_send_is_read_and_printed() {
    let parsed = |text: &str| text.parse::<Senders>().map(|senders| senders.to_string());
    assert_eq!(parsed("").as_deref(), Ok(""));
    assert_eq!(parsed("any").as_deref(), Ok("any"));
    assert_eq!(parsed(" 10.0.0.1,fd00::/64 ").as_deref(), Ok("10.0.0.1/32,fd00::/64"));
    let many = |number: usize| vec!["fd00::9/128"; number].join(",");
    assert_eq!(parsed(&many(MOST)), Ok(many(MOST)));
    let error = parsed(&many(MOST + 1)).unwrap_err().to_string();
    assert_eq!(error, "257 addresses and subnets are too many: at most 256, or `any`");
    assert!(parsed("10.0.0.300").is_err());
    assert!(parsed("everybody").is_err());
}

#[test]
fn the_kernel_takes_the_longest_program() {
    sandbox::run(|| {
        let senders = vec!["fd00::9/127"; MOST].join(",").parse().unwrap();
        let addresses = ["10.213.1.2/24".parse().unwrap(), "fd00::2/64".parse().unwrap()];
        let mac = MacAddress([2, 0, 0, 0, 0, 1]);
        let identity = Identity { mac, addresses: &addresses, senders: &senders };
        assert!(load(&identity).unwrap().is_some());
    });
}
