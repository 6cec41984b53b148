//! Firewall rules: one nftables table per project, replaced whole in one transaction.
//!
//! The table decides only about packets that enter or leave the project's own bridges. It is owned by the socket of
//! the [`Firewall`] that made it, so that nobody else can change or flush it, and outlives it (Linux 6.9; before, it is
//! an ordinary table). Other tables, policies and chains are never touched, with one exception: where a foreign chain
//! drops what is forwarded, two rules of naru's let its bridges through it ([`Notice::LetThrough`]). Where naru may not
//! write rules, the call succeeds and says so.

mod foreign;
pub(crate) mod language;
mod legacy;
pub(crate) mod rules;

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::thread;
use std::time::Duration;

use ipnetwork::IpNetwork;
use nix::libc;

use crate::forwarding::{self, Family, Switched};
use crate::guard;
use crate::names;
use crate::netlink::nft::{self, Ownership};
use crate::netlink::{Refused, Socket};
use crate::ports::Protocol;
use foreign::Foreign;
use language::Ruleset;

/// What the firewall has to know about a project.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Table {
    /// Project id; the table is called `naru-<id>`.
    pub id: String,
    /// All bridges of the project.
    pub bridges: Vec<Bridge>,
    /// Ports that are published by translating addresses instead of by the proxy.
    pub published: Vec<Published>,
    /// What naru is known to have switched on: [`Outcome::switched`] of an earlier call.
    pub switched: Switched,
}

/// One bridge network as the firewall sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bridge {
    /// Interface name.
    pub name: String,
    /// Addresses of its containers.
    pub subnets: Vec<IpNetwork>,
    /// Nothing is forwarded out of or into an internal network.
    pub internal: bool,
    /// What leaves the host carries the host's address.
    pub masquerade: bool,
}

/// A port of the host that is translated to a container's. A container cannot reach itself by it where the kernel filters
/// bridged frames (`br_netfilter`): they do not leave by the port they came in through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Interface name of the bridge that the container is reached through.
    pub bridge: String,
    /// Protocol of the port.
    pub protocol: Protocol,
    /// Only this address of the host; any but the loopback ones when absent or unspecified.
    pub host_ip: Option<IpAddr>,
    /// Port of the host.
    pub host_port: u16,
    /// The container's address and port. An IPv4 port of the host leads to an IPv4 address only, and so for IPv6.
    pub target: SocketAddr,
}

/// What replacing a table has come to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcome {
    /// What the user is to be told.
    pub notices: Vec<Notice>,
    /// The forwarding that naru has switched on, in this call or an earlier one, and owes to switch off with the last
    /// project: whoever keeps records keeps this, as tables can be lost.
    pub switched: Switched,
}

/// The firewall could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The transaction with the project's rules failed.
    #[error("cannot set the firewall table {table}")]
    Replace {
        /// Name of the table.
        table: String,
        /// The kernel's answer.
        source: Refused,
    },
    /// The project's table could not be deleted.
    #[error("cannot delete the firewall table {table}")]
    Remove {
        /// Name of the table.
        table: String,
        /// The kernel's answer.
        source: Refused,
    },
    /// The tables could not be listed.
    #[error("cannot list the firewall's tables")]
    List(#[source] Refused),
    /// naru's rules could not be taken out of somebody else's chain.
    #[error("cannot take naru's rules out of the firewall's other chains")]
    Close(#[source] Refused),
    /// The host's switch for forwarding could not be set back.
    #[error("cannot set forwarding back to what it was")]
    Forwarding(#[source] forwarding::Error),
}

/// What works otherwise than one would expect, in words for the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// No rules could be written: no masquerading and no isolation between networks.
    Unavailable {
        /// The kernel's reason.
        reason: String,
    },
    /// A foreign chain drops forwarded packets, and naru's bridges were let through it.
    LetThrough {
        /// The foreign table, with its family.
        table: String,
        /// Its chain that drops.
        chain: String,
        /// The chain that naru's two rules are in.
        by: String,
    },
    /// A foreign chain drops forwarded packets, and naru may not change that.
    ForeignDrop {
        /// The foreign table, with its family.
        table: String,
        /// Its chain.
        chain: String,
        /// The kernel's reason.
        reason: String,
    },
    /// A table of `iptables-legacy` drops forwarded packets, and naru does not change those.
    Legacy {
        /// The program that changes it.
        tool: &'static str,
        /// The chain that rules of users belong in.
        chain: &'static str,
        /// The project's interfaces that are not let through, with `+` for names that begin so.
        interfaces: Vec<String>,
    },
    /// Containers of a network can send in each other's names.
    Unguarded {
        /// Why they are not kept from it.
        reason: String,
    },
    /// Forwarding could not be switched on.
    NoForwarding {
        /// Why.
        reason: String,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable { reason } => write!(
                f,
                "no firewall rules could be set ({reason}): containers reach nothing outside, and networks are not isolated from each other; a service with `network_mode: host` needs none"
            ),
            Self::LetThrough { table, chain, by } => write!(
                f,
                "chain {chain} of firewall table {table} drops what is forwarded: two rules with the comment \"naru\" at the top of {by} let naru's bridges through; the last `naru down` takes them away"
            ),
            Self::ForeignDrop { table, chain, reason } => write!(
                f,
                "chain {chain} of firewall table {table} drops what is forwarded, and no rule could be added to it ({reason}): containers may reach nothing outside"
            ),
            Self::Legacy { tool, chain, interfaces } => {
                write!(
                    f,
                    "chain FORWARD of {tool}'s table filter drops what is forwarded, and naru does not change it: containers reach nothing outside until you do:"
                )?;
                interfaces.iter().try_for_each(|name| {
                    write!(
                        f,
                        " {tool} -I {chain} -i {name} -j ACCEPT; {tool} -I {chain} -o {name} -j ACCEPT;"
                    )
                })
            }
            Self::Unguarded { reason } => write!(
                f,
                "containers of a network are not kept from sending in each other's names: {reason}"
            ),
            Self::NoForwarding { reason } => {
                write!(f, "containers have no way out of the host: {reason}")
            }
        }
    }
}

/// Who sets the tables of projects; as long as it lives, nobody else can change them.
#[derive(Debug, Default)]
pub struct Firewall {
    socket: Socket,
    /// What was set last.
    set: Option<Ruleset>,
}

impl Firewall {
    /// One for the network namespace of the thread that first calls it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Replaces a project's table in one transaction, switches forwarding on when a network has a way out, and lets the
    /// bridges through foreign chains that drop.
    ///
    /// # Errors
    /// When the kernel refuses the rules for another reason than missing rights or missing nftables.
    pub fn replace(&mut self, table: &Table) -> Result<Outcome, Error> {
        let (ruleset, foreign, mut switched) = self.wanted(table);
        match self.set_rules(&ruleset) {
            Ok(()) => self.set = Some(ruleset),
            Err(refused) if refused.is_withheld() => {
                // Without rules nothing is forwarded that was not before.
                let notices = vec![Notice::Unavailable { reason: refused.to_string() }];
                return Ok(Outcome { notices, switched: table.switched.clone() });
            }
            Err(source) => return Err(Error::Replace { table: ruleset.table, source }),
        }
        let mut notices = Vec::new();
        if let (false, Err(error)) = (table.bridges.is_empty(), guard::probe()) {
            notices.push(Notice::Unguarded { reason: error_chain(&error) });
        }
        for family in table.egress() {
            // After the rules: what is forwarded is what they allow.
            match forwarding::switch_on(family) {
                // Some may have come since the rules were written.
                Ok(told) if switched.ipv6 => switched = switched.with_told(told),
                Ok(_) => {}
                Err(error) => {
                    let reason = error_chain(&error);
                    notices.push(Notice::NoForwarding { reason });
                }
            }
        }
        for bridge in table.bridges.iter().filter(|bridge| bridge.internal) {
            // Besides the rules, which somebody may take away.
            if let Err(error) = forwarding::keep_inside(&bridge.name) {
                tracing::warn!(%error, bridge = bridge.name, "forwards by its rules only");
            }
        }
        if table.egress().next().is_some() {
            notices.extend(foreign.open(&mut self.socket, table));
            notices.extend(legacy::notices(table));
        }
        Ok(Outcome { notices, switched })
    }

    /// Whether everything is as the last [`Firewall::replace`] would make it now; false when somebody has changed
    /// something that matters. Where no rules can be written there is nothing to repair.
    pub fn is_whole(&mut self, table: &Table) -> bool {
        let (ruleset, foreign, _) = self.wanted(table);
        let own = (nft::INET, ruleset.table.as_str());
        let Ok(rules) = nft::rules_of(&mut self.socket, own) else { return true };
        let expected: usize = ruleset.chains.iter().map(|chain| chain.rules.len()).sum();
        let is_there = nft::tables(&mut self.socket)
            .is_ok_and(|tables| tables.iter().any(|listed| listed.name == ruleset.table));
        let forwards = Self::is_forwarding(table);
        let is_shut = table.egress().next().is_some() && foreign.is_shut(table);
        let is_tight = !table
            .bridges
            .iter()
            .any(|bridge| bridge.internal && forwarding::is_open(&bridge.name));
        is_there
            && is_tight
            && rules.len() == expected
            && self.set.as_ref() == Some(&ruleset)
            && forwards
            && !is_shut
    }

    /// Whether the host forwards what the project's networks with a way out need.
    pub fn is_forwarding(table: &Table) -> bool {
        table.egress().all(|family| forwarding::is_on(family).unwrap_or(true))
    }

    /// Deletes a project's table; with the last one of the host naru's rules in other chains go, and forwarding becomes
    /// what it was. `switched` is what was kept of [`Outcome::switched`]. True when it was the last one.
    ///
    /// # Errors
    /// When the kernel refuses; that there is no table, or no nftables, is no error.
    pub fn remove(&mut self, id: &str, switched: Switched) -> Result<bool, Error> {
        let table = names::table(id);
        self.set = None;
        let tables = match nft::tables(&mut self.socket) {
            Err(refused) if refused.is_withheld() => return Ok(true),
            tables => tables.map_err(Error::List)?,
        };
        let switched = switched.with(noted(&tables));
        nft::delete(&mut self.socket, &table)
            .map_err(|source| Error::Remove { table: table.clone(), source })?;
        let is_other = |listed: &nft::ListedTable| {
            listed.name != table && names::project_of(&listed.name).is_some()
        };
        if tables.iter().any(is_other) {
            return Ok(false);
        }
        let foreign = Foreign::look(&mut self.socket).map_err(Error::List)?;
        foreign.close(&mut self.socket).map_err(Error::Close)?;
        if !foreign.translates() {
            forwarding::switch_off(&switched).map_err(Error::Forwarding)?;
        }
        Ok(true)
    }

    /// The rules that a project needs on this host, what others have, and what naru owes to switch off.
    fn wanted(&mut self, table: &Table) -> (Ruleset, Foreign, Switched) {
        let foreign = Foreign::look(&mut self.socket).unwrap_or_default();
        let tables = nft::tables(&mut self.socket).unwrap_or_default();
        let is_off = |family: &Family| !forwarding::is_on(*family).unwrap_or(true);
        let switched: Switched = table.egress().filter(is_off).collect();
        let told = if switched.ipv6 { forwarding::listeners() } else { BTreeSet::new() };
        let switched = switched.with_told(told).with(table.switched.clone()).with(noted(&tables));
        // Who came after naru and needs forwarding too would be cut off, and would lose it with the last project.
        let switched = if foreign.translates() { Switched::default() } else { switched };
        let is_beside = foreign.drops(table.has_ipv6_egress());
        let engines = if is_beside { foreign::engines(&mut self.socket) } else { Vec::new() };
        (rules::ruleset(table, &engines, &switched), foreign, switched)
    }

    /// An owned table where the kernel has such, else an ordinary one.
    fn set_rules(&mut self, ruleset: &Ruleset) -> Result<(), Refused> {
        /// The process before this one may still be ending, with the socket that owns the table.
        const TRIES: u32 = 400;
        const PAUSE: Duration = Duration::from_millis(5);
        for _ in 0..TRIES {
            match nft::replace(&mut self.socket, ruleset, Ownership::Owned) {
                Err(refused) if refused.errno() == Some(libc::EOPNOTSUPP) => {
                    return nft::replace(&mut self.socket, ruleset, Ownership::Common);
                }
                Err(refused) if refused.errno() == Some(libc::EPERM) => {
                    let tables = nft::tables(&mut self.socket)?;
                    let is_it = |listed: &nft::ListedTable| listed.name == ruleset.table;
                    if !tables.iter().any(|listed| is_it(listed) && listed.is_owned) {
                        return Err(refused);
                    }
                    thread::sleep(PAUSE);
                }
                outcome => return outcome,
            }
        }
        Err(io::Error::other("another process still owns it").into())
    }
}

impl Drop for Firewall {
    fn drop(&mut self) {
        std::mem::take(&mut self.socket).close_aside();
    }
}

impl Table {
    /// The families that some network has a way out by.
    fn egress(&self) -> impl Iterator<Item = Family> {
        let open = self.bridges.iter().filter(|bridge| !bridge.internal);
        let subnets: Vec<_> = open.flat_map(|bridge| &bridge.subnets).collect();
        let ipv4 = subnets.iter().any(|subnet| subnet.is_ipv4()).then_some(Family::Ipv4);
        let ipv6 = subnets.iter().any(|subnet| subnet.is_ipv6()).then_some(Family::Ipv6);
        ipv4.into_iter().chain(ipv6)
    }

    fn has_ipv6_egress(&self) -> bool {
        self.egress().any(|family| family == Family::Ipv6)
    }
}

/// What the tables of projects say that naru has switched on.
fn noted(tables: &[nft::ListedTable]) -> Switched {
    let own = tables.iter().filter(|table| names::project_of(&table.name).is_some());
    let comments = own.filter_map(|table| table.comment.as_deref());
    comments.fold(Switched::default(), |all, text| all.with(text.into()))
}

fn error_chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// The ids of the projects that have a table here.
///
/// # Errors
/// When the kernel does not list its tables, except for missing rights, which means none.
pub fn projects() -> Result<Vec<String>, Error> {
    match nft::tables(&mut Socket::new()) {
        Ok(tables) => {
            Ok(tables.iter().filter_map(|table| names::project_of(&table.name)).collect())
        }
        Err(refused) if refused.is_withheld() => Ok(Vec::new()),
        Err(refused) => Err(Error::List(refused)),
    }
}

#[cfg(test)]
mod tests;
