//! The client's side of the control socket: connect to a project's supervisor, or start the two processes
//! that every running project has.

use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fs_err as fs;
use naru_state::{Directories, ProjectDirectories, ProjectName};

use crate::protocol::{Reply, Request};

/// How long the two processes may take to answer after they were started.
const START_DEADLINE: Duration = Duration::from_secs(10);

/// How long a keeper that ended at once may have been right about another one being there.
const TRY_AGAIN: Duration = Duration::from_millis(100);

/// A connection to a project's supervisor.
#[derive(Debug)]
pub struct Client {
    lines: BufReader<UnixStream>,
    /// How to ask again when the supervisor was about to end and took no notice.
    again: Option<Again>,
}

/// A request that nobody has answered yet.
#[derive(Debug)]
struct Again {
    directories: Directories,
    project: ProjectName,
    request: Option<Request>,
    tries: u32,
}

/// How often a request is sent to yet another supervisor.
const TRIES: u32 = 3;

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
            Ok(stream) => Ok(Some(Self { lines: BufReader::new(stream), again: None })),
            Err(error) if is_absence(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Connects, and starts keeper and supervisor first when the project has none.
    ///
    /// # Errors
    /// When they cannot be started or do not answer in time.
    pub fn connect_or_start(directories: &Directories, project: &ProjectName) -> io::Result<Self> {
        let mut client = Self::find_or_start(directories, project)?;
        let (directories, project) = (directories.clone(), project.clone());
        client.again = Some(Again { directories, project, request: None, tries: TRIES });
        Ok(client)
    }

    fn find_or_start(directories: &Directories, project: &ProjectName) -> io::Result<Self> {
        let own = directories.project(project);
        if let Some(client) = Self::connect(&own)? {
            return Ok(client);
        }
        let mut keeper = start_afresh(directories, project)?;
        let deadline = Instant::now() + START_DEADLINE;
        let mut pause = Duration::from_micros(200);
        let mut next_try = Instant::now() + TRY_AGAIN;
        let mut failures = 0;
        loop {
            if let Some(client) = Self::connect(&own)? {
                return Ok(client);
            }
            let now = Instant::now();
            let status = keeper.as_mut().map(Child::try_wait).transpose()?;
            let is_over = status.is_none_or(|status| status.is_some());
            if is_over && now > next_try {
                // One that ended well found another keeper in its place, which may have been about to end with
                // its project; and a project that ends takes the run directory from under a new keeper.
                let has_failed = status.flatten().is_some_and(|status| !status.success());
                failures += u32::from(has_failed);
                if failures >= TRIES {
                    return Err(no_supervisor(&own));
                }
                keeper = start_afresh(directories, project)?;
                next_try = now + TRY_AGAIN;
            }
            if now > deadline {
                return Err(no_supervisor(&own));
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
        if let Some(again) = &mut self.again {
            again.request = Some(request.clone());
        }
        match self.lines.get_mut().write_all(&line) {
            // It is sent again when its answer is asked for.
            Err(_) if self.again.is_some() => Ok(()),
            result => result,
        }
    }

    /// The next line of the answer; `None` when the supervisor closed the connection. A supervisor that ends
    /// without a word had its project taken down by somebody else: the request goes to a new one.
    ///
    /// # Errors
    /// When the connection fails or what came is not a reply.
    pub fn next_reply(&mut self) -> io::Result<Option<Reply>> {
        loop {
            let mut line = String::new();
            match self.lines.read_line(&mut line) {
                Ok(0) => {}
                Ok(_) => {
                    self.again = None;
                    return Ok(Some(serde_json::from_str(&line)?));
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
                Err(error) => return Err(error),
            }
            let Some(Again { directories, project, request: Some(request), tries }) =
                self.again.take()
            else {
                return Ok(None);
            };
            if tries == 0 {
                return Ok(None);
            }
            self.lines = Self::find_or_start(&directories, &project)?.lines;
            let tries = tries - 1;
            self.again = Some(Again { directories, project, request: None, tries });
            self.send(&request)?;
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

/// Why there is no supervisor: the end of what it said about that.
fn no_supervisor(own: &ProjectDirectories) -> io::Error {
    let log = own.run().join("supervisor.log");
    let said = fs::read_to_string(&log).unwrap_or_default();
    let last = said.lines().last().map(|line| format!(": {line}")).unwrap_or_default();
    io::Error::other(format!("the supervisor did not come up (see {}){last}", log.display()))
}

/// Makes the run directories and starts a keeper there; `None` when they were removed meanwhile.
fn start_afresh(directories: &Directories, project: &ProjectName) -> io::Result<Option<Child>> {
    make_private(directories.run())?;
    make_private(directories.project(project).run())?;
    match start(directories, project) {
        Ok(keeper) => Ok(Some(keeper)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Starts the keeper, which starts the supervisor. It must outlive this process and its terminal; whoever
/// waits for this process's children reaps it should it end first.
pub(crate) fn start(directories: &Directories, project: &ProjectName) -> io::Result<Child> {
    use std::os::unix::process::CommandExt;
    let run = directories.run().parent().unwrap_or(directories.run());
    let log = directories.project(project).run().join("supervisor.log");
    let log = fs::OpenOptions::new().create(true).append(true).open(log)?;
    Command::new("/proc/self/exe")
        .arg0("naru")
        .arg(crate::KEEPER_ROLE)
        .arg(directories.data())
        .arg(run)
        .arg(project.as_str())
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log.into_parts().0)
        .spawn()
}
