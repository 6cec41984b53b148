//! How an image is built, and limits on processes, which builds have as well.

use std::collections::BTreeMap;

use serde::ser::SerializeStruct;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Bytes, Extensions, ExtraHosts, FileReference, is_default};

/// How a service's image is built.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Build {
    /// Absolute directory, or the address of a remote context.
    #[serde(skip_serializing_if = "is_default")]
    pub context: String,
    /// Path of the Dockerfile, relative to the context.
    #[serde(skip_serializing_if = "is_default")]
    pub dockerfile: String,
    /// The Dockerfile itself.
    #[serde(skip_serializing_if = "is_default")]
    pub dockerfile_inline: String,
    /// Rights the build may use.
    #[serde(skip_serializing_if = "is_default")]
    pub entitlements: Vec<String>,
    /// Build arguments; without a value they come from the environment.
    #[serde(skip_serializing_if = "is_default")]
    pub args: BTreeMap<String, Option<String>>,
    /// Provenance attestation.
    #[serde(skip_serializing_if = "is_default")]
    pub provenance: String,
    /// Software bill of materials.
    #[serde(skip_serializing_if = "is_default")]
    pub sbom: String,
    /// SSH agents and keys: `default` or `id=path`.
    #[serde(skip_serializing_if = "is_default")]
    pub ssh: Vec<String>,
    /// Labels of the image.
    #[serde(skip_serializing_if = "is_default")]
    pub labels: BTreeMap<String, String>,
    /// Caches to read.
    #[serde(skip_serializing_if = "is_default")]
    pub cache_from: Vec<String>,
    /// Caches to write.
    #[serde(skip_serializing_if = "is_default")]
    pub cache_to: Vec<String>,
    /// Whether every step runs again.
    #[serde(skip_serializing_if = "is_default")]
    pub no_cache: bool,
    /// Stages of which every step runs again.
    #[serde(skip_serializing_if = "is_default")]
    pub no_cache_filter: Vec<String>,
    /// Further contexts by name.
    #[serde(skip_serializing_if = "is_default")]
    pub additional_contexts: BTreeMap<String, String>,
    /// Whether base images are looked for in their registries.
    #[serde(skip_serializing_if = "is_default")]
    pub pull: bool,
    /// Host names known during the build.
    #[serde(skip_serializing_if = "is_default")]
    pub extra_hosts: ExtraHosts,
    /// Isolation technology.
    #[serde(skip_serializing_if = "is_default")]
    pub isolation: String,
    /// Network of the build's steps.
    #[serde(skip_serializing_if = "is_default")]
    pub network: String,
    /// Stage to build.
    #[serde(skip_serializing_if = "is_default")]
    pub target: String,
    /// Secrets that steps can mount.
    #[serde(skip_serializing_if = "is_default")]
    pub secrets: Vec<FileReference>,
    /// Size of `/dev/shm` in bytes.
    #[serde(skip_serializing_if = "is_default")]
    pub shm_size: Bytes,
    /// Further names of the image.
    #[serde(skip_serializing_if = "is_default")]
    pub tags: Vec<String>,
    /// Limits of processes.
    #[serde(skip_serializing_if = "is_default")]
    pub ulimits: BTreeMap<String, Ulimit>,
    /// Platforms to build for.
    #[serde(skip_serializing_if = "is_default")]
    pub platforms: Vec<String>,
    /// Whether steps run with extended rights.
    #[serde(skip_serializing_if = "is_default")]
    pub privileged: bool,
    /// `x-*` attributes.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    pub extensions: Extensions,
}

/// A limit of a process; -1 means no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ulimit {
    /// Soft and hard limit are the same.
    Single(i64),
    /// Soft and hard limit.
    Range {
        /// What is enforced.
        soft: i64,
        /// What the process may raise the soft limit to.
        hard: i64,
    },
}

impl Ulimit {
    /// What is enforced.
    #[must_use]
    pub fn soft(self) -> i64 {
        match self {
            Self::Single(limit) | Self::Range { soft: limit, .. } => limit,
        }
    }

    /// What the process may raise the soft limit to.
    #[must_use]
    pub fn hard(self) -> i64 {
        match self {
            Self::Single(limit) | Self::Range { hard: limit, .. } => limit,
        }
    }
}

impl Serialize for Ulimit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::Single(limit) => serializer.serialize_i64(limit),
            Self::Range { soft, hard } => {
                let mut fields = serializer.serialize_struct("Ulimit", 2)?;
                fields.serialize_field("soft", &soft)?;
                fields.serialize_field("hard", &hard)?;
                fields.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Ulimit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UlimitVisitor)
    }
}

/// Reads a [`Ulimit`] from a number or from an object.
struct UlimitVisitor;

impl<'de> serde::de::Visitor<'de> for UlimitVisitor {
    type Value = Ulimit;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a number, or `soft` and `hard`")
    }

    fn visit_i64<E: serde::de::Error>(self, limit: i64) -> Result<Ulimit, E> {
        Ok(Ulimit::Single(limit))
    }

    fn visit_u64<E: serde::de::Error>(self, limit: u64) -> Result<Ulimit, E> {
        i64::try_from(limit).map(Ulimit::Single).map_err(E::custom)
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Ulimit, A::Error> {
        let (mut soft, mut hard) = (0, 0);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "soft" => soft = map.next_value()?,
                "hard" => hard = map.next_value()?,
                _ => {
                    map.next_value::<serde::de::IgnoredAny>()?;
                }
            }
        }
        Ok(Ulimit::Range { soft, hard })
    }
}
