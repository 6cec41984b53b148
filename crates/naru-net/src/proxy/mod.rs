//! Published ports: connections and datagrams carried from the host's ports into containers.
//!
//! One thread with one epoll loop does it all, without an async runtime: small messages go through
//! one shared buffer, bulk data through pipes by `splice(2)`, and an idle connection costs two
//! descriptors and a few hundred bytes. A connection that comes before the server listens is held
//! for up to a second instead of being refused; a server that listens on the container's loopback
//! interface only is reached all the same.

mod clients;
mod dial;
mod event_loop;
mod flow;
mod link;
mod shortage;
mod target;
mod tcp;
mod time_wait;
mod udp;
mod vigil;

use std::fmt;
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
use target::Sockets;
pub use target::{Loopback, Target};

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
    Publish {
        id: String,
        bound: Bound,
        target: Target,
    },
    Retarget {
        id: String,
        target: Option<Target>,
    },
    Withdraw {
        id: String,
    },
    /// What a visit to a container's namespace has made for a listener.
    Sockets {
        listener: u64,
        visit: u64,
        sockets: Sockets,
    },
    Stop,
}

/// What the proxy tells of itself, once for each reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A server listens on its container's loopback interface only.
    OnLoopbackOnly {
        /// The published port's id.
        id: String,
        /// The server's address.
        address: SocketAddr,
    },
    /// New connections wait in the kernel's queues: there are as many as the proxy may have.
    Full {
        /// The most descriptors that it uses.
        descriptors: usize,
    },
    /// Clients of UDP are forgotten before their time: there are as many as the proxy may have.
    Crowded {
        /// How many there are.
        clients: usize,
    },
    /// New connections wait in the kernel's queues: the process or the host has run out of descriptors or memory.
    Exhausted,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OnLoopbackOnly { id, address } => {
                write!(f, "{id}: the server listens on {address} only")
            }
            Self::Full { descriptors } => write!(
                f,
                "the proxy for published ports uses all of its {descriptors} descriptors: new connections wait"
            ),
            Self::Crowded { clients } => write!(
                f,
                "the proxy for published ports has {clients} clients of UDP, as many as it may: those that have been silent longest give way to new ones"
            ),
            Self::Exhausted => f.write_str(
                "there are no descriptors or no memory left for published ports: new connections wait",
            ),
        }
    }
}

/// Whom the thread tells its [`Notice`]s.
type Listener = Box<dyn Fn(Notice) + Send>;

/// The way into the thread.
#[derive(Debug, Clone)]
struct Mailbox {
    commands: Sender<Command>,
    wake: Arc<OwnedFd>,
}

impl Mailbox {
    fn post(&self, command: Command) -> Result<(), Error> {
        self.commands.send(command).map_err(|_| Error::Ended)?;
        // The counter is full only when the thread has been told to wake up often enough.
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
        Ok(())
    }
}

/// A running proxy; when this is dropped its connections are reset and its thread ends.
#[derive(Debug)]
pub struct Proxy {
    mailbox: Mailbox,
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
        Self::start_telling(|notice| tracing::warn!("{notice}"))
    }

    /// [`Proxy::start`], with somebody who is told what users should know; it is called by the thread and must not wait.
    ///
    /// # Errors
    /// As [`Proxy::start`].
    pub fn start_telling(tell: impl Fn(Notice) + Send + 'static) -> Result<Self, Error> {
        Self::start_with(raise_descriptor_limit(), tell)
    }

    /// [`Proxy::start_telling`], with so many descriptors at the most.
    fn start_with(
        most_descriptors: usize,
        tell: impl Fn(Notice) + Send + 'static,
    ) -> Result<Self, Error> {
        let start = |errno: rustix::io::Errno| Error::Start(errno.into());
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let wake = Arc::new(eventfd(0, flags).map_err(start)?);
        let (commands, inbox) = channel();
        let mailbox = Mailbox { commands, wake };
        let event_loop = EventLoop::new(mailbox.clone(), inbox, most_descriptors, Box::new(tell))
            .map_err(start)?;
        let thread = thread::Builder::new()
            .name("proxy".into())
            .stack_size(256 * 1024)
            .spawn(move || event_loop.run())
            .map_err(Error::Start)?;
        Ok(Self { mailbox, thread: Some(thread) })
    }

    /// Serves a bound port: everything that arrives there goes to `target`.
    ///
    /// # Errors
    /// When the thread has ended.
    pub fn publish(
        &self,
        id: impl Into<String>,
        bound: Bound,
        target: impl Into<Target>,
    ) -> Result<(), Error> {
        self.mailbox.post(Command::Publish { id: id.into(), bound, target: target.into() })
    }

    /// Sends what arrives from now on elsewhere, as after a restart of the container. Established
    /// connections are reset, those that still wait go to the new target. An unknown id is passed over.
    ///
    /// # Errors
    /// When the thread has ended.
    pub fn retarget(&self, id: impl Into<String>, target: impl Into<Target>) -> Result<(), Error> {
        self.mailbox.post(Command::Retarget { id: id.into(), target: Some(target.into()) })
    }

    /// The container has ended and may come back: established connections are reset, its namespace is let go of, and
    /// what arrives meanwhile waits for the next target as long as for a server that does not listen yet.
    ///
    /// # Errors
    /// When the thread has ended.
    pub fn suspend(&self, id: impl Into<String>) -> Result<(), Error> {
        self.mailbox.post(Command::Retarget { id: id.into(), target: None })
    }

    /// Stops serving a port, closes its sockets and resets its connections. An unknown id is passed
    /// over. The port stays bound while somebody holds a [`Bound::duplicate`].
    ///
    /// # Errors
    /// When the thread has ended.
    pub fn withdraw(&self, id: impl Into<String>) -> Result<(), Error> {
        self.mailbox.post(Command::Withdraw { id: id.into() })
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if self.mailbox.post(Command::Stop).is_ok()
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
