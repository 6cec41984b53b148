//! Bridge networks: made, joined by containers, deleted.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::BorrowedFd;
use std::thread;
use std::time::{Duration, Instant};

use fs_err as fs;
use ipnetwork::{IpNetwork, Ipv4Network};
use nix::libc;

use crate::netlink::link::{NewBridge, NewVeth};
use crate::netlink::{Refused, Socket, address, forwarding_table, link, route};
use crate::{Link, MacAddress, namespace, pool};

/// A bridge network of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Id of the network, for messages.
    pub id: String,
    /// Name of the bridge interface; see [`crate::names::bridge`].
    pub bridge: String,
    /// Group of all links of the project; see [`crate::names::group`].
    pub group: u32,
    /// All addresses of the network, those of IPv4 first.
    pub subnets: Vec<Subnet>,
    /// Containers of an internal network get no default route, and nothing is forwarded for them.
    pub internal: bool,
    /// Largest packet; the kernel's default when absent.
    pub mtu: Option<u32>,
    /// What interfaces inside containers are called before their number.
    pub interface_prefix: String,
    /// Containers reach the host and what is beyond it, but not each other.
    pub isolated: bool,
}

/// Addresses of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subnet {
    /// All of them.
    pub network: IpNetwork,
    /// The bridge's own address among them, which is the containers' way out.
    pub gateway: Option<IpAddr>,
}

impl Subnet {
    /// A subnet whose gateway is its first address.
    pub fn new(network: IpNetwork) -> Self {
        Self { network, gateway: Some(pool::gateway(network)) }
    }
}

/// A container's end of a network.
#[derive(Debug, Clone, Copy)]
pub struct Endpoint<'a> {
    /// Interface name inside the container, `eth0` for the first.
    pub interface: &'a str,
    /// Addresses, each with the length of its subnet's prefix.
    pub addresses: &'a [IpNetwork],
    /// Hardware address; see [`MacAddress::of`].
    pub mac: MacAddress,
    /// Where packets to everywhere else go; nothing where this network is not the way out.
    pub routes: DefaultRoutes,
    /// Kernel parameters of the interface, as paths below `/proc/sys` with their values.
    pub parameters: &'a [(String, String)],
    /// Name of the host's end; see [`crate::names::host_side`].
    pub host_side: &'a str,
    /// The container's network namespace.
    pub netns: BorrowedFd<'a>,
}

/// The ways out of a container through one of its networks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DefaultRoutes {
    /// The gateway of IPv4.
    pub v4: Option<Ipv4Addr>,
    /// The gateway of IPv6.
    pub v6: Option<Ipv6Addr>,
}

impl Network {
    /// The first subnet of IPv4.
    pub fn subnet_v4(&self) -> Option<Ipv4Network> {
        self.subnets.iter().find_map(|subnet| match subnet.network {
            IpNetwork::V4(network) => Some(network),
            IpNetwork::V6(_) => None,
        })
    }

    /// The first gateway of IPv4.
    pub fn gateway_v4(&self) -> Option<Ipv4Addr> {
        self.subnets.iter().find_map(|subnet| match subnet.gateway {
            Some(IpAddr::V4(gateway)) => Some(gateway),
            _ => None,
        })
    }

    /// The first gateway of IPv6.
    pub fn gateway_v6(&self) -> Option<Ipv6Addr> {
        self.subnets.iter().find_map(|subnet| match subnet.gateway {
            Some(IpAddr::V6(gateway)) => Some(gateway),
            _ => None,
        })
    }

    /// Whether it has addresses of IPv6.
    pub fn has_ipv6(&self) -> bool {
        self.subnets.iter().any(|subnet| subnet.network.is_ipv6())
    }

    /// The ways out through it: none when it is internal.
    pub fn routes(&self) -> DefaultRoutes {
        match self.internal {
            true => DefaultRoutes::default(),
            false => DefaultRoutes { v4: self.gateway_v4(), v6: self.gateway_v6() },
        }
    }

    /// An address of the network with the length of its subnet's prefix; that of a single address where it is of no
    /// subnet.
    pub fn interface_address(&self, address: IpAddr) -> IpNetwork {
        let subnet = self.subnets.iter().find(|subnet| subnet.network.contains(address));
        subnet.map_or_else(|| address.into(), |subnet| with_prefix(address, subnet.network))
    }
}

/// Why a network could not be made, joined or deleted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bridge could not be made.
    #[error("cannot create bridge {bridge} of network {network}")]
    Create {
        /// Id of the network.
        network: String,
        /// Name of its bridge.
        bridge: String,
        /// The kernel's answer.
        source: Refused,
    },
    /// The bridge that containers should join is not there.
    #[error("network {network} has no bridge {bridge}")]
    NoBridge {
        /// Id of the network.
        network: String,
        /// Name of its bridge.
        bridge: String,
    },
    /// A container's link could not be made or set up.
    #[error("cannot attach {end} to network {network}")]
    Attach {
        /// Id of the network.
        network: String,
        /// Interface inside the container, with its addresses.
        end: String,
        /// The kernel's answer.
        source: Refused,
    },
    /// A kernel parameter of an interface could not be set.
    #[error("cannot set the kernel parameter {parameter} for interface {interface}")]
    Parameter {
        /// The interface.
        interface: String,
        /// The parameter, as a path below `/proc/sys`.
        parameter: String,
        /// Why the setting could not be written.
        source: io::Error,
    },
    /// A setting that keeps strangers out could not be made.
    #[error("cannot set {setting} of {interface}")]
    Harden {
        /// The setting, by its name below `/proc/sys/net`.
        setting: String,
        /// The interface.
        interface: String,
        /// Why it could not be written.
        source: io::Error,
    },
    /// The loopback interface of a container could not be brought up.
    #[error("cannot bring up the container's loopback interface")]
    Loopback(#[source] Refused),
    /// The container's network namespace could not be entered.
    #[error("cannot set up the container's network")]
    Namespace(#[source] namespace::Error),
    /// A link could not be deleted.
    #[error("cannot delete interface {name}")]
    Delete {
        /// The interface.
        name: String,
        /// The kernel's answer.
        source: Refused,
    },
    /// The links of a group could not be deleted.
    #[error("cannot delete the interfaces of group {group}")]
    DeleteGroup {
        /// The group's number.
        group: u32,
        /// The kernel's answer.
        source: Refused,
    },
    /// The links of the host could not be listed.
    #[error("cannot list the network interfaces")]
    List(#[source] Refused),
}

/// Every namespace has it.
const LOOPBACK: &str = "lo";

/// Makes the bridge of a network, with its address, and brings it up.
///
/// # Errors
/// When any step fails; the bridge is then deleted again.
pub fn create(network: &Network) -> Result<(), Error> {
    let mut socket = Socket::new();
    let refused = |source| refused(network, source);
    link::create_bridge(&mut socket, &new_bridge(network)).map_err(refused)?;
    set_up_bridge(&mut socket, network, refused).inspect_err(|_| {
        // The first error is the one to tell; what is left carries the project's group.
        drop(link::delete(&mut socket, &network.bridge));
    })
}

/// Makes what is missing of a network: all of it after a restart of the machine, its address and its being up when
/// whoever made it was killed on the way.
///
/// # Errors
/// When any step fails.
pub fn restore(network: &Network) -> Result<(), Error> {
    let mut socket = Socket::new();
    let refused = |source| refused(network, source);
    existing(link::create_bridge(&mut socket, &new_bridge(network))).map_err(refused)?;
    set_up_bridge(&mut socket, network, refused)
}

fn new_bridge(network: &Network) -> NewBridge<'_> {
    NewBridge {
        name: &network.bridge,
        group: network.group,
        // A fixed address: else the bridge takes that of its first port and changes it later.
        mac: MacAddress::of_first(network.subnets.iter().filter_map(|subnet| subnet.gateway)),
        mtu: network.mtu,
    }
}

fn refused(network: &Network, source: Refused) -> Error {
    Error::Create { network: network.id.clone(), bridge: network.bridge.clone(), source }
}

/// That it is there already is as good.
fn existing(made: Result<(), Refused>) -> Result<(), Refused> {
    made.or_else(|refused| match refused.errno() {
        Some(libc::EEXIST) => Ok(()),
        _ => Err(refused),
    })
}

fn set_up_bridge(
    socket: &mut Socket,
    network: &Network,
    refused: impl Fn(Refused) -> Error,
) -> Result<(), Error> {
    let bridge = &network.bridge;
    let parameter = |name: &str, value: &str| {
        let path = format!("net/ipv6/conf/{bridge}/{name}");
        set_parameter(bridge, &path, value).map(drop)
    };
    // No router of the network is ever believed, and the gateway's address is usable at once.
    parameter("accept_ra", "0")?;
    parameter("accept_dad", "0")?;
    harden::bridge(bridge, network.internal)?;
    parameter("disable_ipv6", if network.has_ipv6() { "0" } else { "1" })?;
    let index = bridge_index(socket, network)?;
    for subnet in &network.subnets {
        let Some(gateway) = subnet.gateway else { continue };
        let own = with_prefix(gateway, subnet.network);
        existing(address::add(socket, index, own)).map_err(&refused)?;
    }
    // Last: a bridge that is up is a whole one.
    link::set_up(socket, &network.bridge, link_local(network.has_ipv6())).map_err(&refused)
}

/// Links of networks without IPv6 give themselves no address of it.
fn link_local(has_ipv6: bool) -> link::LinkLocal {
    if has_ipv6 { link::LinkLocal::OfHardwareAddress } else { link::LinkLocal::None }
}

/// Deletes the bridge of a network; that it is gone already is no error. This waits for the kernel
/// (about 30 ms); a whole project goes faster by [`delete_group`].
///
/// # Errors
/// When the kernel refuses.
pub fn remove(network: &Network) -> Result<(), Error> {
    let name = &network.bridge;
    link::delete(&mut Socket::new(), name)
        .map_err(|source| Error::Delete { name: name.clone(), source })
}

/// Joins a container to a network: a veth pair whose one end is a port of the bridge and whose other
/// end is born in the container's namespace, with its address, up, and with the default route.
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
fn wait_reachable(endpoint: &Endpoint<'_>) {
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

/// The container's side of [`attach`], run by a thread inside its namespace.
fn set_up_inside(endpoint: &Endpoint<'_>, refused: impl Fn(Refused) -> Error) -> Result<(), Error> {
    let mut socket = Socket::new();
    let found = link::index_of(&mut socket, endpoint.interface).map_err(&refused)?;
    let index = found.expect("the veth's peer was made in this namespace a moment ago");
    for own in endpoint.addresses {
        address::add(&mut socket, index, *own).map_err(&refused)?;
    }
    for (path, value) in endpoint.parameters {
        set_parameter(endpoint.interface, path, value)?;
    }
    let kind = link_local(endpoint.has_ipv6());
    link::set_up(&mut socket, endpoint.interface, kind).map_err(&refused)?;
    let DefaultRoutes { v4, v6 } = endpoint.routes;
    for gateway in v4.map(IpAddr::V4).into_iter().chain(v6.map(IpAddr::V6)) {
        route::add_default(&mut socket, index, gateway).map_err(&refused)?;
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
        let DefaultRoutes { v4, v6 } = routes;
        for gateway in v4.map(IpAddr::V4).into_iter().chain(v6.map(IpAddr::V6)) {
            route::replace_default(&mut socket, index, gateway).map_err(refused)?;
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

/// The addresses of a link but those that are link-local, each with the length of its prefix, IPv4 first; none when
/// there is no such link.
///
/// # Errors
/// When the kernel does not list its links or addresses.
pub fn addresses_of(link: &str) -> Result<Vec<IpNetwork>, Error> {
    let mut socket = Socket::new();
    let Some(index) = link::index_of(&mut socket, link).map_err(Error::List)? else {
        return Ok(Vec::new());
    };
    let all = address::list(&mut socket).map_err(Error::List)?;
    let own = all.into_iter().filter(|(of, _)| *of == index).map(|(_, address)| address);
    let mut own: Vec<_> = own.filter(|address| !is_link_local(address.ip())).collect();
    own.sort_by_key(IpNetwork::is_ipv6);
    Ok(own)
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

/// All links of a group, that is of a project.
///
/// # Errors
/// When the kernel does not list its links.
pub fn links_of_group(group: u32) -> Result<Vec<Link>, Error> {
    let mut links = link::list(&mut Socket::new()).map_err(Error::List)?;
    links.retain(|link| link.group == group);
    Ok(links)
}

/// Deletes all links of a group by one request, which blocks its caller for 30 to 60 ms: call it in
/// a process that nobody waits for, and learn from [`wait_unlisted`] when they are gone.
///
/// # Errors
/// When the kernel refuses, or when the group is 0, which holds the host's own links.
pub fn delete_group(group: u32) -> Result<(), Error> {
    let refused = |source| Error::DeleteGroup { group, source };
    if group == 0 {
        let own = io::Error::new(io::ErrorKind::InvalidInput, "group 0 holds the host's own links");
        return Err(refused(own.into()));
    }
    link::delete_group(&mut Socket::new(), group).map_err(refused)
}

/// Waits until no link of the group is listed any more; false when some still are after `patience`.
///
/// # Errors
/// When the kernel does not list its links.
pub fn wait_unlisted(group: u32, patience: Duration) -> Result<bool, Error> {
    /// The links leave the list 0.4 to 4 ms after the request.
    const PAUSE: Duration = Duration::from_micros(200);
    let deadline = Instant::now() + patience;
    loop {
        if links_of_group(group)?.is_empty() {
            return Ok(true);
        }
        if Instant::now() >= deadline {
            return Ok(false);
        }
        thread::sleep(PAUSE);
    }
}

fn bridge_index(socket: &mut Socket, network: &Network) -> Result<u32, Error> {
    link::index_of(socket, &network.bridge).map_err(Error::List)?.ok_or_else(|| Error::NoBridge {
        network: network.id.clone(),
        bridge: network.bridge.clone(),
    })
}

fn with_prefix(address: IpAddr, subnet: IpNetwork) -> IpNetwork {
    IpNetwork::new(address, subnet.prefix()).unwrap_or_else(|_| address.into())
}

fn described(endpoint: &Endpoint<'_>) -> String {
    let texts: Vec<_> = endpoint.addresses.iter().map(|own| own.ip().to_string()).collect();
    format!("{} with address {}", endpoint.interface, texts.join(" and "))
}

impl Endpoint<'_> {
    fn has_ipv6(&self) -> bool {
        self.addresses.iter().any(IpNetwork::is_ipv6)
    }
}

/// What a new interface of the calling thread's namespace has from its first moment: the settings for new interfaces
/// cost nothing, while those of an existing one wait for every other change of links. Without an address of IPv6 it
/// has that switched off; no router advertisement is ever taken, and addresses are usable at once.
fn born(endpoint: &Endpoint<'_>, make: impl FnOnce() -> Result<(), Error>) -> Result<(), Error> {
    const SWITCH: &str = "net/ipv6/conf/default/disable_ipv6";
    let interface = endpoint.interface;
    for name in ["accept_ra", "accept_dad"] {
        let path = format!("net/ipv6/conf/default/{name}");
        set_parameter(interface, &path, "0")?;
    }
    let wanted = if endpoint.has_ipv6() { "0" } else { "1" };
    let before = set_parameter(interface, SWITCH, wanted)?;
    let made = make();
    if let Some(before) = before.filter(|before| before != wanted) {
        set_parameter(interface, SWITCH, &before)?;
    }
    made
}

/// Writes a kernel parameter on behalf of an interface; returns what it was, unless the kernel has no IPv6 and
/// therefore no such parameter.
fn set_parameter(interface: &str, path: &str, value: &str) -> Result<Option<String>, Error> {
    let file = format!("/proc/sys/{path}");
    let outcome = fs::read_to_string(&file).and_then(|before| {
        let before = before.trim().to_owned();
        if before != value {
            fs::write(&file, value)?;
        }
        Ok(before)
    });
    match outcome {
        Ok(before) => Ok(Some(before)),
        Err(error)
            if error.kind() == io::ErrorKind::NotFound && path.starts_with("net/ipv6/conf/") =>
        {
            Ok(None)
        }
        Err(source) => {
            let (interface, parameter) = (interface.to_owned(), path.to_owned());
            Err(Error::Parameter { interface, parameter, source })
        }
    }
}

mod harden;
#[cfg(test)]
pub(crate) mod tests;
