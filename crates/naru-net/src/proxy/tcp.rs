//! TCP: accepting, and the life of each connection; [`super::dial`] reaches the container.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::sockopt::{
    set_socket_keepalive, set_socket_linger, set_tcp_keepcnt, set_tcp_keepidle, set_tcp_keepintvl,
    set_tcp_nodelay,
};
use rustix::net::{SocketFlags, acceptfrom_with, getsockname};

use super::event_loop::{Kind, Poll, Token};
use super::flow::{Flow, Resources, Side, Turn};
use super::link;
use super::shortage::Shortage;
use super::target::{Pool, Target};
use super::time_wait::Remnants;
use super::{Mailbox, Notice};

/// How long a fresh connection is held while nobody listens in the container.
pub(super) const HOLD: Duration = Duration::from_secs(1);
/// The first pause between two attempts to reach a server that does not listen yet.
pub(super) const FIRST_RETRY: Duration = Duration::from_millis(2);
/// Connections accepted before others have their turn.
const ACCEPT_AT_ONCE: usize = 64;
/// After the host ran out of something, accepting is tried again this much later.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// A client that has vanished without a word is found out after two minutes: silence, and four questions.
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(60), Duration::from_secs(15), 4);

/// Both sides report once per change; the flags in [`Side`] remember it.
pub(super) const SIDE_EVENTS: EventFlags =
    EventFlags::IN.union(EventFlags::OUT).union(EventFlags::RDHUP).union(EventFlags::ET);

pub(super) struct Listener {
    socket: OwnedFd,
    /// Nothing while the container does not run.
    pub(super) target: Option<Arc<Target>>,
    pub(super) pool: Pool,
    /// The connection that looks for a server again and again, where nobody listens.
    pub(super) scout: Option<u64>,
    /// Those that wait for what it finds.
    pub(super) queue: VecDeque<u64>,
    /// The host's congestion control is not for links that are memory.
    is_paced: bool,
}

pub(super) struct Connection {
    pub(super) listener: u64,
    pub(super) client: Side,
    pub(super) stage: Stage,
    timer: Option<Instant>,
    /// The container's address, where it was reached from the host.
    pub(super) reached: Option<SocketAddr>,
    /// The client's end was passed on before the server ended.
    client_ended_first: bool,
}

/// How long an attempt may go on, and how often it is made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// Nobody is looked for after this.
    pub(super) until: Instant,
    /// The pause before the next attempt.
    pub(super) pause: Duration,
}

impl Patience {
    pub(super) fn new(now: Instant) -> Self {
        Self { until: now + HOLD, pause: FIRST_RETRY }
    }
}

pub(super) enum Stage {
    /// Nobody listened at the last attempt.
    Waiting(Patience),
    /// A socket is being made inside the container's namespace for the place of this number.
    Entering(Patience, usize),
    /// The kernel is at it; the place of this number.
    Dialling { patience: Patience, place: usize, server: Side },
    /// Data flows.
    Open { server: Side, up: Flow, down: Flow },
}

/// All listeners and connections.
pub(super) struct Tcp {
    pub(super) listeners: HashMap<u64, Listener>,
    pub(super) connections: HashMap<u64, Connection>,
    timers: BTreeSet<(Instant, u64)>,
    /// Connections that used up their turn.
    ready: Vec<u64>,
    resources: Resources,
    most_descriptors: usize,
    /// Descriptors that UDP has of them.
    pub(super) elsewhere: usize,
    pub(super) mailbox: Mailbox,
    remnants: Remnants,
    /// Listeners whose server was found on the loopback interface, and where.
    pub(super) on_loopback: Vec<(u64, SocketAddr)>,
    /// Listeners of which the connection that looked for a server has gone.
    pub(super) forsaken: Vec<u64>,
    /// Set while the listeners are not watched.
    paused: Option<Pause>,
    pub(super) shortage: Shortage,
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
    pub(super) fn new(most_descriptors: usize, mailbox: Mailbox) -> Self {
        Self {
            listeners: HashMap::new(),
            connections: HashMap::new(),
            timers: BTreeSet::new(),
            ready: Vec::new(),
            // A tenth for pipes, which exist only while data moves.
            resources: Resources::new(most_descriptors / 20),
            most_descriptors,
            elsewhere: 0,
            mailbox,
            remnants: Remnants::new(),
            on_loopback: Vec::new(),
            forsaken: Vec::new(),
            paused: None,
            shortage: Shortage::default(),
        }
    }

    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Whether bulk data has moved since this was asked last.
    pub(super) fn moved_bulk(&mut self) -> bool {
        std::mem::take(&mut self.resources.moved_bulk)
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
        target: Option<Arc<Target>>,
    ) -> rustix::io::Result<u64> {
        // Every connection inherits these (tcp(7)). Without one of them it works as well.
        let (idle, interval, count) = KEEPALIVE;
        let _ = set_tcp_nodelay(&socket, true);
        let _ = set_socket_keepalive(&socket, true);
        let _ = set_tcp_keepidle(&socket, idle);
        let _ = set_tcp_keepintvl(&socket, interval);
        let _ = set_tcp_keepcnt(&socket, count);
        let is_paced = link::is_paced(&socket);
        let number = poll.number();
        if self.paused.is_none() {
            poll.watch(&socket, Token::new(Kind::Listener, number), EventFlags::IN)?;
        }
        let (pool, scout, queue) = (Pool::default(), None, VecDeque::new());
        self.listeners.insert(number, Listener { socket, target, pool, scout, queue, is_paced });
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

    /// Gives a listener another target, or none. What is established belongs to a container that is gone.
    pub(super) fn retarget(&mut self, poll: &mut Poll, number: u64, target: Option<Arc<Target>>) {
        let Some(listener) = self.listeners.get_mut(&number) else { return };
        listener.target = target;
        listener.pool = Pool::default();
        listener.scout = None;
        listener.queue.clear();
        let patience = Patience::new(Instant::now());
        for number in self.of_listener(number) {
            let Some(connection) = self.connections.get(&number) else { continue };
            if matches!(connection.stage, Stage::Open { .. }) {
                self.reset(number);
            } else {
                self.dial(poll, number, patience, 0);
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
            match acceptfrom_with(&listener.socket, flags) {
                Ok((client, peer)) => {
                    if listener.is_paced {
                        link::prepare_client(&client, peer);
                    }
                    self.begin(poll, number, client);
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
        self.used() + 2 > self.most_descriptors
    }

    /// Descriptors that are in use or kept free for pipes.
    fn used(&self) -> usize {
        self.connections.len() * 2 + self.resources.most_descriptors() + self.elsewhere
    }

    /// Descriptors that are left to UDP.
    pub(super) fn room(&self) -> usize {
        (self.most_descriptors + self.elsewhere).saturating_sub(self.used())
    }

    /// Leaves new connections in the kernel's queue.
    fn pause(&mut self, poll: &Poll, pause: Pause) {
        let notice = match pause {
            Pause::Full => Notice::Full { descriptors: self.most_descriptors },
            Pause::Exhausted { .. } => Notice::Exhausted,
        };
        self.shortage.note(Instant::now(), notice);
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

    fn begin(&mut self, poll: &mut Poll, listener: u64, client: OwnedFd) {
        let number = poll.number();
        let client = Side::new(client);
        if poll.watch(&client.socket, Token::new(Kind::Client, number), SIDE_EVENTS).is_err() {
            return;
        }
        let patience = Patience::new(Instant::now());
        let stage = Stage::Waiting(patience);
        let connection = Connection {
            listener,
            client,
            stage,
            timer: None,
            reached: None,
            client_ended_first: false,
        };
        self.connections.insert(number, connection);
        self.dial(poll, number, patience, 0);
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

    pub(super) fn server_event(&mut self, poll: &mut Poll, number: u64, flags: EventFlags) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        match &mut connection.stage {
            Stage::Waiting(_) | Stage::Entering(..) => {}
            Stage::Open { server, .. } => {
                note(server, flags);
                self.advance(number);
            }
            Stage::Dialling { .. } => self.dialled(poll, number, flags),
        }
    }

    /// Moves data in both directions.
    pub(super) fn advance(&mut self, number: u64) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        let Stage::Open { server, up, down } = &mut connection.stage else { return };
        let client = &mut connection.client;
        let resources = &mut self.resources;
        let outcome = up
            .advance(client, server, resources)
            .and_then(|up| Ok((up, down.advance(server, client, resources)?)));
        let finished = up.closed && down.closed;
        connection.client_ended_first |= up.closed && !down.closed;
        match outcome {
            Err(_) => self.reset(number),
            Ok(_) if finished => self.finish(number),
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
                Stage::Waiting(patience) => self.wait_is_over(poll, number, patience),
                Stage::Entering(..) | Stage::Dialling { .. } => self.reset(number),
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
        self.remnants.drop_them();
        self.relieve_scouts(poll);
        if self.connections.is_empty() {
            self.resources.close_idle_pipes();
        }
    }

    /// A little room, so that listeners are not watched and forgotten for every single connection.
    fn has_room_again(&self) -> bool {
        self.used() + self.most_descriptors / 16 <= self.most_descriptors
    }

    pub(super) fn set_timer(&mut self, number: u64, at: Option<Instant>) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        if let Some(old) = connection.timer.take() {
            self.timers.remove(&(old, number));
        }
        connection.timer = at;
        self.timers.extend(at.map(|at| (at, number)));
    }

    /// Ends a connection so that both sides notice: by a reset instead of an orderly end.
    pub(super) fn reset(&mut self, number: u64) {
        if let Some(connection) = self.connections.get(&number) {
            let at_once = Some(Duration::ZERO);
            let _ = set_socket_linger(&connection.client.socket, at_once);
            if let Stage::Open { server, .. } | Stage::Dialling { server, .. } = &connection.stage {
                let _ = set_socket_linger(&server.socket, at_once);
            }
        }
        self.remove(number);
    }

    /// Both sides have ended. Where the proxy has ended its sending first, the kernel keeps a remnant towards the
    /// container.
    fn finish(&mut self, number: u64) {
        if let Some(Connection { stage: Stage::Open { server, .. }, reached: Some(peer), .. }) =
            self.connections.get(&number).filter(|connection| connection.client_ended_first)
            && let Some(own) = getsockname(&server.socket).ok().and_then(|own| own.try_into().ok())
        {
            self.remnants.add(own, *peer);
        }
        self.remove(number);
    }

    fn remove(&mut self, number: u64) {
        self.set_timer(number, None);
        let Some(connection) = self.connections.remove(&number) else { return };
        self.forsake(number, connection.listener);
        if let Stage::Open { mut up, mut down, .. } = connection.stage {
            up.release(&mut self.resources);
            down.release(&mut self.resources);
        }
    }
}

/// Remembers what an event said of a socket. An error shows itself at the next read or write.
pub(super) fn note(side: &mut Side, flags: EventFlags) {
    let broken = EventFlags::ERR | EventFlags::HUP;
    side.ending |= flags.intersects(EventFlags::RDHUP | broken);
    side.readable |= side.ending || flags.contains(EventFlags::IN);
    side.writable |= flags.intersects(EventFlags::OUT | broken);
}
