//! The clients of UDP: found by who they are, and kept in the order of their last use, so that room for a new one costs
//! no look at all of them.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// A client that has had at most one question and its answer is forgotten after this much silence. Both times are those
/// of Linux's own connection tracking.
const BRIEF: Duration = Duration::from_secs(30);
/// A client that goes on after an answer is forgotten after this much silence.
const STREAM: Duration = Duration::from_secs(120);
/// Uses of a stream within this time count as one.
const GRAIN: Duration = Duration::from_millis(100);
/// Those with one question have at least this part of all places.
const SHARE: usize = 4;

/// Who sends to which of the host's addresses, through which published port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Client {
    pub(super) port: u64,
    pub(super) address: SocketAddr,
    pub(super) local: Local,
}

/// The host's address that a datagram was sent to; the interface matters for link-local ones only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Local {
    pub(super) address: IpAddr,
    pub(super) interface: u32,
}

/// A client's way to the container.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) client: Client,
    /// Nothing while it is being made inside the container's namespace.
    pub(super) socket: Option<OwnedFd>,
    /// Which place of the target it is connected to.
    pub(super) place: usize,
    /// The last datagram while nobody has answered: it is sent to the next place when this one refuses it.
    pub(super) unanswered: Option<Vec<u8>>,
    /// There was more than one question and its answer.
    is_stream: bool,
    last_used: Instant,
}

/// All clients.
#[derive(Debug, Default)]
pub(super) struct Clients {
    flows: HashMap<u64, Flow>,
    numbers: HashMap<Client, u64>,
    /// Those with one question, and the others: longest unused first.
    brief: BTreeSet<(Instant, u64)>,
    streams: BTreeSet<(Instant, u64)>,
}

impl Clients {
    pub(super) fn len(&self) -> usize {
        self.flows.len()
    }

    pub(super) fn number_of(&self, client: &Client) -> Option<u64> {
        self.numbers.get(client).copied()
    }

    pub(super) fn get(&self, number: u64) -> Option<&Flow> {
        self.flows.get(&number)
    }

    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut Flow> {
        self.flows.get_mut(&number)
    }

    pub(super) fn add(&mut self, number: u64, client: Client, now: Instant) {
        let unanswered = Some(Vec::new());
        let flow =
            Flow { client, socket: None, place: 0, unanswered, is_stream: false, last_used: now };
        self.flows.insert(number, flow);
        self.numbers.insert(client, number);
        self.brief.insert((now, number));
    }

    /// A datagram came or went. It makes a stream of what `goes_on` after its first answer.
    pub(super) fn used(&mut self, number: u64, now: Instant, goes_on: bool) {
        let Some(flow) = self.flows.get_mut(&number) else { return };
        if flow.is_stream && now < flow.last_used + GRAIN {
            return;
        }
        let before = (flow.last_used, number);
        if flow.is_stream {
            self.streams.remove(&before)
        } else {
            self.brief.remove(&before)
        };
        flow.last_used = now;
        flow.is_stream |= goes_on;
        let order = if flow.is_stream { &mut self.streams } else { &mut self.brief };
        order.insert((now, number));
    }

    /// Forgets the client that has been silent longest, one with a single question first; false when there is none.
    ///
    /// A flood of single questions, which may be forged, so displaces few streams; and streams leave room for questions.
    pub(super) fn give_way(&mut self) -> bool {
        let (brief, stream) = (self.brief.first(), self.streams.first());
        let longest = if self.brief.len() * SHARE >= self.len() {
            brief.or(stream)
        } else {
            brief.into_iter().chain(stream).min()
        };
        let Some(&(_, number)) = longest else { return false };
        self.remove(number);
        true
    }

    /// Forgets those that have been silent for long enough.
    pub(super) fn expire(&mut self, now: Instant) {
        let over = |order: &BTreeSet<(Instant, u64)>, patience| {
            let first = order.first().copied();
            first.filter(|(used, _)| now.saturating_duration_since(*used) >= patience)
        };
        while let Some((_, number)) =
            over(&self.brief, BRIEF).or_else(|| over(&self.streams, STREAM))
        {
            self.remove(number);
        }
    }

    pub(super) fn remove(&mut self, number: u64) {
        let Some(flow) = self.flows.remove(&number) else { return };
        self.numbers.remove(&flow.client);
        let order = if flow.is_stream { &mut self.streams } else { &mut self.brief };
        order.remove(&(flow.last_used, number));
    }

    /// Forgets all clients of a published port.
    pub(super) fn remove_port(&mut self, port: u64) {
        let of_it = self.flows.iter().filter(|(_, flow)| flow.client.port == port);
        let numbers: Vec<_> = of_it.map(|(number, _)| *number).collect();
        numbers.into_iter().for_each(|number| self.remove(number));
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    /// A thousand clients and more at one published port.
    struct Room {
        clients: Clients,
        begin: Instant,
    }

    impl Room {
        fn new() -> Self {
            Self { clients: Clients::default(), begin: Instant::now() }
        }

        fn add(&mut self, number: u64, seconds: u64) {
            let local = Local { address: Ipv4Addr::LOCALHOST.into(), interface: 0 };
            let port = u16::try_from(number).unwrap();
            let client = Client { port: 1, address: (Ipv4Addr::LOCALHOST, port).into(), local };
            self.clients.add(number, client, self.at(seconds));
        }

        fn at(&self, seconds: u64) -> Instant {
            self.begin + Duration::from_secs(seconds)
        }

        fn used(&mut self, number: u64, seconds: u64, goes_on: bool) {
            self.clients.used(number, self.at(seconds), goes_on);
        }

        /// The numbers that are there, after a look whether there is nothing else.
        fn left(&self) -> Vec<u64> {
            let clients = &self.clients;
            assert_eq!(clients.brief.len() + clients.streams.len(), clients.len());
            assert_eq!(clients.numbers.len(), clients.len());
            let mut left: Vec<_> = clients.flows.keys().copied().collect();
            left.sort_unstable();
            left
        }
    }

    #[test]
    fn who_has_been_silent_longest_gives_way_and_single_questions_before_streams() {
        let mut room = Room::new();
        (1..=6).for_each(|number| room.add(number, number));
        room.used(1, 10, true);
        room.used(2, 11, false);
        let mut gone = Vec::new();
        while room.clients.give_way() {
            gone.push((1..=6).find(|n| !room.left().contains(n) && !gone.contains(n)).unwrap());
        }
        assert_eq!(gone, [3, 4, 5, 6, 2, 1]);
        assert!(!room.clients.give_way());
    }

    #[test]
    fn streams_that_are_silent_leave_a_quarter_of_the_room_to_questions() {
        let mut room = Room::new();
        for number in 1..=100 {
            room.add(number, number);
            room.used(number, number, true);
        }
        for number in 101..=1000 {
            assert!(room.clients.give_way());
            room.add(number, number);
        }
        let left = room.left();
        assert_eq!(left.len(), 100);
        assert_eq!(left.iter().filter(|number| **number <= 100).count(), 75);
        assert_eq!(left[75..], (976..=1000).collect::<Vec<_>>(), "the youngest questions");
    }

    #[test]
    fn a_question_is_forgotten_after_thirty_seconds_and_a_stream_after_a_hundred_and_twenty() {
        let mut room = Room::new();
        room.add(1, 0);
        room.add(2, 0);
        room.used(1, 1, false);
        room.used(2, 1, true);
        for (seconds, left) in
            [(30, [1, 2].as_slice()), (31, &[2]), (120, &[2]), (121, [].as_slice())]
        {
            room.clients.expire(room.at(seconds));
            assert_eq!(room.left(), left, "after {seconds} s");
        }
    }

    #[test]
    fn the_clients_of_one_port_go_with_it() {
        let mut room = Room::new();
        room.add(1, 0);
        room.add(2, 0);
        room.used(2, 1, true);
        room.clients.remove_port(2);
        assert_eq!(room.left(), [1, 2]);
        room.clients.remove_port(1);
        assert_eq!(room.left(), Vec::<u64>::new());
    }
}
