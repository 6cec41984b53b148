//! What came to the host after a network and lies over its addresses, such as a VPN.

use std::fmt;

use naru_net::occupied::{self, Conflict, Occupied, Use};
use naru_state::record::{Driver, Network, Networks};

/// A network whose addresses are somebody else's as well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clash {
    network: String,
    subnet: String,
    with: Conflict,
}

impl fmt::Display for Clash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { network, subnet, with } = self;
        write!(
            f,
            "{with} overlaps with network {network} ({subnet}): what is there and the network's containers may not reach each other; after `naru down` the next `naru up` takes other addresses, unless the file says which"
        )
    }
}

/// The networks with bridges that a route or an address of the host overlaps with; none when the host's cannot be read.
pub fn clashes(networks: &Networks) -> Vec<Clash> {
    match occupied::occupied(&[]) {
        Ok(occupied) => networks.networks.values().flat_map(|own| of(own, &occupied)).collect(),
        Err(error) => {
            tracing::warn!(%error, "whether networks clash with routes is not known");
            Vec::new()
        }
    }
}

fn of(own: &Network, occupied: &Occupied) -> Vec<Clash> {
    let uses = occupied.uses.iter();
    let is_of_host = |by: &Use| matches!(by, Use::Route { .. } | Use::Address { .. });
    let uses = uses.filter(|(_, by)| is_of_host(by)).cloned().collect();
    let of_host = Occupied { uses };
    let subnets = own.subnets.iter().filter(|_| own.driver == Driver::Bridge);
    let clash = |subnet: &naru_state::record::Subnet| {
        let with = of_host.conflict(subnet.subnet, Some(&own.bridge))?;
        Some(Clash { network: own.name.clone(), subnet: subnet.subnet.to_string(), with })
    };
    subnets.filter_map(clash).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_routes_and_addresses_of_other_interfaces_clash() {
        let subnet = |text: &str| naru_state::record::Subnet {
            subnet: text.parse().unwrap(),
            gateway: None,
            ip_range: None,
            reserved: Default::default(),
        };
        let own = Network {
            name: "shop_default".into(),
            bridge: "nb-1".into(),
            subnets: vec![subnet("10.8.3.0/24"), subnet("fd00:8::/64")],
            ..Network::default()
        };
        let route = |interface: &str| Use::Route { interface: Some(interface.into()) };
        let place = |text: &str, by: Use| (text.parse().unwrap(), by);
        let uses = vec![
            place("10.8.3.0/24", route("nb-1")),
            place("10.8.3.1/24", Use::Address { interface: "nb-1".into() }),
            place("10.8.3.0/24", Use::Recorded),
            place("10.9.0.0/16", route("tun0")),
        ];
        let mut occupied = Occupied { uses };
        assert_eq!(of(&own, &occupied), []);
        occupied.uses.push(place("10.8.0.0/16", route("wg7")));
        let found = of(&own, &occupied);
        let text = found[0].to_string();
        assert!(
            text.starts_with(
                "the route to 10.8.0.0/16 through interface wg7 overlaps with network shop_default (10.8.3.0/24)"
            ),
            "{text}"
        );
        let upper = Network { driver: Driver::Macvlan, ..own };
        assert_eq!(of(&upper, &occupied), [], "it has its parent's addresses");
    }
}
