//! UDP: a socket of its own towards the container for every client, and answers that leave from the
//! address the client had sent to.

use std::collections::HashMap;
use std::io::{IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::cmsg_space;
use nix::libc::{in_addr, in_pktinfo, in6_addr, in6_pktinfo};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg,
};
use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, connect, ipproto, recv, send,
    socket_with,
};

use super::clients::{Client, Clients, Local};
use super::event_loop::{Kind, Poll, Token};
use super::shortage::Shortage;
use super::target::{self, Place, Pool, Sockets, Taken, Target};
use super::{Mailbox, Notice};
use crate::ports::Protocol;

/// How often silent clients are looked for.
const SWEEP: Duration = Duration::from_secs(10);
/// Clients at the same time; when there are more, the one that has been silent longest gives way.
const MOST_FLOWS: usize = 4096;
/// Datagrams of one socket handled before others have their turn.
const AT_ONCE: usize = 64;
/// The longest datagram that is kept to be sent to another place.
const LONGEST_KEPT: usize = 2048;
/// The longest datagram.
const LONGEST: usize = 65_535;

/// A published port.
struct Datagrams {
    socket: OwnedFd,
    /// Nothing while the container does not run.
    target: Option<Arc<Target>>,
    pool: Pool,
}

/// All published UDP ports and their clients.
pub(super) struct Udp {
    ports: HashMap<u64, Datagrams>,
    flows: Clients,
    buffer: Vec<u8>,
    next_sweep: Option<Instant>,
    /// Descriptors that there are for clients.
    pub(super) room: usize,
    mailbox: Mailbox,
    /// Ports whose server was found on the loopback interface, and where.
    pub(super) on_loopback: Vec<(u64, SocketAddr)>,
    pub(super) shortage: Shortage,
}

impl Udp {
    pub(super) fn new(mailbox: Mailbox) -> Self {
        Self {
            ports: HashMap::new(),
            flows: Clients::default(),
            buffer: Vec::new(),
            next_sweep: None,
            room: MOST_FLOWS,
            mailbox,
            on_loopback: Vec::new(),
            shortage: Shortage::default(),
        }
    }

    /// Clients, each of which has a descriptor.
    pub(super) fn clients(&self) -> usize {
        self.flows.len()
    }

    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.next_sweep
    }

    pub(super) fn listen(
        &mut self,
        poll: &mut Poll,
        socket: OwnedFd,
        target: Option<Arc<Target>>,
    ) -> rustix::io::Result<u64> {
        let number = poll.number();
        poll.watch(&socket, Token::new(Kind::Datagrams, number), EventFlags::IN)?;
        self.buffer.resize(LONGEST, 0);
        self.ports.insert(number, Datagrams { socket, target, pool: Pool::default() });
        Ok(number)
    }

    pub(super) fn close(&mut self, poll: &Poll, number: u64) {
        if let Some(port) = self.ports.remove(&number) {
            poll.forget(&port.socket);
        }
        self.flows.remove_port(number);
    }

    /// Gives a port another target, or none; clients begin anew.
    pub(super) fn retarget(&mut self, number: u64, target: Option<Arc<Target>>) {
        if let Some(port) = self.ports.get_mut(&number) {
            port.target = target;
            port.pool = Pool::default();
        }
        self.flows.remove_port(number);
    }

    /// Forgets silent clients.
    pub(super) fn expire(&mut self, now: Instant) {
        if self.next_sweep.is_some_and(|at| now >= at) {
            self.flows.expire(now);
            self.next_sweep = (self.flows.len() > 0).then(|| now + SWEEP);
        }
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
            if port.target.is_none() {
                continue;
            }
            let client = Client { port: number, address, local };
            let Some(flow) = self.flow_of(poll, client, now) else { continue };
            self.pass_on(poll, flow, length, now);
        }
    }

    /// Sends the datagram that is in the buffer to where this client's go.
    fn pass_on(&mut self, poll: &mut Poll, number: u64, length: usize, now: Instant) {
        let Some(flow) = self.flows.get_mut(number) else { return };
        let goes_on = flow.unanswered.is_none();
        self.flows.used(number, now, goes_on);
        let Some(flow) = self.flows.get_mut(number) else { return };
        let datagram = &self.buffer[..length];
        let waits = flow.unanswered.as_mut().map(|last| {
            last.clear();
            if length <= LONGEST_KEPT {
                last.extend_from_slice(datagram);
            }
        });
        let Some(socket) = &flow.socket else { return };
        // Refusals of earlier datagrams are reported here; this one is sent all the same.
        let sent = send(socket, datagram, SendFlags::empty());
        match (sent, waits) {
            (Ok(_), _) => {}
            (Err(Errno::CONNREFUSED), Some(())) => self.go_on(poll, number),
            (Err(_), _) => drop(send(socket, datagram, SendFlags::empty())),
        }
    }

    fn flow_of(&mut self, poll: &mut Poll, client: Client, now: Instant) -> Option<u64> {
        if let Some(number) = self.flows.number_of(&client) {
            return Some(number);
        }
        let clients = self.flows.len();
        if clients >= self.room.min(MOST_FLOWS) {
            self.shortage.note(now, Notice::Crowded { clients });
            if !self.flows.give_way() {
                return None;
            }
        }
        let number = poll.number();
        self.flows.add(number, client, now);
        self.next_sweep.get_or_insert(now + SWEEP);
        self.aim(poll, number, 0);
        Some(number)
    }

    /// The place has refused a datagram and nobody has ever answered this client: on to the next one, with that datagram.
    fn go_on(&mut self, poll: &mut Poll, number: u64) {
        let Some(flow) = self.flows.get_mut(number) else { return };
        let next = flow.place + 1;
        self.aim(poll, number, next);
        self.send_again(number);
    }

    /// Connects a client's socket to this place of the target or the first possible one after it; after the last the
    /// next datagram begins anew.
    fn aim(&mut self, poll: &mut Poll, number: u64, mut place: usize) {
        let Some(flow) = self.flows.get_mut(number) else { return };
        let Some(port) = self.ports.get_mut(&flow.client.port) else { return };
        let Some(target) = port.target.clone() else { return };
        flow.socket = None;
        while let Some(at) = Place::nth(&target, place) {
            flow.place = place;
            let made = match at {
                Place::Outside(address) => open(address),
                Place::Inside(address) => {
                    let of = flow.client.port;
                    let ask = |count| {
                        let visit = poll.number();
                        if let Some(loopback) = &target.loopback {
                            let what = (Protocol::Udp, count);
                            target::visit(&self.mailbox, loopback, (of, visit), what);
                        }
                        visit
                    };
                    match port.pool.take(number, address, ask) {
                        Taken::Socket(socket) => connect(&socket, &address).map(|()| socket),
                        Taken::Later => return,
                    }
                }
            };
            let token = Token::new(Kind::Flow, number);
            match made {
                Ok(socket) if poll.watch(&socket, token, EventFlags::IN).is_ok() => {
                    flow.socket = Some(socket);
                    return;
                }
                Ok(_) | Err(_) => place += 1,
            }
        }
        // Nobody listens anywhere: this client is forgotten until it sends again.
        self.flows.remove(number);
    }

    fn send_again(&mut self, number: u64) {
        let Some(flow) = self.flows.get(number) else { return };
        if let (Some(socket), Some(last)) = (&flow.socket, &flow.unanswered)
            && !last.is_empty()
        {
            let _ = send(socket, last, SendFlags::empty());
        }
    }

    /// A visit to the namespace of a port's container has made these.
    pub(super) fn arrived(&mut self, poll: &mut Poll, (port, visit): (u64, u64), sockets: Sockets) {
        let Some(own) = self.ports.get_mut(&port) else { return };
        let waiting = own.pool.fill(visit, sockets);
        let Some(target) = own.target.clone() else { return };
        let families = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        let has = families.map(|address| own.pool.has(SocketAddr::new(address, 0)));
        for number in waiting {
            let Some(flow) = self.flows.get(number) else { continue };
            let place = flow.place;
            let is_v6 =
                matches!(Place::nth(&target, place), Some(Place::Inside(at)) if at.is_ipv6());
            let next = if has[usize::from(is_v6)] { place } else { place + 1 };
            self.aim(poll, number, next);
            self.send_again(number);
        }
    }

    /// Passes the container's answers back to the client.
    pub(super) fn pass_back(&mut self, poll: &mut Poll, number: u64) {
        let now = Instant::now();
        for _ in 0..AT_ONCE {
            let Some(flow) = self.flows.get_mut(number) else { return };
            let Some(socket) = &flow.socket else { return };
            let received = recv(socket, self.buffer.as_mut_slice(), RecvFlags::empty());
            let length = match received {
                Ok((length, _)) => length,
                // The container's kernel: nobody listens there.
                Err(Errno::CONNREFUSED) if flow.unanswered.is_some() => {
                    return self.go_on(poll, number);
                }
                Err(_) => return,
            };
            let is_first = flow.unanswered.take().is_some();
            self.flows.used(number, now, !is_first);
            let Some(flow) = self.flows.get(number) else { return };
            let Some(port) = self.ports.get(&flow.client.port) else { return };
            if is_first
                && let Some(target) = &port.target
                && let Some(Place::Inside(address)) = Place::nth(target, flow.place)
            {
                self.on_loopback.push((flow.client.port, address));
            }
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
