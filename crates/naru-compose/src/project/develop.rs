//! Development helpers, commands around a container's life, and services that are no containers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Extensions, is_default};

/// What `watch` does for a service.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Develop {
    /// Paths and what happens when they change.
    #[serde(skip_serializing_if = "is_default")]
    pub watch: Vec<Trigger>,
    /// `x-*` attributes.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    pub extensions: Extensions,
}

/// What happens when a path changes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Trigger {
    /// Absolute path on the host.
    pub path: String,
    /// `rebuild`, `sync`, `restart`, `sync+restart` or `sync+exec`.
    pub action: String,
    /// Path in the container.
    #[serde(skip_serializing_if = "is_default")]
    pub target: String,
    /// Command for `sync+exec`.
    pub exec: Hook,
    /// Patterns of the only paths that count.
    #[serde(skip_serializing_if = "is_default")]
    pub include: Vec<String>,
    /// Patterns of paths that do not count.
    #[serde(skip_serializing_if = "is_default")]
    pub ignore: Vec<String>,
    /// Whether everything is synchronized at the start.
    #[serde(skip_serializing_if = "is_default")]
    pub initial_sync: bool,
    /// `x-*` attributes.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    pub extensions: Extensions,
}

/// A command that runs at one moment of a container's life.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hook {
    /// Program and arguments.
    pub command: Option<Vec<String>>,
    /// Image to run it in; `pre_start` only.
    #[serde(skip_serializing_if = "is_default")]
    pub image: String,
    /// User to run it as.
    #[serde(skip_serializing_if = "is_default")]
    pub user: String,
    /// Whether it runs with all rights.
    #[serde(skip_serializing_if = "is_default")]
    pub privileged: bool,
    /// Directory to run it in.
    #[serde(skip_serializing_if = "is_default")]
    pub working_dir: String,
    /// Environment; a variable without a value is not set.
    #[serde(skip_serializing_if = "is_default")]
    pub environment: BTreeMap<String, Option<String>>,
    /// Whether it runs for each container rather than once; `pre_start` only.
    #[serde(skip_serializing_if = "is_default")]
    pub per_replica: bool,
    /// `x-*` attributes.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    pub extensions: Extensions,
}

/// A service that another program provides.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Provider {
    /// Which program.
    #[serde(rename = "type", skip_serializing_if = "is_default")]
    pub kind: String,
    /// Options for it, each with one or several values.
    #[serde(skip_serializing_if = "is_default")]
    pub options: BTreeMap<String, Vec<String>>,
    /// `x-*` attributes.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    pub extensions: Extensions,
}
