//! A container's end of a network.

use std::net::IpAddr;
use std::os::fd::BorrowedFd;
use std::thread;
use std::time::{Duration, Instant};

use fs_err as fs;

use super::bridge::{bridge_index, refused};
use super::setting::{born, set_parameter};
use super::{DefaultRoutes, Endpoint, Error, Kind, Network, link_local, parent};
use crate::guard;
use crate::namespace;
use crate::netlink::link::NewVeth;
use crate::netlink::{Refused, Socket, address, forwarding_table, link, route};

/// Every namespace has it.
const LOOPBACK: &str = "lo";

/// Joins a container to a network: a veth pair whose one end is a port of the bridge and whose other
/// end is born in the container's namespace, with its address, up, and with the default route; or a link on the
/// network's parent that is born there.
///
/// # Errors
/// When any step fails; the pair is then deleted again.
pub fn attach(network: &Network, endpoint: &Endpoint<'_>) -> Result<(), Error> {
    // The socket stays one of the host's, also in the thread that visits the container's namespace.
    let mut socket = host_socket()?;
    namespace::within(endpoint.netns, || attach_inside(&mut socket, network, endpoint))
        .map_err(Error::Namespace)?
}

/// A connection to the host's links, opened now: later a thread may be in another namespace.
pub(crate) fn host_socket() -> Result<Socket, Error> {
    let mut socket = Socket::new();
    link::index_of(&mut socket, LOOPBACK).map_err(Error::List)?;
    Ok(socket)
}

/// [`attach`], by a thread that is inside the container's namespace, through a socket of the host's.
pub(crate) fn attach_inside(
    socket: &mut Socket,
    network: &Network,
    endpoint: &Endpoint<'_>,
) -> Result<(), Error> {
    match network.kind {
        Kind::Bridge => attach_pair(socket, network, endpoint),
        Kind::Upper(upper, _) => parent::attach(socket, network, upper, endpoint),
    }
}

fn attach_pair(
    socket: &mut Socket,
    network: &Network,
    endpoint: &Endpoint<'_>,
) -> Result<(), Error> {
    let refused =
        |source| Error::Attach { network: network.id.clone(), end: described(endpoint), source };
    let veth = NewVeth {
        host_name: endpoint.host_side,
        group: network.group,
        bridge: bridge_index(socket, network)?,
        peer_name: endpoint.interface,
        peer_mac: endpoint.mac,
        peer_netns: endpoint.netns,
        mtu: network.mtu,
    };
    born(endpoint, || link::create_veth(socket, &veth).map_err(refused))?;
    // The first error is the one to tell; what is left carries the project's group.
    set_up_pair(socket, network, endpoint, refused)
        .inspect_err(|_| drop(link::delete(socket, endpoint.host_side)))
}

/// Everything after the pair was made, by a thread inside the container's namespace.
fn set_up_pair(
    socket: &mut Socket,
    network: &Network,
    endpoint: &Endpoint<'_>,
    refused: impl Fn(Refused) -> Error + Copy,
) -> Result<(), Error> {
    if network.isolated {
        link::isolate(socket, endpoint.host_side).map_err(refused)?;
    }
    set_guard(socket, network, endpoint)?;
    link::set_up(socket, endpoint.host_side, link::LinkLocal::None).map_err(refused)?;
    set_up_inside(endpoint, refused)?;
    let port = wait_operational(socket, endpoint.host_side).map_err(refused)?;
    wait_operational(socket, &network.bridge).map_err(refused)?;
    wait_reachable(endpoint);
    // After a restart the bridge would send to the old link, which the kernel takes its time to
    // delete, until the new one has sent something by itself.
    match port {
        Some(port) => forwarding_table::learn(socket, port, endpoint.mac).map_err(refused),
        None => Ok(()),
    }
}

/// Before the link is up: nothing is sent unseen. Where the kernel has no place for it the container runs without, and
/// the log says so.
fn set_guard(socket: &mut Socket, network: &Network, endpoint: &Endpoint<'_>) -> Result<(), Error> {
    let Some(index) = link::index_of(socket, endpoint.host_side).map_err(Error::List)? else {
        return Ok(());
    };
    let Endpoint { mac, addresses, senders, .. } = *endpoint;
    let identity = guard::Identity { mac, addresses, senders };
    match guard::set(socket, (endpoint.host_side, index), &identity) {
        Err(error) if error.is_withheld() => {
            let reason: &dyn std::error::Error = &error;
            tracing::warn!(reason, network = network.id, "containers can send in others' names");
            Ok(())
        }
        outcome => outcome.map_err(|error| {
            let (network, source) = (network.id.clone(), Box::new(error));
            Error::Guard { network, end: described(endpoint), source }
        }),
    }
}

/// Guards a container's link again where somebody has taken the guard away; true when it was needed.
///
/// # Errors
/// When the kernel refuses, or the links cannot be listed.
pub fn restore_guard(network: &Network, endpoint: &Endpoint<'_>) -> Result<bool, Error> {
    let mut socket = Socket::new();
    let index = link::index_of(&mut socket, endpoint.host_side).map_err(Error::List)?;
    let Some(index) = index else { return Ok(false) };
    if guard::is_set(&mut socket, index, endpoint.senders).map_err(Error::List)? {
        return Ok(false);
    }
    set_guard(&mut socket, network, endpoint)?;
    Ok(true)
}

/// Waits until a link carries packets, and returns its index. Until then the kernel drops them, and
/// the first connection to a container would take a second longer: its address is asked for only once
/// per second.
fn wait_operational(socket: &mut Socket, name: &str) -> Result<Option<u32>, Refused> {
    /// On kernels before 6.8 the state changes by itself, within tens of microseconds.
    const PAUSE: Duration = Duration::from_micros(50);
    const ATTEMPTS: usize = 40;
    let mut index = None;
    for _ in 0..ATTEMPTS {
        let state = link::state(socket, name)?;
        index = state.map(|state| state.index);
        if state.is_none_or(|state| state.operational) {
            break;
        }
        thread::sleep(PAUSE);
    }
    Ok(index)
}

/// Waits until the container hears who asks for its IPv6 addresses: the kernel joins their groups of neighbours
/// (RFC 4291, 2.7.1) by deferred work. Until then the first packet to it would wait for a second.
pub(super) fn wait_reachable(endpoint: &Endpoint<'_>) {
    const PAUSE: Duration = Duration::from_micros(100);
    const PATIENCE: Duration = Duration::from_millis(500);
    let deadline = Instant::now() + PATIENCE;
    let groups: Vec<_> = endpoint.addresses.iter().filter_map(|own| group_of(own.ip())).collect();
    let hears = || {
        // Without the file there is nothing to wait for.
        let Ok(text) = fs::read_to_string("/proc/thread-self/net/igmp6") else { return true };
        let own: Vec<_> = text
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            .filter(|words| words.get(1) == Some(&endpoint.interface))
            .collect();
        groups.iter().all(|group| own.iter().any(|words| words.get(2) == Some(&group.as_str())))
    };
    while !groups.is_empty() && !hears() && Instant::now() < deadline {
        thread::sleep(PAUSE);
    }
}

/// The group of neighbours that an IPv6 address is asked for in, as 32 hexadecimal digits.
fn group_of(address: IpAddr) -> Option<String> {
    let IpAddr::V6(address) = address else { return None };
    let [.., a, b, c] = address.octets();
    Some(format!("ff0200000000000000000001ff{a:02x}{b:02x}{c:02x}"))
}

/// The container's side of [`attach`], once the link is there, run by a thread inside its namespace.
pub(super) fn set_up_inside(
    endpoint: &Endpoint<'_>,
    refused: impl Fn(Refused) -> Error,
) -> Result<(), Error> {
    let mut socket = Socket::new();
    let found = link::index_of(&mut socket, endpoint.interface).map_err(&refused)?;
    // It was made a moment ago, but a container that may change its network can delete it at any time.
    let index = found.ok_or_else(|| refused(Refused::no_such_device()))?;
    for own in endpoint.addresses {
        address::add(&mut socket, index, *own).map_err(&refused)?;
    }
    for (path, value) in endpoint.parameters {
        set_parameter(endpoint.interface, path, value)?;
    }
    let kind = link_local(endpoint.has_ipv6());
    link::set_up(&mut socket, endpoint.interface, kind).map_err(&refused)?;
    for way in endpoint.routes.ways() {
        route::add_default(&mut socket, index, way).map_err(&refused)?;
    }
    Ok(())
}

/// Makes the host's end of a container's link a port of its network's bridge again, after the bridge was made anew.
/// False when there is no such link.
///
/// # Errors
/// When the kernel refuses.
pub fn rejoin(network: &Network, host_side: &str) -> Result<bool, Error> {
    let mut socket = Socket::new();
    if link::index_of(&mut socket, host_side).map_err(Error::List)?.is_none() {
        return Ok(false);
    }
    let bridge = bridge_index(&mut socket, network)?;
    link::set_master(&mut socket, host_side, bridge)
        .and_then(|()| match network.isolated {
            true => link::isolate(&mut socket, host_side),
            false => Ok(()),
        })
        .and_then(|()| link::set_up(&mut socket, host_side, link::LinkLocal::None))
        .map_err(|source| refused(network, source))?;
    Ok(true)
}

/// Makes an interface of a container its way out, instead of the one that is; nothing where it is none.
///
/// # Errors
/// When the namespace cannot be entered or the kernel refuses.
pub fn set_default_routes(
    netns: BorrowedFd<'_>,
    interface: &str,
    routes: DefaultRoutes,
) -> Result<(), Error> {
    let refused = |source| Error::Attach {
        network: "of the default route".to_owned(),
        end: interface.to_owned(),
        source,
    };
    let visit = || {
        let mut socket = Socket::new();
        let index = link::index_of(&mut socket, interface).map_err(refused)?;
        let Some(index) = index else { return Ok(()) };
        for way in routes.ways() {
            route::replace_default(&mut socket, index, way).map_err(refused)?;
        }
        Ok(())
    };
    namespace::within(netns, visit).map_err(Error::Namespace)?
}

/// Takes a container off a network by deleting its link; that it is gone already is no error.
///
/// # Errors
/// When the kernel refuses.
pub fn detach(host_side: &str) -> Result<(), Error> {
    link::delete(&mut Socket::new(), host_side)
        .map_err(|source| Error::Delete { name: host_side.to_owned(), source })
}

/// Takes a container off a network of links on a parent; that the link is gone already is no error.
///
/// # Errors
/// When the namespace cannot be entered or the kernel refuses.
pub fn detach_inside(netns: BorrowedFd<'_>, interface: &str) -> Result<(), Error> {
    namespace::within(netns, || detach(interface)).map_err(Error::Namespace)?
}

/// Whether a container has an interface of this name.
///
/// # Errors
/// When the namespace cannot be entered or the kernel does not answer.
pub fn has_interface(netns: BorrowedFd<'_>, interface: &str) -> Result<bool, Error> {
    let visit = || link::index_of(&mut Socket::new(), interface).map_err(Error::List);
    Ok(namespace::within(netns, visit).map_err(Error::Namespace)??.is_some())
}

/// Brings up the loopback interface of a namespace, with 127.0.0.1 and ::1.
///
/// # Errors
/// When the namespace cannot be entered or the kernel refuses.
pub fn loopback_up(netns: BorrowedFd<'_>) -> Result<(), Error> {
    namespace::within(netns, loopback_up_inside).map_err(Error::Namespace)?
}

/// [`loopback_up`], by a thread that is inside the namespace.
pub(crate) fn loopback_up_inside() -> Result<(), Error> {
    link::set_loopback_up(&mut Socket::new()).map_err(Error::Loopback)
}

pub(super) fn described(endpoint: &Endpoint<'_>) -> String {
    let texts: Vec<_> = endpoint.addresses.iter().map(|own| own.ip().to_string()).collect();
    format!("{} with address {}", endpoint.interface, texts.join(" and "))
}
