//! Firewall rules: one nftables table per project, replaced whole in one transaction.
//!
//! The table decides only about packets that enter or leave the project's own bridges; other tables,
//! policies and chains are never touched. Where naru may not write rules, or where somebody else's
//! policy drops what naru would let through, the call succeeds and says so by a [`Warning`].

pub(crate) mod rules;

use std::fmt;

use ipnetwork::IpNetwork;
use nix::libc;

use crate::names;
use crate::netlink::{Refused, Socket, nft};

/// What the firewall has to know about a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Project id; the table is called `naru-<id>`.
    pub id: String,
    /// All bridges of the project.
    pub bridges: Vec<Bridge>,
    /// Drop forwarded packets that neither come from nor go to one of naru's bridges: wanted while
    /// naru is who switched forwarding on, so that the host does not become a router for others.
    pub only_own_forwarding: bool,
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
    /// What leaves it has the host's address.
    pub masquerade: bool,
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
}

/// What works less well than asked, in words for the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// No rules could be written: no masquerading and no isolation between networks.
    Unavailable {
        /// The kernel's reason.
        reason: String,
    },
    /// A foreign base chain drops forwarded packets by its policy.
    ForeignDrop {
        /// The foreign table.
        table: String,
        /// Its chain.
        chain: String,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable { reason } => write!(
                f,
                "no firewall rules could be set ({reason}): containers reach nothing outside, and networks are not isolated from each other"
            ),
            Self::ForeignDrop { table, chain } => write!(
                f,
                "the policy of chain {chain} in firewall table {table} drops forwarded packets: containers may reach nothing outside"
            ),
        }
    }
}

/// Replaces the project's table, in one transaction, and reports what will not work all the same.
///
/// # Errors
/// When the kernel refuses the rules for another reason than missing rights or missing nftables.
pub fn replace(table: &Table) -> Result<Vec<Warning>, Error> {
    let mut socket = Socket::new();
    let outcome = replace_through(&mut socket, table);
    socket.close_aside();
    outcome
}

fn replace_through(socket: &mut Socket, table: &Table) -> Result<Vec<Warning>, Error> {
    let ruleset = rules::ruleset(table);
    match nft::replace(socket, &ruleset) {
        Ok(()) => {}
        Err(refused) if refused.is_withheld() => {
            return Ok(vec![Warning::Unavailable { reason: refused.to_string() }]);
        }
        Err(source) => return Err(Error::Replace { table: ruleset.table, source }),
    }
    let egress = table.bridges.iter().any(|bridge| !bridge.internal);
    Ok(if egress { foreign_drops(socket) } else { Vec::new() })
}

/// Deletes the project's table; that there is none, or no nftables, is no error.
///
/// # Errors
/// When the kernel refuses the deletion.
pub fn remove(id: &str) -> Result<(), Error> {
    let table = names::table(id);
    let mut socket = Socket::new();
    let outcome = nft::delete(&mut socket, &table);
    socket.close_aside();
    match outcome {
        Err(refused) if refused.is_withheld() => Ok(()),
        outcome => outcome.map_err(|source| Error::Remove { table, source }),
    }
}

/// Whether the project has its table, or could not have one.
///
/// # Errors
/// When the kernel does not list its tables.
pub fn is_there(id: &str) -> Result<bool, Error> {
    let table = names::table(id);
    match nft::tables(&mut Socket::new()) {
        Ok(tables) => Ok(tables.contains(&table)),
        Err(refused) if refused.is_withheld() => Ok(true),
        Err(refused) => Err(Error::List(refused)),
    }
}

/// The ids of the projects that have a table here.
///
/// # Errors
/// When the kernel does not list its tables, except for missing rights, which means none.
pub fn projects() -> Result<Vec<String>, Error> {
    match nft::tables(&mut Socket::new()) {
        Ok(tables) => Ok(tables.iter().filter_map(|table| names::project_of(table)).collect()),
        Err(refused) if refused.is_withheld() => Ok(Vec::new()),
        Err(refused) => Err(Error::List(refused)),
    }
}

/// Base chains of others that drop forwarded packets by policy. Failing to list them is no failure
/// of the project, and rules (rather than policies) that drop are not looked at.
fn foreign_drops(socket: &mut Socket) -> Vec<Warning> {
    let chains = nft::base_chains(socket).unwrap_or_default();
    let forward = libc::NF_INET_FORWARD.cast_unsigned();
    chains
        .into_iter()
        .filter(|chain| chain.hook == forward && chain.drops)
        .filter(|chain| names::project_of(&chain.table).is_none())
        .map(|chain| Warning::ForeignDrop { table: chain.table, chain: chain.name })
        .collect()
}

#[cfg(test)]
mod tests;
