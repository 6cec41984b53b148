//! Connections that never leave the host: to containers, and from clients of the host itself.
//!
//! Their link is memory. Nothing is lost on it and nothing arrives late, so a congestion control that paces what it sends
//! (BBR, where the host has chosen it) only makes them slow, and a large receive buffer only keeps what a slow reader is
//! behind.

use std::net::SocketAddr;

use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::RcvBufForce;
use rustix::fd::AsFd;
use rustix::net::sockopt::{set_tcp_congestion, tcp_congestion};
use rustix::net::{SocketAddrAny, getsockname};

/// The congestion control that every kernel has and allows to everybody.
const PLAIN: &str = "reno";

/// Whether the host's congestion control is one that paces, or none that is known.
pub(super) fn is_paced(socket: impl AsFd) -> bool {
    tcp_congestion(socket).is_ok_and(|name| !matches!(name.as_str(), PLAIN | "cubic"))
}

/// Half of what the kernel keeps of a container's answer when its reader is slow; the rest is for its own needs. Half of
/// this makes bulk data slower.
const RECEIVED: usize = 1024 * 1024;

/// Prepares a connection to a container, before it is begun: the window is scaled to the buffer.
pub(super) fn prepare_server(server: impl AsFd) {
    // Without any of this everything works as well. Only root may have a size beyond `net.core.rmem_max`, and a smaller
    // one would be worse than the kernel's own choice.
    let _ = setsockopt(&server, RcvBufForce, &RECEIVED);
    if is_paced(&server) {
        let _ = set_tcp_congestion(&server, PLAIN);
    }
}

/// Prepares a client's connection where [`is_paced`], if the client is on this host.
pub(super) fn prepare_client(client: impl AsFd, peer: Option<SocketAddrAny>) {
    let Some(peer) = peer.and_then(|peer| SocketAddr::try_from(peer).ok()) else { return };
    let own = || getsockname(&client).ok().and_then(|own| SocketAddr::try_from(own).ok());
    if peer.ip().is_loopback() || own().is_some_and(|own| own.ip() == peer.ip()) {
        let _ = set_tcp_congestion(&client, PLAIN);
    }
}
