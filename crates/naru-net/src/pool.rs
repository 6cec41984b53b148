//! Choosing a subnet for a network and an address for a container: pure.
//!
//! Networks get a /24, the size people know from Docker's own small pools: 253 containers, and the
//! default ranges hold more than 2,000 of them. The search begins at a place that follows from the
//! network's id, so that a network gets the same subnet again whenever it is free, and networks
//! that are made at the same time rarely want the same one.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::{IpNetwork, Ipv4Network, Ipv6Network};

use crate::names;
use crate::occupied::{Conflict, Occupied};

/// Where subnets come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// Ranges, used in this order.
    pub ranges: Vec<Ipv4Network>,
    /// Length of the prefix of each subnet.
    pub prefix: u8,
}

impl Default for Pool {
    /// Ranges that home routers, Docker, podman, libvirt and common VPNs do not use by default.
    fn default() -> Self {
        let range = |address: [u8; 4], prefix| {
            Ipv4Network::new(address.into(), prefix).expect("the prefix is at most 32")
        };
        Self {
            ranges: vec![
                range([10, 213, 0, 0], 16),
                range([10, 214, 0, 0], 15),
                range([172, 28, 0, 0], 14),
                range([192, 168, 160, 0], 19),
                range([100, 112, 0, 0], 14),
            ],
            prefix: 24,
        }
    }
}

/// No subnet could be given.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// All subnets of all ranges overlap with something.
    #[error("all subnets of the address pool are in use on this host")]
    Exhausted,
    /// The subnet that the file asks for is taken.
    #[error("subnet {subnet} is in use on this host")]
    Taken {
        /// The subnet asked for.
        subnet: IpNetwork,
        /// By what.
        source: Conflict,
    },
    /// The subnet has no room for a gateway and a container.
    #[error("subnet {subnet} is too small: it needs room for a gateway and a container")]
    TooSmall {
        /// The subnet asked for.
        subnet: IpNetwork,
    },
}

/// A free subnet for the network with this id.
///
/// # Errors
/// When there is none.
pub fn pick(pool: &Pool, occupied: &Occupied, network: &str) -> Result<Ipv4Network, Error> {
    let taken = merged(occupied);
    let free = |subnet: &Ipv4Network| {
        let (first, last) = bounds(*subnet);
        let next = taken.partition_point(|(_, end)| *end < first);
        taken.get(next).is_none_or(|(start, _)| *start > last)
    };
    pool.ranges
        .iter()
        .find_map(|range| subnets(*range, pool.prefix, names::hash(network)).find(free))
        .ok_or(Error::Exhausted)
}

/// Checks a subnet that the user chose. `own` is the network's bridge when it exists already.
///
/// # Errors
/// When it overlaps with something on the host, or is too small.
pub fn check(subnet: IpNetwork, occupied: &Occupied, own: Option<&str>) -> Result<(), Error> {
    let smallest = if subnet.is_ipv4() { 30 } else { 126 };
    if subnet.prefix() > smallest {
        return Err(Error::TooSmall { subnet });
    }
    match occupied.conflict(subnet, own) {
        Some(source) => Err(Error::Taken { subnet, source }),
        None => Ok(()),
    }
}

/// The gateway of a subnet: its first address.
pub fn gateway(subnet: IpNetwork) -> IpAddr {
    match subnet {
        IpNetwork::V4(subnet) => Ipv4Addr::from_bits(subnet.network().to_bits() + 1).into(),
        IpNetwork::V6(subnet) => Ipv6Addr::from_bits(subnet.network().to_bits() + 1).into(),
    }
}

/// A /64 of addresses that are valid on this host only (RFC 4193), made of 56 bits of `random`: two hosts, and two
/// networks of one, hardly ever have the same.
pub fn unique_local(random: u64) -> Ipv6Network {
    const PREFIX: u8 = 0xfd;
    let [_, bytes @ ..] = random.to_be_bytes();
    let mut octets = [0; 16];
    octets[0] = PREFIX;
    octets[1..8].copy_from_slice(&bytes);
    Ipv6Network::new(octets.into(), 64).expect("the prefix is at most 128")
}

/// Where containers' addresses come from.
#[derive(Debug, Clone, Copy)]
pub struct Addresses<'a> {
    /// All addresses of the network.
    pub subnet: IpNetwork,
    /// The part of it that addresses are chosen from.
    pub range: Option<IpNetwork>,
    /// What no container gets: gateways, addresses that somebody has, and such as the user keeps for something else.
    pub taken: &'a BTreeSet<IpAddr>,
}

/// Why a container cannot have an address that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// It is not of the subnet, or is the subnet's own or its broadcast address.
    #[error("{address} is not an address for containers of {subnet}")]
    Outside {
        /// The address.
        address: IpAddr,
        /// The subnet.
        subnet: IpNetwork,
    },
    /// Somebody has it.
    #[error("{address} is taken already")]
    Taken {
        /// The address.
        address: IpAddr,
    },
}

impl Addresses<'_> {
    /// The lowest address that nobody has.
    pub fn next(&self) -> Option<IpAddr> {
        let range = self.range.unwrap_or(self.subnet);
        let (mut next, last) = ends(range);
        while next <= last {
            let address = match range {
                IpNetwork::V4(_) => Ipv4Addr::from_bits(u32::try_from(next).ok()?).into(),
                IpNetwork::V6(_) => Ipv6Addr::from_bits(next).into(),
            };
            if self.is_for_containers(address) && !self.taken.contains(&address) {
                return Some(address);
            }
            next = next.checked_add(1)?;
        }
        None
    }

    /// Checks an address that was asked for; it need not be of the range.
    ///
    /// # Errors
    /// When no container can have it, or somebody has it already.
    pub fn check(&self, address: IpAddr) -> Result<(), Unusable> {
        let subnet = self.subnet;
        if !self.is_for_containers(address) {
            return Err(Unusable::Outside { address, subnet });
        }
        match self.taken.contains(&address) {
            true => Err(Unusable::Taken { address }),
            false => Ok(()),
        }
    }

    /// Neither the subnet's own address nor its broadcast address. Of two addresses (RFC 3021) both can be used.
    fn is_for_containers(&self, address: IpAddr) -> bool {
        let ends = match self.subnet {
            IpNetwork::V4(subnet) if subnet.prefix() < 31 => {
                [Some(subnet.network().into()), Some(subnet.broadcast().into())]
            }
            IpNetwork::V4(_) => [None, None],
            IpNetwork::V6(subnet) if subnet.prefix() < 127 => [Some(subnet.network().into()), None],
            IpNetwork::V6(_) => [None, None],
        };
        self.subnet.contains(address) && !ends.contains(&Some(address))
    }
}

/// The first and the last address of a network as numbers.
fn ends(network: IpNetwork) -> (u128, u128) {
    match network {
        IpNetwork::V4(network) => {
            let (first, last) = bounds(network);
            (first.into(), last.into())
        }
        IpNetwork::V6(network) => (network.network().to_bits(), network.broadcast().to_bits()),
    }
}

/// All addresses in use, as ranges in order, none touching another.
fn merged(occupied: &Occupied) -> Vec<(u32, u32)> {
    let mut ranges: Vec<_> = occupied
        .uses
        .iter()
        .filter_map(|(network, _)| match network {
            IpNetwork::V4(network) => Some(bounds(*network)),
            IpNetwork::V6(_) => None,
        })
        .collect();
    ranges.sort_unstable();
    ranges.dedup_by(|later, earlier| {
        let joins = later.0 <= earlier.1;
        earlier.1 = if joins { earlier.1.max(later.1) } else { earlier.1 };
        joins
    });
    ranges
}

fn bounds(network: Ipv4Network) -> (u32, u32) {
    (network.network().to_bits(), network.broadcast().to_bits())
}

/// All subnets of a range, each once, from the one that `start` points at.
fn subnets(range: Ipv4Network, prefix: u8, start: u64) -> impl Iterator<Item = Ipv4Network> {
    let count = match prefix.checked_sub(range.prefix()) {
        Some(bits) => 1_u64 << bits,
        None => 0,
    };
    let base = u64::from(range.network().to_bits());
    let size = 1_u64 << (32 - u32::from(prefix.min(32)));
    (0..count).filter_map(move |step| {
        let number = (start % count + step) % count;
        let address = u32::try_from(base + number * size).ok()?;
        Ipv4Network::new(Ipv4Addr::from_bits(address), prefix).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::occupied::Use;

    fn network(text: &str) -> Ipv4Network {
        text.parse().unwrap()
    }

    fn route(text: &str, interface: &str) -> (IpNetwork, Use) {
        (network(text).into(), Use::Route { interface: Some(interface.into()) })
    }

    fn small_pool() -> Pool {
        Pool { ranges: vec![network("10.213.0.0/22"), network("172.28.0.0/23")], prefix: 24 }
    }

    #[test]
    fn every_subnet_is_given_once_before_the_pool_is_exhausted() {
        let mut occupied = Occupied::default();
        let mut given = BTreeSet::new();
        for number in 0..6 {
            let subnet = pick(&small_pool(), &occupied, &format!("network{number}")).unwrap();
            assert!(given.insert(subnet), "{subnet} was given twice");
            occupied.uses.push((subnet.into(), Use::Recorded));
        }
        assert!(matches!(pick(&small_pool(), &occupied, "more"), Err(Error::Exhausted)));
    }

    #[test]
    fn the_default_pool_holds_five_hundred_networks_and_gives_the_same_again() {
        let mut occupied = Occupied::default();
        for number in 0..500 {
            let id = format!("project{number}_default");
            let subnet = pick(&Pool::default(), &occupied, &id).unwrap();
            assert_eq!(pick(&Pool::default(), &occupied, &id).unwrap(), subnet);
            occupied.uses.push((subnet.into(), Use::Recorded));
        }
    }

    #[test]
    fn a_route_to_a_wide_range_moves_networks_to_the_next_range() {
        let occupied = Occupied { uses: vec![route("10.0.0.0/8", "tun0")] };
        let subnet = pick(&small_pool(), &occupied, "shop").unwrap();
        assert!(network("172.28.0.0/23").contains(subnet.ip()), "{subnet}");
    }

    #[test]
    fn a_pinned_subnet_that_clashes_names_the_interface() {
        let occupied = Occupied { uses: vec![route("10.8.0.0/16", "wg0")] };
        let error = check(network("10.8.3.0/24").into(), &occupied, None).unwrap_err();
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(source, "the route to 10.8.0.0/16 through interface wg0");
    }

    #[test]
    fn a_network_does_not_clash_with_its_own_bridge() {
        let occupied = Occupied { uses: vec![route("10.8.3.0/24", "nb-1")] };
        assert!(check(network("10.8.3.0/24").into(), &occupied, Some("nb-1")).is_ok());
        assert!(check(network("10.8.3.0/24").into(), &occupied, None).is_err());
    }

    fn taken(texts: &[&str]) -> BTreeSet<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    /// All addresses that are given one after the other, at most six.
    fn given(subnet: &str, range: Option<&str>, mut taken: BTreeSet<IpAddr>) -> Vec<String> {
        let subnet = subnet.parse().unwrap();
        let range = range.map(|range| range.parse().unwrap());
        let mut given = Vec::new();
        while let Some(next) = (Addresses { subnet, range, taken: &taken }).next() {
            taken.insert(next);
            given.push(next.to_string());
            if given.len() == 6 {
                break;
            }
        }
        given
    }

    #[test]
    fn addresses_are_given_from_the_lowest_and_never_the_special_ones() {
        let all = given("10.8.3.0/29", None, taken(&["10.8.3.1", "10.8.3.4"]));
        assert_eq!(all, ["10.8.3.2", "10.8.3.3", "10.8.3.5", "10.8.3.6"]);
        let all = given("fd00:1::/64", None, taken(&["fd00:1::1"]));
        assert_eq!(all[..2], ["fd00:1::2", "fd00:1::3"]);
    }

    #[test]
    fn a_range_is_where_addresses_are_chosen_from_but_others_can_be_asked_for() {
        let none = || taken(&["10.8.3.1", "10.8.3.129"]);
        let all = given("10.8.3.0/24", Some("10.8.3.128/30"), none());
        assert_eq!(all, ["10.8.3.128", "10.8.3.130", "10.8.3.131"]);
        let all = given("10.8.3.0/24", Some("10.8.3.252/30"), none());
        assert_eq!(all, ["10.8.3.252", "10.8.3.253", "10.8.3.254"], "no broadcast address");
        let (none, subnet) = (none(), "10.8.3.0/24".parse().unwrap());
        let addresses =
            Addresses { subnet, range: Some("10.8.3.128/30".parse().unwrap()), taken: &none };
        let check = |text: &str| addresses.check(text.parse().unwrap()).map_err(|e| e.to_string());
        assert_eq!(check("10.8.3.7"), Ok(()));
        assert_eq!(check("10.8.3.1"), Err("10.8.3.1 is taken already".to_owned()));
        let outside = |text: &str| format!("{text} is not an address for containers of {subnet}");
        for text in ["10.8.3.0", "10.8.3.255", "10.8.4.7", "fd00::1"] {
            assert_eq!(check(text), Err(outside(text)));
        }
    }

    #[test]
    fn unique_local_subnets_are_of_their_range_and_differ_with_the_random_number() {
        let one = unique_local(0x0123_4567_89ab_cdef);
        assert_eq!(one.to_string(), "fd23:4567:89ab:cdef::/64");
        assert_eq!(gateway(one.into()).to_string(), "fd23:4567:89ab:cdef::1");
        assert_ne!(one, unique_local(7));
    }
}
