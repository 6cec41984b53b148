//! The rules at work between real namespaces.

use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use ipnetwork::IpNetwork;
use netlink_bindings::nftables::VerdictCode;
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::language::{Match, Rule, Verdict};
use super::*;
use crate::guard::Senders;
use crate::netlink::nft::foreign::{Content, IP, add, add_table_that_drops, flush_ruleset};
use crate::netlink::upper;
use crate::network::tests::{container, join, network, talk, with_ipv6};
use crate::network::{self, Network};
use crate::sandbox::{self, Netns};

/// The table of a project with these networks.
fn table(id: &str, networks: &[&Network]) -> Table {
    let bridge = |network: &&Network| Bridge {
        name: network.bridge.clone(),
        subnets: network.subnets.iter().map(|subnet| subnet.network).collect(),
        internal: network.internal,
        masquerade: true,
    };
    let bridges = networks.iter().map(bridge).collect();
    Table { id: id.into(), bridges, ..Table::default() }
}

/// Sets a table, by a firewall that lives on.
fn set(table: &Table) -> Firewall {
    let mut firewall = Firewall::new();
    let outcome = firewall.replace(table).unwrap();
    assert_eq!(outcome.notices, [], "nothing to tell");
    firewall
}

/// All tables, chains and rules there are, one line each.
fn listing() -> Vec<String> {
    let mut socket = Socket::new();
    let tables = nft::tables(&mut socket).unwrap();
    let chains = nft::chains(&mut socket).unwrap();
    let rules = nft::rules(&mut socket).unwrap();
    let tables = tables.iter().map(|table| format!("{table:?}"));
    let chains = chains.iter().map(|chain| format!("{chain:?}"));
    let rules = rules.iter().map(|rule| format!("{rule:?}"));
    tables.chain(chains).chain(rules).collect()
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
        kind: crate::Kind::Bridge,
        isolated: false,
    };
    network::create(&lan).unwrap();
    let netns = Netns::new();
    join(&lan, 2, "eth0", &netns);
    (netns, lan)
}

#[test]
fn networks_are_isolated_and_only_egress_is_forwarded() {
    sandbox::run(|| {
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

        forwarding::switch_on(Family::Ipv4).unwrap();
        talk(&web, web_address, &lan).expect("without rules the neighbour can route to a bridge");
        let _projects = [set(&table("a", &[&front, &back])), set(&table("b", &[&other]))];

        talk(&web, web_address, &web2).expect("one network");
        talk(&lan, [192, 0, 2, 2], &web).expect("egress");
        talk(&stranger, stranger_address, &web).expect_err("between projects");
        talk(&web, web_address, &stranger).expect_err("between projects");
        talk(&db, db_address, &web).expect_err("between networks of a project");
        talk(&web, web_address, &lan).expect_err("from the neighbour to an unpublished port (G6)");
        talk(&lan, [192, 0, 2, 2], &db).expect_err("out of an internal network");
        let gateway = TcpReach(front.gateway_v4().unwrap()).from(&web2);
        assert!(gateway, "the host is reachable at the gateway");
    });
}

/// Whether the host's own address can be reached.
struct TcpReach(Ipv4Addr);

impl TcpReach {
    fn from(&self, client: &Netns) -> bool {
        let listener = TcpListener::bind((self.0, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        client.run(|| TcpStream::connect_timeout(&address, Duration::from_secs(1))).is_ok()
    }
}

#[test]
fn what_leaves_the_host_carries_the_hosts_address_unless_masquerading_is_off() {
    sandbox::run(|| {
        let (lan, _) = neighbour();
        let front = network(1, false);
        network::create(&front).unwrap();
        let (web, web_address) = container(&front, 2);
        let mut table = table("a", &[&front]);
        let mut firewall = set(&table);

        let listener = lan.run(|| TcpListener::bind("192.0.2.2:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let seen = || {
            let _stream = web.run(|| TcpStream::connect(address)).unwrap();
            listener.accept().unwrap().1.ip().to_string()
        };
        assert_eq!(seen(), "192.0.2.1");
        table.bridges[0].masquerade = false;
        firewall.replace(&table).unwrap();
        assert_eq!(seen(), web_address.to_string());
    });
}

#[test]
fn while_naru_forwards_the_host_is_no_router_for_others() {
    sandbox::run(|| {
        let (lan, _) = neighbour();
        let other = Network { bridge: "other0".into(), group: 7, ..network(9, false) };
        network::create(&other).unwrap();
        let (far, address) = container(&other, 2);
        talk(&far, address, &lan).expect_err("the host does not forward");
        let front = network(1, false);
        let mut firewall = set(&table("a", &[&front]));
        talk(&far, address, &lan).expect_err("nor does it with naru");

        // Somebody who translates addresses needs forwarding too: it is the host's from now on.
        add(
            IP,
            "nat",
            &[
                Content::Postrouting,
                Content::Rule(
                    "POSTROUTING",
                    Rule::new([Match::Out("lan0".into())], Verdict::Masquerade),
                ),
            ],
        );
        assert!(!firewall.is_whole(&table("a", &[&front])), "something has come");
        let outcome = firewall.replace(&table("a", &[&front])).unwrap();
        assert!(outcome.switched.is_empty());
        talk(&far, address, &lan).expect("libvirt-like bridges keep forwarding (T-P2)");
        firewall.remove("a", outcome.switched).unwrap();
        assert!(forwarding::is_on(Family::Ipv4).unwrap(), "it is needed still");
    });
}

#[test]
fn a_libvirt_like_bridge_keeps_forwarding_with_naru_up() {
    // T-P2
    sandbox::run(|| {
        forwarding::switch_on(Family::Ipv4).unwrap();
        let (lan, _) = neighbour();
        let other = Network { bridge: "virbr0".into(), group: 7, ..network(9, false) };
        network::create(&other).unwrap();
        let (machine, address) = container(&other, 2);
        let mut firewall = set(&table("a", &[&network(1, false)]));
        talk(&machine, address, &lan).expect("in");
        talk(&lan, [192, 0, 2, 2], &machine).expect("out");
        firewall.remove("a", Switched::default()).unwrap();
        assert!(forwarding::is_on(Family::Ipv4).unwrap(), "naru was not who switched it on");
    });
}

#[test]
fn the_last_project_switches_forwarding_off_again() {
    sandbox::run(|| {
        assert!(!forwarding::is_on(Family::Ipv4).unwrap());
        let (one, two) = (table("a", &[&network(1, false)]), table("b", &[&network(2, false)]));
        let mut internal = set(&table("c", &[&network(3, true)]));
        assert!(!forwarding::is_on(Family::Ipv4).unwrap(), "an internal network needs none");
        internal.remove("c", Switched::default()).unwrap();

        let (mut first, mut second) = (Firewall::new(), Firewall::new());
        assert!(first.replace(&one).unwrap().switched.ipv4);
        // Found in the table of the other: who switched it on may be a project of another root.
        assert!(second.replace(&two).unwrap().switched.ipv4);
        assert!(!first.remove("a", Switched::default()).unwrap());
        assert!(forwarding::is_on(Family::Ipv4).unwrap());
        assert!(second.remove("b", Switched::default()).unwrap());
        assert!(!forwarding::is_on(Family::Ipv4).unwrap());
    });
}

#[test]
fn a_table_is_replaced_whole_and_removed_without_a_trace() {
    // T-P5
    sandbox::run(|| {
        add(
            IP,
            "filter",
            &[
                Content::Forward(VerdictCode::Drop),
                Content::Chain("DOCKER-USER"),
                Content::Jump("FORWARD", "DOCKER-USER"),
            ],
        );
        let before = listing();
        let (one, two) = (network(1, false), network(2, false));
        let (mut a, mut b) = (Firewall::new(), Firewall::new());
        a.replace(&table("a", &[&one])).unwrap();
        a.replace(&table("a", &[&one, &two])).unwrap();
        b.replace(&table("b", &[&two])).unwrap();
        let mut found = projects().unwrap();
        found.sort();
        assert_eq!(found, ["a", "b"]);
        a.remove("a", Switched::default()).unwrap();
        a.remove("a", Switched::default()).unwrap();
        b.remove("b", Switched::default()).unwrap();
        assert_eq!(listing(), before);
    });
}

#[test]
fn a_hundred_networks_fit_in_one_transaction() {
    sandbox::run(|| {
        let networks: Vec<_> = (0..100).map(|number| network(number, false)).collect();
        let mut a = set(&table("a", &networks.iter().collect::<Vec<_>>()));
        assert_eq!(projects().unwrap(), ["a"]);
        let two = networks[..2].iter().collect::<Vec<_>>();
        a.replace(&table("a", &two)).unwrap();
        assert!(a.is_whole(&table("a", &two)));
    });
}

#[test]
fn missing_rights_are_a_notice_and_nothing_is_forwarded() {
    sandbox::run(|| {
        let none = CapabilitySet::empty();
        let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
        rustix::thread::set_capabilities(None, sets).unwrap();
        let mut firewall = Firewall::new();
        let outcome = firewall.replace(&table("a", &[&network(1, false)])).unwrap();
        let [notice @ Notice::Unavailable { .. }] = &outcome.notices[..] else {
            panic!("{:?}", outcome.notices)
        };
        assert!(notice.to_string().contains("not permitted"), "{notice}");
        assert!(!forwarding::is_on(Family::Ipv4).unwrap());
        firewall.remove("a", Switched::default()).unwrap();
        assert!(projects().unwrap().is_empty());
    });
}

#[test]
fn a_flush_of_all_rules_by_somebody_opens_nothing() {
    // G2: the table is owned, so a flush leaves it, and isolation with it.
    sandbox::run(|| {
        let (lan, _) = neighbour();
        let front = network(1, false);
        network::create(&front).unwrap();
        let (web, web_address) = container(&front, 2);
        let table = table("a", &[&front]);
        let mut firewall = set(&table);
        flush_ruleset();
        assert!(firewall.is_whole(&table));
        talk(&web, web_address, &lan).expect_err("still nothing comes in");
        talk(&lan, [192, 0, 2, 2], &web).expect("egress");
        let mut other = Firewall::new();
        assert!(matches!(other.remove("a", Switched::default()), Err(Error::Remove { .. })));
    });
}

#[test]
fn nothing_leaves_an_internal_network_even_without_rules() {
    // G2, on kernels where a flush takes the rules away.
    sandbox::run(|| {
        let (lan, _) = neighbour();
        let (front, back) = (network(1, false), network(2, true));
        network::create(&front).unwrap();
        network::create(&back).unwrap();
        let (db, _) = container(&back, 2);
        let (web, web_address) = container(&front, 2);
        db.run(|| {
            let arguments = ["route", "add", "default", "via", "10.213.2.1"];
            assert!(std::process::Command::new("ip").args(arguments).status().unwrap().success());
        });
        let mut firewall = set(&table("a", &[&front, &back]));
        nft::delete(&mut firewall.socket, "naru-a").unwrap();
        talk(&lan, [192, 0, 2, 2], &db).expect_err("out");
        talk(&web, web_address, &db).expect_err("to the other network");
    });
}

#[test]
fn a_table_outlives_the_process_that_set_it_and_the_next_one_takes_it_over() {
    sandbox::run(|| {
        let table = table("a", &[&network(1, false)]);
        drop(set(&table));
        assert_eq!(projects().unwrap(), ["a"]);
        // The socket before this one is still closing; sockets of one process, as here, could have the same number.
        let is_owned = || nft::tables(&mut Socket::new()).unwrap()[0].is_owned;
        while is_owned() {
            std::thread::sleep(Duration::from_millis(1));
        }
        let mut next = set(&table);
        assert!(next.is_whole(&table));
        flush_ruleset();
        assert!(next.is_whole(&table), "it is owned again");
        drop(next);
        let deadline = std::time::Instant::now() + Duration::from_secs(5);
        while !projects().unwrap().is_empty() && std::time::Instant::now() < deadline {
            flush_ruleset();
        }
        let mut late = Firewall::new();
        assert!(!late.is_whole(&table), "nobody owned it, and it was flushed");
        late.replace(&table).unwrap();
        assert!(late.is_whole(&table));
    });
}

#[test]
fn an_ordinary_table_that_was_changed_is_not_whole() {
    // As on kernels before 6.9.
    sandbox::run(|| {
        let table = table("a", &[&network(1, false)]);
        let mut firewall = Firewall::new();
        let (ruleset, ..) = firewall.wanted(&table);
        forwarding::switch_on(Family::Ipv4).unwrap();
        nft::replace(&mut Socket::new(), &ruleset, Ownership::Common).unwrap();
        firewall.set = Some(ruleset);
        let table = Table { switched: [Family::Ipv4].into_iter().collect(), ..table };
        assert!(firewall.is_whole(&table));
        let rule = nft::rules(&mut Socket::new()).unwrap().remove(0);
        nft::delete_rules(&mut Socket::new(), &[rule]).unwrap();
        assert!(!firewall.is_whole(&table));
    });
}

#[test]
fn beside_docker_naru_is_let_through_and_what_docker_protects_stays_shut() {
    // T-P3, with docker0 present, a container in it, and its tables.
    sandbox::run(|| {
        let (lan, _) = neighbour();
        let docker = Network { bridge: "docker0".into(), group: 7, ..network(9, false) };
        network::create(&docker).unwrap();
        let (foreign, foreign_address) = container(&docker, 2);
        let (front, other) = (network(1, false), network(2, false));
        for network in [&front, &other] {
            network::create(network).unwrap();
        }
        let (web, web_address) = container(&front, 2);
        let (stranger, _) = container(&other, 2);
        forwarding::switch_on(Family::Ipv4).unwrap();
        let known = Rule::new([Match::KnownConnection], Verdict::Accept);
        let out = Rule::new([Match::In("docker0".into())], Verdict::Accept);
        add(
            IP,
            "filter",
            &[
                Content::Forward(VerdictCode::Drop),
                Content::Chain("DOCKER-USER"),
                Content::Jump("FORWARD", "DOCKER-USER"),
                Content::Rule("FORWARD", known),
                Content::Rule("FORWARD", out),
            ],
        );
        let (one, two) = (table("a", &[&front]), table("b", &[&other]));
        let (mut a, mut b) = (Firewall::new(), Firewall::new());
        let outcome = a.replace(&one).unwrap();
        let [notice] = &outcome.notices[..] else { panic!("{:?}", outcome.notices) };
        assert_eq!(
            notice.to_string(),
            "chain FORWARD of firewall table ip filter drops what is forwarded: two rules with the comment \"naru\" \
             at the top of DOCKER-USER let naru's bridges through; the last `naru down` takes them away"
        );
        assert_eq!(b.replace(&two).unwrap().notices, [], "once is enough");

        talk(&lan, [192, 0, 2, 2], &web).expect("egress");
        talk(&lan, [192, 0, 2, 2], &foreign).expect("Docker's egress");
        talk(&foreign, foreign_address, &web).expect_err("into Docker's network");
        talk(&web, web_address, &foreign).expect_err("out of Docker's network");
        talk(&web, web_address, &stranger).expect_err("between projects");
        talk(&web, web_address, &lan).expect_err("from the neighbour");

        // Docker sets its tables up anew.
        let pair = |rule: &nft::ListedRule| rule.comment.as_deref() == Some("naru");
        let mut rules = nft::rules(&mut Socket::new()).unwrap();
        rules.retain(pair);
        assert_eq!(rules.len(), 2);
        nft::delete_rules(&mut Socket::new(), &rules).unwrap();
        assert!(!a.is_whole(&one));
        a.replace(&one).unwrap();
        assert!(a.is_whole(&one));
        talk(&lan, [192, 0, 2, 2], &web).expect("egress again");
        a.remove("a", Switched::default()).unwrap();
        assert!(nft::rules(&mut Socket::new()).unwrap().iter().any(pair), "b needs them");
        b.remove("b", Switched::default()).unwrap();
        assert!(!nft::rules(&mut Socket::new()).unwrap().iter().any(pair));
    });
}

#[test]
fn a_foreign_policy_or_rule_that_drops_is_opened_at_its_top_and_closed_again() {
    sandbox::run(|| {
        let (lan, _) = neighbour();
        let front = network(1, false);
        network::create(&front).unwrap();
        let (web, _) = container(&front, 2);
        add_table_that_drops("strict");
        add(
            nft::INET,
            "firewalld",
            &[
                Content::Forward(VerdictCode::Accept),
                Content::Rule("FORWARD", Rule::new([], Verdict::Drop)),
            ],
        );
        let before = listing();
        let mut firewall = Firewall::new();
        let internal = firewall.replace(&table("a", &[&network(3, true)])).unwrap();
        assert_eq!(internal.notices, [], "nothing to forward");
        let outcome = firewall.replace(&table("a", &[&front])).unwrap();
        assert_eq!(outcome.notices.len(), 2, "{:?}", outcome.notices);
        talk(&lan, [192, 0, 2, 2], &web).expect("egress");
        firewall.remove("a", outcome.switched).unwrap();
        assert_eq!(listing(), before);
    });
}

#[test]
fn a_bridge_with_a_name_of_the_users_is_let_through_too() {
    sandbox::run(|| {
        let (lan, _) = neighbour();
        let named = Network { bridge: "shop0".into(), ..network(1, false) };
        let front = network(2, false);
        network::create(&named).unwrap();
        network::create(&front).unwrap();
        let (web, _) = container(&named, 2);
        add_table_that_drops("strict");
        let mut other = Firewall::new();
        other.replace(&table("b", &[&front])).unwrap();
        let mut firewall = Firewall::new();
        let own = table("a", &[&named]);
        assert_eq!(firewall.replace(&own).unwrap().notices.len(), 1);
        assert!(firewall.is_whole(&own));
        talk(&lan, [192, 0, 2, 2], &web).expect("egress, past the other project's rules as well");
        other.remove("b", Switched::default()).unwrap();
        firewall.remove("a", Switched::default()).unwrap();
        let rules = nft::rules(&mut Socket::new()).unwrap();
        assert!(rules.iter().all(|rule| rule.comment.is_none()), "{rules:?}");
    });
}

/// A published port of the project's only network.
fn published(front: &Network, target: Ipv4Addr, port: u16) -> Table {
    let mut table = table("a", &[front]);
    table.published.push(Published {
        bridge: front.bridge.clone(),
        protocol: Protocol::Tcp,
        host_ip: None,
        host_port: 8080,
        target: (target, port).into(),
    });
    table
}

#[test]
fn a_translated_port_answers_the_neighbour_the_host_and_other_containers() {
    sandbox::run(|| {
        let (lan, _) = neighbour();
        let (front, other) = (network(1, false), network(2, false));
        network::create(&front).unwrap();
        network::create(&other).unwrap();
        let (web, address) = container(&front, 2);
        let (sibling, _) = container(&front, 3);
        let (stranger, _) = container(&other, 2);
        let listener = web.run(|| TcpListener::bind((address, 80))).unwrap();
        let _projects = [set(&published(&front, address, 80)), set(&table("b", &[&other]))];
        let host = Netns(sandbox::current());
        let reach = |from: &Netns, to: &str| {
            let to = to.parse().unwrap();
            from.run(move || TcpStream::connect_timeout(&to, Duration::from_millis(400)))
        };
        for (who, from) in
            [("neighbour", &lan), ("host", &host), ("sibling", &sibling), ("stranger", &stranger)]
        {
            let stream = reach(from, "192.0.2.1:8080").expect(who);
            let (_, peer) = listener.accept().unwrap();
            if who == "neighbour" {
                assert_eq!(peer.ip().to_string(), "192.0.2.2", "the client's own address is seen");
            }
            drop(stream);
        }
        reach(&host, "127.0.0.1:8080").expect_err("loopback is the proxy's");
        reach(&lan, "10.213.1.2:80").expect_err("not by the container's own address");
    });
}

#[test]
fn a_translated_port_leaves_what_only_passes_with_the_same_number_alone() {
    // G1: CVE-2025-67499 of another tool: any destination with that port was caught.
    sandbox::run(|| {
        let (lan, _) = neighbour();
        let front = network(1, false);
        network::create(&front).unwrap();
        let (web, address) = container(&front, 2);
        let _firewall = set(&published(&front, address, 80));
        let outside = lan.run(|| TcpListener::bind("192.0.2.2:8080")).unwrap();
        let to = outside.local_addr().unwrap();
        let _stream = web.run(|| TcpStream::connect_timeout(&to, Duration::from_secs(1))).unwrap();
        assert_eq!(outside.accept().unwrap().1.ip().to_string(), "192.0.2.1");
    });
}

#[test]
fn no_neighbour_reaches_the_hosts_loopback_addresses() {
    // The route_localnet hole: CVE-2020-8558 of another tool.
    sandbox::run(|| {
        let (lan, _) = neighbour();
        let front = network(1, false);
        network::create(&front).unwrap();
        let (web, address) = container(&front, 2);
        let _firewall = set(&published(&front, address, 80));
        for name in ["all", "default", &front.bridge] {
            let path = format!("/proc/sys/net/ipv4/conf/{name}/route_localnet");
            assert_eq!(fs_err::read_to_string(path).unwrap().trim(), "0", "{name}");
        }
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let port = socket.local_addr().unwrap().port();
        for (client, gateway) in [(&lan, "192.0.2.1"), (&web, "10.213.1.1")] {
            client.run(|| {
                // The sender lets such packets out and sends them to the host.
                fs_err::write("/proc/sys/net/ipv4/conf/all/route_localnet", "1").unwrap();
                let ip = |arguments: &[&str]| {
                    assert!(
                        std::process::Command::new("ip")
                            .args(arguments)
                            .status()
                            .unwrap()
                            .success()
                    );
                };
                ip(&["route", "del", "local", "127.0.0.0/8", "dev", "lo", "table", "local"]);
                ip(&["route", "del", "local", "127.0.0.1", "dev", "lo", "table", "local"]);
                ip(&["route", "add", "127.0.0.0/8", "via", gateway]);
                let own = UdpSocket::bind("0.0.0.0:0").unwrap();
                own.send_to(b"x", ("127.0.0.1", port)).unwrap();
            });
        }
        let mut buffer = [0];
        socket.recv_from(&mut buffer).expect_err("such packets are dropped");
    });
}

#[test]
fn a_container_cannot_send_in_the_name_of_another_network() {
    // G7, across networks: a source address that is not reached through the bridge it came from.
    sandbox::run(|| {
        let (lan, _) = neighbour();
        let (front, other) = (network(1, false), network(2, false));
        network::create(&front).unwrap();
        network::create(&other).unwrap();
        // Not what looks at senders: what is behind it.
        let web = network::tests::container_as(&front, 2, &Senders::Anybody);
        let _firewall = set(&table("a", &[&front, &other]));
        let outside = lan.run(|| UdpSocket::bind("192.0.2.2:0")).unwrap();
        outside.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let to = outside.local_addr().unwrap();
        let send = |from: &str| {
            web.run(|| {
                let arguments = ["address", "add", &format!("{from}/32"), "dev", "eth0"];
                drop(std::process::Command::new("ip").args(arguments).status());
                UdpSocket::bind((from, 0)).unwrap().send_to(b"x", to).unwrap();
            });
            outside.recv_from(&mut [0]).is_ok()
        };
        assert!(send("10.213.1.2"), "its own address");
        assert!(!send("10.213.2.9"), "the other network's");
        assert!(!send("203.0.113.5"), "somebody's on the internet");
    });
}

/// A container with an address of each family.
fn dual(network: &Network, host: u8, interface: &str) -> (Netns, Ipv6Addr) {
    let netns = Netns::new();
    let [.., front, _] = network.subnet_v4().unwrap().network().octets();
    let v6: Ipv6Addr = format!("fd00:213:{front}::{host}").parse().unwrap();
    let v4 = Ipv4Addr::from([10, 213, front, host]);
    let addresses = [network.interface_address(v4.into()), network.interface_address(v6.into())];
    let endpoint = network::Endpoint {
        interface,
        addresses: &addresses,
        mac: crate::MacAddress::of(v4),
        routes: network.routes(),
        parameters: &[],
        senders: &Senders::Own,
        host_side: &crate::names::host_side(&host.to_string(), &network.id),
        netns: netns.as_fd(),
    };
    network::attach(network, &endpoint).unwrap();
    (netns, v6)
}

#[test]
fn ipv6_leaves_the_host_by_its_address_and_comes_in_only_as_answers() {
    sandbox::run(|| {
        let lan = Network { bridge: "lan0".into(), group: 7, ..with_ipv6(9, true) };
        let front = with_ipv6(1, true);
        network::create(&lan).unwrap();
        network::create(&front).unwrap();
        let (neighbour, neighbours) = dual(&lan, 2, "eth0");
        let (web, own) = dual(&front, 2, "eth0");
        assert!(!forwarding::is_on(Family::Ipv6).unwrap());
        let mut project = table("a", &[&front]);
        let mut firewall = Firewall::new();
        let outcome = firewall.replace(&project).unwrap();
        assert_eq!(outcome.notices, []);
        assert!(outcome.switched.ipv6 && forwarding::is_on(Family::Ipv6).unwrap());

        let listener = neighbour.run(|| TcpListener::bind((neighbours, 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let seen = || {
            let _stream = web
                .run(|| TcpStream::connect_timeout(&address, Duration::from_secs(2)))
                .expect("egress");
            listener.accept().unwrap().1.ip().to_string()
        };
        assert_eq!(seen(), "fd00:213:9::1", "the host's");
        talk(&web, own, &neighbour).expect_err("to an unpublished port (G6)");
        project.bridges[0].masquerade = false;
        firewall.replace(&project).unwrap();
        assert_eq!(seen(), own.to_string(), "its own");
        talk(&web, own, &neighbour).expect_err("nor then");

        for (place, netns) in [("a container", Some(&web)), ("the bridge", None)] {
            let interface = netns.map_or(front.bridge.as_str(), |_| "eth0");
            let path = format!("/proc/sys/net/ipv6/conf/{interface}/accept_ra");
            let read = || fs_err::read_to_string(&path).unwrap();
            let value = netns.map_or_else(read, |netns| netns.run(read));
            assert_eq!(value.trim(), "0", "{place}");
        }
        firewall.remove("a", outcome.switched).unwrap();
        assert!(!forwarding::is_on(Family::Ipv6).unwrap(), "as it was");
        assert!(!forwarding::is_on(Family::Ipv4).unwrap(), "as it was");
    });
}

#[test]
fn interfaces_that_take_router_advertisements_do_so_meanwhile_and_are_as_before_afterwards() {
    sandbox::run(|| {
        upper::create_pair(&mut Socket::new(), ("lan0", "lan1"), 0, None).unwrap();
        let file = |name| format!("/proc/sys/net/ipv6/conf/{name}/accept_ra");
        fs_err::write(file("lan0"), "1").unwrap();
        fs_err::write(file("lan1"), "2").unwrap();
        let values =
            || ["lan0", "lan1"].map(|name| fs_err::read_to_string(file(name)).unwrap().remove(0));
        let front = with_ipv6(1, true);
        network::create(&front).unwrap();
        let project = table("a", &[&front]);
        // What was switched on is told by the table alone, or by what was kept alone.
        for is_flushed in [false, true] {
            let mut firewall = Firewall::new();
            let outcome = firewall.replace(&project).unwrap();
            assert_eq!(values(), ['2', '2']);
            let kept = Table { switched: outcome.switched.clone(), ..project.clone() };
            assert!(firewall.is_whole(&kept) && firewall.is_whole(&project));
            let mut switched = Switched::default();
            if is_flushed {
                nft::delete(&mut firewall.socket, "naru-a").unwrap();
                switched = Switched::from(outcome.switched.to_string().as_str());
            }
            firewall.remove("a", switched).unwrap();
            assert_eq!(values(), ['1', '2'], "flushed: {is_flushed}");
        }
    });
}

#[test]
fn forwarding_that_somebody_switches_off_is_missed_and_switched_on_again() {
    sandbox::run(|| {
        let table = table("a", &[&with_ipv6(1, true)]);
        let mut firewall = set(&table);
        for setting in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
            let path = format!("/proc/sys/net/{setting}");
            fs_err::write(&path, "0").unwrap();
            assert!(!firewall.is_whole(&table), "{setting}");
            firewall.replace(&table).unwrap();
            assert!(firewall.is_whole(&table));
            assert_eq!(fs_err::read_to_string(&path).unwrap().trim(), "1");
        }
    });
}

#[test]
fn a_change_of_one_among_hundreds_of_projects_touches_no_other_and_takes_no_longer() {
    const PROJECTS: u16 = 300;
    sandbox::run(|| {
        let project = |number: u16| {
            let id = format!("test_{number}");
            let bridge = crate::names::bridge(&id);
            let [high, low] = number.to_be_bytes();
            let subnet = IpNetwork::new([10, 100 + high, low, 0].into(), 24).unwrap();
            let subnets = vec![network::Subnet::new(subnet)];
            table(&format!("p{number}"), &[&Network { id, bridge, subnets, ..network(1, false) }])
        };
        let mut firewalls = Vec::new();
        let mut times = Vec::new();
        for number in 0..PROJECTS {
            let mut firewall = Firewall::new();
            let begin = Instant::now();
            firewall.replace(&project(number)).unwrap();
            times.push(begin.elapsed());
            firewalls.push(firewall);
        }
        let middle = |times: &[Duration]| {
            let mut times = times.to_vec();
            times.sort_unstable();
            times[times.len() / 2]
        };
        let (first, last) = (middle(&times[..30]), middle(&times[usize::from(PROJECTS) - 30..]));
        // Its own rules are a few; what grows is the list of chains, which is looked through once.
        assert!(last < first * 20, "{first:?} for the first, {last:?} for the last");

        let mut others = listing();
        others.retain(|line| !line.contains("naru-p7\""));
        firewalls[7].replace(&Table { bridges: Vec::new(), ..project(7) }).unwrap();
        let mut after = listing();
        after.retain(|line| !line.contains("naru-p7\""));
        assert!(others == after, "another project's rules have other handles now");
        assert!(firewalls[8].is_whole(&project(8)));
    });
}
