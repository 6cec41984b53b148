//! Published ports: connections and datagrams carried from the host's ports into containers.
//!
//! One thread with one epoll loop does it all, without an async runtime: small messages go through
//! one shared buffer, bulk data through pipes by `splice(2)`, and an idle connection costs two
//! descriptors and a few hundred bytes. A connection that comes before the server listens is held
//! for up to a second instead of being refused.

mod event_loop;
mod flow;
mod tcp;
mod udp;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};

use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::OwnedFd;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::ports::Bound;
use event_loop::EventLoop;

/// The most descriptors the proxy uses for connections, flows and pipes.
const MOST_DESCRIPTORS: u64 = 20_000;
/// Descriptors left to the rest of the process.
const RESERVED_DESCRIPTORS: u64 = 480;

/// The proxy could not be started or reached.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A system object or the thread could not be made.
    #[error("cannot start the proxy for published ports")]
    Start(#[source] io::Error),
    /// The thread has ended, which it never does by itself.
    #[error("the proxy for published ports has ended")]
    Ended,
}

/// What the thread is told.
enum Command {
    Publish { id: String, bound: Bound, target: SocketAddr },
    Retarget { id: String, target: SocketAddr },
    Withdraw { id: String },
    Stop,
}

/// A running proxy; when this is dropped its connections are reset and its thread ends.
#[derive(Debug)]
pub struct Proxy {
    commands: Sender<Command>,
    wake: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Starts the thread, in the network namespace of the caller.
    ///
    /// The soft limit of open files of the whole process is raised towards 20,480: whoever starts
    /// programs from this process gives them a limit of their own.
    ///
    /// # Errors
    /// When the kernel refuses one of the objects it needs.
    pub fn start() -> Result<Self, Error> {
        let start = |errno: rustix::io::Errno| Error::Start(errno.into());
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let wake = Arc::new(eventfd(0, flags).map_err(start)?);
        let (commands, inbox) = channel();
        let most_descriptors = raise_descriptor_limit();
        let event_loop =
            EventLoop::new(Arc::clone(&wake), inbox, most_descriptors).map_err(start)?;
        let thread = thread::Builder::new()
            .name("proxy".into())
            .stack_size(256 * 1024)
            .spawn(move || event_loop.run())
            .map_err(Error::Start)?;
        Ok(Self { commands, wake, thread: Some(thread) })
    }

    /// Serves a bound port: everything that arrives there goes to `target`.
    ///
    /// # Errors
    /// When the thread has ended.
    pub fn publish(
        &self,
        id: impl Into<String>,
        bound: Bound,
        target: SocketAddr,
    ) -> Result<(), Error> {
        self.send(Command::Publish { id: id.into(), bound, target })
    }

    /// Sends what arrives from now on elsewhere, as after a restart of the container. Established
    /// connections are reset, those that still wait go to the new target. An unknown id is passed over.
    ///
    /// # Errors
    /// When the thread has ended.
    pub fn retarget(&self, id: impl Into<String>, target: SocketAddr) -> Result<(), Error> {
        self.send(Command::Retarget { id: id.into(), target })
    }

    /// Stops serving a port, closes its sockets and resets its connections. An unknown id is passed
    /// over. The port stays bound while somebody holds a [`Bound::duplicate`].
    ///
    /// # Errors
    /// When the thread has ended.
    pub fn withdraw(&self, id: impl Into<String>) -> Result<(), Error> {
        self.send(Command::Withdraw { id: id.into() })
    }

    fn send(&self, command: Command) -> Result<(), Error> {
        self.commands.send(command).map_err(|_| Error::Ended)?;
        // The counter is full only when the thread has been told to wake up often enough.
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
        Ok(())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if self.send(Command::Stop).is_ok()
            && let Some(thread) = self.thread.take()
        {
            // A panic of the thread has been printed where it happened.
            drop(thread.join());
        }
    }
}

/// Raises the soft limit of open files as far as the proxy needs and the hard limit allows; returns
/// how many of them the proxy may use.
fn raise_descriptor_limit() -> usize {
    let wanted = MOST_DESCRIPTORS + RESERVED_DESCRIPTORS;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let reachable = maximum.map_or(wanted, |maximum| maximum.min(wanted));
    let mut limit = current.unwrap_or(wanted);
    if limit < reachable
        && setrlimit(Resource::Nofile, Rlimit { current: Some(reachable), maximum }).is_ok()
    {
        limit = reachable;
    }
    let usable = limit.saturating_sub(RESERVED_DESCRIPTORS).clamp(64, MOST_DESCRIPTORS);
    usize::try_from(usable).expect("at most 20,000")
}

#[cfg(test)]
mod tests;
