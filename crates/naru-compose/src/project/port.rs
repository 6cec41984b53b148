//! Published ports.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::restart::as_text;
use super::{Extensions, is_default};

/// A port of a container that is reachable from outside.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Port {
    /// A name for people.
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    /// `ingress` or `host`; both mean the same on one machine.
    #[serde(skip_serializing_if = "is_default")]
    pub mode: String,
    /// Address of the machine to listen on; every address when empty.
    #[serde(skip_serializing_if = "is_default")]
    pub host_ip: String,
    /// Port in the container.
    pub target: u16,
    /// Port of the machine: a number, or a range `8100-8110` of which one is taken; any free one when absent.
    #[serde(skip_serializing_if = "is_default")]
    pub published: Option<String>,
    /// Transport protocol.
    pub protocol: Protocol,
    /// Application protocol, for people.
    #[serde(skip_serializing_if = "is_default")]
    pub app_protocol: String,
    /// `x-*` attributes.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    pub extensions: Extensions,
}

impl Port {
    /// The attribute that says how packets get to a container.
    pub const PUBLISH: &str = "x-naru-publish";

    /// Whether the kernel translates addresses for this port (`x-naru-publish: nat`), instead of naru's proxy.
    pub fn is_translated(&self) -> bool {
        self.extensions.get(Self::PUBLISH).and_then(|value| value.as_str()) == Some("nat")
    }
}

/// Transport protocol of a port.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP; the default.
    #[default]
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// A word that is not the name of a transport protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a protocol: it must be tcp, udp or sctp")]
pub struct UnknownProtocol(String);

impl FromStr for Protocol {
    type Err = UnknownProtocol;

    fn from_str(text: &str) -> Result<Self, UnknownProtocol> {
        match text.to_ascii_lowercase().as_str() {
            "tcp" => Ok(Self::Tcp),
            "udp" => Ok(Self::Udp),
            "sctp" => Ok(Self::Sctp),
            _ => Err(UnknownProtocol(text.to_owned())),
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        })
    }
}

as_text!(Protocol);
