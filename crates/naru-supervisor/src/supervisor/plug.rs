//! A container's ends of its networks, as they are to be made in the kernel.

use std::net::IpAddr;
use std::os::fd::BorrowedFd;

use ipnetwork::IpNetwork;
use naru_net::guard::Senders;
use naru_net::{DefaultRoutes, Endpoint, MacAddress, Network, names};
use naru_state::record::Attachment;

use crate::network::interface_names;

/// All that an [`Endpoint`] refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plug {
    interface: String,
    addresses: Vec<IpNetwork>,
    mac: MacAddress,
    routes: DefaultRoutes,
    parameters: Vec<(String, String)>,
    senders: Senders,
    host_side: String,
}

/// The ends of all networks of a container. `seed` tells this start of this container from all others.
///
/// The way out of IPv4 and that of IPv6 are each through the network with the highest `gw_priority` that has one, and
/// of several through the first.
pub(super) fn plugs(places: &[(Network, Attachment)], seed: &str) -> Vec<Plug> {
    let attachments: Vec<_> = places.iter().map(|(_, attachment)| attachment.clone()).collect();
    let names = interface_names(&attachments, |index| &places[index].0.interface_prefix);
    let v4 = way_out(places, |network, own| own.address.and(network.routes().v4));
    let v6 = way_out(places, |network, own| own.address6.and(network.routes().v6));
    let places = places.iter().zip(names).enumerate();
    places
        .map(|(index, ((network, own), interface))| {
            let routes = DefaultRoutes {
                v4: v4.filter(|(at, _)| *at == index).map(|(_, gateway)| gateway),
                v6: v6.filter(|(at, _)| *at == index).map(|(_, gateway)| gateway),
                is_routed: network.is_routed(),
            };
            plug(network, own, (interface, routes), seed)
        })
        .collect()
}

/// The network that a protocol's packets leave through, counted from 0, with its gateway.
fn way_out<A>(
    places: &[(Network, Attachment)],
    gateway: impl Fn(&Network, &Attachment) -> Option<A>,
) -> Option<(usize, A)> {
    let ways = places.iter().enumerate();
    let ways = ways.filter_map(|(index, (network, own))| {
        Some((own.gw_priority, index, gateway(network, own)?))
    });
    // Of several with the same number, the first.
    let best = ways.min_by_key(|(priority, index, _)| (std::cmp::Reverse(*priority), *index));
    best.map(|(_, index, gateway)| (index, gateway))
}

fn plug(
    network: &Network,
    own: &Attachment,
    (interface, routes): (String, DefaultRoutes),
    seed: &str,
) -> Plug {
    let local = own.link_local.iter().map(|address| match address {
        IpAddr::V4(_) => IpNetwork::new(*address, 16),
        IpAddr::V6(_) => IpNetwork::new(*address, 64),
    });
    let addresses = own.addresses().map(|address| network.interface_address(address));
    let parameters = own
        .sysctls
        .iter()
        .map(|(name, value)| (name.replace('.', "/").replace("IFNAME", &interface), value.clone()));
    Plug {
        addresses: addresses.chain(local.flatten()).collect(),
        mac: own.mac.parse().unwrap_or_else(|_| MacAddress::of_first(own.addresses())),
        routes,
        parameters: parameters.collect(),
        // What was recorded was understood when it was chosen.
        senders: own.senders.parse().unwrap_or_default(),
        host_side: names::host_side(seed, &network.id),
        interface,
    }
}

impl Plug {
    /// Whether two are one and the same link.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.host_side == other.host_side
    }

    /// The name of the host's end.
    pub(super) fn host_side(&self) -> &str {
        &self.host_side
    }

    pub(super) fn interface(&self) -> &str {
        &self.interface
    }

    pub(super) fn routes(&self) -> DefaultRoutes {
        self.routes
    }

    /// The same without a way out: where there is one already, it has to be replaced.
    pub(super) fn without_routes(&self) -> Self {
        Self { routes: DefaultRoutes::default(), ..self.clone() }
    }

    /// The end in a container's network namespace.
    pub(super) fn endpoint<'a>(&'a self, netns: BorrowedFd<'a>) -> Endpoint<'a> {
        Endpoint {
            interface: &self.interface,
            addresses: &self.addresses,
            mac: self.mac,
            routes: self.routes,
            parameters: &self.parameters,
            senders: &self.senders,
            host_side: &self.host_side,
            netns,
        }
    }
}

#[cfg(test)]
mod tests {
    use naru_net::Subnet;

    use super::*;

    fn network(id: &str, subnets: &[&str], internal: bool) -> Network {
        let subnets = subnets.iter().map(|subnet| Subnet::new(subnet.parse().unwrap())).collect();
        let (bridge, interface_prefix) = (format!("nb-{id}"), "eth".into());
        let id = id.to_owned();
        Network {
            id,
            bridge,
            group: 7,
            subnets,
            internal,
            mtu: None,
            interface_prefix,
            kind: naru_net::Kind::Bridge,
            isolated: false,
        }
    }

    fn place(address: Option<[u8; 4]>, address6: Option<&str>, gw_priority: i64) -> Attachment {
        Attachment {
            address: address.map(Into::into),
            address6: address6.map(|address| address.parse().unwrap()),
            gw_priority,
            ..Attachment::default()
        }
    }

    #[test]
    fn each_protocol_leaves_through_the_first_network_with_the_highest_priority_that_has_a_way_out()
    {
        let back = network("back", &["10.1.0.0/24", "fd00:1::/64"], true);
        let front = network("front", &["10.2.0.0/24"], false);
        let other = network("other", &["10.3.0.0/24", "fd00:3::/64"], false);
        let gateways = |priority| {
            let places = [
                (back.clone(), place(Some([10, 1, 0, 2]), Some("fd00:1::2"), 9)),
                (front.clone(), place(Some([10, 2, 0, 2]), None, 0)),
                (other.clone(), place(Some([10, 3, 0, 2]), Some("fd00:3::2"), priority)),
            ];
            let plugs = plugs(&places, "seed");
            plugs.iter().map(|plug| plug.routes).collect::<Vec<_>>()
        };
        let none = DefaultRoutes::default();
        let v6 = Some("fd00:3::1".parse().unwrap());
        let through = |last: u8| Some([10, last, 0, 1].into());
        let ways = |v4, v6| DefaultRoutes { v4, v6, ..none };
        assert_eq!(gateways(0), [none, ways(through(2), None), ways(None, v6)]);
        assert_eq!(gateways(1), [none, none, ways(through(3), v6)]);
    }

    #[test]
    fn an_end_has_the_addresses_name_and_parameters_that_were_asked_for() {
        let front = network("front", &["10.2.0.0/16", "fd00:2::/64"], false);
        let own = Attachment {
            interface: "wan".into(),
            mac: "92:d0:c6:0a:29:33".into(),
            link_local: vec!["169.254.7.7".parse().unwrap(), "fe80::7".parse().unwrap()],
            sysctls: vec![("net.ipv4.conf.IFNAME.log_martians".into(), "1".into())],
            ..place(Some([10, 2, 0, 2]), Some("fd00:2::2"), 0)
        };
        let plugs = plugs(&[(front, own)], "seed");
        let texts: Vec<_> = plugs[0].addresses.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["10.2.0.2/16", "fd00:2::2/64", "169.254.7.7/16", "fe80::7/64"]);
        assert_eq!(plugs[0].mac.to_string(), "92:d0:c6:0a:29:33");
        let expected = [("net/ipv4/conf/wan/log_martians".to_owned(), "1".to_owned())];
        assert_eq!(plugs[0].parameters, expected);
    }
}
