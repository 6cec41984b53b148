//! Tables of `iptables-legacy`, which nftables does not show: whether they drop what is forwarded.
//!
//! naru does not change them, as they can only be replaced whole, and so with whatever somebody changes at that moment;
//! it says what is to be done.

use fs_err as fs;
use naru_sys::iptables::{self, Table};
use nix::libc;

use super::{Notice, Table as Project, error_chain};
use crate::forwarding::Family;
use crate::names;

/// Where rules of users belong where Docker is.
const FOR_USERS: &str = "DOCKER-USER";
const FORWARD: &str = "FORWARD";
/// Hook number of what is forwarded.
const HOOK: usize = libc::NF_INET_FORWARD as usize;

/// `-NF_DROP - 1` and `-NF_ACCEPT - 1`: what a rule decides.
const DROP: i32 = -1;
const ACCEPT: i32 = -2;
/// Length of an interface's name, and of its mask.
const INTERFACE: usize = 16;
/// Where a target has its name, and what follows it.
const TARGET_NAME: std::ops::Range<usize> = 2..31;
const TARGET_DATA: usize = 32;

/// Where `struct ipt_entry` and `struct ip6t_entry` have their parts.
struct Layout {
    /// Length of the conditions about addresses, interfaces and protocol.
    conditions: usize,
    /// The interface that a packet comes in by; the one that it leaves by follows, then their masks.
    interface: usize,
    /// Two lengths: to the target, and to the next entry.
    lengths: usize,
    /// Where further conditions begin.
    matches: usize,
}

const IPV4: Layout = Layout { conditions: 84, interface: 16, lengths: 88, matches: 112 };
const IPV6: Layout = Layout { conditions: 136, interface: 64, lengths: 140, matches: 168 };

/// What is to be told of tables that drop what the project's networks forward.
pub(super) fn notices(project: &Project) -> Vec<Notice> {
    project.egress().filter_map(|family| notice(project, family)).collect()
}

fn notice(project: &Project, family: Family) -> Option<Notice> {
    let (list, sys_family, layout, tool) = match family {
        Family::Ipv4 => ("ip_tables_names", iptables::Family::Ipv4, IPV4, "iptables-legacy"),
        Family::Ipv6 => ("ip6_tables_names", iptables::Family::Ipv6, IPV6, "ip6tables-legacy"),
    };
    // Asking for one that is not there makes it.
    let names = fs::read_to_string(format!("/proc/thread-self/net/{list}")).unwrap_or_default();
    if !names.lines().any(|name| name == "filter") {
        return None;
    }
    match iptables::table(sys_family, "filter") {
        Ok(table) => {
            let rules = rules(&table, &layout)?;
            let missing = missing(project, &rules, table.hooks[HOOK]..table.underflows[HOOK]);
            let has_place = rules.iter().any(|rule| rule.begins.as_deref() == Some(FOR_USERS));
            let chain = if has_place { FOR_USERS } else { FORWARD };
            (!missing.is_empty()).then_some(Notice::Legacy { tool, chain, interfaces: missing })
        }
        Err(errno) => {
            let reason = error_chain(&std::io::Error::from(errno));
            tracing::warn!(tool, reason, "whether it drops what is forwarded is not known");
            None
        }
    }
}

/// An entry, as far as naru has to know it.
#[derive(Debug, Default)]
struct Rule {
    at: u32,
    /// Drops or rejects.
    drops: bool,
    accepts: bool,
    /// Is about every packet.
    is_for_all: bool,
    /// The interfaces it is about, with `+` for names that begin so.
    comes_in: String,
    goes_out: String,
    /// The chain that begins here.
    begins: Option<String>,
}

/// The entries of a table; nothing where they make no sense.
fn rules(table: &Table, layout: &Layout) -> Option<Vec<Rule>> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < table.entries.len() {
        let entry = &table.entries[at..];
        let length = |at: usize| {
            let bytes = entry.get(at..at + 2)?.try_into().ok()?;
            Some(usize::from(u16::from_ne_bytes(bytes)))
        };
        let (target_at, next) = (length(layout.lengths)?, length(layout.lengths + 2)?);
        let (target, conditions) = (entry.get(target_at..next)?, entry.get(..layout.conditions)?);
        let name = text(target.get(TARGET_NAME)?);
        let data = target.get(TARGET_DATA..)?;
        let verdict =
            data.get(..4).and_then(|bytes| Some(i32::from_ne_bytes(bytes.try_into().ok()?)));
        let decides = |what| name.is_empty() && verdict == Some(what);
        found.push(Rule {
            at: u32::try_from(at).ok()?,
            drops: decides(DROP) || name == "REJECT",
            accepts: decides(ACCEPT),
            is_for_all: target_at == layout.matches && conditions.iter().all(|byte| *byte == 0),
            comes_in: interface(conditions, layout.interface)?,
            goes_out: interface(conditions, layout.interface + INTERFACE)?,
            begins: (name == "ERROR").then(|| text(data)),
        });
        at += next;
    }
    Some(found)
}

/// The name of an interface as `iptables` prints it.
fn interface(conditions: &[u8], at: usize) -> Option<String> {
    let name = text(conditions.get(at..at + INTERFACE)?);
    let mask = conditions.get(at + 2 * INTERFACE..at + 3 * INTERFACE)?;
    // A whole name is compared with the zero after it.
    let is_whole = name.is_empty() || mask.get(name.len()) == Some(&0xff);
    Some(if is_whole { name } else { name + "+" })
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// The interfaces of a project that a table at hook forward keeps from forwarding: none when it drops nothing.
fn missing(project: &Project, rules: &[Rule], forward: std::ops::Range<u32>) -> Vec<String> {
    let drops = |rule: &Rule| {
        let is_policy = rule.at == forward.end;
        rule.drops && rule.is_for_all && (is_policy || forward.contains(&rule.at))
    };
    if !rules.iter().any(drops) {
        return Vec::new();
    }
    let open = project.bridges.iter().filter(|bridge| !bridge.internal);
    let mut interfaces: Vec<_> = open
        .map(|bridge| match names::is_bridge(&bridge.name) {
            true => format!("{}+", names::BRIDGE_PREFIX),
            false => bridge.name.clone(),
        })
        .collect();
    interfaces.sort();
    interfaces.dedup();
    let is_let = |name: &String| {
        rules.iter().any(|rule| rule.accepts && rule.comes_in == *name)
            && rules.iter().any(|rule| rule.accepts && rule.goes_out == *name)
    };
    interfaces.retain(|name| !is_let(name));
    interfaces
}

#[cfg(test)]
mod tests;
