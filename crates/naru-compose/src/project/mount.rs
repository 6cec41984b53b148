//! What is mounted into a container: volumes, and files from secrets and configs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Bytes, Extensions, FileMode, is_default};

/// Something mounted into a container at `target`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Mount {
    /// What is mounted.
    #[serde(rename = "type")]
    pub kind: MountKind,
    /// Absolute path on the host, key of a volume, or image; an anonymous volume when empty.
    #[serde(skip_serializing_if = "is_default")]
    pub source: String,
    /// Absolute path in the container.
    #[serde(skip_serializing_if = "is_default")]
    pub target: String,
    /// Whether the container may only read.
    #[serde(skip_serializing_if = "is_default")]
    pub read_only: bool,
    /// Read by Docker Desktop only.
    #[serde(skip_serializing_if = "is_default")]
    pub consistency: String,
    /// Options of a bind mount.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bind: Option<BindOptions>,
    /// Options of a volume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume: Option<VolumeOptions>,
    /// Options of a tmpfs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tmpfs: Option<TmpfsOptions>,
    /// Options of an image mount.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageOptions>,
    /// `x-*` attributes.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    pub extensions: Extensions,
}

/// What a [`Mount`] mounts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MountKind {
    /// A named volume, or an anonymous one.
    #[default]
    Volume,
    /// A file or directory of the host.
    Bind,
    /// A file system in memory.
    Tmpfs,
    /// The files of an image.
    Image,
    /// A named pipe of Windows.
    Npipe,
    /// A volume of a Swarm cluster.
    Cluster,
}

/// Options of a bind mount.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BindOptions {
    /// `z` or `Z`: how the source is labelled for SELinux.
    #[serde(skip_serializing_if = "is_default")]
    pub selinux: String,
    /// `x-*` attributes.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    pub extensions: Extensions,
    /// `[r]private`, `[r]shared` or `[r]slave`; `rprivate` when empty.
    #[serde(skip_serializing_if = "is_default")]
    pub propagation: String,
    /// Whether a missing source is made, as a directory.
    #[serde(skip_serializing_if = "is_default")]
    pub create_host_path: bool,
    /// `enabled`, `disabled`, `writable` or `readonly`: what happens to mounts below the source.
    #[serde(skip_serializing_if = "is_default")]
    pub recursive: String,
}

/// Options of a volume mount.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct VolumeOptions {
    /// Labels of an anonymous volume.
    #[serde(skip_serializing_if = "is_default")]
    pub labels: BTreeMap<String, String>,
    /// Whether the image's files are not copied into an empty volume.
    #[serde(skip_serializing_if = "is_default")]
    pub nocopy: bool,
    /// A directory of the volume to mount in place of its root.
    #[serde(skip_serializing_if = "is_default")]
    pub subpath: String,
    /// `x-*` attributes.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    pub extensions: Extensions,
}

/// Options of a tmpfs mount.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TmpfsOptions {
    /// Largest size in bytes; half of the memory when 0.
    #[serde(skip_serializing_if = "is_default")]
    pub size: Bytes,
    /// Permission bits of its root as a plain number; 0o1777 when 0.
    #[serde(skip_serializing_if = "is_default")]
    pub mode: u32,
    /// `x-*` attributes.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    pub extensions: Extensions,
}

/// Options of an image mount.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageOptions {
    /// A directory of the image to mount in place of its root.
    #[serde(skip_serializing_if = "is_default")]
    pub subpath: String,
    /// `x-*` attributes.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    pub extensions: Extensions,
}

/// A file with variables of a service.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EnvFile {
    /// Its path.
    pub path: String,
    /// Whether it has to be there.
    pub required: bool,
    /// `raw` for a file without quotes and variables.
    #[serde(skip_serializing_if = "is_default")]
    pub format: String,
    /// `x-*` attributes.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    pub extensions: Extensions,
}

/// A secret or config that a service or a build sees as a file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FileReference {
    /// Key of the secret or config.
    #[serde(skip_serializing_if = "is_default")]
    pub source: String,
    /// Absolute path in the container, or a name below `/run/secrets`; for a config `/` and its key when empty.
    #[serde(skip_serializing_if = "is_default")]
    pub target: String,
    /// User of the file, as written; not honoured for bind-mounted files.
    #[serde(skip_serializing_if = "is_default")]
    pub uid: String,
    /// Group of the file, as written.
    #[serde(skip_serializing_if = "is_default")]
    pub gid: String,
    /// Permission bits; 0o444 when absent.
    #[serde(skip_serializing_if = "is_default")]
    pub mode: Option<FileMode>,
    /// `x-*` attributes.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    pub extensions: Extensions,
}
