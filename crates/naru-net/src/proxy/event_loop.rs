//! The loop: waits for sockets, timers and commands, and hands each event to TCP or UDP.

use std::collections::HashMap;
use std::num::NonZero;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal};
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;

use super::target::Target;
use super::tcp::Tcp;
use super::udp::Udp;
use super::vigil::{self, Look, Vigil};
use super::{Command, Listener, Mailbox, Notice};
use crate::ports::{Bound, Protocol};

/// What an event is about: the kind in the upper byte, a running number below.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Token(u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Wake = 0,
    Listener = 1,
    Client = 2,
    Server = 3,
    Datagrams = 4,
    Flow = 5,
}

impl Token {
    const SHIFT: u32 = 56;

    pub(super) fn new(kind: Kind, number: u64) -> Self {
        Self((kind as u64) << Self::SHIFT | number)
    }

    fn kind(self) -> Option<Kind> {
        [Kind::Wake, Kind::Listener, Kind::Client, Kind::Server, Kind::Datagrams, Kind::Flow]
            .into_iter()
            .find(|kind| *kind as u64 == self.0 >> Self::SHIFT)
    }

    fn number(self) -> u64 {
        self.0 & ((1 << Self::SHIFT) - 1)
    }
}

/// The epoll instance and the numbers given to what it watches.
pub(super) struct Poll {
    epoll: OwnedFd,
    next_number: u64,
}

impl Poll {
    pub(super) fn new() -> rustix::io::Result<Self> {
        Ok(Self { epoll: epoll::create(CreateFlags::CLOEXEC)?, next_number: 0 })
    }

    pub(super) fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    pub(super) fn watch(
        &self,
        socket: impl AsFd,
        token: Token,
        events: EventFlags,
    ) -> rustix::io::Result<()> {
        epoll::add(&self.epoll, socket, EventData::new_u64(token.0), events)
    }

    /// Needed before a socket is closed of which another process holds a duplicate.
    pub(super) fn forget(&self, socket: impl AsFd) {
        let _ = epoll::delete(&self.epoll, socket);
    }
}

/// One published port.
struct Publication {
    protocol: Protocol,
    /// Its server is known to listen on the loopback interface only.
    is_on_loopback: bool,
    /// Numbers of its listeners or datagram sockets.
    sockets: Vec<u64>,
}

/// Everything the thread owns.
pub(super) struct EventLoop {
    poll: Poll,
    mailbox: Mailbox,
    tell: Listener,
    inbox: Receiver<Command>,
    publications: HashMap<String, Publication>,
    tcp: Tcp,
    udp: Udp,
    vigil: Vigil,
}

/// Whether the loop goes on.
#[derive(PartialEq, Eq)]
enum Next {
    Continue,
    Stop,
}

impl EventLoop {
    pub(super) fn new(
        mailbox: Mailbox,
        inbox: Receiver<Command>,
        most_descriptors: usize,
        tell: Listener,
    ) -> rustix::io::Result<Self> {
        let poll = Poll::new()?;
        poll.watch(&mailbox.wake, Token::new(Kind::Wake, 0), EventFlags::IN)?;
        let publications = HashMap::new();
        Ok(Self {
            poll,
            tell,
            inbox,
            publications,
            tcp: Tcp::new(most_descriptors, mailbox.clone()),
            udp: Udp::new(mailbox.clone()),
            vigil: Vigil::new(thread::available_parallelism().map_or(1, NonZero::get)),
            mailbox,
        })
    }

    /// Runs until it is told to stop.
    pub(super) fn run(mut self) {
        // Writing to a connection that the other side has reset is an error, not a signal.
        let mut broken_pipe = SigSet::empty();
        broken_pipe.add(Signal::SIGPIPE);
        let _ = broken_pipe.thread_block();

        let mut events = Vec::with_capacity(512);
        loop {
            if let Err(error) = self.wait(&mut events) {
                tracing::error!(%error, "the proxy's epoll instance failed");
                return;
            }
            for event in &events {
                // Copied: the kernel's structure is packed.
                let Event { flags, data } = *event;
                if self.handle(Token(data.u64()), flags) == Next::Stop {
                    return;
                }
            }
            let now = Instant::now();
            self.tcp.elsewhere = self.udp.clients();
            self.tcp.after_events(&mut self.poll, now);
            self.udp.expire(now);
            self.tell_news();
        }
    }

    /// Waits for events, of which there may be none: a timer is due then.
    fn wait(&mut self, events: &mut Vec<Event>) -> rustix::io::Result<()> {
        events.clear();
        let moves_bulk = self.tcp.moved_bulk();
        let begin = Instant::now();
        if self.vigil.pays() && !moves_bulk {
            let look = self.look(events, begin)?;
            self.vigil.looked(look);
            if !events.is_empty() {
                return Ok(());
            }
        }
        let timeout = self.timeout();
        self.take_events(events, timeout.as_ref())?;
        if !events.is_empty() && !moves_bulk {
            self.vigil.slept(begin.elapsed());
        }
        Ok(())
    }

    /// Looks for events again and again, as long as [`vigil`] says that this is better than to sleep.
    fn look(&self, events: &mut Vec<Event>, begin: Instant) -> rustix::io::Result<Look> {
        let mut last = begin;
        loop {
            self.take_events(events, Some(&Timespec::default()))?;
            let now = Instant::now();
            if now - last > vigil::INTERRUPTED {
                return Ok(Look::Interrupted);
            }
            if !events.is_empty() {
                return Ok(Look::Found);
            }
            if now - begin > vigil::LONGEST {
                return Ok(Look::Nothing);
            }
            last = now;
        }
    }

    fn take_events(
        &self,
        events: &mut Vec<Event>,
        timeout: Option<&Timespec>,
    ) -> rustix::io::Result<()> {
        match epoll::wait(&self.poll.epoll, rustix::buffer::spare_capacity(events), timeout) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// How long the loop may sleep.
    fn timeout(&self) -> Option<Timespec> {
        if self.tcp.has_ready() {
            return Some(Timespec::default());
        }
        let next = match (self.tcp.next_timer(), self.udp.next_expiry()) {
            (Some(tcp), Some(udp)) => tcp.min(udp),
            (tcp, udp) => tcp.or(udp)?,
        };
        // A moment longer, so that the timer is due when the loop wakes up.
        let wait = next.saturating_duration_since(Instant::now()) + Duration::from_micros(50);
        Timespec::try_from(wait).ok()
    }

    /// Passes on what is to be known, without saying anything twice.
    fn tell_news(&mut self) {
        let shortages = [self.tcp.shortage.take(), self.udp.shortage.take()];
        shortages.into_iter().flatten().for_each(&self.tell);
        let found = self.tcp.on_loopback.drain(..).chain(self.udp.on_loopback.drain(..));
        for (number, address) in found {
            let its = |(_, publication): &(&String, &mut Publication)| {
                !publication.is_on_loopback && publication.sockets.contains(&number)
            };
            if let Some((id, publication)) = self.publications.iter_mut().find(its) {
                publication.is_on_loopback = true;
                (self.tell)(Notice::OnLoopbackOnly { id: id.clone(), address });
            }
        }
    }

    fn handle(&mut self, token: Token, flags: EventFlags) -> Next {
        let number = token.number();
        match token.kind() {
            Some(Kind::Wake) => return self.take_commands(),
            Some(Kind::Listener) => self.tcp.accept(&mut self.poll, number),
            Some(Kind::Client) => self.tcp.client_event(number, flags),
            Some(Kind::Server) => self.tcp.server_event(&mut self.poll, number, flags),
            Some(Kind::Datagrams) => {
                self.udp.room = self.tcp.room();
                self.udp.pass_in(&mut self.poll, number);
            }
            Some(Kind::Flow) => self.udp.pass_back(&mut self.poll, number),
            None => {}
        }
        Next::Continue
    }

    fn take_commands(&mut self) -> Next {
        let mut counter = [0; 8];
        let _ = rustix::io::read(&self.mailbox.wake, &mut counter);
        while let Ok(command) = self.inbox.try_recv() {
            match command {
                Command::Publish { id, bound, target } => self.publish(id, bound, target),
                Command::Retarget { id, target } => self.retarget(&id, target),
                Command::Withdraw { id } => self.withdraw(&id),
                Command::Sockets { listener, visit, sockets } => {
                    if let Some(sockets) =
                        self.tcp.arrived(&mut self.poll, (listener, visit), sockets)
                    {
                        self.udp.arrived(&mut self.poll, (listener, visit), sockets);
                    }
                }
                Command::Stop => return Next::Stop,
            }
        }
        Next::Continue
    }

    fn publish(&mut self, id: String, bound: Bound, target: Target) {
        self.withdraw(&id);
        let protocol = bound.protocol();
        let target = Some(Arc::new(target));
        let mut sockets = Vec::new();
        for socket in bound.into_sockets() {
            let added = match protocol {
                Protocol::Tcp => self.tcp.listen(&mut self.poll, socket, target.clone()),
                Protocol::Udp => self.udp.listen(&mut self.poll, socket, target.clone()),
            };
            match added {
                Ok(number) => sockets.push(number),
                Err(error) => tracing::error!(%error, %id, "cannot watch a published port"),
            }
        }
        let publication = Publication { protocol, is_on_loopback: false, sockets };
        self.publications.insert(id, publication);
    }

    fn retarget(&mut self, id: &str, target: Option<Target>) {
        let Some(publication) = self.publications.get_mut(id) else { return };
        publication.is_on_loopback = false;
        let target = target.map(Arc::new);
        for &number in &publication.sockets {
            match publication.protocol {
                Protocol::Tcp => self.tcp.retarget(&mut self.poll, number, target.clone()),
                Protocol::Udp => self.udp.retarget(number, target.clone()),
            }
        }
    }

    fn withdraw(&mut self, id: &str) {
        let Some(Publication { protocol, sockets, .. }) = self.publications.remove(id) else {
            return;
        };
        for number in sockets {
            match protocol {
                Protocol::Tcp => self.tcp.close(&self.poll, number),
                Protocol::Udp => self.udp.close(&self.poll, number),
            }
        }
    }
}
