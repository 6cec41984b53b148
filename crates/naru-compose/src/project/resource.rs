//! What a project declares beside its services: networks, volumes, secrets, configs and models.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Extensions, is_default};

/// A network.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Network {
    /// Name on the host.
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    /// Driver; `bridge` when empty.
    #[serde(skip_serializing_if = "is_default")]
    pub driver: String,
    /// Options for the driver.
    #[serde(skip_serializing_if = "is_default")]
    pub driver_opts: BTreeMap<String, String>,
    /// Where addresses come from.
    pub ipam: Ipam,
    /// Whether it exists already and is neither made nor removed.
    #[serde(skip_serializing_if = "is_default")]
    pub external: bool,
    /// Whether nothing outside can be reached from it.
    #[serde(skip_serializing_if = "is_default")]
    pub internal: bool,
    /// Whether containers outside the project may join.
    #[serde(skip_serializing_if = "is_default")]
    pub attachable: bool,
    /// Labels.
    #[serde(skip_serializing_if = "is_default")]
    pub labels: BTreeMap<String, String>,
    /// Whether it has IPv4; it has when absent.
    #[serde(skip_serializing_if = "is_default")]
    pub enable_ipv4: Option<bool>,
    /// Whether it has IPv6; it has not when absent.
    #[serde(skip_serializing_if = "is_default")]
    pub enable_ipv6: Option<bool>,
    /// `x-*` attributes.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    pub extensions: Extensions,
}

/// Where a network's addresses come from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ipam {
    /// Driver; `default` when empty.
    #[serde(skip_serializing_if = "is_default")]
    pub driver: String,
    /// Pools of addresses; chosen by naru when empty.
    #[serde(skip_serializing_if = "is_default")]
    pub config: Vec<IpamPool>,
    /// `x-*` attributes.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    pub extensions: Extensions,
}

/// A pool of addresses of a network.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct IpamPool {
    /// The subnet in CIDR notation.
    #[serde(skip_serializing_if = "is_default")]
    pub subnet: String,
    /// The bridge's own address; the subnet's first when empty.
    #[serde(skip_serializing_if = "is_default")]
    pub gateway: String,
    /// The part of the subnet that containers get addresses from, in CIDR notation.
    #[serde(skip_serializing_if = "is_default")]
    pub ip_range: String,
    /// Addresses that no container gets, by name.
    #[serde(skip_serializing_if = "is_default")]
    pub aux_addresses: BTreeMap<String, String>,
    /// `x-*` attributes.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    pub extensions: Extensions,
}

/// A named volume.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Volume {
    /// Name on the host.
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    /// Driver; `local` when empty.
    #[serde(skip_serializing_if = "is_default")]
    pub driver: String,
    /// Options for the driver.
    #[serde(skip_serializing_if = "is_default")]
    pub driver_opts: BTreeMap<String, String>,
    /// Whether it exists already and is neither made nor removed.
    #[serde(skip_serializing_if = "is_default")]
    pub external: bool,
    /// Labels.
    #[serde(skip_serializing_if = "is_default")]
    pub labels: BTreeMap<String, String>,
    /// `x-*` attributes.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    pub extensions: Extensions,
}

/// A secret or a config: where the bytes of a file come from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FileObject {
    /// Name on the host.
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    /// Absolute path of a file on the host.
    #[serde(skip_serializing_if = "is_default")]
    pub file: String,
    /// Environment variable that holds the content.
    #[serde(skip_serializing_if = "is_default")]
    pub environment: String,
    /// The content itself: of a config that gives it, or of the variable named by `environment`,
    /// which the loader fills in and printing leaves out.
    #[serde(skip_serializing_if = "is_default")]
    pub content: String,
    /// Whether it is kept by a platform.
    #[serde(skip_serializing_if = "is_default")]
    pub external: bool,
    /// Labels.
    #[serde(skip_serializing_if = "is_default")]
    pub labels: BTreeMap<String, String>,
    /// Driver of a platform.
    #[serde(skip_serializing_if = "is_default")]
    pub driver: String,
    /// Options for the driver.
    #[serde(skip_serializing_if = "is_default")]
    pub driver_opts: BTreeMap<String, String>,
    /// Template engine of a platform.
    #[serde(skip_serializing_if = "is_default")]
    pub template_driver: String,
    /// `x-*` attributes.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    pub extensions: Extensions,
}

/// A language model.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Model {
    /// Name of the model.
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    /// Reference of the model's artifact.
    #[serde(skip_serializing_if = "is_default")]
    pub model: String,
    /// Size of the context in tokens.
    #[serde(skip_serializing_if = "is_default")]
    pub context_size: i64,
    /// Flags for the runtime.
    #[serde(skip_serializing_if = "is_default")]
    pub runtime_flags: Vec<String>,
    /// `x-*` attributes.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    pub extensions: Extensions,
}

/// How a service learns about a model.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ModelReference {
    /// Variable that gets the model's address.
    #[serde(skip_serializing_if = "is_default")]
    pub endpoint_var: String,
    /// Variable that gets the model's name.
    #[serde(skip_serializing_if = "is_default")]
    pub model_var: String,
    /// `x-*` attributes.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    pub extensions: Extensions,
}
