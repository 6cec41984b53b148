//! `deploy`: how many containers, and what they may use.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Bytes, Cpus, DeviceRequest, Extensions, Period, is_default};

/// How a service is deployed. naru uses `replicas`, `resources` and `restart_policy`, as docker compose does.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Deploy {
    /// `replicated` or `global`; used by Swarm only.
    #[serde(skip_serializing_if = "is_default")]
    pub mode: String,
    /// Number of containers; one when absent.
    #[serde(skip_serializing_if = "is_default")]
    pub replicas: Option<u32>,
    /// Labels of the service, not of its containers.
    #[serde(skip_serializing_if = "is_default")]
    pub labels: BTreeMap<String, String>,
    /// How an update is rolled out; used by Swarm only.
    #[serde(skip_serializing_if = "is_default")]
    pub update_config: Option<RolloutConfig>,
    /// How a failed update is rolled back; used by Swarm only.
    #[serde(skip_serializing_if = "is_default")]
    pub rollback_config: Option<RolloutConfig>,
    /// What the containers may use, and what is kept for them.
    pub resources: Resources,
    /// When a container is started again; wins over the service's `restart`.
    #[serde(skip_serializing_if = "is_default")]
    pub restart_policy: Option<DeployRestart>,
    /// On which nodes; used by Swarm only.
    pub placement: Placement,
    /// `vip` or `dnsrr`; used by Swarm only.
    #[serde(skip_serializing_if = "is_default")]
    pub endpoint_mode: String,
    /// `x-*` attributes.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    pub extensions: Extensions,
}

/// What containers may use, and what is kept for them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// Upper limits.
    #[serde(skip_serializing_if = "is_default")]
    pub limits: Option<Limits>,
    /// What is kept for the container.
    #[serde(skip_serializing_if = "is_default")]
    pub reservations: Option<Reservations>,
    /// `x-*` attributes.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    pub extensions: Extensions,
}

/// Upper limits; zero means none.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Number of processors.
    #[serde(skip_serializing_if = "is_default")]
    pub cpus: Cpus,
    /// Memory in bytes.
    #[serde(skip_serializing_if = "is_default")]
    pub memory: Bytes,
    /// Number of processes.
    #[serde(skip_serializing_if = "is_default")]
    pub pids: i64,
    /// `x-*` attributes.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    pub extensions: Extensions,
}

/// What is kept for a container; zero means nothing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reservations {
    /// Number of processors.
    #[serde(skip_serializing_if = "is_default")]
    pub cpus: Cpus,
    /// Memory in bytes.
    #[serde(skip_serializing_if = "is_default")]
    pub memory: Bytes,
    /// Devices.
    #[serde(skip_serializing_if = "is_default")]
    pub devices: Vec<DeviceRequest>,
    /// Resources that the platform defines.
    #[serde(skip_serializing_if = "is_default")]
    pub generic_resources: Vec<GenericResource>,
    /// `x-*` attributes.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    pub extensions: Extensions,
}

/// An amount of a resource that the platform defines.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GenericResource {
    /// The resource and how much of it.
    #[serde(skip_serializing_if = "is_default")]
    pub discrete_resource_spec: Option<DiscreteResource>,
    /// `x-*` attributes.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    pub extensions: Extensions,
}

/// A resource that is counted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DiscreteResource {
    /// Which resource.
    pub kind: String,
    /// How many units.
    pub value: i64,
    /// `x-*` attributes.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    pub extensions: Extensions,
}

/// How an update or a rollback proceeds; used by Swarm only.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RolloutConfig {
    /// Containers at a time.
    #[serde(skip_serializing_if = "is_default")]
    pub parallelism: Option<u64>,
    /// Time between two groups.
    #[serde(skip_serializing_if = "is_default")]
    pub delay: Period,
    /// What to do when it fails.
    #[serde(skip_serializing_if = "is_default")]
    pub failure_action: String,
    /// How long a container is watched for failure.
    #[serde(skip_serializing_if = "is_default")]
    pub monitor: Period,
    /// Share of failures that is tolerated, 0 to 1.
    #[serde(skip_serializing_if = "is_default")]
    pub max_failure_ratio: f64,
    /// `start-first` or `stop-first`.
    #[serde(skip_serializing_if = "is_default")]
    pub order: String,
    /// `x-*` attributes.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    pub extensions: Extensions,
}

/// When a container is started again.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeployRestart {
    /// `none`, `on-failure` or `any`.
    #[serde(skip_serializing_if = "is_default")]
    pub condition: String,
    /// Time between two attempts.
    #[serde(skip_serializing_if = "is_default")]
    pub delay: Option<Period>,
    /// Number of attempts.
    #[serde(skip_serializing_if = "is_default")]
    pub max_attempts: Option<u64>,
    /// Time after which an attempt counts as successful.
    #[serde(skip_serializing_if = "is_default")]
    pub window: Option<Period>,
    /// `x-*` attributes.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    pub extensions: Extensions,
}

/// On which nodes containers may run; used by Swarm only.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Placement {
    /// Conditions on nodes.
    #[serde(skip_serializing_if = "is_default")]
    pub constraints: Vec<String>,
    /// How containers spread over nodes.
    #[serde(skip_serializing_if = "is_default")]
    pub preferences: Vec<Preference>,
    /// Largest number per node; 0 means no limit.
    #[serde(skip_serializing_if = "is_default")]
    pub max_replicas_per_node: u64,
    /// `x-*` attributes.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    pub extensions: Extensions,
}

/// A preference in [`Placement`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Preference {
    /// The label of nodes to spread over.
    #[serde(skip_serializing_if = "is_default")]
    pub spread: String,
    /// `x-*` attributes.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    pub extensions: Extensions,
}
