//! Where the connections of a published port go, and sockets made inside a container's network namespace.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::thread;

use nix::sched::{CloneFlags, setns};
use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, socket_with};

use super::{Command, Mailbox};
use crate::ports::Protocol;

/// Where connections go: the places are tried in their order until somebody listens.
#[derive(Debug)]
pub struct Target {
    /// The container's own addresses with the port.
    pub addresses: Vec<SocketAddr>,
    /// Its loopback interface, tried when nobody listens at its addresses.
    pub loopback: Option<Loopback>,
}

/// A container's loopback interface.
#[derive(Debug)]
pub struct Loopback {
    /// The network namespace; it lives as long as it is a target.
    pub namespace: OwnedFd,
    /// The container's port.
    pub port: u16,
}

impl From<SocketAddr> for Target {
    fn from(address: SocketAddr) -> Self {
        Self { addresses: vec![address], loopback: None }
    }
}

/// One place of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Reached from the host.
    Outside(SocketAddr),
    /// Reached by a socket that was made inside.
    Inside(SocketAddr),
}

impl Place {
    /// The place with this number; nothing after the last.
    pub(super) fn nth(target: &Target, number: usize) -> Option<Self> {
        if let Some(address) = target.addresses.get(number) {
            return Some(Self::Outside(*address));
        }
        let port = target.loopback.as_ref()?.port;
        match number - target.addresses.len() {
            0 => Some(Self::Inside((Ipv4Addr::LOCALHOST, port).into())),
            1 => Some(Self::Inside((Ipv6Addr::LOCALHOST, port).into())),
            _ => None,
        }
    }
}

/// Sockets of one target that were made inside, and who waits for further ones.
#[derive(Debug, Default)]
pub(super) struct Pool {
    sockets: Sockets,
    /// The number of the visit that is under way.
    visit: Option<u64>,
    waiting: Vec<u64>,
}

/// Unconnected sockets of both families.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    v4: Vec<OwnedFd>,
    v6: Vec<OwnedFd>,
}

/// What a pool can give.
pub(super) enum Taken {
    /// A socket.
    Socket(OwnedFd),
    /// There will be one: whoever asked is among those that [`Pool::fill`] names.
    Later,
}

/// Sockets of each family that a visit makes beyond those that are waited for, and the most of all.
const SPARE: usize = 2;
const MOST: usize = 64;

impl Pool {
    /// A socket for this place, or a visit that makes some.
    pub(super) fn take(
        &mut self,
        who: u64,
        place: SocketAddr,
        ask: impl FnOnce(usize) -> u64,
    ) -> Taken {
        let own = if place.is_ipv4() { &mut self.sockets.v4 } else { &mut self.sockets.v6 };
        if let Some(socket) = own.pop() {
            return Taken::Socket(socket);
        }
        self.waiting.push(who);
        if self.visit.is_none() {
            self.visit = Some(ask((self.waiting.len() + SPARE).min(MOST)));
        }
        Taken::Later
    }

    /// Takes in what a visit has made; returns those who wait. What an earlier target's visit made is closed.
    pub(super) fn fill(&mut self, visit: u64, made: Sockets) -> Vec<u64> {
        if self.visit != Some(visit) {
            return Vec::new();
        }
        self.visit = None;
        self.sockets.v4.extend(made.v4);
        self.sockets.v6.extend(made.v6);
        std::mem::take(&mut self.waiting)
    }

    /// Whether there is a socket of this family: after a visit, whether the namespace has that family at all.
    pub(super) fn has(&self, place: SocketAddr) -> bool {
        let own = if place.is_ipv4() { &self.sockets.v4 } else { &self.sockets.v6 };
        !own.is_empty()
    }
}

/// Sends a plain thread into the namespace that makes `count` sockets of each family, and posts them.
pub(super) fn visit(
    mailbox: &Mailbox,
    loopback: &Loopback,
    (listener, visit): (u64, u64),
    (protocol, count): (Protocol, usize),
) {
    let post = {
        let mailbox = mailbox.clone();
        move |sockets| drop(mailbox.post(Command::Sockets { listener, visit, sockets }))
    };
    let made = loopback.namespace.try_clone().and_then(|namespace| {
        let post = post.clone();
        thread::Builder::new().name("netns".into()).stack_size(STACK).spawn(move || {
            let entered = setns(namespace.as_fd(), CloneFlags::CLONE_NEWNET).is_ok();
            drop(namespace);
            post(if entered { make(protocol, count) } else { Sockets::default() });
        })
    });
    if made.is_err() {
        // Whoever waits goes on without.
        post(Sockets::default());
    }
}

/// Stack of a visiting thread, which does nothing but make sockets.
const STACK: usize = 64 * 1024;

fn make(protocol: Protocol, count: usize) -> Sockets {
    let (kind, number) = match protocol {
        Protocol::Tcp => (SocketType::STREAM, ipproto::TCP),
        Protocol::Udp => (SocketType::DGRAM, ipproto::UDP),
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let of = |family| {
        (0..count).map_while(|_| socket_with(family, kind, flags, Some(number)).ok()).collect()
    };
    Sockets { v4: of(AddressFamily::INET), v6: of(AddressFamily::INET6) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_before_the_loopback_interface() {
        let addresses = ["10.0.0.2:80".parse().unwrap(), "[fd00::2]:80".parse().unwrap()];
        let namespace = fs_err::File::open("/proc/self/ns/net").unwrap().into_file().into();
        let loopback = Some(Loopback { namespace, port: 80 });
        let target = Target { addresses: addresses.to_vec(), loopback };
        let places: Vec<_> = (0..5).map_while(|number| Place::nth(&target, number)).collect();
        let expected = [
            Place::Outside(addresses[0]),
            Place::Outside(addresses[1]),
            Place::Inside("127.0.0.1:80".parse().unwrap()),
            Place::Inside("[::1]:80".parse().unwrap()),
        ];
        assert_eq!(places, expected);
        let bare = Target::from(addresses[0]);
        assert_eq!(Place::nth(&bare, 1), None);
    }

    #[test]
    fn one_visit_serves_all_who_wait_and_a_late_one_serves_nobody() {
        let (v4, v6) = ("127.0.0.1:80".parse().unwrap(), "[::1]:80".parse().unwrap());
        let mut pool = Pool::default();
        assert!(matches!(
            pool.take(1, v4, |count| {
                assert_eq!(count, 3);
                7
            }),
            Taken::Later
        ));
        assert!(matches!(pool.take(2, v6, |_| panic!("one visit is under way")), Taken::Later));
        assert_eq!(pool.fill(6, make(Protocol::Udp, 1)), Vec::<u64>::new());
        assert!(!pool.has(v4), "what came too late is closed");
        assert_eq!(pool.fill(7, make(Protocol::Udp, 1)), [1, 2]);
        assert!(matches!(pool.take(1, v4, |_| panic!("there is one")), Taken::Socket(_)));
    }
}
