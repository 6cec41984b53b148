//! Tables as `iptables-legacy` sets them, and what becomes of packets.

use super::*;
use crate::firewall::{Bridge, Firewall};
use crate::forwarding;
use crate::network::tests::{container, network, talk};
use crate::network::{self, Network};
use crate::sandbox;

/// `iptables -i … -o … -j …`: an entry with a verdict.
fn entry(layout: &Layout, comes_in: &str, goes_out: &str, verdict: i32) -> Vec<u8> {
    let mut bytes = vec![0; layout.matches];
    for (name, at) in [(comes_in, layout.interface), (goes_out, layout.interface + INTERFACE)] {
        let (name, length) = match name.strip_suffix('+') {
            Some(prefix) => (prefix, prefix.len()),
            None if name.is_empty() => (name, 0),
            None => (name, name.len() + 1),
        };
        bytes[at..at + name.len()].copy_from_slice(name.as_bytes());
        bytes[at + 2 * INTERFACE..at + 2 * INTERFACE + length].fill(0xff);
    }
    finish(layout, bytes, "", &verdict.to_ne_bytes())
}

fn finish(layout: &Layout, mut bytes: Vec<u8>, target: &str, data: &[u8]) -> Vec<u8> {
    let length = (TARGET_DATA + data.len()).next_multiple_of(8);
    let total = layout.matches + length;
    let lengths = [layout.matches, total].map(|length| u16::try_from(length).unwrap());
    let pair = lengths.map(u16::to_ne_bytes).concat();
    bytes[layout.lengths..layout.lengths + 4].copy_from_slice(&pair);
    bytes.extend(u16::try_from(length).unwrap().to_ne_bytes());
    let mut name = target.as_bytes().to_vec();
    name.resize(TARGET_DATA - 2, 0);
    bytes.extend(name);
    bytes.extend(data);
    bytes.resize(total, 0);
    bytes
}

/// A table `filter` that accepts all but what is forwarded, for which it has these rules and this policy; and, if asked
/// for, a chain `DOCKER-USER` that returns.
fn filter(layout: &Layout, forward: &[Vec<u8>], policy: i32, for_users: bool) -> Table {
    const RETURN: i32 = -5;
    let plain = |verdict| entry(layout, "", "", verdict);
    let error = |name: &str| {
        let mut data = name.as_bytes().to_vec();
        data.resize(30, 0);
        finish(layout, vec![0; layout.matches], "ERROR", &data)
    };
    let (mut entries, mut count) = (Vec::new(), 0);
    let mut add = |entry: &[u8]| {
        let at = u32::try_from(entries.len()).unwrap();
        entries.extend_from_slice(entry);
        count += 1;
        at
    };
    let input = add(&plain(ACCEPT));
    let starts: Vec<_> = forward.iter().map(|rule| add(rule)).collect();
    let end = add(&plain(policy));
    let output = add(&plain(ACCEPT));
    if for_users {
        add(&error("DOCKER-USER"));
        add(&plain(RETURN));
    }
    add(&error("ERROR"));
    let begin = starts.first().copied().unwrap_or(end);
    Table {
        valid_hooks: 0b1110,
        hooks: [0, input, begin, output, 0],
        underflows: [0, input, end, output, 0],
        count,
        entries,
    }
}

fn project(front: &Network) -> Project {
    let subnets = front.subnets.iter().map(|subnet| subnet.network).collect();
    let bridge = Bridge { name: front.bridge.clone(), subnets, internal: false, masquerade: true };
    Project { id: "a".into(), bridges: vec![bridge], ..Project::default() }
}

#[test]
fn a_legacy_table_that_drops_is_named_with_what_lets_naru_through() {
    sandbox::run(|| {
        let lan = Network { bridge: "lan0".into(), group: 7, ..network(9, false) };
        let front = network(1, false);
        network::create(&lan).unwrap();
        network::create(&front).unwrap();
        let (neighbour, address) = container(&lan, 2);
        let (web, _) = container(&front, 2);
        let project = project(&front);
        let mut firewall = Firewall::new();
        let set = |forward: &[Vec<u8>], policy| {
            let table = filter(&IPV4, forward, policy, false);
            iptables::replace(iptables::Family::Ipv4, "filter", &table).unwrap();
        };
        assert_eq!(firewall.replace(&project).unwrap().notices, []);
        let names = fs::read_to_string("/proc/thread-self/net/ip_tables_names").unwrap_or_default();
        assert!(!names.contains("filter"), "looking makes no table: {names}");

        set(&[], DROP);
        talk(&neighbour, address, &web).expect_err("the policy drops");
        let told = firewall.replace(&project).unwrap().notices;
        let [notice] = &told[..] else { panic!("{told:?}") };
        assert_eq!(
            notice.to_string(),
            "chain FORWARD of iptables-legacy's table filter drops what is forwarded, and naru does not change it: \
             containers reach nothing outside until you do: iptables-legacy -I FORWARD -i nb-+ -j ACCEPT; \
             iptables-legacy -I FORWARD -o nb-+ -j ACCEPT;"
        );
        let pair = [entry(&IPV4, "nb-+", "", ACCEPT), entry(&IPV4, "", "nb-+", ACCEPT)];
        set(&pair, DROP);
        talk(&neighbour, address, &web).expect("what was said is enough");
        assert_eq!(firewall.replace(&project).unwrap().notices, []);
        set(&[entry(&IPV4, "", "", DROP)], ACCEPT);
        talk(&neighbour, address, &web).expect_err("a rule drops");
        assert_eq!(firewall.replace(&project).unwrap().notices.len(), 1);
        set(&[entry(&IPV4, "eth7", "", DROP)], ACCEPT);
        talk(&neighbour, address, &web).expect("it is about another interface");
        assert_eq!(firewall.replace(&project).unwrap().notices, []);
        firewall.remove("a", forwarding::Switched::default()).unwrap();
    });
}

#[test]
fn tables_of_both_families_are_read_and_the_chain_for_users_is_preferred() {
    sandbox::run(|| {
        let family = iptables::Family::Ipv6;
        iptables::replace(family, "filter", &filter(&IPV6, &[], DROP, true)).unwrap();
        let front = crate::network::tests::with_ipv6(1, true);
        let mut named = project(&front);
        named.bridges[0].name = "shop0".into();
        let told: Vec<_> = notices(&named);
        let expected = Notice::Legacy {
            tool: "ip6tables-legacy",
            chain: "DOCKER-USER",
            interfaces: vec!["shop0".into()],
        };
        assert_eq!(told, [expected]);
        let pair = [entry(&IPV6, "shop0", "", ACCEPT), entry(&IPV6, "", "shop0", ACCEPT)];
        iptables::replace(family, "filter", &filter(&IPV6, &pair, DROP, true)).unwrap();
        assert_eq!(notices(&named), []);
    });
}

#[test]
fn a_table_that_makes_no_sense_says_nothing() {
    let whole = filter(&IPV4, &[], DROP, true);
    for length in 0..whole.entries.len() {
        let entries = whole.entries[..length].to_vec();
        // Cut anywhere: no panic and no endless loop.
        drop(rules(&Table { entries, ..whole.clone() }, &IPV4));
    }
    let zeros = Table { entries: vec![0; 4096], ..whole };
    assert!(rules(&zeros, &IPV4).is_none());
}
