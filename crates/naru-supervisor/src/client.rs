//! The client's side of the control socket: connect to a project's supervisor, or start the two processes
//! that every running project has.

mod liveness;
mod start;
mod stream;

use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use fs_err as fs;
use naru_state::{Directories, ProjectDirectories, ProjectName};
use nix::sys::socket::{getsockopt, sockopt};

use crate::protocol::{Hello, PROTOCOL, Reply, Request};
pub(crate) use start::{make_private, start};
pub use start::{revive, upgrade};
use stream::Stream;

/// How long a supervisor may be silent: before it says who it is, and in the middle of an answer before it is asked
/// whether it is still there.
const SILENCE: Duration = Duration::from_secs(10);

/// How often a request is sent to yet another supervisor.
const TRIES: u32 = 20;

/// A connection to a project's supervisor.
#[derive(Debug)]
pub struct Client {
    lines: BufReader<Stream>,
    own: ProjectDirectories,
    hello: Hello,
    /// The beginning of a line.
    half: Vec<u8>,
    /// How to ask again when the supervisor ended before it answered.
    again: Option<Again>,
}

/// A request that has not been answered yet.
#[derive(Debug)]
struct Again {
    directories: Directories,
    project: ProjectName,
    request: Option<Request>,
    tries: u32,
}

impl Client {
    /// Connects when the project has a supervisor; `None` when it has none.
    ///
    /// # Errors
    /// When there is one and it cannot be talked to: it does not answer, or is of another version.
    pub fn connect(directories: &ProjectDirectories) -> io::Result<Option<Self>> {
        let client = Self::connect_to_any(directories)?;
        if let Some(hello) = client.as_ref().map(Self::hello)
            && hello.protocol != PROTOCOL
        {
            return Err(other_protocol(hello, directories));
        }
        Ok(client)
    }

    /// Connects to a supervisor of any version.
    fn connect_to_any(directories: &ProjectDirectories) -> io::Result<Option<Self>> {
        let Some(stream) = open(directories)? else { return Ok(None) };
        let mut lines = BufReader::new(Stream::new(stream));
        let own = directories.clone();
        Ok(liveness::hear_hello(&mut lines, &own)?.map(|hello| Self {
            lines,
            own,
            hello,
            half: Vec::new(),
            again: None,
        }))
    }

    /// Connects, and starts keeper and supervisor first when the project has none.
    ///
    /// # Errors
    /// When they cannot be started or do not answer in time.
    pub fn connect_or_start(directories: &Directories, project: &ProjectName) -> io::Result<Self> {
        Ok(start::find_or_start(directories, project)?.lasting(directories, project))
    }

    /// The same, but what is asked is asked of the next supervisor where this one does not live to answer.
    #[must_use]
    pub fn lasting(mut self, directories: &Directories, project: &ProjectName) -> Self {
        let (directories, project) = (directories.clone(), project.clone());
        self.again = Some(Again { directories, project, request: None, tries: TRIES });
        self
    }

    /// Who answers.
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// Sends a request.
    ///
    /// # Errors
    /// When the supervisor is gone.
    pub fn send(&mut self, request: &Request) -> io::Result<()> {
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        // Who watches looks anew when it has missed something.
        self.again = self.again.take().filter(|_| !matches!(request, Request::Watch));
        if let Some(again) = &mut self.again {
            again.request = Some(request.clone());
        }
        match self.lines.get_mut().write_all(&line) {
            // It is sent again when its answer is asked for.
            Err(_) if self.again.is_some() => Ok(()),
            result => result,
        }
    }

    /// What to ask the next supervisor when this one does not live to finish its answer, from now on.
    pub fn go_on_with(&mut self, request: Request) {
        if let Some(again) = &mut self.again {
            again.request = Some(request);
            again.tries = TRIES;
        }
    }

    /// The descriptor that came beside a reply: for one that says so, and before the next is asked for.
    pub fn take_descriptor(&mut self) -> Option<OwnedFd> {
        self.lines.get_mut().take_descriptor()
    }

    /// The next line of the answer; `None` when the supervisor closed the connection. A supervisor that ends before the
    /// answer is whole was killed, or its project was taken down by somebody else: the request goes to a new one, which
    /// does what is left of it.
    ///
    /// # Errors
    /// When the connection fails, what came is not a reply, or the supervisor has stopped answering.
    pub fn next_reply(&mut self) -> io::Result<Option<Reply>> {
        loop {
            if let Some(line) = self.next_line()? {
                let reply = serde_json::from_slice(&line)?;
                match reply {
                    Reply::Done | Reply::Failed(_) => self.again = None,
                    Reply::Ended { .. } => {
                        self.again.iter_mut().for_each(|again| again.request = None);
                    }
                    Reply::Restarts(services) => {
                        self.restarts(services);
                        continue;
                    }
                    _ => {}
                }
                return Ok(Some(reply));
            }
            let Some(Again { directories, project, request: Some(request), tries }) =
                self.again.take()
            else {
                return Ok(None);
            };
            if tries == 0 {
                return Ok(None);
            }
            let next = start::find_or_start(&directories, &project)?;
            (self.lines, self.hello, self.half) = (next.lines, next.hello, next.half);
            let tries = tries - 1;
            self.again = Some(Again { directories, project, request: None, tries });
            self.send(&request)?;
        }
    }

    /// What is asked of the next supervisor is about these services.
    fn restarts(&mut self, services: Vec<String>) {
        let asked = self.again.as_mut().and_then(|again| again.request.as_mut());
        if let Some(Request::Restart(restart)) = asked {
            restart.services = services;
        }
    }

    /// The next line; `None` at the end of the connection.
    fn next_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            match self.lines.read_until(b'\n', &mut self.half) {
                // What has no end of line was cut short.
                Ok(_) if self.half.last() != Some(&b'\n') => {
                    self.half.clear();
                    return Ok(None);
                }
                Ok(_) => return Ok(Some(std::mem::take(&mut self.half))),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                    self.half.clear();
                    return Ok(None);
                }
                // It may be at work all this time: whether it is there at all is asked beside.
                Err(error) if liveness::is_silence(&error) => liveness::check(&self.own)?,
                Err(error) => return Err(error),
            }
        }
    }
}

/// Asks a project's supervisor for something, if there is one, and waits until it is done. That it is not done is of no
/// interest: a supervisor that begins looks at everything itself.
pub(crate) fn tell(directories: &ProjectDirectories, request: &Request) {
    let Ok(Some(mut client)) = Client::connect(directories) else { return };
    if client.send(request).is_ok() {
        drop(client.next_reply());
    }
}

/// Connects to the socket; `None` when nobody listens there.
fn open(directories: &ProjectDirectories) -> io::Result<Option<UnixStream>> {
    // By way of a descriptor of the directory: a socket's path may have 108 bytes only (unix(7)).
    let directory = match fs::File::open(directories.run()) {
        Ok(directory) => directory,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let path = format!("/proc/self/fd/{}/control.sock", directory.as_raw_fd());
    match UnixStream::connect(path) {
        Ok(stream) if is_ending(&stream) => Ok(None),
        Ok(stream) => Ok(Some(stream)),
        Err(error) if is_absence(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether who listens has begun to end: its socket takes connections until its last thread has.
fn is_ending(stream: &UnixStream) -> bool {
    // 0 from another pid namespace, whose processes cannot be seen.
    let peer = getsockopt(stream, sockopt::PeerCredentials).ok();
    let pid = peer.map(|peer| peer.pid()).filter(|pid| *pid > 0);
    pid.is_some_and(|pid| naru_state::process::stat(pid).is_none_or(|stat| stat.is_ending))
}

fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

fn other_protocol(hello: &Hello, directories: &ProjectDirectories) -> io::Error {
    let (project, theirs, own) = (directories.name(), &hello.version, env!("CARGO_PKG_VERSION"));
    io::Error::other(format!(
        "project {project} is run by naru {theirs}, which this naru {own} does not understand; \
         `naru system upgrade` lets this one take over and disturbs no container"
    ))
}

#[cfg(test)]
mod tests;
