//! Everything that is mounted into a container, in an order that works.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use naru_compose::project::{Bytes, Mount as ServiceMount, MountKind};
use oci_spec::runtime::{Mount, MountBuilder};

use super::volumes::{check, clean};
use super::{Error, Inputs};

/// The host's side of what is mounted into a container. Bind mounts of the file need none: their source
/// is in the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prepared {
    /// Named and anonymous volumes.
    pub volumes: Vec<VolumeMount>,
    /// Files of secrets and configs; they can only be read.
    pub files: Vec<FileMount>,
    /// The files that every container gets.
    pub made: Option<MadeFiles>,
}

/// A volume and where it is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeMount {
    /// The path in the container.
    pub target: String,
    /// The volume's directory on the host.
    pub source: PathBuf,
}

/// A file and where it is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileMount {
    /// The path in the container.
    pub target: String,
    /// The file on the host.
    pub source: PathBuf,
}

/// The files that naru makes for a container, as paths on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadeFiles {
    /// `/etc/hosts`.
    pub hosts: PathBuf,
    /// `/etc/hostname`.
    pub hostname: PathBuf,
    /// `/etc/resolv.conf`.
    pub resolv_conf: PathBuf,
}

/// What may be mounted with tmpfs besides the words of [`FLAGS`].
const TMPFS_KEYS: [&str; 7] = ["size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol"];
/// Words that every mount understands.
const FLAGS: [&str; 14] = [
    "ro",
    "rw",
    "suid",
    "nosuid",
    "dev",
    "nodev",
    "exec",
    "noexec",
    "atime",
    "noatime",
    "diratime",
    "nodiratime",
    "relatime",
    "strictatime",
];

/// All mounts: the standard ones, unless the file mounts something in their place, then naru's files, then
/// the file's own, parents before children.
pub(super) fn all(inputs: &Inputs<'_>, standard: Vec<Mount>) -> Result<Vec<Mount>, Error> {
    check(inputs.image)?;
    let mut own: BTreeMap<String, Mount> = BTreeMap::new();
    for file in made(inputs) {
        own.insert(file.target.clone(), bind(&file.target, &file.source, &["rbind", "rprivate"])?);
    }
    for volume in &inputs.prepared.volumes {
        own.insert(clean(&volume.target), self::volume(inputs, volume)?);
    }
    for mount in &inputs.service.volumes {
        if let Some(made) = from_service(inputs, mount)? {
            own.insert(clean(&mount.target), made);
        }
    }
    for file in &inputs.prepared.files {
        let options = ["rbind", "rprivate", "ro"];
        own.insert(clean(&file.target), bind(&clean(&file.target), &file.source, &options)?);
    }
    for entry in &inputs.service.tmpfs {
        let (target, options) = entry.split_once(':').unwrap_or((entry, ""));
        let options: Vec<String> =
            options.split(',').filter(|o| !o.is_empty()).map(str::to_owned).collect();
        own.insert(clean(target), tmpfs("tmpfs", target, options)?);
    }
    if own.contains_key("/") {
        return Err(Error::invalid("volumes", "nothing can be mounted at /"));
    }
    let mut mounts = standard_mounts(inputs, standard, &own.keys().cloned().collect())?;
    let mut own: Vec<(String, Mount)> = own.into_iter().collect();
    own.sort_by_key(|(target, _)| target.matches('/').count());
    mounts.extend(own.into_iter().map(|(_, mount)| mount));
    Ok(mounts)
}

/// The standard mounts that stay: a mount in their place, or of `/dev` as a whole, takes them away.
fn standard_mounts(
    inputs: &Inputs<'_>,
    standard: Vec<Mount>,
    own: &BTreeSet<String>,
) -> Result<Vec<Mount>, Error> {
    let mut mounts = Vec::new();
    for mut mount in standard {
        let target = mount.destination().to_string_lossy().into_owned();
        if own.contains(&target) || (own.contains("/dev") && target.starts_with("/dev/")) {
            continue;
        }
        if target == "/dev/shm" {
            if inputs.service.ipc == "host" {
                mounts.push(bind(&target, Path::new("/dev/shm"), &["rbind", "rprivate"])?);
                continue;
            }
            if let Some(size) = inputs.service.shm_size.limit() {
                set_size(&mut mount, size);
            }
        }
        mounts.push(mount);
    }
    Ok(mounts)
}

fn set_size(mount: &mut Mount, size: u64) {
    let mut options = mount.options().clone().unwrap_or_default();
    options.retain(|option| !option.starts_with("size="));
    options.push(format!("size={size}"));
    mount.set_options(Some(options));
}

/// naru's own files, which can be written, as in Docker. Volumes at their place win.
fn made(inputs: &Inputs<'_>) -> Vec<FileMount> {
    let Some(made) = &inputs.prepared.made else { return Vec::new() };
    [
        ("/etc/hosts", &made.hosts),
        ("/etc/hostname", &made.hostname),
        ("/etc/resolv.conf", &made.resolv_conf),
    ]
    .into_iter()
    .map(|(target, source)| FileMount { target: target.to_owned(), source: source.clone() })
    .collect()
}

fn volume(inputs: &Inputs<'_>, volume: &VolumeMount) -> Result<Mount, Error> {
    let target = clean(&volume.target);
    let wanted = inputs.service.volumes.iter().find(|mount| clean(&mount.target) == target);
    if let Some(subpath) = wanted.and_then(|mount| mount.volume.as_ref()).map(|v| &v.subpath)
        && !subpath.is_empty()
    {
        return Err(Error::unsupported("volumes.volume.subpath"));
    }
    let mut options = vec!["rbind", "rprivate"];
    if wanted.is_some_and(|mount| mount.read_only) {
        options.push("ro");
    }
    bind(&target, &volume.source, &options)
}

/// A mount of the file that is not a volume.
fn from_service(inputs: &Inputs<'_>, mount: &ServiceMount) -> Result<Option<Mount>, Error> {
    match mount.kind {
        MountKind::Volume => {
            let target = clean(&mount.target);
            let is_prepared =
                inputs.prepared.volumes.iter().any(|volume| clean(&volume.target) == target);
            if is_prepared {
                return Ok(None);
            }
            let problem = format!("the volume for {} was not prepared", mount.target);
            Err(Error::invalid("volumes", problem))
        }
        MountKind::Bind => bind_mount(mount).map(Some),
        MountKind::Tmpfs => {
            let wanted = mount.tmpfs.clone().unwrap_or_default();
            let size = (wanted.size != Bytes::default()).then(|| format!("size={}", wanted.size));
            let mode = (wanted.mode != 0).then(|| format!("mode={:o}", wanted.mode));
            let access = mount.read_only.then(|| "ro".to_owned());
            let options = size.into_iter().chain(mode).chain(access).collect();
            tmpfs("volumes", &mount.target, options).map(Some)
        }
        MountKind::Image => Err(Error::unsupported("volumes of type \"image\"")),
        MountKind::Npipe => Err(Error::unsupported("volumes of type \"npipe\"")),
        MountKind::Cluster => Err(Error::unsupported("volumes of type \"cluster\"")),
    }
}

fn bind_mount(mount: &ServiceMount) -> Result<Mount, Error> {
    let wanted = mount.bind.clone().unwrap_or_default();
    let source = clean(&mount.source);
    if matches!(source.as_str(), "/var/run/docker.sock" | "/run/docker.sock") {
        let problem = "Docker's socket cannot be mounted: there is no Docker behind it";
        return Err(Error::invalid("volumes", problem));
    }
    let propagation = match wanted.propagation.as_str() {
        "" => "rprivate",
        word @ ("private" | "rprivate" | "slave" | "rslave") => word,
        other => {
            return Err(Error::unsupported(format!("volumes.bind.propagation \"{other}\"")));
        }
    };
    let (kind, read_only) = match wanted.recursive.as_str() {
        "" | "enabled" | "readonly" => ("rbind", "rro"),
        "writable" => ("rbind", "ro"),
        "disabled" => ("bind", "ro"),
        other => {
            let problem = format!("\"{other}\" is not enabled, disabled, writable or readonly");
            return Err(Error::invalid("volumes.bind.recursive", problem));
        }
    };
    let mut options = vec![kind, propagation];
    if mount.read_only {
        options.push(read_only);
    }
    bind(&clean(&mount.target), Path::new(&mount.source), &options)
}

fn bind(target: &str, source: &Path, options: &[&str]) -> Result<Mount, Error> {
    let options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
    let builder = MountBuilder::default().destination(target).typ("bind").source(source);
    Ok(builder.options(options).build()?)
}

/// A file system in memory; options of the file come after Docker's and win.
fn tmpfs(attribute: &str, target: &str, options: Vec<String>) -> Result<Mount, Error> {
    for option in &options {
        let is_known = match option.split_once('=') {
            Some((key, value)) => TMPFS_KEYS.contains(&key) && !value.is_empty(),
            None => FLAGS.contains(&option.as_str()),
        };
        if !is_known {
            let problem = format!("\"{option}\" is not an option of tmpfs");
            return Err(Error::invalid(attribute, problem));
        }
    }
    let mut all: Vec<String> = ["noexec", "nosuid", "nodev"].map(str::to_owned).to_vec();
    all.extend(options);
    let builder = MountBuilder::default().destination(clean(target)).typ("tmpfs").source("tmpfs");
    Ok(builder.options(all).build()?)
}
