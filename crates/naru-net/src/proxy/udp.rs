//! UDP: a socket of its own towards the container for every client, and answers that leave from the
//! address the client had sent to.

use std::collections::HashMap;
use std::io::{IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::cmsg_space;
use nix::libc::{in_addr, in_pktinfo, in6_addr, in6_pktinfo};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg,
};
use rustix::event::epoll::EventFlags;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, connect, ipproto, recv, send,
    socket_with,
};

use super::event_loop::{Kind, Poll, Token};

/// A client that neither sends nor gets anything for this long is forgotten, as in Docker.
const IDLE: Duration = Duration::from_secs(90);
/// How often idle clients are looked for.
const SWEEP: Duration = Duration::from_secs(10);
/// Clients at the same time; when there are more, datagrams of new ones are lost.
const MOST_FLOWS: usize = 4096;
/// Datagrams of one socket handled before others have their turn.
const AT_ONCE: usize = 64;
/// The longest datagram.
const LONGEST: usize = 65_535;

/// A published port.
struct Datagrams {
    socket: OwnedFd,
    target: SocketAddr,
}

/// Who sends to which of the host's addresses, through which published port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Client {
    port: u64,
    address: SocketAddr,
    local: Local,
}

/// The host's address that a datagram was sent to; the interface matters for link-local ones only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Local {
    address: IpAddr,
    interface: u32,
}

struct Flow {
    client: Client,
    socket: OwnedFd,
    last_used: Instant,
}

/// All published UDP ports and their clients.
pub(super) struct Udp {
    ports: HashMap<u64, Datagrams>,
    flows: HashMap<u64, Flow>,
    by_client: HashMap<Client, u64>,
    buffer: Vec<u8>,
    next_sweep: Option<Instant>,
}

impl Udp {
    pub(super) fn new() -> Self {
        Self {
            ports: HashMap::new(),
            flows: HashMap::new(),
            by_client: HashMap::new(),
            buffer: Vec::new(),
            next_sweep: None,
        }
    }

    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.next_sweep
    }

    pub(super) fn listen(
        &mut self,
        poll: &mut Poll,
        socket: OwnedFd,
        target: SocketAddr,
    ) -> rustix::io::Result<u64> {
        let number = poll.number();
        poll.watch(&socket, Token::new(Kind::Datagrams, number), EventFlags::IN)?;
        self.buffer.resize(LONGEST, 0);
        self.ports.insert(number, Datagrams { socket, target });
        Ok(number)
    }

    pub(super) fn close(&mut self, poll: &Poll, number: u64) {
        if let Some(port) = self.ports.remove(&number) {
            poll.forget(&port.socket);
        }
        self.forget(|flow| flow.client.port == number);
    }

    /// Gives a port another target; clients begin anew.
    pub(super) fn retarget(&mut self, number: u64, target: SocketAddr) {
        if let Some(port) = self.ports.get_mut(&number) {
            port.target = target;
        }
        self.forget(|flow| flow.client.port == number);
    }

    /// Forgets idle clients.
    pub(super) fn expire(&mut self, now: Instant) {
        if self.next_sweep.is_some_and(|at| now >= at) {
            self.forget(|flow| now.saturating_duration_since(flow.last_used) >= IDLE);
            self.next_sweep = (!self.flows.is_empty()).then(|| now + SWEEP);
        }
    }

    fn forget(&mut self, is_over: impl Fn(&Flow) -> bool) {
        self.flows.retain(|_, flow| !is_over(flow));
        let flows = &self.flows;
        self.by_client.retain(|_, number| flows.contains_key(number));
    }

    /// Passes on what clients sent to a published port.
    pub(super) fn pass_in(&mut self, poll: &mut Poll, number: u64) {
        let now = Instant::now();
        for _ in 0..AT_ONCE {
            let Some(port) = self.ports.get(&number) else { return };
            let Ok((length, address, local)) = receive(&port.socket, &mut self.buffer) else {
                return;
            };
            let (Some(address), Some(local)) = (address, local) else { continue };
            let client = Client { port: number, address, local };
            let target = port.target;
            let Some(flow) = self.flow_of(poll, client, target, now) else { continue };
            let Some(flow) = self.flows.get_mut(&flow) else { continue };
            flow.last_used = now;
            // Refusals of earlier datagrams are reported here; this one is sent all the same.
            for _ in 0..2 {
                if send(&flow.socket, &self.buffer[..length], SendFlags::empty()).is_ok() {
                    break;
                }
            }
        }
    }

    fn flow_of(
        &mut self,
        poll: &mut Poll,
        client: Client,
        target: SocketAddr,
        now: Instant,
    ) -> Option<u64> {
        if let Some(number) = self.by_client.get(&client) {
            return Some(*number);
        }
        if self.flows.len() >= MOST_FLOWS {
            return None;
        }
        let socket = open(target).ok()?;
        let number = poll.number();
        poll.watch(&socket, Token::new(Kind::Flow, number), EventFlags::IN).ok()?;
        self.flows.insert(number, Flow { client, socket, last_used: now });
        self.by_client.insert(client, number);
        self.next_sweep.get_or_insert(now + SWEEP);
        Some(number)
    }

    /// Passes the container's answers back to the client.
    pub(super) fn pass_back(&mut self, number: u64) {
        let now = Instant::now();
        for _ in 0..AT_ONCE {
            let Some(flow) = self.flows.get_mut(&number) else { return };
            let received = recv(&flow.socket, self.buffer.as_mut_slice(), RecvFlags::empty());
            // Also a refusal by the container's kernel: nobody listens there yet.
            let Ok((length, _)) = received else { return };
            flow.last_used = now;
            let Some(port) = self.ports.get(&flow.client.port) else { return };
            // A datagram that cannot be sent is lost, as datagrams are.
            let _ = answer(&port.socket, &self.buffer[..length], &flow.client);
        }
    }
}

fn open(target: SocketAddr) -> rustix::io::Result<OwnedFd> {
    let family = if target.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::DGRAM, flags, Some(ipproto::UDP))?;
    connect(&socket, &target)?;
    Ok(socket)
}

/// Takes one datagram with its sender and the address it was sent to.
fn receive(
    socket: &OwnedFd,
    buffer: &mut [u8],
) -> nix::Result<(usize, Option<SocketAddr>, Option<Local>)> {
    let mut control = cmsg_space!(in6_pktinfo, in_pktinfo);
    let mut parts = [IoSliceMut::new(buffer)];
    let message = recvmsg::<SockaddrStorage>(
        socket.as_raw_fd(),
        &mut parts,
        Some(&mut control),
        MsgFlags::empty(),
    )?;
    let local = message.cmsgs()?.find_map(|control| match control {
        ControlMessageOwned::Ipv4PacketInfo(info) => Some(Local {
            address: Ipv4Addr::from(info.ipi_spec_dst.s_addr.to_ne_bytes()).into(),
            interface: 0,
        }),
        ControlMessageOwned::Ipv6PacketInfo(info) => {
            let address = Ipv6Addr::from(info.ipi6_addr.s6_addr);
            let interface = if address.is_unicast_link_local() { info.ipi6_ifindex } else { 0 };
            Some(Local { address: address.into(), interface })
        }
        _ => None,
    });
    Ok((message.bytes, message.address.and_then(socket_address), local))
}

fn socket_address(address: SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|v4| std::net::SocketAddrV4::from(*v4).into());
    v4.or_else(|| address.as_sockaddr_in6().map(|v6| std::net::SocketAddrV6::from(*v6).into()))
}

/// Sends a datagram to a client from the address that the client had sent to.
fn answer(socket: &OwnedFd, datagram: &[u8], client: &Client) -> nix::Result<usize> {
    let v4;
    let v6;
    let control = match client.local.address {
        IpAddr::V4(address) => {
            let own = in_addr { s_addr: u32::from_ne_bytes(address.octets()) };
            v4 = in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: own, ipi_addr: in_addr { s_addr: 0 } };
            ControlMessage::Ipv4PacketInfo(&v4)
        }
        IpAddr::V6(address) => {
            let own = in6_addr { s6_addr: address.octets() };
            v6 = in6_pktinfo { ipi6_addr: own, ipi6_ifindex: client.local.interface };
            ControlMessage::Ipv6PacketInfo(&v6)
        }
    };
    let to = SockaddrStorage::from(client.address);
    let parts = [IoSlice::new(datagram)];
    sendmsg(socket.as_raw_fd(), &parts, &[control], MsgFlags::empty(), Some(&to))
}
