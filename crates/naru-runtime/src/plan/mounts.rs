//! The mounts of a container as a list of operations.

use std::fmt;
use std::path::{Component, Path, PathBuf};

use oci_spec::runtime::Mount;
use serde::{Deserialize, Serialize};

use super::namespaces::{Namespaces, flags, id_ranges};
use super::options::{READ_ONLY, parse};
use super::{IdMaps, Options, Slot};
use crate::Error;

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum MountOp {
    /// A new file system.
    Filesystem { kind: String, source: Option<String>, target: PathBuf, options: Options },
    /// A file or directory of the host, opened by the caller or by the process itself.
    Bind {
        source: PathBuf,
        recursive: bool,
        target: PathBuf,
        options: Options,
        opened: Option<Slot>,
        /// Ids are mapped on the way; with true on all mounts below too.
        ids: Option<(IdSource, bool)>,
    },
    /// The container's control groups: as its cgroup namespace sees them, or bound one by one.
    Cgroup { target: PathBuf, hierarchies: Vec<Hierarchy>, bound: bool, options: Options },
    /// What is mounted there by then has these options and no others.
    Change { target: PathBuf, options: Options },
}

/// A hierarchy of control groups as the container sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hierarchy {
    /// Directory below the mount of all hierarchies; empty when it is the only one.
    pub(crate) name: String,
    /// Controllers of a v1 hierarchy (`name=systemd` is one too); none for v2.
    pub(crate) controllers: Vec<String>,
    /// The container's group on the host.
    pub(crate) group: PathBuf,
}

/// By which ids files of a mount are seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum IdSource {
    /// Those of the specification.
    Maps(IdMaps),
    /// Those of the user namespace that the container joins.
    Joined,
}

impl MountOp {
    /// Where it is mounted.
    pub(crate) fn target(&self) -> &Path {
        match self {
            Self::Filesystem { target, .. }
            | Self::Bind { target, .. }
            | Self::Cgroup { target, .. }
            | Self::Change { target, .. } => target,
        }
    }

    /// It is to be read-only.
    pub(crate) fn is_read_only(&self) -> bool {
        let (Self::Filesystem { options, .. }
        | Self::Bind { options, .. }
        | Self::Cgroup { options, .. }
        | Self::Change { options, .. }) = self;
        options.set & READ_ONLY != 0
    }
}

/// The operations for the mounts of the specification, in its order.
pub(super) fn mount_plan(
    mounts: &[Mount],
    hierarchies: &[Hierarchy],
    namespaces: &Namespaces,
) -> Result<Vec<MountOp>, Error> {
    let op = |(index, mount)| mount_op(&format!("mounts[{index}]"), mount, hierarchies, namespaces);
    mounts.iter().enumerate().map(op).collect()
}

fn mount_op(
    field: &str,
    mount: &Mount,
    hierarchies: &[Hierarchy],
    namespaces: &Namespaces,
) -> Result<MountOp, Error> {
    let empty = Vec::new();
    let options = parse(mount.options().as_ref().unwrap_or(&empty))
        .map_err(|option| Error::unsupported_value(format!("{field}.options"), option))?;
    let target = normalized(mount.destination())
        .ok_or_else(|| Error::invalid(format!("{field}.destination"), "it contains `..`"))?;
    let kind = mount.typ().as_deref().unwrap_or("");
    let bind = options.bind.is_some() || kind == "bind";
    check_target(field, &target, kind, bind)?;
    if options.copy_up && (bind || kind != "tmpfs") {
        return Err(Error::invalid(format!("{field}.options"), "tmpcopyup is for a tmpfs"));
    }

    if options.remount {
        return change_op(field, target, options);
    }
    let ids = mount_ids(field, mount, &options, namespaces)?;
    if bind {
        return bind_op(field, mount, target, options, ids);
    }
    if ids.is_some() {
        let reason = "only a bind mount can have ids of its own";
        return Err(Error::invalid(format!("{field}.uidMappings"), reason));
    }
    match kind {
        "" | "none" => Err(Error::invalid(format!("{field}.type"), "it is missing")),
        "cgroup" | "cgroup2" => {
            let hierarchies = hierarchies.to_vec();
            let bound = bound_groups(&hierarchies, namespaces);
            Ok(MountOp::Cgroup { target, hierarchies, bound, options })
        }
        _ => Ok(match hosts_instead(kind, namespaces) {
            Some(source) => MountOp::Bind {
                source: source.into(),
                recursive: true,
                target,
                options: Options { data: Vec::new(), ..options },
                opened: None,
                ids: None,
            },
            None => MountOp::Filesystem {
                kind: kind.to_owned(),
                source: mount.source().as_ref().map(|source| source.to_string_lossy().into_owned()),
                target,
                options,
            },
        }),
    }
}

/// Without a cgroup namespace of its own the container would see the groups of the host, so it gets its
/// own ones only. Of cgroup v2 alone it sees all, as the paths in its /proc do, unless a user namespace
/// keeps it from mounting that.
fn bound_groups(hierarchies: &[Hierarchy], namespaces: &Namespaces) -> bool {
    let only_v2 = matches!(hierarchies, [only] if only.name.is_empty());
    !namespaces.owns(flags::CGROUP) && (!only_v2 || namespaces.owns(flags::USER))
}

/// A user namespace cannot mount the view of a namespace that is not its own; it shows the host's.
fn hosts_instead(kind: &str, namespaces: &Namespaces) -> Option<&'static str> {
    let (flag, path) = match kind {
        "sysfs" => (flags::NET, "/sys"),
        "mqueue" => (flags::IPC, "/dev/mqueue"),
        _ => return None,
    };
    (namespaces.owns(flags::USER) && !namespaces.owns(flag)).then_some(path)
}

/// The ids of a mount: its own, or with `idmap` alone those of the container.
fn mount_ids(
    field: &str,
    mount: &Mount,
    options: &Options,
    namespaces: &Namespaces,
) -> Result<Option<(IdSource, bool)>, Error> {
    let uid_field = format!("{field}.uidMappings");
    let maps = IdMaps {
        uid: id_ranges(&uid_field, mount.uid_mappings().as_deref())?,
        gid: id_ranges(&format!("{field}.gidMappings"), mount.gid_mappings().as_deref())?,
    };
    let recursive = options.idmap.unwrap_or(false);
    if !maps.is_empty() {
        if maps.uid.is_empty() || maps.gid.is_empty() {
            let reason = "uidMappings and gidMappings need each other";
            return Err(Error::invalid(uid_field, reason));
        }
        return Ok(Some((IdSource::Maps(maps), recursive)));
    }
    if options.idmap.is_none() {
        return Ok(None);
    }
    if namespaces.joins(flags::USER) {
        return Ok(Some((IdSource::Joined, recursive)));
    }
    if !namespaces.makes(flags::USER) {
        let reason = "`idmap` needs mappings, of the mount or of a user namespace";
        return Err(Error::invalid(format!("{field}.options"), reason));
    }
    Ok(Some((IdSource::Maps(namespaces.ids.clone()), recursive)))
}

/// A mount that is there already is changed, not its file system, which others may have mounted too.
fn change_op(field: &str, target: PathBuf, options: Options) -> Result<MountOp, Error> {
    let foreign = options.data.first().map(|(key, _)| key).or(options.whole.first());
    match foreign {
        Some(option) => Err(Error::unsupported_value(format!("{field}.options"), option)),
        None => Ok(MountOp::Change { target, options }),
    }
}

fn bind_op(
    field: &str,
    mount: &Mount,
    target: PathBuf,
    options: Options,
    ids: Option<(IdSource, bool)>,
) -> Result<MountOp, Error> {
    let source = mount.source().clone().unwrap_or_default();
    if !source.is_absolute() {
        let reason = format!("{} is not an absolute path", source.display());
        return Err(Error::invalid(format!("{field}.source"), reason));
    }
    // They would change the host's file system; an unknown word may be a misspelt restriction.
    let unknown = options.data.iter().find(|(_, value)| value.is_none()).map(|(key, _)| key);
    if let Some(option) = unknown.or(options.whole.first()) {
        return Err(Error::unsupported_value(format!("{field}.options"), option));
    }
    // What has a value (`mode=755`) is for a file system that is made; mount(2) ignores it here.
    let options = Options { data: Vec::new(), ..options };
    let recursive = options.bind != Some(false);
    Ok(MountOp::Bind { source, recursive, target, options, opened: None, ids })
}

/// Files of /proc that tell of the whole machine and may be replaced, by programs that tell of the
/// container instead (lxcfs); runc allows the same.
const REPLACEABLE: [&str; 10] = [
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/uptime",
    "/proc/loadavg",
    "/proc/slabinfo",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/sys/crypto/fips_enabled",
];

impl MountOp {
    /// A file of /proc that may be replaced.
    pub(crate) fn replaces_a_file_of_proc(&self) -> bool {
        let is_one = |target: &Path| REPLACEABLE.iter().any(|path| target == Path::new(path));
        matches!(self, Self::Bind { target, .. } if is_one(target))
    }
}

/// Nothing but proc itself is mounted in /proc, except for some files, and nothing on the root.
fn check_target(field: &str, target: &Path, kind: &str, bind: bool) -> Result<(), Error> {
    let field = format!("{field}.destination");
    if target == Path::new("/") {
        return Err(Error::invalid(field, "the root is no place for a mount"));
    }
    let replaceable = bind && REPLACEABLE.iter().any(|path| target == Path::new(path));
    let is_proc = target == Path::new("/proc") && (kind == "proc" || bind);
    if target.starts_with("/proc") && !is_proc && !replaceable {
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
            Self::Bind { source, recursive, options, ids, .. } => {
                let kind = if *recursive { "rbind" } else { "bind" };
                let mapped = match ids {
                    None => "",
                    Some((_, false)) => " with other ids",
                    Some((_, true)) => " with other ids, also below",
                };
                (format!("{kind} {}{mapped}", source.display()), options)
            }
            Self::Cgroup { hierarchies, bound, options, .. } => {
                let names: Vec<&str> = hierarchies.iter().map(|h| h.name.as_str()).collect();
                let bound = if *bound { " bound" } else { "" };
                (format!("cgroup [{}]{bound}", names.join(" ")), options)
            }
            Self::Change { options, .. } => ("change".to_owned(), options),
        };
        write!(formatter, "{what} on {}", self.target().display())?;
        write!(formatter, " set={:#x} clear={:#x}", options.set, options.clear)?;
        if options.recursive_set | options.recursive_clear != 0 {
            let (set, clear) = (options.recursive_set, options.recursive_clear);
            write!(formatter, " below: set={set:#x} clear={clear:#x}")?;
        }
        for (what, atime) in [("", options.atime), ("below: ", options.recursive_atime)] {
            if let Some(atime) = atime {
                write!(formatter, " {what}atime={atime:?}")?;
            }
        }
        if let Some(propagation) = options.propagation {
            let below = if propagation.recursive { " (below too)" } else { "" };
            write!(formatter, " propagation={:#x}{below}", propagation.flag)?;
        }
        if options.copy_up {
            write!(formatter, " with what is below")?;
        }
        for name in &options.whole {
            write!(formatter, " {name}")?;
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
