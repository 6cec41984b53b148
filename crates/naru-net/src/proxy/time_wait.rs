//! No TIME_WAIT towards containers: after a burst of connections that clients ended, the host's ports for
//! connections to one container would be used up for a minute.
//!
//! The kernel is asked to drop each such remnant (`SOCK_DESTROY`, sock_diag(7); Linux 6.3 for TIME_WAIT, with
//! `CONFIG_INET_DIAG_DESTROY`). What TIME_WAIT is for, segments that come late, does not happen on a link that is
//! memory. Where the kernel cannot, [`super::dial`] takes ports in TIME_WAIT again.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::net::sockopt::set_socket_recv_buffer_size;
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, netlink, send, socket_with};

/// Length of a request: `struct nlmsghdr` and `struct inet_diag_req_v2`.
const LENGTH: usize = 16 + 56;
/// `SOCK_DESTROY` of `linux/sock_diag.h`.
const SOCK_DESTROY: u16 = 21;
/// `NLM_F_REQUEST`: no acknowledgement is asked for.
const REQUEST: u16 = 1;
/// Requests in one message to the kernel.
const AT_ONCE: usize = 128;

/// Collects ended connections and has their remnants dropped.
pub(super) struct Remnants {
    socket: Option<OwnedFd>,
    requests: Vec<u8>,
}

impl Remnants {
    /// Without the right kernel or rights it does nothing.
    pub(super) fn new() -> Self {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let protocol = Some(netlink::SOCK_DIAG);
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, protocol).ok();
        // Nobody reads the answers: the least that the kernel allows.
        let _ = socket.as_ref().map(|socket| set_socket_recv_buffer_size(socket, 1));
        Self { socket, requests: Vec::new() }
    }

    /// A connection from `own` to `peer`, whose sending this side has ended first, is over.
    pub(super) fn add(&mut self, own: SocketAddr, peer: SocketAddr) {
        if self.socket.is_none() {
            return;
        }
        self.requests.extend_from_slice(&request(own, peer));
        if self.requests.len() >= AT_ONCE * LENGTH {
            self.drop_them();
        }
    }

    /// Tells the kernel of all that were added.
    pub(super) fn drop_them(&mut self) {
        let Some(socket) = self.socket.as_ref().filter(|_| !self.requests.is_empty()) else {
            return;
        };
        // Errors would be answers, which are not read: the kernel drops them when they are too many.
        let _ = send(socket, &self.requests, SendFlags::DONTWAIT);
        self.requests.clear();
    }
}

fn request(own: SocketAddr, peer: SocketAddr) -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    let mut at = 0;
    let mut put = |value: &[u8]| {
        bytes[at..at + value.len()].copy_from_slice(value);
        at += value.len();
    };
    let length = u32::try_from(LENGTH).expect("72");
    put(&length.to_ne_bytes());
    put(&SOCK_DESTROY.to_ne_bytes());
    put(&REQUEST.to_ne_bytes());
    put(&[0; 8]);
    let family = if own.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    put(&[u8::try_from(family.as_raw()).expect("2 or 10"), libc_tcp(), 0, 0]);
    // All states.
    put(&u32::MAX.to_ne_bytes());
    put(&own.port().to_be_bytes());
    put(&peer.port().to_be_bytes());
    put(&words(own.ip()));
    put(&words(peer.ip()));
    // Any interface; no cookie.
    put(&0_u32.to_ne_bytes());
    put(&[0xff; 8]);
    bytes
}

fn libc_tcp() -> u8 {
    u8::try_from(nix::libc::IPPROTO_TCP).expect("6")
}

fn words(address: IpAddr) -> [u8; 16] {
    let mut words = [0; 16];
    match address {
        IpAddr::V4(address) => words[..4].copy_from_slice(&address.octets()),
        IpAddr::V6(address) => words = address.octets(),
    }
    words
}
