//! Everything that makes the supervisor do something. There is one loop and this is its whole input.

use std::io;
use std::thread;

use naru_plan::StepId;
use naru_state::ContainerId;
use tokio::sync::mpsc::UnboundedSender;

use super::control::Client;
use super::health::Probed;
use super::hooks::Hooked;
use super::ready::Looked;
use super::start::Started;
use crate::keeper::link::ToSupervisor;
use crate::protocol::{Failure, Request};

/// An event.
#[derive(Debug)]
pub(super) enum Event {
    /// A client asks for something.
    Asked(Request, Client),
    /// A client asks for its own program, opened, to take over.
    Upgrade(std::os::fd::OwnedFd, Client),
    /// The keeper says something.
    Keeper(ToSupervisor),
    /// The keeper is gone.
    KeeperGone,
    /// An attempt to start a container has ended.
    StartEnded(ContainerId, Box<Result<Started, Failure>>),
    /// A step that needs no more than its result has ended.
    StepEnded(u64, StepId, Result<(), Failure>),
    /// Records were brought to disk.
    Committed(std::io::Result<()>),
    /// Hooks have ended.
    Hooked(ContainerId, Hooked),
    /// A client that takes part in a container, or asked for it, has gone.
    ClientGone(Option<ContainerId>),
    /// A container that nobody needs any more was removed.
    Gone(ContainerId, std::io::Result<()>),
    /// The proxy for published ports has something to tell.
    Proxy(naru_net::proxy::Notice),
    /// A probe has ended.
    Probed(ContainerId, Probed),
    /// A look for the sign that a container is ready has ended.
    Looked(ContainerId, Looked),
    /// Somebody has changed a link or the firewall.
    NetworkTouched,
    /// A route has come or gone.
    RoutesTouched,
}

/// Does `work` in a thread of its own, which may take its time; the event it comes to is sent. Where there is no room for
/// another thread, which a container without a limit of its own can bring about, the event is that of `refused`.
pub(super) fn aside(
    events: &UnboundedSender<Event>,
    work: impl FnOnce() -> Event + Send + 'static,
    refused: impl FnOnce(io::Error) -> Event,
) {
    let sender = events.clone();
    // Nobody listens any more only at the end of the process.
    if let Err(error) = thread::Builder::new().spawn(move || drop(sender.send(work()))) {
        drop(events.send(refused(error)));
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    use super::*;

    #[test]
    fn without_room_for_a_thread_its_refusal_is_the_event() {
        let (events, mut inbox) = tokio::sync::mpsc::unbounded_channel();
        // A thread has a stack, for which there is no address left, unless one that has ended left its own.
        let before = getrlimit(Resource::As);
        setrlimit(Resource::As, Rlimit { current: Some(1), ..before }).unwrap();
        aside(&events, || Event::KeeperGone, |_| Event::RoutesTouched);
        setrlimit(Resource::As, before).unwrap();
        assert!(matches!(inbox.blocking_recv(), Some(Event::RoutesTouched)));
        aside(&events, || Event::KeeperGone, |_| Event::RoutesTouched);
        assert!(matches!(inbox.blocking_recv(), Some(Event::KeeperGone)));
    }
}
