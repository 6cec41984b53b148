//! From which network namespace questions leave.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Mutex;

use tokio::net::TcpSocket;

use crate::dns::Sockets;
use crate::namespace;

/// UDP sockets that one visit to a namespace makes: a visit costs a thread, some 0.1 ms.
const BATCH: usize = 16;

#[derive(Debug)]
pub(super) enum Source {
    /// That of the thread that asks.
    Here,
    /// A container's.
    Inside {
        netns: OwnedFd,
        /// Sockets for questions to come, of IPv4 and of IPv6; each is used once.
        ready: Mutex<[Vec<UdpSocket>; 2]>,
    },
}

impl Source {
    pub(super) fn inside(sockets: &Sockets) -> io::Result<Self> {
        let netns = naru_sys::network::namespace_of(sockets.udp.as_fd())?;
        Ok(Self::Inside { netns, ready: Mutex::default() })
    }

    /// A socket with a port of its own, for questions to `server`.
    pub(super) fn udp(&self, server: SocketAddr) -> io::Result<tokio::net::UdpSocket> {
        let socket = match self {
            Self::Here => udp_for(server)?,
            Self::Inside { netns, ready } => {
                let mut ready = super::lock(ready);
                let ready = &mut ready[usize::from(server.is_ipv6())];
                if ready.is_empty() {
                    let make = || (0..BATCH).map(|_| udp_for(server)).collect::<io::Result<_>>();
                    *ready = namespace::within(netns.as_fd(), make).map_err(io::Error::other)??;
                }
                ready.pop().ok_or(io::ErrorKind::NotFound)?
            }
        };
        tokio::net::UdpSocket::from_std(socket)
    }

    pub(super) fn tcp(&self, server: SocketAddr) -> io::Result<TcpSocket> {
        let make = || match server {
            SocketAddr::V4(_) => TcpSocket::new_v4(),
            SocketAddr::V6(_) => TcpSocket::new_v6(),
        };
        match self {
            Self::Here => make(),
            Self::Inside { netns, .. } => {
                namespace::within(netns.as_fd(), make).map_err(io::Error::other)?
            }
        }
    }
}

fn udp_for(server: SocketAddr) -> io::Result<UdpSocket> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}
