//! Choosing a subnet for a network and an address for a container: pure.
//!
//! Networks get a /24, the size people know from Docker's own small pools: 253 containers, and the
//! default ranges hold more than 2,000 of them. The search begins at a place that follows from the
//! network's id, so that a network gets the same subnet again whenever it is free, and networks
//! that are made at the same time rarely want the same one.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use ipnetwork::Ipv4Network;

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
        subnet: Ipv4Network,
        /// By what.
        source: Conflict,
    },
    /// The subnet has no room for a gateway and a container.
    #[error("subnet {subnet} is too small: it needs room for a gateway and a container")]
    TooSmall {
        /// The subnet asked for.
        subnet: Ipv4Network,
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
pub fn check(subnet: Ipv4Network, occupied: &Occupied, own: Option<&str>) -> Result<(), Error> {
    if subnet.prefix() > 30 {
        return Err(Error::TooSmall { subnet });
    }
    match occupied.conflict(subnet, own) {
        Some(source) => Err(Error::Taken { subnet, source }),
        None => Ok(()),
    }
}

/// The gateway of a subnet: its first address.
pub fn gateway(subnet: Ipv4Network) -> Ipv4Addr {
    Ipv4Addr::from_bits(subnet.network().to_bits() + 1)
}

/// The lowest address of the subnet that is neither taken nor its network, broadcast or gateway
/// address.
pub fn next_address(
    subnet: Ipv4Network,
    gateway: Ipv4Addr,
    taken: &BTreeSet<Ipv4Addr>,
) -> Option<Ipv4Addr> {
    let first = subnet.network().to_bits() + 1;
    let last = subnet.broadcast().to_bits().saturating_sub(1);
    (first..=last)
        .map(Ipv4Addr::from_bits)
        .find(|address| *address != gateway && !taken.contains(address))
}

/// All addresses in use, as ranges in order, none touching another.
fn merged(occupied: &Occupied) -> Vec<(u32, u32)> {
    let mut ranges: Vec<_> = occupied.uses.iter().map(|(network, _)| bounds(*network)).collect();
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

    fn route(text: &str, interface: &str) -> (Ipv4Network, Use) {
        (network(text), Use::Route { interface: Some(interface.into()) })
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
            occupied.uses.push((subnet, Use::Recorded));
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
            occupied.uses.push((subnet, Use::Recorded));
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
        let error = check(network("10.8.3.0/24"), &occupied, None).unwrap_err();
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(source, "the route to 10.8.0.0/16 through interface wg0");
    }

    #[test]
    fn a_network_does_not_clash_with_its_own_bridge() {
        let occupied = Occupied { uses: vec![route("10.8.3.0/24", "nb-1")] };
        assert!(check(network("10.8.3.0/24"), &occupied, Some("nb-1")).is_ok());
        assert!(check(network("10.8.3.0/24"), &occupied, None).is_err());
    }

    #[test]
    fn addresses_are_given_from_the_lowest_and_never_the_special_ones() {
        let subnet = network("10.8.3.0/29");
        let mut taken = BTreeSet::new();
        let mut given = Vec::new();
        while let Some(address) = next_address(subnet, gateway(subnet), &taken) {
            taken.insert(address);
            given.push(address.octets()[3]);
        }
        assert_eq!(given, [2, 3, 4, 5, 6]);
        taken.remove(&Ipv4Addr::new(10, 8, 3, 4));
        assert_eq!(next_address(subnet, gateway(subnet), &taken).unwrap().octets()[3], 4);
    }
}
