//! What other tables do to forwarded packets, and the one exception to leaving them alone: where a foreign chain drops
//! what it does not know, naru's bridges are let through by two rules.
//!
//! A packet is forwarded only when every chain at that hook lets it: an `accept` in a table of one's own is no help
//! against somebody else's `drop`. Beside Docker that is the normal state, as it sets the policy of `FORWARD`. The two
//! rules say nothing about what may enter a bridge; the project's own table does.

use nix::libc;

use super::language::{Match, Rule, Verdict};
use super::{Notice, Table};
use crate::names;
use crate::netlink::link::{self, Link};
use crate::netlink::nft::{self, ListedChain, ListedRule, Place};
use crate::netlink::{Refused, Socket, route};

/// The comment on naru's rules in a foreign chain.
const TAG: &str = "naru";

/// Where Docker lets others put their rules: it never touches this chain itself.
const FOR_USERS: &str = "DOCKER-USER";

/// Interfaces of other engines, whose containers are no part of what a way out is: `docker0`, `docker_gwbridge`, the
/// `br-` and an id of Docker's other networks, and podman's.
const ENGINES: [&str; 3] = ["docker", "podman", "cni-podman"];
const DOCKERS_OTHERS: &str = "br-";

/// The prefixes of their names. A host whose own way out is a bridge with such a name (`br-lan`) keeps it.
pub(super) fn engines(socket: &mut Socket) -> Vec<&'static str> {
    let routes = route::list(socket).unwrap_or_default();
    let defaults = routes.iter().filter(|(_, to)| to.prefix() == 0).filter_map(|(by, _)| *by);
    let ways_out: Vec<u32> = defaults.collect();
    let links = link::list(socket).unwrap_or_default();
    let is_way_out =
        |link: &Link| ways_out.contains(&link.index) && link.name.starts_with(DOCKERS_OTHERS);
    let others = (!links.iter().any(is_way_out)).then_some(DOCKERS_OTHERS);
    ENGINES.into_iter().chain(others).collect()
}

/// Families of tables.
const IPV6: u8 = 10;
const INET: u8 = nft::INET;
const IPV4: u8 = 2;

/// The tables of others at one moment.
#[derive(Debug, Default)]
pub(super) struct Foreign {
    chains: Vec<ListedChain>,
    rules: Vec<ListedRule>,
}

impl Foreign {
    /// Looks at all tables but naru's own.
    pub(super) fn look(socket: &mut Socket) -> Result<Self, Refused> {
        let mut chains = nft::chains(socket)?;
        chains.retain(|chain| names::project_of(&chain.place.table).is_none());
        // Only tables that have a say: on most hosts there is none, and then there is nothing to read.
        let hooks = [libc::NF_INET_FORWARD, libc::NF_INET_POST_ROUTING].map(i32::cast_unsigned);
        let mut tables = Vec::new();
        for chain in chains.iter().filter(|chain| chain.hook.is_some_and(|at| hooks.contains(&at)))
        {
            let table = (chain.place.family, chain.place.table.as_str());
            if !tables.contains(&table) {
                tables.push(table);
            }
        }
        let rules = tables.into_iter().map(|table| nft::rules_of(socket, table));
        let rules = rules.collect::<Result<Vec<_>, _>>()?.concat();
        Ok(Self { chains, rules })
    }

    /// Whether somebody else translates the addresses of what they forward: the host is a router for them too.
    pub(super) fn translates(&self) -> bool {
        let hook = Some(libc::NF_INET_POST_ROUTING.cast_unsigned());
        let mut bases = self.chains.iter().filter(|chain| chain.is_nat && chain.hook == hook);
        bases.any(|chain| self.rules.iter().any(|rule| rule.place == chain.place))
    }

    /// The chains at hook forward that drop what they do not know.
    fn dropping(&self, ipv6: bool) -> impl Iterator<Item = &Place> {
        let hook = Some(libc::NF_INET_FORWARD.cast_unsigned());
        let concerns = move |family| matches!(family, IPV4 | INET) || (ipv6 && family == IPV6);
        let drops_all =
            |place: &Place| self.rules.iter().any(|rule| rule.place == *place && rule.drops_all);
        self.chains
            .iter()
            .filter(move |chain| chain.hook == hook && concerns(chain.place.family))
            .filter(move |chain| chain.drops || drops_all(&chain.place))
            .map(|chain| &chain.place)
    }

    /// Where naru's rules against such a chain belong.
    fn door(&self, dropping: &Place) -> Place {
        let is_asked = self
            .rules
            .iter()
            .any(|rule| rule.place == *dropping && rule.jumps_to.as_deref() == Some(FOR_USERS));
        let chain = if is_asked { FOR_USERS } else { &dropping.chain };
        Place { chain: chain.to_owned(), ..dropping.clone() }
    }

    fn is_open(&self, door: &Place, who: &Who<'_>) -> bool {
        let tag = who.tag();
        let is_it = |rule: &&ListedRule| rule.comment.as_ref() == Some(&tag);
        // Both rules: one without the other lets nothing through.
        self.rules.iter().filter(|rule| rule.place == *door).filter(is_it).count() >= 2
    }

    /// Whether a chain drops what naru's bridges forward and they are not let through.
    pub(super) fn is_shut(&self, table: &Table) -> bool {
        let everybody = Who::all(table);
        self.dropping(table.has_ipv6_egress()).any(|dropping| {
            let door = self.door(dropping);
            everybody.iter().any(|who| !self.is_open(&door, who))
        })
    }

    /// Whether some chain drops what it does not know.
    pub(super) fn drops(&self, ipv6: bool) -> bool {
        self.dropping(ipv6).next().is_some()
    }

    /// Lets a project's bridges through every chain that drops what it does not know, and says where.
    pub(super) fn open(&self, socket: &mut Socket, project: &Table) -> Vec<Notice> {
        let mut notices = Vec::new();
        for dropping in self.dropping(project.has_ipv6_egress()) {
            let door = self.door(dropping);
            let missing = Who::all(project).into_iter().filter(|who| !self.is_open(&door, who));
            let opened: Result<Vec<()>, _> =
                missing.map(|who| nft::insert(socket, &door, &who.pair(), &who.tag())).collect();
            let (table, chain) = (table_name(dropping), dropping.chain.clone());
            match opened {
                Ok(opened) if opened.is_empty() => {}
                Ok(_) => notices.push(Notice::LetThrough { table, chain, by: door.chain }),
                Err(refused) => {
                    let reason = refused.to_string();
                    notices.push(Notice::ForeignDrop { table, chain, reason });
                }
            }
        }
        notices
    }

    /// Takes naru's rules out of all chains of others.
    pub(super) fn close(&self, socket: &mut Socket) -> Result<(), Refused> {
        let own: Vec<_> = self.rules.iter().filter(|rule| is_tagged(rule)).cloned().collect();
        nft::delete_rules(socket, &own)
    }
}

fn is_tagged(rule: &ListedRule) -> bool {
    let rest = rule.comment.as_deref().and_then(|comment| comment.strip_prefix(TAG));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}

/// Whom a pair of rules lets through.
#[derive(Debug, PartialEq, Eq)]
enum Who<'a> {
    /// All bridges that naru has named.
    Named,
    /// One that the user has named.
    Bridge(&'a str),
}

impl<'a> Who<'a> {
    /// All that have a way out of a project.
    fn all(table: &'a Table) -> Vec<Self> {
        let open = table.bridges.iter().filter(|bridge| !bridge.internal);
        let mut all: Vec<_> = open
            .map(|bridge| match names::is_bridge(&bridge.name) {
                true => Self::Named,
                false => Self::Bridge(&bridge.name),
            })
            .collect();
        all.dedup();
        all
    }

    fn tag(&self) -> String {
        match self {
            Self::Named => TAG.to_owned(),
            Self::Bridge(name) => format!("{TAG} {name}"),
        }
    }

    /// Only what `iptables` can show: it calls a table with anything else in it incompatible.
    fn pair(&self) -> [Rule; 2] {
        let conditions = match self {
            Self::Named => {
                [Match::InPrefix(names::BRIDGE_PREFIX), Match::OutPrefix(names::BRIDGE_PREFIX)]
            }
            Self::Bridge(name) => [Match::In((*name).into()), Match::Out((*name).into())],
        };
        conditions.map(|condition| Rule::new([condition], Verdict::Accept))
    }
}

fn table_name(place: &Place) -> String {
    let family = match place.family {
        IPV4 => "ip",
        IPV6 => "ip6",
        _ => "inet",
    };
    format!("{family} {}", place.table)
}
