//! The keeper's death and the supervisor's own end in favour of another one.
//!
//! When the keeper is gone, this supervisor calls a new one, which it hands everything that cannot be made again: ports'
//! sockets, what is held of each container, the link. From then on nothing is missing, only the tree is not right: so
//! as soon as no command is under way, the new keeper starts a new supervisor, and this one ends.
//!
//! 1. the link ends: [`Supervisor::call_keeper`];
//! 2. it says `Took`: it has the keeper's lock and all that was handed over;
//! 3. `Replace` is asked for when nothing is under way, and nothing new is begun from then on;
//! 4. it says `Successor`: the next supervisor waits for the project's lock, which goes with this process.
//!
//! Whoever dies in between, the others go on: a called keeper that is killed is called again, and one that hears
//! nothing more starts a supervisor with what it has heard.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use naru_state::ContainerId;
use naru_state::record::Port;
use tokio::time::Instant;

use super::control::Client;
use super::timers::Due;
use super::{Supervisor, hear_keeper};
use crate::keeper::link::{Handles, Link, ToKeeper, ToSupervisor, Watch};
use crate::logging::Keep;
use crate::protocol::{Failure, Reply};
use crate::role::Role;

/// How long the keeper may take to tell what it holds.
const GREETING: Duration = Duration::from_secs(2);

/// The first pause before a keeper is called again that did not stay; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(1);

/// And the longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Something for the keeper, with what is beside it.
type Message = (ToKeeper, Vec<OwnedFd>);

/// What the keeper told at the start.
#[derive(Debug, Default)]
pub(super) struct Greeting {
    pub(super) held: Vec<(Port, Vec<OwnedFd>)>,
    pub(super) watched: BTreeMap<ContainerId, (Watch, Handles)>,
}

impl Greeting {
    /// Hears it. It is whole also when the keeper has died meanwhile: what it said is in the link.
    pub(super) fn receive(link: &Link) -> Self {
        let mut greeting = Self::default();
        // Without a limit it would be waited for a keeper that is stopped; that is all that differs.
        let _limited = link.set_patience(Some(GREETING));
        while let Ok(Some((message, beside))) = link.receive::<ToSupervisor>() {
            match message {
                ToSupervisor::Held(port) => greeting.held.push((port, beside)),
                ToSupervisor::Watching(watch, layout) => {
                    let handles = Handles::received(layout, beside);
                    greeting.watched.insert(watch.id.clone(), (watch, handles));
                }
                // What is told later is on disk as well.
                ToSupervisor::Exited(..) => {}
                _ => break,
            }
        }
        let _unlimited = link.set_patience(None);
        greeting
    }
}

/// How things stand with the keeper.
#[derive(Debug, Default)]
pub(super) struct Keeper {
    /// Calls since one has taken over.
    calls: u32,
    stage: Stage,
    /// Who asked for the program of another naru, until it is there.
    upgrade: Option<Upgrade>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It is this process's parent, as it should be.
    #[default]
    Parent,
    /// It was called by this process, and has not answered.
    Called,
    /// It took over, and replaces this supervisor as soon as nothing is under way.
    Took,
    /// It was asked to; nothing new is begun.
    Leaving,
    /// There is another supervisor.
    Relieved,
}

/// A request for another program.
#[derive(Debug)]
struct Upgrade {
    client: Client,
    binary: OwnedFd,
    asked: bool,
}

impl Keeper {
    /// Nothing new is begun: another supervisor is about to take over.
    pub(super) fn is_leaving(&self) -> bool {
        matches!(self.stage, Stage::Leaving | Stage::Relieved)
            || self.upgrade.as_ref().is_some_and(|upgrade| upgrade.asked)
    }

    /// Another supervisor waits for this one's end.
    pub(super) fn is_relieved(&self) -> bool {
        self.stage == Stage::Relieved
    }
}

impl Supervisor {
    /// Hears the keeper from now on, in a thread that waits for nothing else.
    pub(super) fn listen_to_keeper(&self) -> io::Result<()> {
        let (link, events) = (Arc::clone(&self.link), self.events.clone());
        let thread = std::thread::Builder::new().name("naru".into()).stack_size(128 * 1024);
        drop(thread.spawn(move || hear_keeper(&link, &events))?);
        Ok(())
    }

    /// The keeper is gone.
    pub(super) fn keeper_gone(&mut self) {
        if self.finished {
            return;
        }
        tracing::warn!(stage = ?self.keeper.stage, "the keeper ended unasked; another one is called");
        if let Some(upgrade) = self.keeper.upgrade.take() {
            let message = "the keeper ended while it was to be upgraded".to_owned();
            drop(upgrade.client.send(Reply::Failed(Failure { message, ..Failure::default() })));
        }
        // Its successor, if there is one, waits for the lock and finds that keeper gone as well.
        self.keeper.stage = Stage::Called;
        let pause = match self.keeper.calls {
            0 => Duration::ZERO,
            calls => FIRST_PAUSE.saturating_mul(1 << calls.min(16)).min(LONGEST_PAUSE),
        };
        if pause.is_zero() {
            self.call_keeper();
        } else {
            self.timers.add(Instant::now() + pause, Due::Keeper);
        }
    }

    /// Starts a keeper and hands over.
    pub(super) fn call_keeper(&mut self) {
        self.keeper.calls = self.keeper.calls.saturating_add(1);
        if let Err(error) = self.try_call_keeper() {
            tracing::error!(%error, "no keeper could be called");
            let pause = FIRST_PAUSE.saturating_mul(1 << self.keeper.calls.min(16));
            self.timers.add(Instant::now() + pause.min(LONGEST_PAUSE), Due::Keeper);
        }
    }

    fn try_call_keeper(&mut self) -> io::Result<()> {
        let (own, theirs) = Link::pair()?;
        own.widen();
        let role = Role { takes_over: true, ..self.role.clone() };
        // Said before it exists: should this process die from then on, that one has what was held.
        let mut all = self.handed_over();
        own.set_waiting(false)?;
        let unsent = send_while_there_is_room(&own, &mut all)?;
        // It is reaped by whoever reaps for this process, which ends before it does.
        drop(crate::client::start(&role, Some(theirs.into_descriptor()))?);
        own.set_waiting(true)?;
        for message in unsent.into_iter().map(Ok).chain(all) {
            send(&own, &message?)?;
        }
        self.link = Arc::new(own);
        self.listen_to_keeper()
    }

    /// All that a keeper is told that takes over.
    fn handed_over(&self) -> impl Iterator<Item = io::Result<Message>> {
        let ports = self.ports.held().map(|(port, bound)| {
            let sockets = bound.sockets().iter().map(|socket| socket.as_fd().try_clone_to_owned());
            Ok((ToKeeper::Hold(port.clone()), sockets.collect::<io::Result<_>>()?))
        });
        let watches = self.containers.keys().filter_map(|id| self.message_of(id).transpose());
        let end = [ToKeeper::Handed, ToKeeper::Serving];
        ports.chain(watches).chain(end.into_iter().map(|message| Ok((message, Vec::new()))))
    }

    /// Tells the keeper of a running container, with all that is held of it.
    pub(super) fn watch(&self, id: &ContainerId) {
        let message = self.message_of(id).transpose();
        let told = message.map(|message| send(&self.link, &message?)).transpose();
        if let Err(error) = told {
            // The next one is told of it with everything else.
            tracing::warn!(container = %id, %error, "the keeper could not be told of a container");
        }
    }

    /// What is held of a container; nothing of one that does not run.
    fn message_of(&self, id: &ContainerId) -> io::Result<Option<Message>> {
        let Some(live) = self.containers.get(id) else { return Ok(None) };
        let Some(running) = &live.running else { return Ok(None) };
        let watch = Watch {
            id: id.clone(),
            pid: running.process.pid,
            start_time: running.process.start_time,
            name: live.record.name.clone(),
            generation: live.state.generation,
            tty: live.record.tty,
            keep: Keep::of(&live.record),
        };
        let handles = Handles {
            pidfd: Some(running.pidfd.try_clone()?),
            output: clones(&running.output)?,
            resolver: clones(&running.resolver)?,
        };
        Ok(Some((ToKeeper::Watch(watch, handles.layout()), handles.into_descriptors())))
    }

    /// The keeper that was called has taken over.
    pub(super) fn keeper_took(&mut self) {
        self.keeper.calls = 0;
        self.keeper.stage = Stage::Took;
    }

    /// It found another one in its place, which has a supervisor of its own.
    pub(super) fn keeper_occupied(&mut self) {
        tracing::warn!("another keeper is there; its supervisor goes on");
        self.relieved();
    }

    /// Another supervisor waits for this one's end.
    pub(super) fn relieved(&mut self) {
        // One that waits for its turn is without an answer, and asks the next supervisor.
        if let Some(upgrade) = self.keeper.upgrade.take().filter(|upgrade| upgrade.asked) {
            drop(upgrade.client.send(Reply::Done));
        }
        self.keeper.stage = Stage::Relieved;
        self.finished = true;
    }

    /// Makes room for another supervisor when one is wanted and nothing is under way. Called after each event.
    pub(super) fn make_room(&mut self) {
        let wants_room = self.keeper.stage == Stage::Took || self.keeper.upgrade.is_some();
        let is_busy = || {
            let changes =
                |live: &super::container::Live| live.starting.is_some() || live.stopping.is_some();
            self.operation.is_some()
                || !self.queue.is_empty()
                // Its successor would wait for them.
                || self.removing > 0
                || self.containers.values().any(changes)
        };
        if !wants_room || self.keeper.is_leaving() || self.finished || is_busy() {
            return;
        }
        let asked = match &mut self.keeper.upgrade {
            Some(upgrade) if self.keeper.stage == Stage::Parent => {
                upgrade.asked = true;
                self.link.send(&ToKeeper::Upgrade, &[upgrade.binary.as_fd()])
            }
            // First a parent again, then another program: the next supervisor is asked anew.
            _ => {
                self.keeper.stage = Stage::Leaving;
                self.link.send(&ToKeeper::Replace, &[])
            }
        };
        if let Err(error) = asked {
            // Its end is on its way as an event.
            tracing::warn!(%error, "the keeper could not be asked for another supervisor");
        }
    }

    /// A client asks for its own program to take over.
    pub(super) fn upgrade(&mut self, binary: OwnedFd, client: Client) {
        if self.keeper.upgrade.is_some() {
            let message = "an upgrade is under way".to_owned();
            drop(client.send(Reply::Failed(Failure { message, ..Failure::default() })));
            return;
        }
        self.keeper.upgrade = Some(Upgrade { client, binary, asked: false });
    }

    /// The keeper could not become the other program.
    pub(super) fn not_upgraded(&mut self, why: &str) {
        if let Some(upgrade) = self.keeper.upgrade.take() {
            let failure = Failure {
                message: "the keeper could not become the other program".to_owned(),
                causes: vec![why.to_owned()],
                ..Failure::default()
            };
            drop(upgrade.client.send(Reply::Failed(failure)));
        }
    }
}

/// Sends as many as fit; gives the first that did not.
fn send_while_there_is_room(
    link: &Link,
    messages: &mut impl Iterator<Item = io::Result<Message>>,
) -> io::Result<Option<Message>> {
    for message in messages {
        let message = message?;
        match send(link, &message) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Some(message)),
            sent => sent?,
        }
    }
    Ok(None)
}

fn send(link: &Link, (message, beside): &Message) -> io::Result<()> {
    let beside: Vec<_> = beside.iter().map(AsFd::as_fd).collect();
    link.send(message, &beside)
}

fn clones(descriptors: &[OwnedFd]) -> io::Result<Vec<OwnedFd>> {
    descriptors.iter().map(OwnedFd::try_clone).collect()
}
