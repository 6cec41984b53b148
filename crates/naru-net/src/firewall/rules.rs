//! Which rules a project needs: pure.

use std::net::IpAddr;

use ipnetwork::IpNetwork;

use super::language::{
    Chain, ChainKind, DESTINATION_NAT_PRIORITY, FILTER_PRIORITY, Hook, Match, Rule, Ruleset,
    SOURCE_NAT_PRIORITY, Verdict,
};
use super::{Bridge, Published, Table};
use crate::forwarding::{Family, Switched};
use crate::names;

/// The rules for a project's bridges.
///
/// What the host itself sends never passes `forward`, so ports published through the proxy (a process of the host) and
/// the host's own access need no rule. `engines` are interfaces of other engines' networks, which must not be entered
/// through the rules that let naru's bridges forward. While naru is who switched forwarding on, nothing else is
/// forwarded, so that the host does not become a router for others.
pub(crate) fn ruleset(table: &Table, engines: &[&'static str], switched: &Switched) -> Ruleset {
    let mut chains = vec![
        Chain {
            name: "forward",
            kind: ChainKind::Filter,
            hook: Hook::Forward,
            priority: FILTER_PRIORITY,
            rules: forward_rules(table, engines, switched),
        },
        Chain {
            name: "postrouting",
            kind: ChainKind::Nat,
            hook: Hook::Postrouting,
            priority: SOURCE_NAT_PRIORITY,
            rules: source_rules(table),
        },
    ];
    if !table.published.is_empty() {
        let rules: Vec<_> = table.published.iter().map(translate).collect();
        for (name, hook) in [("prerouting", Hook::Prerouting), ("output", Hook::Output)] {
            chains.push(Chain {
                name,
                kind: ChainKind::Nat,
                hook,
                priority: DESTINATION_NAT_PRIORITY,
                rules: rules.clone(),
            });
        }
    }
    // Whoever takes the last table away finds it there.
    let comment = (!switched.is_empty()).then(|| switched.comment());
    Ruleset { table: names::table(&table.id), comment, chains }
}

/// The order decides: answers first, as they are nearly all packets, then what stays on one bridge, published ports, then everything that would enter
/// a bridge, leave an internal one, or go where another engine's containers are.
fn forward_rules(table: &Table, engines: &[&'static str], switched: &Switched) -> Vec<Rule> {
    let mut rules = vec![Rule::new([Match::KnownConnection], Verdict::Accept)];
    for Bridge { name, .. } in &table.bridges {
        // With br_netfilter on, frames between the ports of one bridge come through here as well.
        let within = [Match::In(name.clone()), Match::Out(name.clone())];
        rules.push(Rule::new(within, Verdict::Accept));
    }
    for Published { bridge, protocol, target, .. } in &table.published {
        let matches = [
            Match::Out(bridge.clone()),
            Match::Translated,
            Match::Destination(IpNetwork::from(target.ip())),
            Match::Port(*protocol, target.port()),
        ];
        rules.push(Rule::new(matches, Verdict::Accept));
    }
    for Bridge { name, internal, .. } in &table.bridges {
        if *internal {
            rules.push(Rule::new([Match::Out(name.clone())], Verdict::Drop));
            rules.push(Rule::new([Match::In(name.clone())], Verdict::Drop));
            continue;
        }
        // What was translated to there is another project's published port, where a network is shared: each has a
        // table, and a packet must pass all of them.
        let unpublished = [Match::Out(name.clone()), Match::NotTranslated];
        rules.push(Rule::new(unpublished, Verdict::Drop));
        for prefix in engines {
            // A port that the other engine has published is for everybody; what it says about that stands.
            let unpublished =
                [Match::In(name.clone()), Match::OutPrefix(prefix), Match::NotTranslated];
            rules.push(Rule::new(unpublished, Verdict::Drop));
        }
    }
    let families = [(switched.ipv4, Family::Ipv4), (switched.ipv6, Family::Ipv6)];
    for (_, family) in families.into_iter().filter(|(is_switched, _)| *is_switched) {
        let foreign = [Match::Of(family), Match::NotInOwn, Match::NotOutOwn];
        rules.push(Rule::new(foreign, Verdict::Drop));
    }
    rules
}

fn source_rules(table: &Table) -> Vec<Rule> {
    let mut rules = Vec::new();
    for bridge in table.bridges.iter().filter(|bridge| !bridge.internal) {
        for subnet in &bridge.subnets {
            let own = Match::Source(*subnet);
            if bridge.masquerade {
                let leaves = [own.clone(), Match::NotOut(bridge.name.clone())];
                rules.push(Rule::new(leaves, Verdict::Masquerade));
            }
            if table.published.iter().any(|published| published.bridge == bridge.name) {
                // A container that asks for a port of its own network by the host's address: the answer has to come
                // back through the host.
                let back = [own, Match::Out(bridge.name.clone()), Match::Translated];
                rules.push(Rule::new(back, Verdict::Masquerade));
            }
        }
    }
    rules
}

/// A published port: only what goes to the host itself, never to its loopback addresses, which answer to the host
/// alone, and never what merely passes with the same port.
fn translate(published: &Published) -> Rule {
    let Published { protocol, host_ip, host_port, target, .. } = published;
    let loopback: IpNetwork = match target.ip() {
        IpAddr::V4(_) => "127.0.0.0/8".parse().expect("a subnet"),
        IpAddr::V6(_) => "::1/128".parse().expect("a subnet"),
    };
    let mut matches = vec![Match::ToLocal, Match::NotDestination(loopback)];
    if let Some(address) = host_ip.filter(|address| !address.is_unspecified()) {
        matches.push(Match::Destination(IpNetwork::from(address)));
    }
    matches.push(Match::Port(*protocol, *host_port));
    Rule::new(matches, Verdict::TranslateTo(*target))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::Protocol;

    fn bridge(name: &str, subnets: &[&str], internal: bool) -> Bridge {
        let subnets = subnets.iter().map(|subnet| subnet.parse().unwrap()).collect();
        Bridge { name: name.into(), subnets, internal, masquerade: true }
    }

    #[test]
    fn a_project_with_an_internal_network_lets_nothing_in_and_only_the_other_network_out() {
        let table = Table {
            id: "shop".into(),
            bridges: vec![
                bridge("nb-front", &["10.213.1.0/24", "fd00:1::/64"], false),
                bridge("nb-back", &["10.213.2.0/24"], true),
            ],
            ..Table::default()
        };
        let expected = "\
table inet naru-shop {
  comment \"forwarding was off: ipv4\"
  chain forward {
    type filter hook forward priority 0; policy accept;
    ct state established,related accept
    iifname nb-front oifname nb-front accept
    iifname nb-back oifname nb-back accept
    oifname nb-front ct status ! dnat drop
    oifname nb-back drop
    iifname nb-back drop
    meta nfproto ipv4 iifgroup & 0x40000000 == 0 oifgroup & 0x40000000 == 0 drop
  }
  chain postrouting {
    type nat hook postrouting priority 100; policy accept;
    ip saddr 10.213.1.0/24 oifname != nb-front masquerade
    ip6 saddr fd00:1::/64 oifname != nb-front masquerade
  }
}
";
        assert_eq!(
            ruleset(&table, &[], &[Family::Ipv4].into_iter().collect()).to_string(),
            expected
        );
    }

    #[test]
    fn a_translated_port_is_only_the_hosts_own_and_never_a_loopback_address() {
        let published = Published {
            bridge: "nb-front".into(),
            protocol: Protocol::Udp,
            host_ip: Some([192, 0, 2, 1].into()),
            host_port: 53,
            target: "10.213.1.2:5353".parse().unwrap(),
        };
        let table = Table {
            id: "shop".into(),
            bridges: vec![bridge("nb-front", &["10.213.1.0/24"], false)],
            published: vec![published],
            ..Table::default()
        };
        let expected = "\
table inet naru-shop {
  chain forward {
    type filter hook forward priority 0; policy accept;
    ct state established,related accept
    iifname nb-front oifname nb-front accept
    oifname nb-front ct status dnat ip daddr 10.213.1.2/32 udp dport 5353 accept
    oifname nb-front ct status ! dnat drop
    iifname nb-front oifname docker* ct status ! dnat drop
  }
  chain postrouting {
    type nat hook postrouting priority 100; policy accept;
    ip saddr 10.213.1.0/24 oifname != nb-front masquerade
    ip saddr 10.213.1.0/24 oifname nb-front ct status dnat masquerade
  }
  chain prerouting {
    type nat hook prerouting priority -100; policy accept;
    fib daddr type local ip daddr != 127.0.0.0/8 ip daddr 192.0.2.1/32 udp dport 53 dnat ip to 10.213.1.2:5353
  }
  chain output {
    type nat hook output priority -100; policy accept;
    fib daddr type local ip daddr != 127.0.0.0/8 ip daddr 192.0.2.1/32 udp dport 53 dnat ip to 10.213.1.2:5353
  }
}
";
        assert_eq!(ruleset(&table, &["docker"], &Switched::default()).to_string(), expected);
    }
}
