//! An image as the rest of naru sees it.

use oci_spec::image::ImageConfiguration;
use serde::Serialize;
use serde_json::Value;

use crate::config::{self, Healthcheck};
use crate::digest::Digest;
use crate::error::Error;
use crate::reference::Reference;

/// One image of the store with everything needed to make a container of it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Image {
    /// The digest of its configuration: what `docker images` calls the image's id.
    pub id: Digest,
    /// The digest of its manifest: what a name pinned with `@` means.
    pub manifest: Digest,
    /// The names that stand for it, possibly none.
    pub names: Vec<Reference>,
    /// How its containers are to be started.
    pub config: ImageConfiguration,
    /// The health check it brings along.
    pub healthcheck: Option<Healthcheck>,
    /// The shell its commands in shell form are meant for.
    pub shell: Option<Vec<String>>,
    /// When it was made, as it says itself (RFC 3339).
    pub created: Option<String>,
    /// Bytes of all files in its layers.
    pub size: u64,
    /// The digests of its expanded layers, lowest first.
    pub layers: Vec<Digest>,
    /// The digests of its layers as they are stored, in the same order.
    pub(crate) blobs: Vec<Digest>,
}

impl Image {
    /// The platform it is made for, such as `linux/amd64`.
    pub fn platform(&self) -> String {
        format!("{}/{}", self.config.os(), self.config.architecture())
    }

    /// Whether this machine can run it.
    ///
    /// # Errors
    /// [`Error::Platform`] names both sides when it cannot.
    pub fn check_platform(&self) -> Result<(), Error> {
        let (os, architecture) =
            (self.config.os().to_string(), self.config.architecture().to_string());
        if config::runs_here(&os, &architecture) {
            return Ok(());
        }
        Err(Error::Platform { wanted: this_platform(), found: self.platform() })
    }
}

/// The platform of this machine, such as `linux/amd64`.
pub fn this_platform() -> String {
    format!("linux/{}", config::architecture())
}

/// The details `naru image inspect` prints, under the names Docker gives them.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Inspection {
    /// The image's id.
    pub id: Digest,
    /// Names with tags.
    pub repo_tags: Vec<String>,
    /// Names with the manifest's digest.
    pub repo_digests: Vec<String>,
    /// The comment given when it was made.
    pub comment: String,
    /// When it was made.
    pub created: String,
    /// Who made it.
    pub author: String,
    /// The configuration for containers, as the image has it.
    pub config: Value,
    /// Its architecture.
    pub architecture: String,
    /// Its operating system.
    pub os: String,
    /// Bytes of all files in its layers.
    pub size: u64,
    /// The layers.
    #[serde(rename = "RootFS")]
    pub root_fs: Layers,
}

/// The layers of an [`Inspection`].
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Layers {
    /// Always `layers`.
    #[serde(rename = "Type")]
    pub kind: &'static str,
    /// The digests of the expanded layers, lowest first.
    pub layers: Vec<Digest>,
}
