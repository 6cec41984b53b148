//! The name servers behind the project's names: asked one after the other, a little overlapping.
//!
//! Every question has a random id and a socket of its own with a random port; an answer is taken when id, port and
//! question are right. The host's servers are asked from the host's network namespace, so one on its loopback
//! interface is reached; the servers that a service names are asked from the container's, as if it did it itself.

mod pending;
mod race;
mod source;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::hosts::{self, Hosts};
use super::message::{self, Query};
use super::resolv::{self, Config, Watched};
use super::{ADDRESS, Sockets, zone};
use pending::{Pending, Turn};
use source::Source;

const PORT: u16 = 53;
/// Clients wait 5 s; the failure shall reach them before.
const PATIENCE: Duration = Duration::from_secs(4);
/// How long a server that did not answer while another one did is not waited for.
const DISTRUST: Duration = Duration::from_secs(10);
/// Servers that are asked at the same time, by all containers that have this one behind them; see [`Upstream::room`].
const MOST_ASKED: usize = 1024;

/// Name servers, and for those of the host also the host's own names. Clones are the same.
#[derive(Debug, Clone)]
pub struct Upstream {
    behind: Arc<Behind>,
    /// What is being asked for this container.
    own: Arc<Pending>,
}

#[derive(Debug)]
struct Behind {
    servers: Servers,
    source: Source,
    /// Those that were silent while another one answered, and when.
    silent: Mutex<HashMap<SocketAddr, Instant>>,
    free: Semaphore,
}

#[derive(Debug)]
enum Servers {
    /// The host's.
    OfHost(Box<Host>),
    /// Those that a service names.
    Named(Vec<SocketAddr>),
}

/// The host's settings and names: read again when the files change.
#[derive(Debug)]
struct Host {
    settings: Mutex<Watched<Config>>,
    names: Mutex<Watched<Hosts>>,
}

impl Default for Upstream {
    fn default() -> Self {
        Self::from_files(resolv::HOST_FILE, hosts::FILE)
    }
}

impl Upstream {
    /// The servers named in a `resolv.conf` and the names in a `hosts` file, asked from the namespace of the thread.
    pub fn from_files(settings: impl Into<PathBuf>, names: impl Into<PathBuf>) -> Self {
        let settings = Mutex::new(Watched::new(settings, Config::parse));
        let names = Mutex::new(Watched::new(names, Hosts::parse));
        Self::new(Servers::OfHost(Box::new(Host { settings, names })), Source::Here)
    }

    /// These servers, asked from the network namespace that the sockets are of. naru's own there is left out: it would
    /// ask itself.
    ///
    /// # Errors
    /// When the kernel does not tell which namespace that is.
    pub fn of_service(
        servers: impl IntoIterator<Item = IpAddr>,
        sockets: &Sockets,
    ) -> io::Result<Self> {
        let others = servers.into_iter().filter(|server| *server != ADDRESS);
        let servers = others.map(|server| SocketAddr::new(server, PORT)).collect();
        Ok(Self::new(Servers::Named(servers), Source::inside(sockets)?))
    }

    fn new(servers: Servers, source: Source) -> Self {
        let (silent, free) = (Mutex::default(), Semaphore::new(MOST_ASKED));
        Self { behind: Arc::new(Behind { servers, source, silent, free }), own: Arc::default() }
    }

    /// The same for another container, whose questions count by themselves.
    pub(crate) fn for_another(&self) -> Self {
        Self { behind: Arc::clone(&self.behind), own: Arc::default() }
    }

    /// What the host's own file says about a name.
    pub(crate) fn host_name(&self, name: &str, kind: u16) -> Option<zone::Answer> {
        let Servers::OfHost(host) = &self.behind.servers else { return None };
        lock(&host.names).now().find(name).map(|addresses| zone::of_kind(addresses, kind))
    }

    fn servers(&self) -> Vec<SocketAddr> {
        match &self.behind.servers {
            Servers::Named(servers) => servers.clone(),
            Servers::OfHost(host) => {
                let mut settings = lock(&host.settings);
                let servers = settings.now().servers.iter();
                servers.map(|server| server.at(PORT)).collect()
            }
        }
    }

    /// The first good answer to a query, with the query's id; else the first bad one; else nothing.
    pub(crate) async fn ask(&self, packet: &[u8], query: &Query) -> Option<Vec<u8>> {
        let answer = loop {
            match self.own.turn(packet) {
                Turn::Own(asking) => {
                    let answer = timeout(PATIENCE, self.race(packet, query)).await.ok().flatten();
                    asking.tell(answer.as_ref());
                    break answer;
                }
                Turn::Other(mut outcome) => {
                    // Who asked may give up; then it is somebody else's turn.
                    if let Ok(known) = outcome.wait_for(Option::is_some).await {
                        break known.clone().flatten();
                    }
                }
            }
        };
        let mut answer = answer?;
        message::set_id(&mut answer, query.id);
        message::set_question(&mut answer, packet, query);
        Some(answer)
    }

    /// The right to ask one more server. A container has at most half as many as are left for all others, so that one
    /// that asks for what nobody answers, and many that do, leave some to the next.
    fn room(&self) -> io::Result<Room<'_>> {
        let full = || io::Error::new(io::ErrorKind::QuotaExceeded, "too many questions");
        let (free, own) = (&self.behind.free, &self.own.asking);
        if own.load(Ordering::Relaxed) >= free.available_permits() / 2 {
            return Err(full());
        }
        let permit = free.try_acquire().map_err(|_| full())?;
        own.fetch_add(1, Ordering::Relaxed);
        Ok(Room { own, _permit: permit })
    }

    fn is_silent(&self, server: SocketAddr) -> bool {
        lock(&self.behind.silent).get(&server).is_some_and(|since| since.elapsed() < DISTRUST)
    }

    /// Notes who has answered, and who should have.
    fn remember(&self, answered: SocketAddr, silent: impl Iterator<Item = SocketAddr>) {
        let mut all = lock(&self.behind.silent);
        all.remove(&answered);
        all.retain(|_, since| since.elapsed() < DISTRUST);
        all.extend(silent.map(|server| (server, Instant::now())));
    }
}

/// A server that is being asked.
struct Room<'a> {
    own: &'a AtomicUsize,
    _permit: SemaphorePermit<'a>,
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.own.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Locks are held for a stat, a small read or a look into a map, and never across an await.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
