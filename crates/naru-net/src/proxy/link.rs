//! Connections that never leave the host: to containers, and from clients of the host itself.
//!
//! Their link is memory. Nothing is lost on it and nothing arrives late, so a congestion control that paces what it sends
//! (BBR, where the host has chosen it) only makes them slow.

use std::net::SocketAddr;

use rustix::fd::AsFd;
use rustix::net::sockopt::{set_tcp_congestion, tcp_congestion};
use rustix::net::{SocketAddrAny, getsockname};

/// The congestion control that every kernel has and allows to everybody.
const PLAIN: &str = "reno";

/// Whether the host's congestion control is one that paces, or none that is known.
pub(super) fn is_paced(socket: impl AsFd) -> bool {
    tcp_congestion(socket).is_ok_and(|name| !matches!(name.as_str(), PLAIN | "cubic"))
}

/// Prepares a connection to a container.
pub(super) fn prepare_server(server: impl AsFd) {
    // Without it everything works as well.
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
