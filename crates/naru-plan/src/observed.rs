//! What was seen of a project: plain data made by *observe*, read by the planner.

use std::collections::{BTreeMap, BTreeSet};

use naru_compose::project::Dependency;
use serde::{Deserialize, Serialize};

use crate::Fingerprint;

/// Everything of one project that exists when a command begins.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Observed {
    /// The project's name.
    pub project: String,
    /// The project's containers, in any order.
    pub containers: Vec<Container>,
    /// Networks that belong to this project; never external ones.
    pub networks: Vec<Network>,
    /// Named volumes that belong to this project; never external ones.
    pub volumes: Vec<Volume>,
    /// Names of networks that exist but belong to somebody else.
    pub foreign_networks: BTreeSet<String>,
    /// Those of them that were removed and made again since this project's containers came into them.
    #[serde(default)]
    pub replaced_networks: BTreeSet<String>,
    /// Names of volumes that exist but belong to somebody else.
    pub foreign_volumes: BTreeSet<String>,
}

/// A network of the project as it was created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// The key in the Compose file, such as `default`.
    pub key: String,
    /// The full name, such as `shop_default`.
    pub name: String,
    /// [`crate::hash::network`] of the definition it was made from.
    pub config_hash: String,
    /// Containers of other projects that run are in it.
    #[serde(default)]
    pub is_used_by_others: bool,
}

/// A named volume of the project as it was created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// The key in the Compose file, such as `data`.
    pub key: String,
    /// The full name, such as `shop_data`.
    pub name: String,
    /// [`crate::hash::volume`] of the definition it was made from.
    pub config_hash: String,
}

/// A container of the project, as recorded and as it is now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Container {
    /// The full id, 64 hexadecimal digits.
    pub id: String,
    /// The name users see, such as `shop-db-1`.
    pub name: String,
    /// The service it is a replica of.
    pub service: String,
    /// The replica's number, from 1; 0 for a one-off.
    pub number: u32,
    /// Made by `run` rather than by `up`.
    pub one_off: bool,
    /// Made for a `pre_start` hook; a one-off as well.
    #[serde(default)]
    pub hook: bool,
    /// What it was made from, to tell whether that has changed.
    pub fingerprint: Fingerprint,
    /// Digest of the image it was made from.
    pub image_id: String,
    /// The services it was told to wait for, as recorded: there may be no Compose file any more.
    pub depends_on: BTreeMap<String, Dependency>,
    /// Full names of the networks it is attached to.
    pub networks: BTreeSet<String>,
    /// Volumes it mounts: path in the container → full name of the volume.
    pub volumes: BTreeMap<String, String>,
    /// What it is doing.
    pub state: State,
}

/// What a container is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// Made, never started.
    Created,
    /// Its main process runs.
    Running {
        /// What its health check says.
        health: Health,
    },
    /// It has exited and waits for its restart policy's delay to pass.
    Restarting,
    /// It has exited and stays so.
    Exited {
        /// The exit code (128 + n for a signal), or `None` when nobody saw it; that counts as a failure.
        code: Option<u8>,
    },
}

/// What a running container's health check says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// There is no health check.
    None,
    /// No probe has succeeded yet and not enough have failed.
    Starting,
    /// The last counted probe succeeded.
    Healthy,
    /// As many counted probes failed in a row as `retries` says.
    Unhealthy,
}

impl State {
    /// Whether there is something to stop: a process, or a restart that is due.
    pub fn is_active(self) -> bool {
        matches!(self, Self::Running { .. } | Self::Restarting)
    }
}

impl Container {
    /// Whether `run` made it.
    pub fn is_run(&self) -> bool {
        self.one_off && !self.hook
    }

    /// The first twelve digits of the id, as shown to users.
    pub fn short_id(&self) -> &str {
        self.id.get(..12).unwrap_or(&self.id)
    }
}
