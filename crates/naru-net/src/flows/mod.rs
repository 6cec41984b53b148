//! UDP flows that the kernel goes on translating although a published port leads elsewhere.
//!
//! Rules decide about the first packet of a flow; what follows goes where that one went, as long as it does not stop. A
//! client of a `nat` port that keeps its port would talk to an address that is nobody's any more.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use crate::netlink::conntrack::{self, Flow};
use crate::netlink::{Refused, Socket};

/// A published UDP port that leads elsewhere now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// Only this address of the host; any when absent or unspecified.
    pub host_ip: Option<IpAddr>,
    /// Port of the host.
    pub host_port: u16,
    /// Where it led.
    pub former: Vec<SocketAddr>,
    /// Where it leads; nowhere when nothing is translated any more.
    pub current: Vec<SocketAddr>,
}

/// The kernel did not tell of its flows, or would not forget one.
#[derive(Debug, thiserror::Error)]
#[error("cannot end the flows of a published UDP port")]
pub struct Error(#[from] Refused);

/// Has the kernel forget the flows, in this network namespace, that went where these ports led before; returns how many.
///
/// What reached the host itself while nothing was translated is forgotten too, once something is again, and what the
/// host answers such a client late: the kernel would take the client's next datagrams for answers to that.
///
/// # Errors
/// When the kernel refuses, as one without `CONFIG_NF_CT_NETLINK` does.
pub fn forget_udp(moved: &[Moved]) -> Result<usize, Error> {
    let mut socket = Socket::new();
    let flows = conntrack::udp_flows(&mut socket)?;
    let mut count = 0;
    for flow in flows.iter().filter(|flow| moved.iter().any(|port| is_stale(flow, port, is_own))) {
        conntrack::forget(&mut socket, flow)?;
        count += 1;
    }
    Ok(count)
}

fn is_stale(flow: &Flow, port: &Moved, is_own: impl Fn(IpAddr) -> bool) -> bool {
    let Flow { from, to, answers, .. } = flow;
    let host_ip = port.host_ip.filter(|ip| !ip.is_unspecified());
    let is_published =
        |end: &SocketAddr| end.port() == port.host_port && host_ip.is_none_or(|ip| ip == end.ip());
    let is_the_hosts = |end: &SocketAddr| {
        let is_served = port.current.iter().any(|own| own.is_ipv4() == end.is_ipv4());
        // Loopback addresses are the proxy's at all times.
        is_published(end) && is_served && !end.ip().is_loopback() && is_own(end.ip())
    };
    let is_translated = answers != to;
    match is_translated {
        true => {
            is_published(to) && port.former.contains(answers) && !port.current.contains(answers)
        }
        false => is_the_hosts(to) || is_the_hosts(from),
    }
}

/// Whether an address is this host's: what merely passes with the same port is a stranger's.
fn is_own(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}

#[cfg(test)]
mod tests;
