//! TCP: accepting, dialling the container, and the life of each connection.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::sockopt::{
    set_socket_keepalive, set_socket_linger, set_tcp_nodelay, socket_error,
};
use rustix::net::{
    AddressFamily, SocketFlags, SocketType, accept_with, connect, getpeername, ipproto, socket_with,
};

use super::event_loop::{Kind, Poll, Token};
use super::flow::{Flow, Resources, Side, Turn};

/// How long a fresh connection is held while nobody listens in the container.
const HOLD: Duration = Duration::from_secs(1);
/// Pauses between two attempts to reach a server that does not listen yet.
const FIRST_RETRY: Duration = Duration::from_millis(2);
const LONGEST_RETRY: Duration = Duration::from_millis(32);
/// How long the kernel may take for one attempt that is neither refused nor accepted.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);
/// Connections accepted before others have their turn.
const ACCEPT_AT_ONCE: usize = 64;
/// After the host ran out of something, accepting is tried again this much later.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Both sides report once per change; the flags in [`Side`] remember it.
const SIDE_EVENTS: EventFlags =
    EventFlags::IN.union(EventFlags::OUT).union(EventFlags::RDHUP).union(EventFlags::ET);

struct Listener {
    socket: OwnedFd,
    target: SocketAddr,
}

struct Connection {
    listener: u64,
    target: SocketAddr,
    client: Side,
    stage: Stage,
    timer: Option<Instant>,
}

enum Stage {
    /// Nobody listened at the last attempt.
    Waiting { until: Instant, pause: Duration },
    /// The kernel is at it.
    Dialling { until: Instant, pause: Duration, server: Side },
    /// Data flows.
    Open { server: Side, up: Flow, down: Flow },
}

/// All listeners and connections.
pub(super) struct Tcp {
    listeners: HashMap<u64, Listener>,
    connections: HashMap<u64, Connection>,
    timers: BTreeSet<(Instant, u64)>,
    /// Connections that used up their turn.
    ready: Vec<u64>,
    resources: Resources,
    most_descriptors: usize,
    /// Set while the listeners are not watched.
    paused: Option<Pause>,
}

/// Why new connections are left in the kernel's queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pause {
    /// There are as many as the proxy may have.
    Full,
    /// The host had no descriptor or memory left; tried again at this time.
    Exhausted { until: Instant },
}

impl Tcp {
    pub(super) fn new(most_descriptors: usize) -> Self {
        Self {
            listeners: HashMap::new(),
            connections: HashMap::new(),
            timers: BTreeSet::new(),
            ready: Vec::new(),
            // A tenth for pipes, which exist only while data moves.
            resources: Resources::new(most_descriptors / 20),
            most_descriptors,
            paused: None,
        }
    }

    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    pub(super) fn next_timer(&self) -> Option<Instant> {
        let timer = self.timers.first().map(|(at, _)| *at);
        match (timer, self.paused) {
            (Some(timer), Some(Pause::Exhausted { until })) => Some(timer.min(until)),
            (None, Some(Pause::Exhausted { until })) => Some(until),
            (timer, _) => timer,
        }
    }

    pub(super) fn listen(
        &mut self,
        poll: &mut Poll,
        socket: OwnedFd,
        target: SocketAddr,
    ) -> rustix::io::Result<u64> {
        let number = poll.number();
        if self.paused.is_none() {
            poll.watch(&socket, Token::new(Kind::Listener, number), EventFlags::IN)?;
        }
        self.listeners.insert(number, Listener { socket, target });
        Ok(number)
    }

    /// Closes a listener and resets its connections.
    pub(super) fn close(&mut self, poll: &Poll, number: u64) {
        if let Some(listener) = self.listeners.remove(&number) {
            poll.forget(&listener.socket);
        }
        for connection in self.of_listener(number) {
            self.reset(connection);
        }
    }

    /// Gives a listener another target. What is established belongs to a container that is gone.
    pub(super) fn retarget(&mut self, poll: &mut Poll, number: u64, target: SocketAddr) {
        let Some(listener) = self.listeners.get_mut(&number) else { return };
        listener.target = target;
        for number in self.of_listener(number) {
            let Some(connection) = self.connections.get_mut(&number) else { continue };
            if matches!(connection.stage, Stage::Open { .. }) {
                self.reset(number);
            } else {
                connection.target = target;
                let until = Instant::now() + HOLD;
                self.dial(poll, number, until, FIRST_RETRY);
            }
        }
    }

    fn of_listener(&self, listener: u64) -> Vec<u64> {
        let of = self.connections.iter().filter(|(_, connection)| connection.listener == listener);
        of.map(|(number, _)| *number).collect()
    }

    /// Takes the connections that wait at a listener.
    pub(super) fn accept(&mut self, poll: &mut Poll, number: u64) {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        for _ in 0..ACCEPT_AT_ONCE {
            let Some(listener) = self.listeners.get(&number) else { return };
            if self.is_full() {
                return self.pause(poll, Pause::Full);
            }
            match accept_with(&listener.socket, flags) {
                Ok(client) => {
                    let target = listener.target;
                    self.begin(poll, number, client, target);
                }
                Err(Errno::AGAIN) => return,
                // The host has no descriptor or memory left: waiting is all that can be done.
                Err(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::NOBUFS) => {
                    let until = Instant::now() + ACCEPT_PAUSE;
                    return self.pause(poll, Pause::Exhausted { until });
                }
                // The connection was gone before it was accepted, or the network has trouble.
                Err(_) => {}
            }
        }
    }

    fn is_full(&self) -> bool {
        let connections = self.connections.len() * 2;
        let pipes = self.resources.most_descriptors();
        connections + pipes + 2 > self.most_descriptors
    }

    /// Leaves new connections in the kernel's queue.
    fn pause(&mut self, poll: &Poll, pause: Pause) {
        if self.paused.is_none() {
            for listener in self.listeners.values() {
                poll.forget(&listener.socket);
            }
        }
        self.paused = Some(pause);
    }

    fn resume(&mut self, poll: &Poll) {
        self.paused = None;
        for (number, listener) in &self.listeners {
            let token = Token::new(Kind::Listener, *number);
            if let Err(error) = poll.watch(&listener.socket, token, EventFlags::IN) {
                tracing::error!(%error, "cannot watch a published port");
            }
        }
    }

    fn begin(&mut self, poll: &mut Poll, listener: u64, client: OwnedFd, target: SocketAddr) {
        // Not worth losing a connection over.
        let _ = set_tcp_nodelay(&client, true);
        let _ = set_socket_keepalive(&client, true);
        let number = poll.number();
        let client = Side::new(client);
        if poll.watch(&client.socket, Token::new(Kind::Client, number), SIDE_EVENTS).is_err() {
            return;
        }
        let until = Instant::now() + HOLD;
        let stage = Stage::Waiting { until, pause: FIRST_RETRY };
        let connection = Connection { listener, target, client, stage, timer: None };
        self.connections.insert(number, connection);
        self.dial(poll, number, until, FIRST_RETRY);
    }

    /// Makes one attempt to reach the container.
    fn dial(&mut self, poll: &mut Poll, number: u64, until: Instant, pause: Duration) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        match start_connecting(connection.target) {
            Ok(server) => {
                let token = Token::new(Kind::Server, number);
                if poll.watch(&server, token, SIDE_EVENTS).is_err() {
                    return self.reset(number);
                }
                connection.stage = Stage::Dialling { until, pause, server: Side::new(server) };
                self.set_timer(number, Some(Instant::now() + CONNECT_PATIENCE));
            }
            Err(_) => self.retry_later(number, until, pause),
        }
    }

    fn retry_later(&mut self, number: u64, until: Instant, pause: Duration) {
        let now = Instant::now();
        if now >= until {
            return self.reset(number);
        }
        let Some(connection) = self.connections.get_mut(&number) else { return };
        connection.stage = Stage::Waiting { until, pause: (pause * 2).min(LONGEST_RETRY) };
        self.set_timer(number, Some(now + pause));
    }

    pub(super) fn client_event(&mut self, number: u64, flags: EventFlags) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        note(&mut connection.client, flags);
        match connection.stage {
            Stage::Open { .. } => self.advance(number),
            // The client gave up. One that only ended its sending direction still wants an answer.
            _ if flags.intersects(EventFlags::ERR | EventFlags::HUP) => self.reset(number),
            _ => {}
        }
    }

    pub(super) fn server_event(&mut self, number: u64, flags: EventFlags) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        match &mut connection.stage {
            Stage::Waiting { .. } => {}
            Stage::Open { server, .. } => {
                note(server, flags);
                self.advance(number);
            }
            Stage::Dialling { server, until, pause } => {
                let (until, pause) = (*until, *pause);
                match socket_error(&server.socket) {
                    // The event may be one of an earlier attempt, so the socket is asked itself.
                    Ok(Ok(())) if getpeername(&server.socket).is_ok() => {
                        note(server, flags);
                        self.open(number);
                    }
                    Ok(Ok(())) => {}
                    Ok(Err(_)) | Err(_) => self.retry_later(number, until, pause),
                }
            }
        }
    }

    fn open(&mut self, number: u64) {
        self.set_timer(number, None);
        let Some(connection) = self.connections.get_mut(&number) else { return };
        let waiting = Stage::Waiting { until: Instant::now(), pause: FIRST_RETRY };
        match std::mem::replace(&mut connection.stage, waiting) {
            Stage::Dialling { server, .. } => {
                connection.stage = Stage::Open { server, up: Flow::new(), down: Flow::new() };
                self.advance(number);
            }
            other => connection.stage = other,
        }
    }

    /// Moves data in both directions.
    fn advance(&mut self, number: u64) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        let Stage::Open { server, up, down } = &mut connection.stage else { return };
        let client = &mut connection.client;
        let resources = &mut self.resources;
        let outcome = up
            .advance(client, server, resources)
            .and_then(|up| Ok((up, down.advance(server, client, resources)?)));
        let finished = up.closed && down.closed;
        match outcome {
            Err(_) => self.reset(number),
            Ok(_) if finished => self.remove(number),
            Ok((Turn::Waits, Turn::Waits)) => {}
            Ok(_) => self.ready.push(number),
        }
    }

    /// What the loop does after each round: timers, connections with more to do, room for new ones.
    pub(super) fn after_events(&mut self, poll: &mut Poll, now: Instant) {
        while let Some((at, number)) = self.timers.first().copied() {
            if at > now {
                break;
            }
            self.timers.pop_first();
            let Some(connection) = self.connections.get_mut(&number) else { continue };
            connection.timer = None;
            match connection.stage {
                Stage::Waiting { until, pause } => self.dial(poll, number, until, pause),
                Stage::Dialling { .. } => self.reset(number),
                Stage::Open { .. } => {}
            }
        }
        for number in std::mem::take(&mut self.ready) {
            self.advance(number);
        }
        let resume = match self.paused {
            None => false,
            Some(Pause::Full) => self.has_room_again(),
            Some(Pause::Exhausted { until }) => now >= until,
        };
        if resume {
            self.resume(poll);
        }
        if self.connections.is_empty() {
            self.resources.close_idle_pipes();
        }
    }

    /// A little room, so that listeners are not watched and forgotten for every single connection.
    fn has_room_again(&self) -> bool {
        let connections = self.connections.len() * 2;
        connections + self.resources.most_descriptors() + self.most_descriptors / 16
            <= self.most_descriptors
    }

    fn set_timer(&mut self, number: u64, at: Option<Instant>) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        if let Some(old) = connection.timer.take() {
            self.timers.remove(&(old, number));
        }
        connection.timer = at;
        self.timers.extend(at.map(|at| (at, number)));
    }

    /// Ends a connection so that both sides notice: by a reset instead of an orderly end.
    fn reset(&mut self, number: u64) {
        if let Some(connection) = self.connections.get(&number) {
            let at_once = Some(Duration::ZERO);
            let _ = set_socket_linger(&connection.client.socket, at_once);
            if let Stage::Open { server, .. } | Stage::Dialling { server, .. } = &connection.stage {
                let _ = set_socket_linger(&server.socket, at_once);
            }
        }
        self.remove(number);
    }

    fn remove(&mut self, number: u64) {
        self.set_timer(number, None);
        if let Some(connection) = self.connections.remove(&number)
            && let Stage::Open { mut up, mut down, .. } = connection.stage
        {
            up.release(&mut self.resources);
            down.release(&mut self.resources);
        }
    }
}

fn start_connecting(target: SocketAddr) -> rustix::io::Result<OwnedFd> {
    let family = if target.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))?;
    let _ = set_tcp_nodelay(&socket, true);
    match connect(&socket, &target) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(error) => Err(error),
    }
}

/// Remembers what an event said of a socket. An error shows itself at the next read or write.
fn note(side: &mut Side, flags: EventFlags) {
    let broken = EventFlags::ERR | EventFlags::HUP;
    side.ending |= flags.intersects(EventFlags::RDHUP | broken);
    side.readable |= side.ending || flags.contains(EventFlags::IN);
    side.writable |= flags.intersects(EventFlags::OUT | broken);
}
