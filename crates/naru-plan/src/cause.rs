//! Why a step is in the plan.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a step is done, in words for the user when printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// It does not exist yet.
    Missing,
    /// It is new in this plan and has to run.
    New,
    /// It exists and does not run.
    NotRunning,
    /// The definition has changed; the keys that did, such as `environment.DEBUG`.
    ConfigChanged(Vec<String>),
    /// The image has another digest now.
    ImageChanged,
    /// A network that it is attached to is made anew.
    NetworkChanged(String),
    /// It is not attached to this network, as the file says.
    NetworkMissing(String),
    /// A volume that it uses is made anew.
    VolumeChanged(String),
    /// It does not use this volume, as the file says, or the volume is gone.
    VolumeMissing(String),
    /// It shares a namespace or volumes with this service, whose container is recreated.
    SharesWith(String),
    /// It asked to be restarted with this service (`restart: true`).
    RestartsWith(String),
    /// `--force-recreate`, `--always-recreate-deps` or `-V`.
    Forced,
    /// It is part of a replacement whose reason stands with the new container.
    Replaced,
    /// There are more replicas than `scale` says.
    ScaledDown,
    /// An interrupted replacement has left it behind.
    LeftOver,
    /// Its service is no longer in the file.
    Orphan,
    /// It is a hook before the start of its service.
    PreStart,
    /// The hook has done its work.
    Completed,
    /// The command asked for it.
    Requested,
    /// It ran when the machine went down.
    MachineRestarted,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("does not exist"),
            Self::New => f.write_str("new"),
            Self::NotRunning => f.write_str("not running"),
            Self::ConfigChanged(keys) if keys.is_empty() => f.write_str("configuration changed"),
            Self::ConfigChanged(keys) => write!(f, "{} changed", keys.join(", ")),
            Self::ImageChanged => f.write_str("image changed"),
            Self::NetworkChanged(name) => write!(f, "network {name} changed"),
            Self::NetworkMissing(name) => write!(f, "not attached to network {name}"),
            Self::VolumeChanged(name) => write!(f, "volume {name} changed"),
            Self::VolumeMissing(name) => write!(f, "volume {name} missing"),
            Self::SharesWith(service) => write!(f, "shares with {service}, which is recreated"),
            Self::RestartsWith(service) => write!(f, "restarts with {service}"),
            Self::Forced => f.write_str("forced"),
            Self::Replaced => f.write_str("replaced"),
            Self::ScaledDown => f.write_str("scaled down"),
            Self::LeftOver => f.write_str("left over"),
            Self::Orphan => f.write_str("orphan"),
            Self::PreStart => f.write_str("pre_start hook"),
            Self::Completed => f.write_str("completed"),
            Self::Requested => f.write_str("requested"),
            Self::MachineRestarted => f.write_str("machine restarted"),
        }
    }
}
