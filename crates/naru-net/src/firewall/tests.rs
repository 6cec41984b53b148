//! The rules at work between real namespaces.

use ipnetwork::IpNetwork;
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::*;
use crate::forwarding;
use crate::network::tests::{container, join, network, talk};
use crate::network::{self, Network};
use crate::sandbox::{self, Netns};

fn table(id: &str, networks: &[&Network]) -> Table {
    let bridge = |network: &&Network| Bridge {
        name: network.bridge.clone(),
        subnets: network.subnets.iter().map(|subnet| subnet.network).collect(),
        internal: network.internal,
        masquerade: true,
    };
    let bridges = networks.iter().map(bridge).collect();
    Table { id: id.into(), bridges, only_own_forwarding: true }
}

/// A neighbour on the host's LAN that routes everything through the host, as an attacker would.
fn neighbour() -> (Netns, Network) {
    let subnet: IpNetwork = "192.0.2.0/24".parse().unwrap();
    let lan = Network {
        id: "lan".into(),
        bridge: "lan0".into(),
        group: 7,
        subnets: vec![network::Subnet { network: subnet, gateway: Some([192, 0, 2, 1].into()) }],
        internal: false,
        mtu: None,
        interface_prefix: "eth".into(),
    };
    network::create(&lan).unwrap();
    let netns = Netns::new();
    join(&lan, 2, "eth0", &netns);
    (netns, lan)
}

#[test]
fn networks_are_isolated_and_only_egress_is_forwarded() {
    sandbox::run(|| {
        forwarding::switch_on().unwrap();
        let (lan, _) = neighbour();
        let (front, back) = (network(1, false), network(2, true));
        let other = network(3, false);
        for network in [&front, &back, &other] {
            network::create(network).unwrap();
        }
        let (web, web_address) = container(&front, 2);
        let (web2, _) = container(&front, 3);
        let (db, db_address) = container(&back, 2);
        let (stranger, stranger_address) = container(&other, 2);

        talk(&web, web_address, &lan).expect("without rules the neighbour can route to a bridge");
        assert_eq!(replace(&table("a", &[&front, &back])).unwrap(), []);
        assert_eq!(replace(&table("b", &[&other])).unwrap(), []);

        talk(&web, web_address, &web2).expect("one network");
        talk(&lan, [192, 0, 2, 2], &web).expect("egress");
        talk(&stranger, stranger_address, &web).expect_err("between projects");
        talk(&web, web_address, &stranger).expect_err("between projects");
        talk(&db, db_address, &web).expect_err("between networks of a project");
        talk(&web, web_address, &lan).expect_err("from the neighbour to an unpublished port");
        talk(&lan, [192, 0, 2, 2], &db).expect_err("out of an internal network");
        let gateway = TcpReach(front.gateway_v4().unwrap()).from(&web2);
        assert!(gateway, "the host is reachable at the gateway");
    });
}

/// Whether the host's own address can be reached.
struct TcpReach(std::net::Ipv4Addr);

impl TcpReach {
    fn from(&self, client: &Netns) -> bool {
        let listener = std::net::TcpListener::bind((self.0, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let patience = std::time::Duration::from_secs(1);
        client.run(|| std::net::TcpStream::connect_timeout(&address, patience)).is_ok()
    }
}

#[test]
fn what_leaves_the_host_carries_the_hosts_address() {
    sandbox::run(|| {
        forwarding::switch_on().unwrap();
        let (lan, _) = neighbour();
        let front = network(1, false);
        network::create(&front).unwrap();
        let (web, _) = container(&front, 2);
        replace(&table("a", &[&front])).unwrap();

        let listener = lan.run(|| std::net::TcpListener::bind("192.0.2.2:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let _stream = web.run(|| std::net::TcpStream::connect(address)).unwrap();
        let (_, peer) = listener.accept().unwrap();
        assert_eq!(peer.ip().to_string(), "192.0.2.1");
    });
}

#[test]
fn while_naru_forwards_the_host_is_no_router_for_others() {
    sandbox::run(|| {
        forwarding::switch_on().unwrap();
        let (lan, _) = neighbour();
        let other = Network { bridge: "other0".into(), ..network(9, false) };
        network::create(&other).unwrap();
        let (far, address) = container(&other, 2);
        talk(&far, address, &lan).expect("without naru the host routes");
        let front = network(1, false);
        replace(&table("a", &[&front])).unwrap();
        talk(&far, address, &lan).expect_err("with naru it does not");
    });
}

#[test]
fn a_table_is_replaced_whole_and_removed_without_a_trace() {
    sandbox::run(|| {
        let (one, two) = (network(1, false), network(2, false));
        replace(&table("a", &[&one])).unwrap();
        replace(&table("a", &[&one, &two])).unwrap();
        replace(&table("b", &[&two])).unwrap();
        let mut found = projects().unwrap();
        found.sort();
        assert_eq!(found, ["a", "b"]);
        remove("a").unwrap();
        remove("a").unwrap();
        remove("b").unwrap();
        assert!(projects().unwrap().is_empty());
    });
}

#[test]
fn a_hundred_networks_fit_in_one_transaction() {
    sandbox::run(|| {
        let networks: Vec<_> = (0..100).map(|number| network(number, false)).collect();
        replace(&table("a", &networks.iter().collect::<Vec<_>>())).unwrap();
        assert_eq!(projects().unwrap(), ["a"]);
        replace(&table("a", &networks[..2].iter().collect::<Vec<_>>())).unwrap();
        replace(&table("b", &networks[..2].iter().collect::<Vec<_>>())).unwrap();
        remove("a").unwrap();
        remove("b").unwrap();
    });
}

#[test]
fn missing_rights_are_a_warning_and_no_failure() {
    sandbox::run(|| {
        let none = CapabilitySet::empty();
        let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
        rustix::thread::set_capabilities(None, sets).unwrap();
        let warnings = replace(&table("a", &[&network(1, false)])).unwrap();
        assert!(matches!(&warnings[..], [Warning::Unavailable { .. }]), "{warnings:?}");
        assert!(warnings[0].to_string().contains("not permitted"), "{}", warnings[0]);
        remove("a").unwrap();
        assert!(projects().unwrap().is_empty());
    });
}

#[test]
fn a_foreign_policy_that_drops_is_named_and_left_alone() {
    sandbox::run(|| {
        nft::add_table_that_drops(&mut Socket::new(), "strict").unwrap();
        let warnings = replace(&table("a", &[&network(1, false)])).unwrap();
        let expected = Warning::ForeignDrop { table: "strict".into(), chain: "forward".into() };
        assert_eq!(warnings, std::slice::from_ref(&expected));
        assert_eq!(replace(&table("a", &[&network(1, true)])).unwrap(), [], "nothing to forward");
        remove("a").unwrap();
        assert_eq!(foreign_drops(&mut Socket::new()), [expected]);
    });
}
