//! What can go wrong with a recorded container.

use std::io;
use std::path::PathBuf;

use super::{ContainerId, Status};

/// Why something could not be done with a recorded container.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The id cannot be one.
    #[error("invalid container id {0:?}: letters, digits and `_`, `+`, `-`, `.` are allowed")]
    Id(String),
    /// There is a container of this id.
    #[error("container with given ID already exists: {0}")]
    Exists(ContainerId),
    /// There is no container of this id.
    #[error("container {0} does not exist")]
    Missing(ContainerId),
    /// The container has ended.
    #[error("cannot {action} container {id}: container not running")]
    NotRunning {
        /// What was asked for.
        action: &'static str,
        /// Of which container.
        id: ContainerId,
    },
    /// The container's state does not allow it.
    #[error("{}", refusal(action, id, *status))]
    Status {
        /// What was asked for.
        action: &'static str,
        /// Of which container.
        id: ContainerId,
        /// The state it is in.
        status: Status,
    },
    /// The control group has processes already, which the container's end would end too.
    #[error("container's cgroup is not empty: {} has processes", .0.display())]
    Occupied(PathBuf),
    /// Somebody has frozen the control group: nothing could run in it.
    #[error("container's cgroup unexpectedly frozen: {}", .0.display())]
    Frozen(PathBuf),
    /// The container still has processes after it was killed.
    #[error("processes of container {0} do not end")]
    Alive(ContainerId),
    /// A hook failed after the start, and the container was ended for it.
    #[error("{0}")]
    Hook(String),
    /// A file of the store could not be used.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was done.
        action: &'static str,
        /// To which file or directory.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// A record is not what was written.
    #[error("cannot read the record {}", path.display())]
    Record {
        /// Its file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// The runtime refused or failed.
    #[error(transparent)]
    Runtime(#[from] crate::Error),
}

/// Why a state does not allow an action, in runc's words, which engines and people look for.
fn refusal(action: &str, id: &ContainerId, status: Status) -> String {
    match (action, status) {
        ("start", Status::Running | Status::Paused) => {
            format!("cannot start an already running container: {id}")
        }
        ("start", Status::Stopped) => format!("cannot start a container that has stopped: {id}"),
        ("delete", _) => format!("cannot delete container {id} that is not stopped: {status}"),
        ("resume", _) => format!("cannot resume container {id}: container not paused"),
        ("pause" | "update", Status::Stopped | Status::Creating) => {
            format!("cannot {action} container {id}: container not running")
        }
        _ => format!("cannot {action} a {status} container: {id}"),
    }
}
