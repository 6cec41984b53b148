//! Everything that makes the supervisor do something. There is one loop and this is its whole input.

use naru_plan::StepId;
use naru_state::ContainerId;

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
