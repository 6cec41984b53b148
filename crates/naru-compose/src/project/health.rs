//! Health checks, and what a service waits for.

use serde::{Deserialize, Serialize};

use super::{Extensions, Period, is_default};

/// How a container's health is found out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Healthcheck {
    /// `["NONE"]`, `["CMD", program, …]` or `["CMD-SHELL", line]`; the image's own test when empty.
    #[serde(skip_serializing_if = "is_default")]
    pub test: Vec<String>,
    /// Time after which a probe has failed; 30 s when absent.
    #[serde(skip_serializing_if = "is_default")]
    pub timeout: Option<Period>,
    /// Time between two probes; 30 s when absent.
    #[serde(skip_serializing_if = "is_default")]
    pub interval: Option<Period>,
    /// Failures in a row until the container is unhealthy; 3 when absent.
    #[serde(skip_serializing_if = "is_default")]
    pub retries: Option<u64>,
    /// Time after the start in which failures do not count; none when absent.
    #[serde(skip_serializing_if = "is_default")]
    pub start_period: Option<Period>,
    /// Time between two probes during the start period; 5 s when absent.
    #[serde(skip_serializing_if = "is_default")]
    pub start_interval: Option<Period>,
    /// No probing at all, also not by the image's own test.
    #[serde(skip_serializing_if = "is_default")]
    pub disable: bool,
    /// `x-*` attributes.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    pub extensions: Extensions,
}

/// What a service needs of another one before it starts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Dependency {
    /// The state to wait for.
    pub condition: Condition,
    /// Whether a restart of the dependency by naru restarts this service as well.
    #[serde(skip_serializing_if = "is_default")]
    pub restart: bool,
    /// Whether the dependency has to exist and to succeed; otherwise its absence is only a warning.
    pub required: bool,
    /// `x-*` attributes.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    pub extensions: Extensions,
}

impl Default for Dependency {
    fn default() -> Self {
        Self {
            condition: Condition::default(),
            restart: false,
            required: true,
            extensions: Extensions::new(),
        }
    }
}

/// The state of a dependency that a service waits for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Condition {
    /// It runs.
    #[default]
    #[serde(rename = "service_started")]
    Started,
    /// Its health check succeeds.
    #[serde(rename = "service_healthy")]
    Healthy,
    /// It ended with exit code 0.
    #[serde(rename = "service_completed_successfully")]
    CompletedSuccessfully,
}
