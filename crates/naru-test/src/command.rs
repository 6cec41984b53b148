//! Running naru and looking at how it ended.

use std::os::unix::fs::FileExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long any single naru command may take in a test.
const LIMIT: Duration = Duration::from_secs(60);

/// How a finished command ended and what it wrote.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The command line, for messages.
    pub command: String,
    /// The exit code; 128 + n for a death by signal n.
    pub code: i32,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
    /// From start to end.
    pub took: Duration,
}

impl Outcome {
    /// Gives the outcome on when the exit code is 0.
    ///
    /// # Panics
    /// On any other exit code, with everything the command said.
    #[track_caller]
    pub fn succeeds(self) -> Self {
        self.exits_with(0)
    }

    /// Gives the outcome on when the exit code is `code`.
    ///
    /// # Panics
    /// On any other exit code, with everything the command said.
    #[track_caller]
    pub fn exits_with(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self}");
        self
    }

    /// Gives the outcome on when stderr has `text`.
    ///
    /// # Panics
    /// When it has not.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "stderr lacks {text:?}: {self}");
        self
    }

    /// Gives the outcome on when stdout has `text`.
    ///
    /// # Panics
    /// When it has not.
    #[track_caller]
    pub fn prints(self, text: &str) -> Self {
        assert!(self.stdout.contains(text), "stdout lacks {text:?}: {self}");
        self
    }

    /// stdout as JSON: one document, or one document per line.
    ///
    /// # Panics
    /// When it is neither.
    #[track_caller]
    pub fn json(&self) -> Vec<serde_json::Value> {
        let documents = serde_json::Deserializer::from_str(&self.stdout).into_iter();
        let documents: Result<Vec<serde_json::Value>, _> = documents.collect();
        match documents.unwrap_or_else(|error| panic!("stdout is not JSON ({error}): {self}")) {
            single if single.len() == 1 && single[0].is_array() => {
                single[0].as_array().cloned().unwrap_or_default()
            }
            several => several,
        }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "`{}` ended with {} after {:?}", self.command, self.code, self.took)?;
        writeln!(f, "--- stdout\n{}--- stderr\n{}---", self.stdout, self.stderr)
    }
}

/// A command that runs beside the test; dropped, it is killed.
#[derive(Debug)]
pub struct Running {
    command: String,
    child: Child,
    begin: Instant,
    stdout: std::fs::File,
    stderr: std::fs::File,
}

impl Running {
    /// Starts `command` with its output going to files, so that nothing it leaves running can keep the test waiting.
    pub fn start(command: &mut Command) -> Self {
        let (stdout, stderr) = (unnamed_file(), unnamed_file());
        let begin = Instant::now();
        let child = command
            .stdout(Stdio::from(stdout.try_clone().unwrap()))
            .stderr(Stdio::from(stderr.try_clone().unwrap()))
            .spawn();
        let mut words = vec![command.get_program().to_string_lossy().into_owned()];
        words.extend(command.get_args().map(|word| word.to_string_lossy().into_owned()));
        let command = words.join(" ");
        let child = child.unwrap_or_else(|error| panic!("cannot run `{command}`: {error}"));
        Self { command, child, begin, stdout, stderr }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything written to stdout so far.
    pub fn stdout(&self) -> String {
        content(&self.stdout)
    }

    /// Everything written to stderr so far.
    pub fn stderr(&self) -> String {
        content(&self.stderr)
    }

    /// Sends SIGINT, as Ctrl-C does.
    pub fn interrupt(&self) {
        self.signal(Signal::INT);
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a child has a pid"), signal).expect("the command still runs");
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child can be waited for").is_some()
    }

    /// Waits until it ends.
    ///
    /// # Panics
    /// When it takes longer than a minute.
    #[track_caller]
    pub fn wait(mut self) -> Outcome {
        let status = loop {
            match self.child.try_wait().expect("a child can be waited for") {
                Some(status) => break status,
                None if self.begin.elapsed() > LIMIT => {
                    let outcome = self.outcome(-1);
                    panic!("still running after {LIMIT:?}: {outcome}");
                }
                None => std::thread::sleep(Duration::from_millis(1)),
            }
        };
        self.outcome(code_of(status))
    }

    fn outcome(&self, code: i32) -> Outcome {
        Outcome {
            command: self.command.clone(),
            code,
            took: self.begin.elapsed(),
            stdout: self.stdout(),
            stderr: self.stderr(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}

fn code_of(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// A file without a name, gone with its last descriptor.
pub(crate) fn unnamed_file() -> std::fs::File {
    let flags = rustix::fs::MemfdFlags::CLOEXEC;
    rustix::fs::memfd_create("output", flags).unwrap().into()
}

/// Reads at offsets of its own: the child writes at the one that the descriptors share.
pub(crate) fn content(file: &std::fs::File) -> String {
    let length = file.metadata().map_or(0, |data| data.len());
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    let read = file.read_at(&mut bytes, 0).unwrap_or(0);
    bytes.truncate(read);
    String::from_utf8_lossy(&bytes).into_owned()
}
