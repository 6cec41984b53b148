//! Hearing of what somebody else does to a project's links and to the firewall.
//!
//! Each watch is a thread that sleeps until the kernel tells of a change. What it hears is a hint: who is called looks
//! what there is.

use std::collections::BTreeSet;
use std::ffi::CStr;
use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use std::thread;
use std::time::Duration;

use netlink_bindings::utils::find_attr;
use netlink_socket2::MulticastSocketRaw;
use nix::libc;

use crate::names;

/// Stack of a watching thread.
const STACK: usize = 128 * 1024;

/// How long it waits before it tries a socket that fails again.
const PAUSE: Duration = Duration::from_secs(1);

/// `NFNLGRP_NFTABLES` of `linux/netfilter/nfnetlink.h`.
const FIREWALL_GROUP: u32 = 7;
/// `NFNL_SUBSYS_NFTABLES`, the upper byte of a message's type.
const FIREWALL: u16 = 10 << 8;
/// Messages about tables, chains and rules that were made or deleted, of `linux/netfilter/nf_tables.h`. Sets, of which
/// some change all the time, say nothing about who is let through.
const MADE: [u16; 3] = [FIREWALL, FIREWALL | 3, FIREWALL | 6];
const DELETED: [u16; 3] = [FIREWALL | 2, FIREWALL | 5, FIREWALL | 8];
/// The table, in messages about it, its chains and its rules.
const TABLE: u16 = 1;
/// Length of a firewall message's own header.
const FIREWALL_HEADER: usize = 4;

/// `RTNLGRP_LINK`, `RTNLGRP_TC`, `RTNLGRP_IPV4_NETCONF` and `RTNLGRP_IPV6_NETCONF` of `linux/rtnetlink.h`.
const LINK_GROUPS: [u32; 4] = [1, 4, 24, 25];
/// `RTNLGRP_IPV4_ROUTE` and `RTNLGRP_IPV6_ROUTE`.
const ROUTE_GROUPS: [u32; 2] = [7, 11];
/// Where the header of a message about a route has its table.
const ROUTE_TABLE: usize = 4;
/// `RTM_NEWNETCONF`, with the length of its own header, and its attributes for the interface and for forwarding.
const SETTING: u16 = 80;
const SETTING_HEADER: usize = 4;
const SETTING_OF: u16 = 1;
const SETTING_FORWARDING: u16 = 2;
/// `NETCONFA_IFINDEX_ALL`: the setting is that of the host.
const OF_HOST: i32 = -1;
/// `IFLA_GROUP` of `linux/if_link.h`.
const GROUP: u16 = 27;
/// Length of a link message's own header.
const LINK_HEADER: usize = 16;
/// Where that header has the interface's flags.
const LINK_FLAGS: usize = 8;

/// Calls `changed` when a table, chain or rule of somebody else's was made or deleted, or one of the project's was
/// deleted, until it returns false. Other projects' tables are theirs alone.
///
/// # Errors
/// When no thread can be started.
pub fn firewall(project: &str, changed: impl FnMut() -> bool + Send + 'static) -> io::Result<()> {
    let own = names::table(project);
    let matters = move |kind: u16, message: &[u8]| {
        let is_gone = DELETED.contains(&kind);
        if !is_gone && !MADE.contains(&kind) {
            return false;
        }
        let table = message.get(FIREWALL_HEADER..).and_then(|rest| find_attr(rest, TABLE));
        let table = table.and_then(|name| CStr::from_bytes_until_nul(name).ok());
        let table = table.map(CStr::to_string_lossy).unwrap_or_default();
        names::project_of(&table).is_none() || (is_gone && table == own)
    };
    watch((libc::NETLINK_NETFILTER, &[FIREWALL_GROUP]), matters, changed)
}

/// Groups of links; clones are the same ones.
#[derive(Debug, Clone, Default)]
pub struct Groups(Arc<RwLock<BTreeSet<u32>>>);

impl Groups {
    /// One more.
    pub fn add(&self, group: u32) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(group);
    }

    fn has(&self, group: u32) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).contains(&group)
    }
}

/// Calls `changed` when a link of one of these groups was deleted or brought down, what looks at some link's senders was taken
/// away, or the host's forwarding was switched, until it returns false. Groups may be
/// added meanwhile.
///
/// # Errors
/// When no thread can be started.
pub fn links(groups: Groups, changed: impl FnMut() -> bool + Send + 'static) -> io::Result<()> {
    let matters = move |kind: u16, message: &[u8]| match kind {
        libc::RTM_NEWLINK | libc::RTM_DELLINK => is_of_link(kind, message, &groups),
        libc::RTM_DELQDISC | libc::RTM_DELTFILTER => true,
        SETTING => is_forwarding(message),
        _ => false,
    };
    watch((libc::NETLINK_ROUTE, &LINK_GROUPS), matters, changed)
}

/// Calls `changed` when a route has come or gone, at most once a second, until it returns false.
///
/// # Errors
/// When no thread can be started.
pub fn routes(mut changed: impl FnMut() -> bool + Send + 'static) -> io::Result<()> {
    let matters = |kind: u16, message: &[u8]| {
        let is_route = matches!(kind, libc::RTM_NEWROUTE | libc::RTM_DELROUTE);
        is_route && message.get(ROUTE_TABLE) != Some(&libc::RT_TABLE_LOCAL)
    };
    let seldom = move || {
        thread::sleep(PAUSE);
        changed()
    };
    watch((libc::NETLINK_ROUTE, &ROUTE_GROUPS), matters, seldom)
}

/// Whether a message is about forwarding by the whole host.
fn is_forwarding(message: &[u8]) -> bool {
    let attributes = message.get(SETTING_HEADER..).unwrap_or_default();
    find_attr(attributes, SETTING_OF) == Some(&OF_HOST.to_ne_bytes())
        && find_attr(attributes, SETTING_FORWARDING).is_some()
}

/// Whether a message is about a link of these groups that is gone or down.
fn is_of_link(kind: u16, message: &[u8], groups: &Groups) -> bool {
    let Some((header, attributes)) = message.split_at_checked(LINK_HEADER) else {
        return false;
    };
    // A bridge tells of its ports too, by messages of its own family.
    let is_link = header[0] == 0;
    let flags = u32::from_ne_bytes([
        header[LINK_FLAGS],
        header[LINK_FLAGS + 1],
        header[LINK_FLAGS + 2],
        header[LINK_FLAGS + 3],
    ]);
    let is_down = kind == libc::RTM_DELLINK || flags & libc::IFF_UP.cast_unsigned() == 0;
    let group = find_attr(attributes, GROUP).and_then(|bytes| bytes.try_into().ok());
    is_link && is_down && group.is_some_and(|group| groups.has(u32::from_ne_bytes(group)))
}

fn watch(
    source: (libc::c_int, &'static [u32]),
    matters: impl Fn(u16, &[u8]) -> bool + Send + 'static,
    mut changed: impl FnMut() -> bool + Send + 'static,
) -> io::Result<()> {
    // Opened here: it belongs to the network namespace of the caller, and nothing after this is missed.
    let mut socket = open(source).ok();
    let listen = move || {
        loop {
            let Some(open_socket) = &mut socket else {
                thread::sleep(PAUSE);
                socket = open(source).ok();
                // Whatever happened meanwhile was missed.
                if socket.is_some() && !changed() {
                    return;
                }
                continue;
            };
            let is_over = match open_socket.recv() {
                Ok((about, message)) => matters(about.message_type, message) && !changed(),
                // More came than there was room for.
                Err(error) if error.as_io_error().raw_os_error() == Some(libc::ENOBUFS) => {
                    !changed()
                }
                Err(error) => {
                    tracing::warn!(%error, "changes of the network are not heard of");
                    socket = None;
                    false
                }
            };
            if is_over {
                return;
            }
        }
    };
    thread::Builder::new().name("watch".into()).stack_size(STACK).spawn(listen).map(drop)
}

fn open((protocol, groups): (libc::c_int, &[u32])) -> io::Result<MulticastSocketRaw> {
    let protocol = u16::try_from(protocol).map_err(io::Error::other)?;
    let mut socket = MulticastSocketRaw::new(protocol)?;
    groups.iter().try_for_each(|group| socket.listen(*group))?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::sync::mpsc::{Receiver, channel};

    use super::*;
    use crate::firewall::{Firewall, Table};
    use crate::netlink::nft::foreign::{add_table_that_drops, flush_ruleset};
    use crate::network::tests::network;
    use crate::network::{self};
    use crate::sandbox;

    const SOON: Duration = Duration::from_secs(1);

    /// Whether it was heard of; many hints about one change count once.
    fn heard(hints: &Receiver<()>) -> bool {
        let first = hints.recv_timeout(SOON).is_ok();
        while hints.recv_timeout(Duration::from_millis(50)).is_ok() {}
        first
    }

    #[test]
    fn tables_of_others_are_heard_of_and_those_of_other_projects_are_not() {
        sandbox::run(|| {
            let (told, hints) = channel();
            firewall("a", move || told.send(()).is_ok()).unwrap();
            let table = |id: &str| Table { id: id.into(), ..Table::default() };
            let mut other = Firewall::new();
            other.replace(&table("b")).unwrap();
            other.remove("b", Default::default()).unwrap();
            assert!(hints.recv_timeout(Duration::from_millis(100)).is_err(), "another project");
            add_table_that_drops("strict");
            assert!(heard(&hints));
            flush_ruleset();
            assert!(heard(&hints));
            let mut own = Firewall::new();
            own.replace(&table("a")).unwrap();
            while hints.try_recv().is_ok() {}
            own.remove("a", Default::default()).unwrap();
            assert!(heard(&hints));
        });
    }

    #[test]
    fn a_link_that_is_deleted_or_brought_down_is_heard_of() {
        sandbox::run(|| {
            let network = network(1, false);
            network::create(&network).unwrap();
            let (told, hints) = channel();
            let groups = Groups::default();
            groups.add(network.group);
            links(groups.clone(), move || told.send(()).is_ok()).unwrap();
            let ip = |arguments: &[&str]| {
                assert!(Command::new("ip").args(arguments).status().unwrap().success());
            };
            ip(&["link", "add", "other0", "type", "bridge"]);
            ip(&["link", "del", "other0"]);
            assert!(hints.recv_timeout(Duration::from_millis(100)).is_err(), "somebody's");
            ip(&["link", "set", &network.bridge, "down"]);
            assert!(heard(&hints));
            ip(&["link", "del", &network.bridge]);
            assert!(heard(&hints));
            for value in ["1", "0"] {
                for setting in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
                    fs_err::write(format!("/proc/sys/net/{setting}"), value).unwrap();
                    assert!(heard(&hints), "{setting} {value}");
                }
            }
            let shared = crate::Network { group: 7, ..network };
            network::create(&shared).unwrap();
            groups.add(7);
            ip(&["link", "del", &shared.bridge]);
            assert!(heard(&hints), "of a group that came later");
        });
    }
}
