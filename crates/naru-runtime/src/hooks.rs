//! Hooks: programs of the host that follow a container's life (OCI runtime specification, "POSIX-platform
//! Hooks" and "Lifecycle").
//!
//! | hook | when | where | a failure |
//! |---|---|---|---|
//! | prestart, createRuntime | mounts are made, the root is not changed | the caller | ends the container |
//! | createContainer | right after them | the container's namespaces, root of the host | ends the container |
//! | startContainer | after the start, before the program | the container, confined like its program | ends the container |
//! | poststart | the program runs | the caller | is a warning |
//! | poststop | the container is deleted | the caller | is a warning |
//!
//! Each reads the container's [`State`] as JSON from its standard input, has the environment of the
//! specification (the caller's hooks that name none: the caller's), and is killed when its `timeout` (seconds) is over. The hooks of one kind run
//! in their order; the first that fails ends the list, except after the stop, where all run.
//! [`create`](crate::create) and what follows from it run all but the last two kinds.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use oci_spec::runtime::{ContainerState, Hook, Spec, State};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{MemfdFlags, SealFlags};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags};

use crate::plan::{early_hooks, state_of};
use crate::{Error, Stage};

/// How much of a failed hook's words becomes part of the error, in bytes.
const WORDS: u64 = 512;

/// Runs the poststart hooks of a container whose program runs as `pid`; `state` names the container,
/// its status and process are filled in. Failures are returned as sentences: by the specification
/// they are no more than warnings.
#[must_use]
pub fn poststart(spec: &Spec, state: &State, pid: i32) -> Vec<String> {
    let state = state_of(spec, state, ContainerState::Running, Some(pid));
    let hooks = spec.hooks().as_ref().and_then(|hooks| hooks.poststart().as_ref());
    let failed = named("poststart", hooks).find_map(|hook| run_here(hook, &state).err());
    failed.iter().map(sentence).collect()
}

/// Runs the poststop hooks of a container that has ended and is deleted, also of one whose creation
/// failed; failures are returned as sentences. The next one runs also when one has failed.
#[must_use]
pub fn poststop(spec: &Spec, state: &State) -> Vec<String> {
    let state = state_of(spec, state, ContainerState::Stopped, None);
    let hooks = spec.hooks().as_ref().and_then(|hooks| hooks.poststop().as_ref());
    let results = named("poststop", hooks).map(|hook| run_here(hook, &state));
    results.filter_map(Result::err).map(|error| sentence(&error)).collect()
}

/// The hooks that the caller runs while it makes and starts a container.
#[derive(Debug)]
pub(crate) struct CallersHooks {
    early: Vec<(String, Hook)>,
    poststart: Vec<Hook>,
    state: State,
}

impl CallersHooks {
    /// Those of `spec`, if it has hooks, for the container whose first process is `pid`.
    pub(crate) fn new(spec: &Spec, state: &State, pid: i32) -> Option<Self> {
        let hooks = spec.hooks().as_ref()?;
        Some(Self {
            // What they are told is that it is created, as validation tools and other runtimes have it.
            early: early_hooks(hooks),
            poststart: hooks.poststart().clone().unwrap_or_default(),
            state: state_of(spec, state, ContainerState::Created, Some(pid)),
        })
    }

    /// The prestart and createRuntime hooks.
    pub(crate) fn run_early(&self) -> Result<(), Error> {
        self.early.iter().try_for_each(|(name, hook)| run_here((name.as_str(), hook), &self.state))
    }

    /// The poststart hooks; a failure is a sentence.
    pub(crate) fn run_poststart(&self) -> Option<String> {
        let mut state = self.state.clone();
        state.set_status(ContainerState::Running);
        let mut hooks = named("poststart", Some(&self.poststart));
        hooks.find_map(|hook| run_here(hook, &state).err()).map(|error| sentence(&error))
    }
}

fn named<'a>(
    name: &'static str,
    hooks: Option<&'a Vec<Hook>>,
) -> impl Iterator<Item = (String, &'a Hook)> {
    let numbered = hooks.into_iter().flatten().enumerate();
    numbered.map(move |(index, hook)| (label(name, index), hook))
}

/// How messages call a hook.
pub(crate) fn label(kind: &str, index: usize) -> String {
    format!("{kind} hook #{index}")
}

fn sentence(error: &Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// Runs a hook as a child of the calling process, in the folder of the bundle.
fn run_here((name, hook): (impl fmt::Display, &Hook), state: &State) -> Result<(), Error> {
    let failed = |source: io::Error| Error::Setup {
        stage: Stage::Hook,
        text: format!("error running {name}: {}", hook.path().display()),
        source,
    };
    let files = Files::new(state).map_err(failed)?;
    let status = spawn(hook, &files, state.bundle()).and_then(|child| {
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        wait(pid.ok_or(Errno::SRCH)?, hook)
    });
    let reason = status.map(|status| files.reason(status)).map_err(failed)?;
    reason.map_or(Ok(()), |reason| Err(failed(io::Error::other(reason))))
}

fn spawn(hook: &Hook, files: &Files, folder: &Path) -> io::Result<std::process::Child> {
    let mut command = Command::new(hook.path());
    if let Some((name, arguments)) = hook.args().as_ref().and_then(|args| args.split_first()) {
        command.arg0(name).args(arguments);
    }
    if let Some(variables) = hook.env() {
        let variables = variables.iter().filter_map(|variable| variable.split_once('='));
        command.env_clear().envs(variables);
    }
    if folder.is_dir() {
        command.current_dir(folder);
    }
    command.stdin(Stdio::from(files.input.try_clone()?));
    command.stdout(Stdio::from(files.output.try_clone()?));
    command.stderr(Stdio::from(files.output.try_clone()?));
    command.spawn()
}

/// The files of a hook: its state to read, and its words, which are looked at when it fails.
#[derive(Debug)]
pub(crate) struct Files {
    input: File,
    output: File,
}

impl Files {
    /// Makes them; the state cannot be changed by the hook.
    pub(crate) fn new(state: &State) -> io::Result<Self> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let mut input = File::from(rustix::fs::memfd_create("state", flags)?);
        serde_json::to_writer(&mut input, state)?;
        input.flush()?;
        input.seek(SeekFrom::Start(0))?;
        let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
        rustix::fs::fcntl_add_seals(&input, seals)?;
        let output = File::from(rustix::fs::memfd_create("words", MemfdFlags::CLOEXEC)?);
        Ok(Self { input, output })
    }

    /// Its standard input.
    pub(crate) fn input(&self) -> BorrowedFd<'_> {
        self.input.as_fd()
    }

    /// Its standard output and error.
    pub(crate) fn output(&self) -> BorrowedFd<'_> {
        self.output.as_fd()
    }

    /// Why a hook that ended so has failed, with its last words; nothing when it did not.
    pub(crate) fn reason(&self, status: Option<ExitStatus>) -> Option<String> {
        let reason = match status {
            None => "it took longer than its timeout and was killed".to_owned(),
            Some(status) if status.success() => return None,
            Some(status) => match (status.code(), status.signal()) {
                (Some(code), _) => format!("it exited with code {code}"),
                (None, Some(nix::libc::SIGSYS)) => {
                    "it was ended by signal 31 (bad system call: the filter refuses it)".to_owned()
                }
                (None, signal) => format!("it was ended by signal {}", signal.unwrap_or(0)),
            },
        };
        let words = self.last_words();
        Some(if words.is_empty() { reason } else { format!("{reason}, saying: {words}") })
    }

    fn last_words(&self) -> String {
        let mut output = &self.output;
        let mut bytes = Vec::new();
        let length = output.seek(SeekFrom::End(0)).unwrap_or(0);
        // Words that cannot be read are as good as none.
        let read = output
            .seek(SeekFrom::Start(length.saturating_sub(WORDS)))
            .and_then(|_| output.take(WORDS).read_to_end(&mut bytes));
        if read.is_err() {
            return String::new();
        }
        let text = String::from_utf8_lossy(&bytes);
        // What steers a terminal is spelled out.
        let spelled = |letter: char| match letter.is_control() {
            true => letter.escape_default().to_string(),
            false => letter.to_string(),
        };
        text.trim().chars().map(spelled).collect()
    }
}

/// Waits for a hook and reaps it; nothing when its time was over and it was killed.
pub(crate) fn wait(pid: Pid, hook: &Hook) -> io::Result<Option<ExitStatus>> {
    let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty())?;
    let seconds = hook.timeout().and_then(|seconds| u64::try_from(seconds).ok());
    let in_time = ends_within(&pidfd, seconds.map(Duration::from_secs))?;
    if !in_time {
        rustix::process::pidfd_send_signal(&pidfd, rustix::process::Signal::KILL)?;
    }
    let flags = rustix::process::WaitOptions::empty();
    let ended = loop {
        match rustix::process::waitpid(Some(pid), flags) {
            Err(Errno::INTR) => {}
            result => break result?,
        }
    };
    let status = ended.map(|(_, status)| ExitStatus::from_raw(status.as_raw()));
    Ok(status.filter(|_| in_time))
}

fn ends_within(pidfd: &OwnedFd, limit: Option<Duration>) -> io::Result<bool> {
    let deadline = limit.map(|limit| std::time::Instant::now() + limit);
    loop {
        let left = deadline.map(|end| end.saturating_duration_since(std::time::Instant::now()));
        let left = left.map(|left| Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        });
        let mut poll = [PollFd::from_borrowed_fd(pidfd.as_fd(), PollFlags::IN)];
        match rustix::event::poll(&mut poll, left.as_ref()) {
            Err(Errno::INTR) => {}
            result => return Ok(result? > 0),
        }
    }
}
