//! `x-naru-ready`: looking for the sign that a container is ready, without anything in its image. Ports are asked by a
//! thread that enters the container's network namespace, lines are waited for by one that follows its log.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use naru_compose::project::{Address, Sign};
use naru_net::namespace;
use naru_plan::ready::Readiness;
use naru_state::record::Attachment;
use naru_state::{ContainerId, log};
use regex::bytes::Regex;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::inotify;
use tokio::time::Instant;

use super::Supervisor;
use super::container::Awaiting;
use super::event::{Event, aside};
use super::timers::Due;
use crate::logging;

/// How long a connection may take to come about: it stays on this machine.
const CONNECT: Duration = Duration::from_secs(1);
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(5);

/// How a look has ended.
#[derive(Debug)]
pub(super) struct Looked {
    generation: u16,
    began: Instant,
    /// Ready, or what was found instead.
    found: Result<(), String>,
}

/// The event of a look that begins now.
fn looked_at(
    id: &ContainerId,
    generation: u16,
) -> impl FnOnce(Result<(), String>) -> Event + Clone + Send + 'static {
    let (id, began) = (id.clone(), Instant::now());
    move |found| Event::Looked(id, Looked { generation, began, found })
}

/// What a look at a port needs, taken along by its thread.
struct Look {
    pidfd: Arc<OwnedFd>,
    sign: Sign,
    /// The container's own addresses in its networks.
    own: Vec<IpAddr>,
}

/// What following a log needs, taken along by its thread.
struct Follow {
    pidfd: Arc<OwnedFd>,
    log: PathBuf,
    generation: u16,
    pattern: Regex,
}

impl Supervisor {
    /// A container has started: if its service says what shows that it is ready, that is looked for at once.
    pub(super) fn begin_ready(&mut self, id: &ContainerId) {
        self.await_sign(id, None);
    }

    /// A container runs on under this supervisor: it is as near to being ready as it was.
    pub(super) fn resume_ready(&mut self, id: &ContainerId) {
        let known = self.containers.get(id).and_then(super::container::Live::resumed_readiness);
        self.await_sign(id, known);
    }

    fn await_sign(&mut self, id: &ContainerId, known: Option<Readiness>) {
        let Some(live) = self.containers.get_mut(id) else { return };
        let ready = live.service.as_ref().and_then(|service| service.ready().ok().flatten());
        let (Some(ready), Some(running)) = (ready, &mut live.running) else { return };
        let readiness = known.unwrap_or_else(|| Readiness::new(ready.timeout));
        let (due, deadline) = (readiness.next(), readiness.deadline());
        let sign = ready.sign.clone();
        running.ready = Some(Awaiting { readiness, sign: ready.sign, under_way: false });
        let (since, generation) = (running.since, live.state.generation);
        live.note_health();
        if let Some(deadline) = deadline {
            self.timers.add(since + deadline, Due::Late(id.clone(), generation));
        }
        if due.is_none() {
            return;
        }
        match sign {
            Sign::Log(pattern) => self.follow_log(id, &pattern),
            Sign::Tcp(_) | Sign::Http(..) => self.schedule_look(id),
        }
    }

    /// Waits until a container's next look is due, where it has one.
    pub(super) fn schedule_look(&mut self, id: &ContainerId) {
        let Some(live) = self.containers.get(id) else { return };
        let Some(running) = &live.running else { return };
        // Who follows a log is not called again.
        let asks = |awaiting: &&Awaiting| !matches!(awaiting.sign, Sign::Log(_));
        let awaiting = running.ready.as_ref().filter(asks);
        let Some(due) = awaiting.and_then(|awaiting| awaiting.readiness.next()) else { return };
        self.timers.add(running.since + due, Due::Look(id.clone(), live.state.generation));
    }

    /// A look at a port is due.
    pub(super) fn look_due(&mut self, id: &ContainerId, generation: u16) {
        let Some(live) = self.containers.get_mut(id) else { return };
        if live.state.generation != generation || live.stopping.is_some() {
            return;
        }
        let own = live.record.attachments.iter().flat_map(Attachment::addresses);
        let own = own.collect();
        let Some(running) = &mut live.running else { return };
        let Some(awaiting) = &mut running.ready else { return };
        if std::mem::replace(&mut awaiting.under_way, true) {
            return;
        }
        let look = Look { pidfd: Arc::clone(&running.pidfd), sign: awaiting.sign.clone(), own };
        let looked = looked_at(id, generation);
        let refused = looked.clone();
        aside(&self.events, move || looked(look.take()), |error| refused(Err(error.to_string())));
    }

    /// Waits for a line in a thread of its own, which ends with the container's process.
    fn follow_log(&mut self, id: &ContainerId, pattern: &str) {
        let Ok(pattern) = Regex::new(pattern) else { return };
        let Some(live) = self.containers.get(id) else { return };
        let Some(running) = &live.running else { return };
        let generation = live.state.generation;
        let log = logging::directory(&self.own, &live.record);
        let follow = Follow { pidfd: Arc::clone(&running.pidfd), log, generation, pattern };
        let looked = looked_at(id, generation);
        let refused = looked.clone();
        let id = id.clone();
        let unfollowed = move |error| {
            tracing::error!(container = %id, %error, "its log cannot be followed");
            Err(format!("the log cannot be followed: {error}"))
        };
        let unbegun = unfollowed.clone();
        let work = move || looked(follow.run().unwrap_or_else(unfollowed));
        aside(&self.events, work, |error| refused(unbegun(error)));
    }

    /// A look has ended.
    pub(super) fn looked(&mut self, id: &ContainerId, looked: Looked) {
        let Some(live) = self.containers.get_mut(id) else { return };
        if live.state.generation != looked.generation {
            return;
        }
        let before = live.observed();
        let Some(running) = &mut live.running else { return };
        let since = running.since;
        let Some(awaiting) = &mut running.ready else { return };
        awaiting.under_way = false;
        let is_news = looked.found != Err(awaiting.readiness.last().to_owned());
        let began = looked.began.saturating_duration_since(since);
        awaiting.readiness.record(began, since.elapsed(), looked.found);
        live.note_health();
        if is_news || live.observed() != before {
            self.changed(id);
        }
        self.schedule_look(id);
        self.health_changed(id, before);
    }

    /// The time in which a container should be ready has passed.
    pub(super) fn late(&mut self, id: &ContainerId, generation: u16) {
        let Some(live) = self.containers.get_mut(id) else { return };
        let before = live.observed();
        let Some(running) = live.running.as_mut().filter(|_| live.state.generation == generation)
        else {
            return;
        };
        let since = running.since;
        let Some(awaiting) = &mut running.ready else { return };
        awaiting.readiness.pass(since.elapsed());
        live.note_health();
        self.changed(id);
        self.health_changed(id, before);
    }
}

impl Look {
    /// Tries the sign's addresses one after the other: the first that answers is enough.
    fn take(&self) -> Result<(), String> {
        let (address, path) = match &self.sign {
            Sign::Tcp(address) => (address, None),
            Sign::Http(address, path) => (address, Some(path.as_str())),
            Sign::Log(_) => return Err("a line is not asked for".to_owned()),
        };
        let mut found = Err("it has no address".to_owned());
        for host in self.hosts(address) {
            let to = SocketAddr::new(host, address.port);
            found = self.ask(to, path).map_err(|error| format!("{to}: {error}"));
            if found.is_ok() {
                return found;
            }
        }
        if address.host.is_none() && self.is_on_loopback_only(address.port) {
            return Err(format!(
                "it listens on 127.0.0.1 only, where no other container reaches it; `127.0.0.1:{}` asks there",
                address.port
            ));
        }
        found
    }

    fn hosts(&self, address: &Address) -> Vec<IpAddr> {
        match address.host {
            Some(host) => vec![host],
            None if self.own.is_empty() => {
                vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
            }
            None => self.own.clone(),
        }
    }

    fn is_on_loopback_only(&self, port: u16) -> bool {
        let takes = |host| self.connect(SocketAddr::new(host, port)).is_ok();
        !self.own.is_empty()
            && !self.own.iter().copied().any(takes)
            && takes(Ipv4Addr::LOCALHOST.into())
    }

    fn ask(&self, to: SocketAddr, path: Option<&str>) -> io::Result<()> {
        let stream = self.connect(to)?;
        path.map_or(Ok(()), |path| get(stream, to, path))
    }

    /// A connection inside the container's network namespace.
    fn connect(&self, to: SocketAddr) -> io::Result<TcpStream> {
        // A pidfd names the namespaces of its process too (setns(2)), and never those of another one.
        let connect = || TcpStream::connect_timeout(&to, CONNECT);
        let stream = namespace::within(self.pidfd.as_fd(), connect).map_err(io::Error::other)??;
        // Where nobody listens, a port may have been chosen that is the very one asked for: then it has reached itself.
        match stream.local_addr()? == to {
            true => Err(io::ErrorKind::ConnectionRefused.into()),
            false => Ok(stream),
        }
    }
}

/// Asks for a path; any status from 200 to 399 will do.
fn get(mut stream: TcpStream, to: SocketAddr, path: &str) -> io::Result<()> {
    stream.set_read_timeout(Some(ANSWER))?;
    stream.set_write_timeout(Some(ANSWER))?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {to}\r\nUser-Agent: naru\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut line = Vec::new();
    let mut piece = [0; 64];
    // `HTTP/1.1 200 OK`: nothing after the number is needed.
    while line.len() < 12 {
        match stream.read(&mut piece)? {
            0 => break,
            length => line.extend_from_slice(&piece[..length]),
        }
    }
    match status(&line) {
        Some(200..=399) => Ok(()),
        Some(other) => Err(io::Error::other(format!("answered with status {other}"))),
        None => Err(io::Error::other("answered with something that is not HTTP")),
    }
}

/// The number of a status line (RFC 9112, section 4).
fn status(line: &[u8]) -> Option<u16> {
    let text = std::str::from_utf8(line.get(..12)?).ok()?;
    let (version, number) = text.split_once(' ')?;
    version.strip_prefix("HTTP/1.")?;
    number.parse().ok().filter(|_| number.len() == 3)
}

impl Follow {
    /// Waits until a line of this run matches, or its process has ended.
    fn run(&self) -> io::Result<Result<(), String>> {
        fs_err::create_dir_all(&self.log)?;
        let changes = changes(&self.log)?;
        let mut reader = log::Reader::new(&self.log);
        let matches = |line: &log::Line| {
            line.generation == self.generation && self.pattern.is_match(&line.bytes)
        };
        loop {
            let has_ended = wait(&self.pidfd, None)?;
            while let Some(item) = reader.next_item()? {
                if matches!(&item, log::Item::Line(line) if matches(line)) {
                    return Ok(Ok(()));
                }
            }
            if has_ended {
                return Ok(if reader.finish().iter().any(matches) {
                    Ok(())
                } else {
                    Err(format!("it ended without a line that matches `{}`", self.pattern))
                });
            }
            wait(&self.pidfd, Some(&changes))?;
            drain(&changes);
        }
    }
}

/// What tells of changes to the files of a log.
fn changes(log: &Path) -> io::Result<OwnedFd> {
    let changes = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
    let flags =
        inotify::WatchFlags::MODIFY | inotify::WatchFlags::CREATE | inotify::WatchFlags::MOVED_TO;
    inotify::add_watch(&changes, log, flags)?;
    Ok(changes)
}

/// Whether the process has ended; with `changes`, waits until it has or there are some.
fn wait(pidfd: &OwnedFd, changes: Option<&OwnedFd>) -> io::Result<bool> {
    let mut all = vec![PollFd::new(pidfd, PollFlags::IN)];
    all.extend(changes.map(|changes| PollFd::new(changes, PollFlags::IN)));
    let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    loop {
        match poll(&mut all, changes.is_none().then_some(&now)) {
            Ok(_) => return Ok(!all[0].revents().is_empty()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn drain(changes: &OwnedFd) {
    let mut events = [0; 4096];
    // What they say does not matter: the log is read after each.
    while rustix::io::read(changes, &mut events).is_ok_and(|length| length > 0) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_from_the_first_line_of_an_answer() {
        assert_eq!(status(b"HTTP/1.1 200 OK\r\nServer: x\r\n"), Some(200));
        assert_eq!(status(b"HTTP/1.0 503\r\n\r\n"), Some(503));
        for other in [&b"SSH-2.0-OpenSSH_9.2"[..], b"HTTP/1.1 2", b"HTTP/2 200 OK\r\n", b""] {
            assert_eq!(status(other), None, "{other:?}");
        }
    }
}
