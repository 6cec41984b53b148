//! The way from port 53 to the sockets, inside a container's network namespace.
//!
//! Two rules change the destination port of questions and the source port of answers, packet by packet: no connection is
//! tracked for it, so many questions fill no table of the kernel, and the rest of the container's traffic costs what it
//! did. Where the container tracks connections itself, it sees the high port in both directions.

use ipnetwork::{IpNetwork, Ipv4Network};

use super::{ADDRESS, PORT};
use crate::firewall::language::{
    Chain, ChainKind, Hook, LAST_PRIORITY, Match, RAW_PRIORITY, Rule, Ruleset, Verdict,
};
use crate::netlink::nft::{self, Ownership};
use crate::netlink::{Refused, Socket};
use crate::ports::Protocol;

/// The table's name in every container.
const TABLE: &str = "naru-dns";

/// Leads questions to these ports, in the namespace of the calling thread.
pub(super) fn lead(udp: u16, tcp: u16) -> Result<(), Refused> {
    let mut socket = Socket::new();
    let outcome = nft::replace(&mut socket, &ruleset(udp, tcp), Ownership::Common);
    socket.close_aside();
    outcome
}

fn ruleset(udp: u16, tcp: u16) -> Ruleset {
    let server = || IpNetwork::V4(Ipv4Network::from(ADDRESS));
    let both = [(Protocol::Udp, udp), (Protocol::Tcp, tcp)];
    let question = |(protocol, port)| {
        let matches = [Match::Destination(server()), Match::Port(protocol, PORT)];
        Rule::new(matches, Verdict::SetPort(protocol, port))
    };
    let answer = |(protocol, port)| {
        let matches = [Match::Source(server()), Match::FromPort(protocol, port)];
        Rule::new(matches, Verdict::SetFromPort(protocol, PORT))
    };
    let chain = |name, hook, priority, rules| Chain {
        name,
        kind: ChainKind::Filter,
        hook,
        priority,
        rules,
    };
    Ruleset {
        table: TABLE.to_owned(),
        comment: Some("port 53 of 127.0.0.11 is answered by naru".to_owned()),
        chains: vec![
            chain("questions", Hook::Output, RAW_PRIORITY, both.map(question).into()),
            chain("answers", Hook::Postrouting, LAST_PRIORITY, both.map(answer).into()),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_read_as_nft_prints_them() {
        let expected = "table inet naru-dns {
  comment \"port 53 of 127.0.0.11 is answered by naru\"
  chain questions {
    type filter hook output priority -300; policy accept;
    ip daddr 127.0.0.11/32 udp dport 53 udp dport set 65053
    ip daddr 127.0.0.11/32 tcp dport 53 tcp dport set 4053
  }
  chain answers {
    type filter hook postrouting priority 300; policy accept;
    ip saddr 127.0.0.11/32 udp sport 65053 udp sport set 53
    ip saddr 127.0.0.11/32 tcp sport 4053 tcp sport set 53
  }
}
";
        assert_eq!(ruleset(65_053, 4_053).to_string(), expected);
    }
}
