//! What can go wrong on the caller's side, and how a failure inside the container is told.

use std::fmt;
use std::io;
use std::path::PathBuf;

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

/// Why a container or a process in it could not be made or started.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The specification asks for something that this runtime cannot do.
    #[error("the specification's `{field}` is not supported{detail}")]
    Unsupported {
        /// The field's path in the specification.
        field: String,
        /// What exactly, or empty.
        detail: String,
    },
    /// The specification contradicts itself or the OCI rules.
    #[error("the specification's `{field}` is invalid: {reason}")]
    Invalid {
        /// The field's path in the specification.
        field: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The kernel did not make the first process.
    #[error("cannot create a process in new namespaces")]
    Clone(#[source] Errno),
    /// The process was made, but naru's own program did not run in it.
    #[error("cannot run naru's own program in the new process")]
    Enter(#[source] Errno),
    /// The process was made and killed before it ran anything.
    #[error("the new process was killed at once")]
    Killed,
    /// A step of the set-up inside the container failed.
    #[error("{text}")]
    Setup {
        /// Which part of the set-up.
        stage: Stage,
        /// What was done to which object.
        text: String,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The first process ended without a word.
    #[error("the container's first process ended during its set-up")]
    Vanished,
    /// Talking to the first process failed.
    #[error("cannot talk to the container's first process")]
    Channel(#[source] Errno),
    /// A file or descriptor of the host could not be used.
    #[error("cannot {action}")]
    Host {
        /// What naru was doing to which object.
        action: String,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// Nobody takes the listener of the system call filter.
    #[error("failed to connect with seccomp agent {}", .0.display())]
    Agent(PathBuf, #[source] Errno),
    /// A control group could not be made, changed or removed.
    #[error("cannot {action} the control group {}", path.display())]
    Cgroup {
        /// What naru was doing.
        action: String,
        /// The directory or file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// The part of the set-up inside the container that failed, if it was one.
    #[must_use]
    pub fn stage(&self) -> Option<Stage> {
        match self {
            Self::Setup { stage, .. } => Some(*stage),
            _ => None,
        }
    }

    /// The system's error number, if there is one.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Clone(errno) | Self::Enter(errno) | Self::Channel(errno) => {
                Some(errno.raw_os_error())
            }
            Self::Setup { source, .. }
            | Self::Host { source, .. }
            | Self::Cgroup { source, .. } => source.raw_os_error(),
            _ => None,
        }
    }

    /// An unsupported field.
    pub(crate) fn unsupported(field: impl Into<String>) -> Self {
        Self::Unsupported { field: field.into(), detail: String::new() }
    }

    /// An unsupported value of a field that is supported otherwise.
    pub(crate) fn unsupported_value(field: impl Into<String>, value: impl fmt::Display) -> Self {
        Self::Unsupported { field: field.into(), detail: format!(": {value}") }
    }

    /// A field that is wrong.
    pub(crate) fn invalid(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Invalid { field: field.into(), reason: reason.into() }
    }

    /// Something on the host that failed.
    pub(crate) fn host(action: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::Host { action: action.into(), source: source.into() }
    }
}

/// The parts of the set-up inside the container, in about the order they happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Receiving and reading the plan.
    Plan,
    /// Joining namespaces.
    Namespaces,
    /// Joining control groups.
    Cgroup,
    /// Attaching the root file system and making it the root.
    Root,
    /// The mounts of the specification.
    Mount,
    /// Device nodes and links in /dev.
    Device,
    /// The terminal.
    Terminal,
    /// Hooks.
    Hook,
    /// Masked and read-only paths.
    Mask,
    /// Kernel parameters, host name, the loopback interface.
    Kernel,
    /// Resource limits and the out-of-memory score.
    Limits,
    /// Standard input, output and error.
    Stdio,
    /// The working directory.
    Directory,
    /// User, groups, capabilities, seccomp.
    Identity,
    /// Looking for the command: `ENOENT` and `EACCES` mean the command itself.
    Command,
    /// Executing the command.
    Exec,
    /// The process that reaps and forwards signals.
    Reaper,
}

impl fmt::Display for Stage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Plan => "plan",
            Self::Namespaces => "namespaces",
            Self::Cgroup => "cgroup",
            Self::Root => "root",
            Self::Mount => "mount",
            Self::Device => "device",
            Self::Terminal => "terminal",
            Self::Hook => "hook",
            Self::Mask => "mask",
            Self::Kernel => "kernel",
            Self::Limits => "limits",
            Self::Stdio => "stdio",
            Self::Directory => "directory",
            Self::Identity => "identity",
            Self::Command => "command",
            Self::Exec => "exec",
            Self::Reaper => "reaper",
        };
        formatter.write_str(name)
    }
}

/// A failure inside the container, as it travels to the caller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failure {
    pub(crate) stage: Stage,
    pub(crate) errno: i32,
    pub(crate) text: String,
}

impl Failure {
    /// A failure that has no system call behind it.
    pub(crate) fn new(stage: Stage, errno: Errno, text: impl Into<String>) -> Self {
        Self { stage, errno: errno.raw_os_error(), text: text.into() }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::Setup {
            stage: failure.stage,
            text: failure.text,
            source: io::Error::from_raw_os_error(failure.errno),
        }
    }
}

/// Names the step of a system call inside the container.
pub(crate) trait At<T> {
    /// The failure of this call is a failure to do `what` in `stage`; reads after "cannot".
    fn at(self, stage: Stage, what: impl FnOnce() -> String) -> Result<T, Failure>;
}

impl<T> At<T> for Result<T, Errno> {
    fn at(self, stage: Stage, what: impl FnOnce() -> String) -> Result<T, Failure> {
        self.map_err(|errno| Failure::new(stage, errno, format!("cannot {}", what())))
    }
}
