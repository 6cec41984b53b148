//! What a plan has to say besides its steps.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Something the user should know; printed, it is one sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Notice {
    /// Containers of services that are no longer in the file, and stay.
    Orphans {
        /// Their names.
        containers: Vec<String>,
    },
    /// A volume differs from its definition and keeps its data and its old form.
    VolumeKept {
        /// The full name.
        name: String,
    },
    /// A network differs from its definition but has containers that this command does not recreate.
    NetworkKept {
        /// The full name.
        name: String,
        /// Those containers.
        containers: Vec<String>,
    },
    /// A network of this name belongs to somebody else and is used as it is.
    ForeignNetwork {
        /// The full name.
        name: String,
    },
    /// A volume of this name belongs to somebody else and is used as it is.
    ForeignVolume {
        /// The full name.
        name: String,
    },
    /// A network has containers that stay, so it stays too.
    NetworkInUse {
        /// The full name.
        name: String,
    },
    /// A volume is used by containers that stay, so it stays too.
    VolumeInUse {
        /// The full name.
        name: String,
    },
    /// There is nothing to take down.
    NothingToRemove {
        /// The project.
        project: String,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Orphans { containers } => write!(
                f,
                "Found orphan containers ([{}]) for this project. If you removed or renamed this service in your compose file, \
                 you can run this command with the --remove-orphans flag to clean it up.",
                containers.join(" ")
            ),
            Self::VolumeKept { name } => write!(
                f,
                "volume {name} exists but doesn't match its configuration in the compose file; it is kept as it is"
            ),
            Self::NetworkKept { name, containers } => write!(
                f,
                "network {name} has changed in the compose file; it is kept as it is because {} use it and are not recreated by this command",
                containers.join(", ")
            ),
            Self::ForeignNetwork { name } => write!(
                f,
                "a network with name {name} exists but was not created for this project; set `external: true` to use an existing network"
            ),
            Self::ForeignVolume { name } => write!(
                f,
                "volume {name} already exists but was not created for this project; use `external: true` to use an existing volume"
            ),
            Self::NetworkInUse { name } => write!(f, "Network {name} Resource is still in use"),
            Self::VolumeInUse { name } => write!(f, "Volume {name} Resource is still in use"),
            Self::NothingToRemove { project } => {
                write!(f, "No resource found to remove for project \"{project}\".")
            }
        }
    }
}
