//! The few words of nftables that naru needs, printable in the syntax of `nft`.

use std::fmt;
use std::net::SocketAddr;

use ipnetwork::IpNetwork;

use crate::forwarding::Family;
use crate::names::OWN_GROUPS;
use crate::ports::Protocol;

/// A whole table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ruleset {
    pub(crate) table: String,
    /// A note on the table, which its listing shows.
    pub(crate) comment: Option<String>,
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
    Prerouting,
    Forward,
    Output,
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
    /// Came in through an interface whose name begins so.
    InPrefix(&'static str),
    /// Goes out through an interface whose name begins so.
    OutPrefix(&'static str),
    /// Came in through an interface that is none of naru's, by its group.
    NotInOwn,
    /// Goes out through an interface that is none of naru's, by its group.
    NotOutOwn,
    /// Belongs to a connection that was let through before, or is an error message about one.
    KnownConnection,
    /// Belongs to a connection whose destination was translated.
    Translated,
    /// Belongs to a connection whose destination is still the one it was made for.
    NotTranslated,
    /// Comes from an address of this subnet.
    Source(IpNetwork),
    /// Goes to an address of this subnet.
    Destination(IpNetwork),
    /// Goes to an address of the same family outside this subnet.
    NotDestination(IpNetwork),
    /// Is of this family.
    Of(Family),
    /// Goes to an address of the host itself.
    ToLocal,
    /// Is of this protocol and goes to this port.
    Port(Protocol, u16),
    /// Is of this protocol and comes from this port.
    FromPort(Protocol, u16),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Accept,
    Drop,
    Masquerade,
    /// The packet's destination, and that of its whole connection, becomes this one.
    TranslateTo(SocketAddr),
    /// This packet's destination port becomes this one; no connection is kept of it, and later rules are looked at.
    SetPort(Protocol, u16),
    /// This packet's source port, in the same way.
    SetFromPort(Protocol, u16),
}

/// `raw` of nftables, before connections are tracked.
pub(crate) const RAW_PRIORITY: i32 = -300;
/// After connections are tracked and everything else.
pub(crate) const LAST_PRIORITY: i32 = 300;

/// `filter` of nftables.
pub(crate) const FILTER_PRIORITY: i32 = 0;
/// `dstnat` of nftables.
pub(crate) const DESTINATION_NAT_PRIORITY: i32 = -100;
/// `srcnat` of nftables.
pub(crate) const SOURCE_NAT_PRIORITY: i32 = 100;

impl Rule {
    pub(crate) fn new(matches: impl Into<Vec<Match>>, verdict: Verdict) -> Self {
        Self { matches: matches.into(), verdict }
    }
}

impl fmt::Display for Ruleset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "table inet {} {{", self.table)?;
        if let Some(comment) = &self.comment {
            writeln!(f, "  comment \"{comment}\"")?;
        }
        for chain in &self.chains {
            let kind = match chain.kind {
                ChainKind::Filter => "filter",
                ChainKind::Nat => "nat",
            };
            let hook = match chain.hook {
                Hook::Prerouting => "prerouting",
                Hook::Forward => "forward",
                Hook::Output => "output",
                Hook::Postrouting => "postrouting",
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

fn family(network: &IpNetwork) -> &'static str {
    if network.is_ipv4() { "ip" } else { "ip6" }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for condition in &self.matches {
            match condition {
                Match::In(name) => write!(f, "iifname {name} ")?,
                Match::Out(name) => write!(f, "oifname {name} ")?,
                Match::NotOut(name) => write!(f, "oifname != {name} ")?,
                Match::InPrefix(prefix) => write!(f, "iifname {prefix}* ")?,
                Match::OutPrefix(prefix) => write!(f, "oifname {prefix}* ")?,
                Match::NotInOwn => write!(f, "iifgroup & {OWN_GROUPS:#x} == 0 ")?,
                Match::NotOutOwn => write!(f, "oifgroup & {OWN_GROUPS:#x} == 0 ")?,
                Match::KnownConnection => write!(f, "ct state established,related ")?,
                Match::Translated => write!(f, "ct status dnat ")?,
                Match::NotTranslated => write!(f, "ct status ! dnat ")?,
                Match::Source(network) => write!(f, "{} saddr {network} ", family(network))?,
                Match::Destination(network) => write!(f, "{} daddr {network} ", family(network))?,
                Match::NotDestination(network) => {
                    write!(f, "{} daddr != {network} ", family(network))?;
                }
                Match::Of(Family::Ipv4) => write!(f, "meta nfproto ipv4 ")?,
                Match::Of(Family::Ipv6) => write!(f, "meta nfproto ipv6 ")?,
                Match::ToLocal => write!(f, "fib daddr type local ")?,
                Match::Port(protocol, port) => write!(f, "{protocol} dport {port} ")?,
                Match::FromPort(protocol, port) => write!(f, "{protocol} sport {port} ")?,
            }
        }
        match self.verdict {
            Verdict::Accept => f.write_str("accept"),
            Verdict::Drop => f.write_str("drop"),
            Verdict::Masquerade => f.write_str("masquerade"),
            Verdict::TranslateTo(to) if to.is_ipv4() => write!(f, "dnat ip to {to}"),
            Verdict::TranslateTo(to) => write!(f, "dnat ip6 to {to}"),
            Verdict::SetPort(protocol, port) => write!(f, "{protocol} dport set {port}"),
            Verdict::SetFromPort(protocol, port) => write!(f, "{protocol} sport set {port}"),
        }
    }
}
