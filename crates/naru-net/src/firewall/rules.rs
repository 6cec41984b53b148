//! Which rules a project needs: pure, and printable in the syntax of `nft`.

use std::fmt;

use ipnetwork::IpNetwork;

use super::{Bridge, Table};
use crate::names;

/// A whole table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ruleset {
    pub(crate) table: String,
    pub(crate) chains: Vec<Chain>,
}

/// A base chain with its rules; its policy is always to accept, so that naru decides only about its own bridges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chain {
    pub(crate) name: &'static str,
    pub(crate) kind: ChainKind,
    pub(crate) hook: Hook,
    pub(crate) priority: i32,
    pub(crate) rules: Vec<Rule>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChainKind {
    Filter,
    Nat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hook {
    Forward,
    Postrouting,
}

/// What happens to a packet that meets all conditions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) matches: Vec<Match>,
    pub(crate) verdict: Verdict,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Match {
    /// Came in through this interface.
    In(String),
    /// Goes out through this interface.
    Out(String),
    /// Goes out through any other interface.
    NotOut(String),
    /// Came in through an interface whose name begins otherwise.
    NotInPrefix(&'static str),
    /// Goes out through an interface whose name begins otherwise.
    NotOutPrefix(&'static str),
    /// Belongs to a connection that was let through before, or is an error message about one.
    KnownConnection,
    /// Comes from an address of this subnet.
    Source(IpNetwork),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Accept,
    Drop,
    Masquerade,
}

/// `filter` of nftables.
const FILTER_PRIORITY: i32 = 0;
/// `srcnat` of nftables.
const SOURCE_NAT_PRIORITY: i32 = 100;

/// The rules for a project's bridges.
///
/// What the host itself sends never passes `forward`, so published ports (the proxy is a process of
/// the host) and the host's own access need no rule.
pub(crate) fn ruleset(table: &Table) -> Ruleset {
    let forward = Chain {
        name: "forward",
        kind: ChainKind::Filter,
        hook: Hook::Forward,
        priority: FILTER_PRIORITY,
        rules: forward_rules(table),
    };
    let postrouting = Chain {
        name: "postrouting",
        kind: ChainKind::Nat,
        hook: Hook::Postrouting,
        priority: SOURCE_NAT_PRIORITY,
        rules: table.bridges.iter().flat_map(masquerade).collect(),
    };
    Ruleset { table: names::table(&table.id), chains: vec![forward, postrouting] }
}

/// The order decides: what stays on one bridge, then answers, then everything that would enter
/// a bridge or leave an internal one.
fn forward_rules(table: &Table) -> Vec<Rule> {
    let mut rules = Vec::new();
    for Bridge { name, .. } in &table.bridges {
        // With br_netfilter on, frames between the ports of one bridge come through here as well.
        let within = vec![Match::In(name.clone()), Match::Out(name.clone())];
        rules.push(Rule { matches: within, verdict: Verdict::Accept });
    }
    rules.push(Rule { matches: vec![Match::KnownConnection], verdict: Verdict::Accept });
    for Bridge { name, internal, .. } in &table.bridges {
        rules.push(Rule { matches: vec![Match::Out(name.clone())], verdict: Verdict::Drop });
        if *internal {
            rules.push(Rule { matches: vec![Match::In(name.clone())], verdict: Verdict::Drop });
        }
    }
    if table.only_own_forwarding {
        let prefix = names::BRIDGE_PREFIX;
        let foreign = vec![Match::NotInPrefix(prefix), Match::NotOutPrefix(prefix)];
        rules.push(Rule { matches: foreign, verdict: Verdict::Drop });
    }
    rules
}

fn masquerade(bridge: &Bridge) -> impl Iterator<Item = Rule> + '_ {
    let subnets = bridge.subnets.iter().filter(|_| bridge.masquerade && !bridge.internal);
    subnets.map(|subnet| {
        let matches = vec![Match::Source(*subnet), Match::NotOut(bridge.name.clone())];
        Rule { matches, verdict: Verdict::Masquerade }
    })
}

impl fmt::Display for Ruleset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "table inet {} {{", self.table)?;
        for chain in &self.chains {
            let (kind, hook) = match (chain.kind, chain.hook) {
                (ChainKind::Filter, Hook::Forward) => ("filter", "forward"),
                (ChainKind::Filter, Hook::Postrouting) => ("filter", "postrouting"),
                (ChainKind::Nat, Hook::Forward) => ("nat", "forward"),
                (ChainKind::Nat, Hook::Postrouting) => ("nat", "postrouting"),
            };
            writeln!(f, "  chain {} {{", chain.name)?;
            writeln!(f, "    type {kind} hook {hook} priority {}; policy accept;", chain.priority)?;
            for rule in &chain.rules {
                writeln!(f, "    {rule}")?;
            }
            writeln!(f, "  }}")?;
        }
        writeln!(f, "}}")
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for condition in &self.matches {
            match condition {
                Match::In(name) => write!(f, "iifname {name} ")?,
                Match::Out(name) => write!(f, "oifname {name} ")?,
                Match::NotOut(name) => write!(f, "oifname != {name} ")?,
                Match::NotInPrefix(prefix) => write!(f, "iifname != {prefix}* ")?,
                Match::NotOutPrefix(prefix) => write!(f, "oifname != {prefix}* ")?,
                Match::KnownConnection => write!(f, "ct state established,related ")?,
                Match::Source(network @ IpNetwork::V4(_)) => write!(f, "ip saddr {network} ")?,
                Match::Source(network @ IpNetwork::V6(_)) => write!(f, "ip6 saddr {network} ")?,
            }
        }
        f.write_str(match self.verdict {
            Verdict::Accept => "accept",
            Verdict::Drop => "drop",
            Verdict::Masquerade => "masquerade",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bridge(name: &str, subnet: &str, internal: bool) -> Bridge {
        Bridge {
            name: name.into(),
            subnets: subnet.split(' ').map(|subnet| subnet.parse().unwrap()).collect(),
            internal,
            masquerade: true,
        }
    }

    #[test]
    fn a_project_with_an_internal_network_lets_nothing_in_and_only_the_other_network_out() {
        let table = Table {
            id: "shop".into(),
            bridges: vec![
                bridge("nb-front", "10.213.1.0/24", false),
                bridge("nb-back", "10.213.2.0/24", true),
            ],
            only_own_forwarding: true,
        };
        let expected = "\
table inet naru-shop {
  chain forward {
    type filter hook forward priority 0; policy accept;
    iifname nb-front oifname nb-front accept
    iifname nb-back oifname nb-back accept
    ct state established,related accept
    oifname nb-front drop
    oifname nb-back drop
    iifname nb-back drop
    iifname != nb-* oifname != nb-* drop
  }
  chain postrouting {
    type nat hook postrouting priority 100; policy accept;
    ip saddr 10.213.1.0/24 oifname != nb-front masquerade
  }
}
";
        assert_eq!(ruleset(&table).to_string(), expected);
    }
}
