//! The project itself: its name, where it came from, and everything it declares.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{FileObject, Model, Network, Service, Volume, is_default};

/// `x-*` attributes of one object, by their full name. They mean nothing to naru, except `x-naru-*` of a
/// service ([`Service::ready`], [`Service::restart_rules`]).
pub type Extensions = BTreeMap<String, serde_json::Value>;

/// Everything the Compose files of one project declare, in canonical form.
///
/// `Serialize` and `Deserialize` carry the whole value, so that one process can hand a project to
/// another; [`Project::to_json`] and [`Project::to_yaml`] print what `docker compose config` prints.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Project {
    /// Name of the project: `[a-z0-9][a-z0-9_-]*`.
    pub name: String,
    /// Absolute directory that relative paths were resolved against.
    #[serde(skip_serializing_if = "is_default")]
    pub working_directory: PathBuf,
    /// The Compose files as given, absolute; `-` for standard input.
    #[serde(skip_serializing_if = "is_default")]
    pub compose_files: Vec<PathBuf>,
    /// Whether `_` stands between the parts of names, as in docker-compose 1; see [`Project::separator`].
    #[serde(skip_serializing_if = "is_default")]
    pub compatibility: bool,
    /// Services of the active profiles, by name.
    pub services: BTreeMap<String, Service>,
    /// Services that no active profile includes, by name. `config` does not print them.
    #[serde(skip_serializing_if = "is_default")]
    pub disabled_services: BTreeMap<String, Service>,
    /// Networks by key; [`Network::name`] is the name on the host.
    #[serde(skip_serializing_if = "is_default")]
    pub networks: BTreeMap<String, Network>,
    /// Named volumes by key; [`Volume::name`] is the name on the host.
    #[serde(skip_serializing_if = "is_default")]
    pub volumes: BTreeMap<String, Volume>,
    /// Secrets by key.
    #[serde(skip_serializing_if = "is_default")]
    pub secrets: BTreeMap<String, FileObject>,
    /// Configs by key.
    #[serde(skip_serializing_if = "is_default")]
    pub configs: BTreeMap<String, FileObject>,
    /// Language models by key.
    #[serde(skip_serializing_if = "is_default")]
    pub models: BTreeMap<String, Model>,
    /// `x-*` attributes of the top level.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    pub extensions: Extensions,
}

impl Project {
    /// What stands between the parts of the name of a container (`shop-web-1`) and of an image that is
    /// built (`shop-web`): `-`, or `_` with `--compatibility`.
    #[must_use]
    pub const fn separator(&self) -> char {
        if self.compatibility { '_' } else { '-' }
    }
}
