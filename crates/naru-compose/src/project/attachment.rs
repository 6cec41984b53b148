//! How a service is on the network: its attachments, its mode, and the host names it knows.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::restart::as_text;
use super::{Extensions, is_default};

/// A service's place on one network.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Attachment {
    /// Further names of the service on this network.
    #[serde(skip_serializing_if = "is_default")]
    pub aliases: Vec<String>,
    /// Options for the network's driver.
    #[serde(skip_serializing_if = "is_default")]
    pub driver_opts: BTreeMap<String, String>,
    /// The network with the highest number gives the default route.
    #[serde(skip_serializing_if = "is_default")]
    pub gw_priority: i64,
    /// `x-*` attributes.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    pub extensions: Extensions,
    /// Name of the interface inside the container.
    #[serde(skip_serializing_if = "is_default")]
    pub interface_name: String,
    /// A fixed IPv4 address.
    #[serde(skip_serializing_if = "is_default")]
    pub ipv4_address: String,
    /// A fixed IPv6 address.
    #[serde(skip_serializing_if = "is_default")]
    pub ipv6_address: String,
    /// Link-local addresses to add.
    #[serde(skip_serializing_if = "is_default")]
    pub link_local_ips: Vec<String>,
    /// Hardware address of the interface.
    #[serde(skip_serializing_if = "is_default")]
    pub mac_address: String,
    /// Networks are attached in descending order of this number.
    #[serde(skip_serializing_if = "is_default")]
    pub priority: i64,
}

/// `network_mode`: a network that is not one of the project's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetworkMode {
    /// Only the loopback interface.
    None,
    /// The machine's own network.
    Host,
    /// Docker's default bridge.
    Bridge,
    /// The network of another service's container.
    Service(String),
    /// The network of a container by name or id.
    Container(String),
    /// A network by its name on the host.
    Other(String),
}

impl FromStr for NetworkMode {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match (text, text.split_once(':')) {
            ("none", _) => Self::None,
            ("host", _) => Self::Host,
            ("bridge", _) => Self::Bridge,
            (_, Some(("service", name))) => Self::Service(name.to_owned()),
            (_, Some(("container", name))) => Self::Container(name.to_owned()),
            _ => Self::Other(text.to_owned()),
        })
    }
}

impl fmt::Display for NetworkMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Host => f.write_str("host"),
            Self::Bridge => f.write_str("bridge"),
            Self::Service(name) => write!(f, "service:{name}"),
            Self::Container(name) => write!(f, "container:{name}"),
            Self::Other(text) => f.write_str(text),
        }
    }
}

as_text!(NetworkMode);

/// Lines for a container's `/etc/hosts`: each name with its addresses. An address may be the word
/// `host-gateway`. Serialized as a sorted list of `name=address`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExtraHosts(pub BTreeMap<String, Vec<String>>);

impl Serialize for ExtraHosts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        for (name, addresses) in &self.0 {
            for address in addresses {
                list.serialize_element(&format_args!("{name}={address}").to_string())?;
            }
        }
        list.end()
    }
}

impl<'de> Deserialize<'de> for ExtraHosts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut hosts = BTreeMap::<String, Vec<String>>::new();
        for line in Vec::<String>::deserialize(deserializer)? {
            let (name, address) = line.split_once('=').ok_or_else(|| {
                serde::de::Error::custom(format_args!("`{line}` is not of the form `name=address`"))
            })?;
            hosts.entry(name.to_owned()).or_default().push(address.to_owned());
        }
        Ok(Self(hosts))
    }
}
