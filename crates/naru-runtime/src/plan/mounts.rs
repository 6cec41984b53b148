//! The mounts of a container as a list of operations.

use std::fmt;
use std::path::{Component, Path, PathBuf};

use oci_spec::runtime::Mount;
use serde::{Deserialize, Serialize};

use super::Options;
use super::options::parse;
use crate::Error;

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum MountOp {
    /// A new file system.
    Filesystem { kind: String, source: Option<String>, target: PathBuf, options: Options },
    /// A file or directory of the host.
    Bind { source: PathBuf, recursive: bool, target: PathBuf, options: Options },
    /// The container's control groups.
    Cgroup { target: PathBuf, hierarchies: Vec<Hierarchy>, options: Options },
}

/// A hierarchy of control groups as the container sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hierarchy {
    /// Directory below the mount of all hierarchies; empty when it is the only one.
    pub(crate) name: String,
    /// Controllers of a v1 hierarchy (`name=systemd` is one too); none for v2.
    pub(crate) controllers: Vec<String>,
}

impl MountOp {
    /// Where it is mounted.
    pub(crate) fn target(&self) -> &Path {
        match self {
            Self::Filesystem { target, .. }
            | Self::Bind { target, .. }
            | Self::Cgroup { target, .. } => target,
        }
    }
}

/// The operations for the mounts of the specification, in its order.
pub(super) fn mount_plan(
    mounts: &[Mount],
    hierarchies: &[Hierarchy],
) -> Result<Vec<MountOp>, Error> {
    mounts
        .iter()
        .enumerate()
        .map(|(index, mount)| mount_op(&format!("mounts[{index}]"), mount, hierarchies))
        .collect()
}

fn mount_op(field: &str, mount: &Mount, hierarchies: &[Hierarchy]) -> Result<MountOp, Error> {
    if mount.uid_mappings().is_some() || mount.gid_mappings().is_some() {
        return Err(Error::unsupported(format!("{field}.uidMappings")));
    }
    let empty = Vec::new();
    let options = parse(mount.options().as_ref().unwrap_or(&empty))
        .map_err(|option| Error::unsupported_value(format!("{field}.options"), option))?;
    let target = normalized(mount.destination())
        .ok_or_else(|| Error::invalid(format!("{field}.destination"), "it contains `..`"))?;
    let kind = mount.typ().as_deref().unwrap_or("");
    check_target(field, &target, kind)?;

    if options.bind.is_some() || kind == "bind" {
        return bind_op(field, mount, target, options);
    }
    match kind {
        "" | "none" => Err(Error::invalid(format!("{field}.type"), "it is missing")),
        "cgroup" | "cgroup2" => {
            Ok(MountOp::Cgroup { target, hierarchies: hierarchies.to_vec(), options })
        }
        _ => Ok(MountOp::Filesystem {
            kind: kind.to_owned(),
            source: mount.source().as_ref().map(|source| source.to_string_lossy().into_owned()),
            target,
            options,
        }),
    }
}

fn bind_op(
    field: &str,
    mount: &Mount,
    target: PathBuf,
    options: Options,
) -> Result<MountOp, Error> {
    let source = mount.source().clone().unwrap_or_default();
    if !source.is_absolute() {
        let reason = format!("{} is not an absolute path", source.display());
        return Err(Error::invalid(format!("{field}.source"), reason));
    }
    if let Some((key, _)) = options.data.first() {
        return Err(Error::unsupported_value(format!("{field}.options"), key));
    }
    let recursive = options.bind != Some(false);
    Ok(MountOp::Bind { source, recursive, target, options })
}

/// Nothing but proc itself is mounted in /proc, and nothing on the root.
fn check_target(field: &str, target: &Path, kind: &str) -> Result<(), Error> {
    let field = format!("{field}.destination");
    if target == Path::new("/") {
        return Err(Error::invalid(field, "the root is no place for a mount"));
    }
    if target.starts_with("/proc") && !(target == Path::new("/proc") && kind == "proc") {
        let reason = format!("{} is inside /proc", target.display());
        return Err(Error::invalid(field, reason));
    }
    Ok(())
}

/// The path from the root, without `.`; nothing if it has `..`.
pub(super) fn normalized(path: &Path) -> Option<PathBuf> {
    let mut normal = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => normal.push(name),
            Component::ParentDir => return None,
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    Some(normal)
}

impl fmt::Display for MountOp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, options) = match self {
            Self::Filesystem { kind, options, .. } => (kind.clone(), options),
            Self::Bind { source, recursive, options, .. } => {
                let kind = if *recursive { "rbind" } else { "bind" };
                (format!("{kind} {}", source.display()), options)
            }
            Self::Cgroup { hierarchies, options, .. } => {
                let names: Vec<&str> = hierarchies.iter().map(|h| h.name.as_str()).collect();
                (format!("cgroup [{}]", names.join(" ")), options)
            }
        };
        write!(formatter, "{what} on {}", self.target().display())?;
        write!(formatter, " set={:#x} clear={:#x}", options.set, options.clear)?;
        if options.recursive_set | options.recursive_clear != 0 {
            let (set, clear) = (options.recursive_set, options.recursive_clear);
            write!(formatter, " below: set={set:#x} clear={clear:#x}")?;
        }
        for (key, value) in &options.data {
            match value {
                Some(value) => write!(formatter, " {key}={value}")?,
                None => write!(formatter, " {key}")?,
            }
        }
        Ok(())
    }
}
