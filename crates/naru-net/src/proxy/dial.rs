//! Reaching the container: its addresses one after the other, then its loopback interface, then again after a pause.
//!
//! Where nobody listens, one connection of each published port looks for a server again and again, and all others
//! wait for what it finds: a thousand that wait cost no more than one.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::sockopt::{set_socket_reuseaddr, set_tcp_nodelay, socket_error};
use rustix::net::{
    AddressFamily, SocketFlags, SocketType, bind, connect, getpeername, ipproto, socket_with,
};

use super::event_loop::{Kind, Poll, Token};
use super::flow::{Flow, Side};
use super::link;
use super::target::{self, Place, Sockets, Taken};
use super::tcp::{Patience, SIDE_EVENTS, Stage, Tcp, note};
use crate::ports::Protocol;

/// The longest pause between two attempts to reach a server that does not listen yet.
const LONGEST_RETRY: Duration = Duration::from_millis(32);
/// How long the kernel may take for one attempt that is neither refused nor accepted.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);

impl Tcp {
    /// Tries the places of the target from this one on.
    pub(super) fn dial(
        &mut self,
        poll: &mut Poll,
        number: u64,
        patience: Patience,
        mut place: usize,
    ) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        // The socket of the attempt before is closed here.
        connection.stage = Stage::Waiting(patience);
        let Some(listener) = self.listeners.get_mut(&connection.listener) else { return };
        let Some(target) = listener.target.clone() else {
            return self.retry_later(number, patience);
        };
        while let Some(at) = Place::nth(&target, place) {
            let begun = match at {
                Place::Outside(address) => start_connecting(address),
                Place::Inside(address) => {
                    let of = connection.listener;
                    let ask = |count| {
                        let visit = poll.number();
                        if let Some(loopback) = &target.loopback {
                            let what = (Protocol::Tcp, count);
                            target::visit(&self.mailbox, loopback, (of, visit), what);
                        }
                        visit
                    };
                    match listener.pool.take(number, address, ask) {
                        Taken::Socket(socket) => connect_through(socket, address),
                        Taken::Later => {
                            connection.stage = Stage::Entering(patience, place);
                            let late = Instant::now() + CONNECT_PATIENCE;
                            return self.set_timer(number, Some(late));
                        }
                    }
                }
            };
            if let Ok(server) = begun {
                let token = Token::new(Kind::Server, number);
                if poll.watch(&server, token, SIDE_EVENTS).is_err() {
                    return self.reset(number);
                }
                connection.stage = Stage::Dialling { patience, place, server: Side::new(server) };
                return self.set_timer(number, Some(Instant::now() + CONNECT_PATIENCE));
            }
            place += 1;
        }
        self.retry_later(number, patience);
    }

    /// A visit to the namespace of a listener's container has made these. Returned when it is none of TCP's.
    pub(super) fn arrived(
        &mut self,
        poll: &mut Poll,
        (listener, visit): (u64, u64),
        sockets: Sockets,
    ) -> Option<Sockets> {
        let Some(own) = self.listeners.get_mut(&listener) else { return Some(sockets) };
        let waiting = own.pool.fill(visit, sockets);
        let target = own.target.clone()?;
        let families = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        let has = families.map(|address| own.pool.has(SocketAddr::new(address, 0)));
        for number in waiting {
            let Some(connection) = self.connections.get(&number) else { continue };
            let Stage::Entering(patience, place) = connection.stage else { continue };
            let is_v6 =
                matches!(Place::nth(&target, place), Some(Place::Inside(at)) if at.is_ipv6());
            // A namespace without this family, or one that could not be entered.
            let next = if has[usize::from(is_v6)] { place } else { place + 1 };
            self.dial(poll, number, patience, next);
        }
        None
    }

    /// Something has become of an attempt.
    pub(super) fn dialled(&mut self, poll: &mut Poll, number: u64, flags: EventFlags) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        let Stage::Dialling { patience, place, server } = &mut connection.stage else { return };
        let (patience, place) = (*patience, *place);
        match socket_error(&server.socket) {
            // The event may be one of an earlier attempt, so the socket is asked itself.
            Ok(Ok(())) if getpeername(&server.socket).is_ok() => {
                note(server, flags);
                self.open(poll, number, place);
            }
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => self.dial(poll, number, patience, place + 1),
        }
    }

    fn open(&mut self, poll: &mut Poll, number: u64, place: usize) {
        self.set_timer(number, None);
        let Some(connection) = self.connections.get_mut(&number) else { return };
        let waiting = Stage::Waiting(Patience::new(Instant::now()));
        let Stage::Dialling { server, .. } = std::mem::replace(&mut connection.stage, waiting)
        else {
            return;
        };
        connection.stage = Stage::Open { server, up: Flow::new(), down: Flow::new() };
        let of = connection.listener;
        let Some(listener) = self.listeners.get_mut(&of) else { return };
        match listener.target.as_ref().and_then(|target| Place::nth(target, place)) {
            Some(Place::Outside(address)) => connection.reached = Some(address),
            Some(Place::Inside(address)) => self.on_loopback.push((of, address)),
            None => {}
        }
        listener.scout = None;
        let queue = std::mem::take(&mut listener.queue);
        self.advance(number);
        // Somebody listens now.
        for number in queue {
            if let Some(Stage::Waiting(patience)) = self.stage(number) {
                let patience = *patience;
                self.dial(poll, number, patience, 0);
            }
        }
    }

    fn stage(&self, number: u64) -> Option<&Stage> {
        self.connections.get(&number).map(|connection| &connection.stage)
    }

    /// Nobody listens: either this connection looks again after a pause, or one that does so already finds out.
    fn retry_later(&mut self, number: u64, patience: Patience) {
        let now = Instant::now();
        let Patience { until, pause } = patience;
        if now >= until {
            return self.reset(number);
        }
        let Some(connection) = self.connections.get_mut(&number) else { return };
        let Some(listener) = self.listeners.get_mut(&connection.listener) else { return };
        let at = match listener.scout {
            // A new target is dialled by all.
            _ if listener.target.is_none() => until,
            Some(scout) if scout != number => {
                listener.queue.push_back(number);
                until
            }
            _ => {
                listener.scout = Some(number);
                until.min(now + pause)
            }
        };
        let pause = (pause * 2).min(LONGEST_RETRY);
        connection.stage = Stage::Waiting(Patience { until, pause });
        self.set_timer(number, Some(at));
    }

    /// The timer of a connection that waits has gone off.
    pub(super) fn wait_is_over(&mut self, poll: &mut Poll, number: u64, patience: Patience) {
        if Instant::now() >= patience.until {
            return self.reset(number);
        }
        self.dial(poll, number, patience, 0);
    }

    /// A connection has gone; if it was the one that looked for a server, another one has to.
    pub(super) fn forsake(&mut self, number: u64, listener: u64) {
        if let Some(own) = self.listeners.get_mut(&listener).filter(|l| l.scout == Some(number)) {
            own.scout = None;
            self.forsaken.push(listener);
        }
    }

    /// Finds another connection that looks for a server, where the one that did has gone.
    pub(super) fn relieve_scouts(&mut self, poll: &mut Poll) {
        for number in std::mem::take(&mut self.forsaken) {
            while let Some(listener) = self.listeners.get_mut(&number)
                && listener.scout.is_none()
                && let Some(next) = listener.queue.pop_front()
            {
                if let Some(Stage::Waiting(patience)) = self.stage(next) {
                    let patience = *patience;
                    self.dial(poll, next, patience, 0);
                    break;
                }
            }
        }
    }
}

fn start_connecting(to: SocketAddr) -> rustix::io::Result<OwnedFd> {
    match connect_through(outside(to)?, to) {
        Err(Errno::ADDRNOTAVAIL) => connect_from_used_port(to),
        outcome => outcome,
    }
}

fn outside(to: SocketAddr) -> rustix::io::Result<OwnedFd> {
    let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))?;
    // So that its port may be taken again from TIME_WAIT.
    let _ = set_socket_reuseaddr(&socket, true);
    Ok(socket)
}

fn connect_through(socket: OwnedFd, to: SocketAddr) -> rustix::io::Result<OwnedFd> {
    let _ = set_tcp_nodelay(&socket, true);
    link::prepare_server(&socket);
    match connect(&socket, &to) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(error) => Err(error),
    }
}

/// All ports that the kernel would give are in TIME_WAIT. One that is asked for by name may be taken again from it
/// (`tcp_twsk_unique` of the kernel: with time stamps, which both ends have).
fn connect_from_used_port(to: SocketAddr) -> rustix::io::Result<OwnedFd> {
    const FIRST: u16 = 32768;
    const COUNT: u16 = 28000;
    const ATTEMPTS: usize = 64;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    for _ in 0..ATTEMPTS {
        let port = FIRST + NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
        let own = match to {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, port).into(),
            SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)),
        };
        let socket = outside(to)?;
        match bind(&socket, &own).and_then(|()| connect_through(socket, to)) {
            Err(Errno::ADDRINUSE | Errno::ADDRNOTAVAIL) => {}
            outcome => return outcome,
        }
    }
    Err(Errno::ADDRNOTAVAIL)
}
