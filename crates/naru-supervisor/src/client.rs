//! The client's side of the control socket: connect to a project's supervisor, or start the two processes
//! that every running project has.

use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use fs_err as fs;
use naru_state::{Directories, ProjectDirectories, ProjectName};

use crate::protocol::{Reply, Request};

/// How long the two processes may take to answer after they were started.
const START_DEADLINE: Duration = Duration::from_secs(10);

/// A connection to a project's supervisor.
#[derive(Debug)]
pub struct Client {
    lines: BufReader<UnixStream>,
}

impl Client {
    /// Connects when the project has a supervisor; `None` when it has none.
    ///
    /// # Errors
    /// When there is one and it cannot be talked to.
    pub fn connect(directories: &ProjectDirectories) -> io::Result<Option<Self>> {
        // By way of a descriptor of the directory: a socket's path may have 108 bytes only (unix(7)).
        let directory = match fs::File::open(directories.run()) {
            Ok(directory) => directory,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let path = format!("/proc/self/fd/{}/control.sock", directory.as_raw_fd());
        match UnixStream::connect(path) {
            Ok(stream) => Ok(Some(Self { lines: BufReader::new(stream) })),
            Err(error) if is_absence(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Connects, and starts keeper and supervisor first when the project has none.
    ///
    /// # Errors
    /// When they cannot be started or do not answer in time.
    pub fn connect_or_start(directories: &Directories, project: &ProjectName) -> io::Result<Self> {
        let own = directories.project(project);
        if let Some(client) = Self::connect(&own)? {
            return Ok(client);
        }
        make_private(directories.run())?;
        make_private(own.run())?;
        start(directories, project)?;
        let deadline = Instant::now() + START_DEADLINE;
        let mut pause = Duration::from_micros(200);
        loop {
            if let Some(client) = Self::connect(&own)? {
                return Ok(client);
            }
            if Instant::now() > deadline {
                let log = own.run().join("supervisor.log");
                let text = format!("the supervisor did not come up; see {}", log.display());
                return Err(io::Error::new(io::ErrorKind::TimedOut, text));
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(10));
        }
    }

    /// Sends a request.
    ///
    /// # Errors
    /// When the supervisor is gone.
    pub fn send(&mut self, request: &Request) -> io::Result<()> {
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        self.lines.get_mut().write_all(&line)
    }

    /// The next line of the answer; `None` when the supervisor closed the connection.
    ///
    /// # Errors
    /// When the connection fails or what came is not a reply.
    pub fn next_reply(&mut self) -> io::Result<Option<Reply>> {
        let mut line = String::new();
        match self.lines.read_line(&mut line) {
            Ok(0) => Ok(None),
            Ok(_) => Ok(Some(serde_json::from_str(&line)?)),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

/// Makes a directory that only its owner can enter.
pub(crate) fn make_private(path: &std::path::Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Starts the keeper, which starts the supervisor. It must outlive this process and its terminal.
pub(crate) fn start(directories: &Directories, project: &ProjectName) -> io::Result<()> {
    let run = directories.run().parent().unwrap_or(directories.run());
    let log = directories.project(project).run().join("supervisor.log");
    let log = fs::OpenOptions::new().create(true).append(true).open(log)?;
    let own_program = PathBuf::from("/proc/self/exe");
    let child = Command::new(own_program)
        .arg0("naru")
        .arg(crate::KEEPER_ROLE)
        .arg(directories.data())
        .arg(run)
        .arg(project.as_str())
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log.into_parts().0)
        .spawn()?;
    // Whoever waits for this process's children reaps the keeper should it end first.
    drop(child);
    Ok(())
}
