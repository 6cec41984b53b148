//! Devices, block I/O, logging and credentials of a service.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Bytes, Extensions, is_default};

/// A device of the host inside a container.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Device {
    /// Path on the host, or a CDI name.
    #[serde(skip_serializing_if = "is_default")]
    pub source: String,
    /// Path in the container.
    #[serde(skip_serializing_if = "is_default")]
    pub target: String,
    /// Some of `r`, `w` and `m`.
    #[serde(skip_serializing_if = "is_default")]
    pub permissions: String,
    /// `x-*` attributes.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    pub extensions: Extensions,
}

/// Devices asked for by what they can do.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeviceRequest {
    /// What the device has to be able to do, such as `gpu`.
    #[serde(skip_serializing_if = "is_default")]
    pub capabilities: Vec<String>,
    /// Driver.
    #[serde(skip_serializing_if = "is_default")]
    pub driver: String,
    /// How many; -1 means all.
    #[serde(skip_serializing_if = "is_default")]
    pub count: i64,
    /// Which ones.
    #[serde(skip_serializing_if = "is_default")]
    pub device_ids: Vec<String>,
    /// Options for the driver.
    #[serde(skip_serializing_if = "is_default")]
    pub options: BTreeMap<String, String>,
    /// `x-*` attributes.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    pub extensions: Extensions,
}

/// Limits on block I/O.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BlkioConfig {
    /// Relative weight, 10 to 1000; 0 means not set.
    #[serde(skip_serializing_if = "is_default")]
    pub weight: u16,
    /// Weights of single devices.
    #[serde(skip_serializing_if = "is_default")]
    pub weight_device: Vec<WeightDevice>,
    /// Bytes per second that may be read.
    #[serde(skip_serializing_if = "is_default")]
    pub device_read_bps: Vec<ThrottleDevice>,
    /// Operations per second that may read.
    #[serde(skip_serializing_if = "is_default")]
    pub device_read_iops: Vec<ThrottleDevice>,
    /// Bytes per second that may be written.
    #[serde(skip_serializing_if = "is_default")]
    pub device_write_bps: Vec<ThrottleDevice>,
    /// Operations per second that may write.
    #[serde(skip_serializing_if = "is_default")]
    pub device_write_iops: Vec<ThrottleDevice>,
    /// `x-*` attributes.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    pub extensions: Extensions,
}

/// The weight of one device. The capital letters are docker compose's.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WeightDevice {
    /// Path of the device on the host.
    pub path: String,
    /// Relative weight, 10 to 1000.
    pub weight: u16,
    /// `x-*` attributes.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    pub extensions: Extensions,
}

/// The rate of one device. The capital letters are docker compose's.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ThrottleDevice {
    /// Path of the device on the host.
    pub path: String,
    /// Bytes or operations per second.
    pub rate: Bytes,
    /// `x-*` attributes.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    pub extensions: Extensions,
}

/// Where a container's output goes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Logging {
    /// Driver.
    #[serde(skip_serializing_if = "is_default")]
    pub driver: String,
    /// Options for the driver.
    #[serde(skip_serializing_if = "is_default")]
    pub options: BTreeMap<String, String>,
    /// `x-*` attributes.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    pub extensions: Extensions,
}

/// Credentials of a managed service account of Windows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CredentialSpec {
    /// Key of a config.
    #[serde(skip_serializing_if = "is_default")]
    pub config: String,
    /// Path of a file.
    #[serde(skip_serializing_if = "is_default")]
    pub file: String,
    /// Key of the registry of Windows.
    #[serde(skip_serializing_if = "is_default")]
    pub registry: String,
    /// `x-*` attributes.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    pub extensions: Extensions,
}
