//! Ports of the host: bound before anything is created, and held as sockets.
//!
//! A bound port cannot be taken by somebody else in between, and it is free as soon as the last
//! process that holds the sockets is gone; there is no record that could go stale.

mod free;
mod holder;

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockProtocol, SockType, SockaddrStorage, bind as bind_socket,
    getsockname, getsockopt, listen, setsockopt, socket, sockopt,
};

pub use free::Free;
pub use holder::Holder;

/// The transport of a published port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Connections.
    Tcp,
    /// Datagrams.
    Udp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// One port of the host that is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Publish {
    /// The address to listen on; absent for all addresses, IPv4 and IPv6.
    pub host_ip: Option<IpAddr>,
    /// The port; 0 for any free one.
    pub host_port: u16,
    /// Its transport.
    pub protocol: Protocol,
}

/// The sockets that hold one port: two for all addresses (IPv4 and IPv6), else one. TCP sockets
/// listen already, so that connections wait for the proxy instead of being refused.
#[derive(Debug)]
pub struct Bound {
    sockets: Vec<OwnedFd>,
    port: u16,
    protocol: Protocol,
}

/// A port could not be bound.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody else has it.
    #[error("{protocol} port {address} is in use{}", by(.holder.as_deref()))]
    InUse {
        /// The address and port asked for.
        address: SocketAddr,
        /// Its transport.
        protocol: Protocol,
        /// Who has it, when that can be seen.
        holder: Option<Box<Holder>>,
    },
    /// The host does not have this address.
    #[error("{address} is not an address of this host")]
    NotLocal {
        /// The address.
        address: IpAddr,
    },
    /// The port needs rights that this process does not have.
    #[error("{protocol} port {address} needs root rights")]
    Privileged {
        /// The address and port asked for.
        address: SocketAddr,
        /// Its transport.
        protocol: Protocol,
    },
    /// Anything else.
    #[error("cannot listen on {protocol} port {address}")]
    Bind {
        /// The address and port asked for.
        address: SocketAddr,
        /// Its transport.
        protocol: Protocol,
        /// The kernel's answer.
        source: Errno,
    },
    /// A socket that was handed over is none of a published port.
    #[error("cannot take over the socket of a published port")]
    Inherit(#[source] io::Error),
}

impl Error {
    /// The same with the holder of a port in use, where this process may see it.
    #[must_use]
    pub fn with_holder(self) -> Self {
        match self {
            Self::InUse { address, protocol, holder: None } => Self::InUse {
                address,
                protocol,
                holder: holder::find(address, protocol).map(Box::new),
            },
            other => other,
        }
    }
}

/// The process that keeps this port from being bound, where that can be seen.
pub fn holder_of(address: SocketAddr, protocol: Protocol) -> Option<Holder> {
    holder::find(address, protocol)
}

fn by(holder: Option<&Holder>) -> String {
    holder.map(|holder| format!(" by {holder}")).unwrap_or_default()
}

/// Connections that wait for the proxy; the kernel lowers it to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// How often another random port is tried when the one that IPv4 gave is taken in IPv6.
const RANDOM_ATTEMPTS: usize = 32;

/// Binds one port of the host.
///
/// # Errors
/// [`Error::InUse`] names the holder where the process may see it.
pub fn bind(publish: &Publish) -> Result<Bound, Error> {
    try_bind(publish).map_err(Error::with_holder)
}

/// [`bind`], without looking for the holder of a port in use: of many ports only one refusal is told.
///
/// # Errors
/// As [`bind`]; [`Error::with_holder`] names the holder.
pub fn try_bind(publish: &Publish) -> Result<Bound, Error> {
    bind_sharing(publish, false)
}

/// Binds one port of the host although sockets of this process's own are in the way: the port on all addresses
/// beside the same port on one of them, for the time until those are let go of.
///
/// # Errors
/// As [`try_bind`]; others' sockets are in the way as ever.
pub fn bind_beside(publish: &Publish, own: &[&Bound]) -> Result<Bound, Error> {
    let share = |shared: bool| {
        for socket in own.iter().flat_map(|bound| &bound.sockets) {
            // Where it fails, binding does, and says why.
            let _ = setsockopt(socket, sockopt::ReusePort, &shared);
        }
    };
    // Only at this moment: whoever else asks for it must not get in.
    share(true);
    let bound = bind_sharing(publish, true);
    share(false);
    bound
}

fn bind_sharing(publish: &Publish, shares: bool) -> Result<Bound, Error> {
    let Publish { host_ip, host_port, protocol } = *publish;
    let Some(address) = host_ip else {
        return bind_all_addresses(host_port, protocol, shares);
    };
    let socket = open(SocketAddr::new(address, host_port), protocol, shares)?;
    let port = if host_port == 0 { port_of(&socket)? } else { host_port };
    Ok(Bound { sockets: vec![socket], port, protocol })
}

fn bind_all_addresses(wanted: u16, protocol: Protocol, shares: bool) -> Result<Bound, Error> {
    let mut attempts = if wanted == 0 { RANDOM_ATTEMPTS } else { 1 };
    loop {
        attempts -= 1;
        let v4 = open((Ipv4Addr::UNSPECIFIED, wanted).into(), protocol, shares)?;
        let port = if wanted == 0 { port_of(&v4)? } else { wanted };
        match open((Ipv6Addr::UNSPECIFIED, port).into(), protocol, shares) {
            Ok(v6) => return Ok(Bound { sockets: vec![v4, v6], port, protocol }),
            // A host without IPv6.
            Err(Error::NotLocal { .. } | Error::Bind { source: Errno::EAFNOSUPPORT, .. }) => {
                return Ok(Bound { sockets: vec![v4], port, protocol });
            }
            Err(Error::InUse { .. }) if attempts > 0 => {}
            Err(error) => return Err(error),
        }
    }
}

impl Bound {
    /// The port, also when any port was asked for.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The transport.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The sockets, to hand them to another process.
    pub fn sockets(&self) -> &[OwnedFd] {
        &self.sockets
    }

    /// Second descriptors of the same sockets: the port stays bound while either is open.
    ///
    /// # Errors
    /// When there are too many descriptors.
    pub fn duplicate(&self) -> io::Result<Self> {
        let sockets = self.sockets.iter().map(OwnedFd::try_clone).collect::<Result<_, _>>()?;
        Ok(Self { sockets, port: self.port, protocol: self.protocol })
    }

    /// Takes over the sockets of one port that another process bound.
    ///
    /// # Errors
    /// When there is none, or one is no bound socket.
    pub fn from_sockets(sockets: Vec<OwnedFd>) -> Result<Self, Error> {
        let first = sockets
            .first()
            .ok_or_else(|| Error::Inherit(io::Error::other("no socket was handed over")))?;
        let kind =
            getsockopt(first, sockopt::SockType).map_err(|errno| Error::Inherit(errno.into()))?;
        let protocol = match kind {
            SockType::Stream => Protocol::Tcp,
            SockType::Datagram => Protocol::Udp,
            _ => return Err(Error::Inherit(io::Error::other("neither TCP nor UDP"))),
        };
        let port = port_of(first)?;
        Ok(Self { sockets, port, protocol })
    }

    /// Whether a socket of this process's own has this port on this address or on all of them.
    pub fn clashes(&self, publish: &Publish) -> bool {
        let own = self.sockets.first().and_then(|socket| address_of(socket).ok());
        let is_any = |address: IpAddr| address.is_unspecified();
        let fits = match (own.map(|own| own.ip()), publish.host_ip) {
            (None, _) => false,
            (Some(own), None) => is_any(own) || self.sockets.len() == 1,
            (Some(own), Some(wanted)) => {
                own == wanted
                    || is_any(own) && (self.sockets.len() > 1 || own.is_ipv4() == wanted.is_ipv4())
                    || is_any(wanted) && own.is_ipv4() == wanted.is_ipv4()
            }
        };
        fits && self.port == publish.host_port && self.protocol == publish.protocol
    }

    pub(crate) fn into_sockets(self) -> Vec<OwnedFd> {
        self.sockets
    }
}

fn open(address: SocketAddr, protocol: Protocol, shares: bool) -> Result<OwnedFd, Error> {
    try_open(address, protocol, shares).map_err(|errno| match errno {
        Errno::EADDRINUSE => Error::InUse { address, protocol, holder: None },
        Errno::EADDRNOTAVAIL => Error::NotLocal { address: address.ip() },
        Errno::EACCES => Error::Privileged { address, protocol },
        source => Error::Bind { address, protocol, source },
    })
}

fn try_open(address: SocketAddr, protocol: Protocol, shares: bool) -> nix::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let (kind, number) = match protocol {
        Protocol::Tcp => (SockType::Stream, SockProtocol::Tcp),
        Protocol::Udp => (SockType::Datagram, SockProtocol::Udp),
    };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let descriptor = socket(family, kind, flags, number)?;
    if address.is_ipv6() {
        setsockopt(&descriptor, sockopt::Ipv6V6Only, &true)?;
    }
    match protocol {
        // Connections of the last run in TIME_WAIT do not keep the port; a listener does.
        Protocol::Tcp => setsockopt(&descriptor, sockopt::ReuseAddr, &true)?,
        // Answers have to leave from the address the question was sent to.
        Protocol::Udp if address.is_ipv4() => {
            setsockopt(&descriptor, sockopt::Ipv4PacketInfo, &true)?;
        }
        Protocol::Udp => setsockopt(&descriptor, sockopt::Ipv6RecvPacketInfo, &true)?,
    }
    if shares {
        setsockopt(&descriptor, sockopt::ReusePort, &true)?;
    }
    bind_socket(descriptor.as_raw_fd(), &SockaddrStorage::from(address))?;
    if protocol == Protocol::Tcp {
        listen(&descriptor, Backlog::new(BACKLOG)?)?;
    }
    if shares {
        setsockopt(&descriptor, sockopt::ReusePort, &false)?;
    }
    Ok(descriptor)
}

fn port_of(socket: &impl AsFd) -> Result<u16, Error> {
    address_of(socket).map(|address| address.port())
}

fn address_of(socket: &impl AsFd) -> Result<SocketAddr, Error> {
    let address: SockaddrStorage =
        getsockname(socket.as_fd().as_raw_fd()).map_err(|errno| Error::Inherit(errno.into()))?;
    let v4 = address.as_sockaddr_in().map(|v4| std::net::SocketAddrV4::from(*v4).into());
    let v6 = || address.as_sockaddr_in6().map(|v6| std::net::SocketAddrV6::from(*v6).into());
    v4.or_else(v6).ok_or_else(|| Error::Inherit(io::Error::other("not an internet socket")))
}

#[cfg(test)]
mod tests;
