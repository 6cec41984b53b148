//! The namespaces of a container: to be made, or joined by path; their ids and clocks.

use std::fmt::Write;
use std::path::PathBuf;

use oci_spec::runtime::{Linux, LinuxIdMapping, LinuxNamespaceType};
use serde::{Deserialize, Serialize};

use crate::Error;

/// The `CLONE_NEW*` flags, by the names used here.
pub(crate) mod flags {
    pub(crate) use nix::libc::{
        CLONE_NEWCGROUP as CGROUP, CLONE_NEWIPC as IPC, CLONE_NEWNET as NET, CLONE_NEWNS as MOUNT,
        CLONE_NEWPID as PID, CLONE_NEWUSER as USER, CLONE_NEWUTS as UTS,
    };
    /// `CLONE_NEWTIME`, which only newer headers have.
    pub(crate) const TIME: i32 = 0x80;
}

/// The kernel takes no more lines in one map.
const MAP_LINES: usize = 340;

/// The namespaces of a specification.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Namespaces {
    /// `CLONE_NEW*` flags of those to make.
    pub(crate) fresh: u32,
    /// Those that exist.
    pub(crate) joined: Vec<Joined>,
    /// Ids of the user namespace.
    pub(crate) ids: IdMaps,
    /// Lines for `timens_offsets` of a time namespace.
    pub(crate) offsets: Option<String>,
    /// The container is in the mount namespace of its caller, with a root of its own.
    pub(crate) leaves_mounts: bool,
}

/// A namespace that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Joined {
    /// As in the specification.
    pub(crate) name: &'static str,
    /// Its `CLONE_NEW*` flag.
    pub(crate) flag: u32,
    /// Its file.
    pub(crate) path: PathBuf,
}

/// Which ids of the container are which outside.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IdMaps {
    pub(crate) uid: Vec<IdRange>,
    pub(crate) gid: Vec<IdRange>,
}

/// One line of a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IdRange {
    pub(crate) inside: u32,
    pub(crate) outside: u32,
    pub(crate) count: u32,
}

impl Namespaces {
    /// The container does not share this kind with the host: its own, or another container's.
    pub(crate) fn owns(&self, flag: i32) -> bool {
        self.makes(flag) || self.joins(flag)
    }

    /// It is made for this container.
    pub(crate) fn makes(&self, flag: i32) -> bool {
        self.fresh & flag.cast_unsigned() != 0
    }

    /// It exists and is joined.
    pub(crate) fn joins(&self, flag: i32) -> bool {
        self.joined.iter().any(|joined| joined.flag == flag.cast_unsigned())
    }

    /// The flags of those to make, with the mount namespace that is only worked in.
    pub(crate) fn to_make(&self) -> u32 {
        let mounts = if self.leaves_mounts { flags::MOUNT.cast_unsigned() } else { 0 };
        self.fresh | mounts
    }

    /// The flags of all that are not the host's.
    pub(crate) fn all(&self) -> u32 {
        self.joined.iter().fold(self.fresh, |flags, joined| flags | joined.flag)
    }
}

impl IdMaps {
    /// None given.
    pub(crate) fn is_empty(&self) -> bool {
        self.uid.is_empty() && self.gid.is_empty()
    }
}

/// The lines of a `uid_map` or `gid_map`, in the order of the specification.
pub(crate) fn map_text(ranges: &[IdRange]) -> String {
    ranges.iter().fold(String::new(), |mut text, range| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{} {} {}", range.inside, range.outside, range.count);
        text
    })
}

/// The namespaces that `linux` asks for.
pub(super) fn namespaces(linux: &Linux) -> Result<Namespaces, Error> {
    let mut namespaces = Namespaces::default();
    for (index, namespace) in linux.namespaces().iter().flatten().enumerate() {
        let (name, flag) = kind(namespace.typ());
        if namespaces.owns(flag) {
            return Err(Error::invalid("linux.namespaces", format!("{name} is listed twice")));
        }
        let flag = flag.cast_unsigned();
        match namespace.path().clone().filter(|path| !path.as_os_str().is_empty()) {
            None => namespaces.fresh |= flag,
            Some(path) if path.is_absolute() => {
                namespaces.joined.push(Joined { name, flag, path });
            }
            Some(path) => {
                let field = format!("linux.namespaces[{index}].path");
                let reason = format!("{} is not an absolute path", path.display());
                return Err(Error::invalid(field, reason));
            }
        }
    }
    namespaces.leaves_mounts = !namespaces.owns(flags::MOUNT);
    if namespaces.leaves_mounts && namespaces.owns(flags::USER) {
        let reason = "a user namespace needs a mount namespace beside it";
        return Err(Error::invalid("linux.namespaces", reason));
    }
    namespaces.ids = IdMaps {
        uid: id_ranges("linux.uidMappings", linux.uid_mappings().as_deref())?,
        gid: id_ranges("linux.gidMappings", linux.gid_mappings().as_deref())?,
    };
    check_ids(&namespaces)?;
    namespaces.offsets = offsets(linux, &namespaces)?;
    Ok(namespaces)
}

fn kind(kind: LinuxNamespaceType) -> (&'static str, i32) {
    match kind {
        LinuxNamespaceType::Mount => ("mount", flags::MOUNT),
        LinuxNamespaceType::Cgroup => ("cgroup", flags::CGROUP),
        LinuxNamespaceType::Uts => ("uts", flags::UTS),
        LinuxNamespaceType::Ipc => ("ipc", flags::IPC),
        LinuxNamespaceType::Pid => ("pid", flags::PID),
        LinuxNamespaceType::Network => ("network", flags::NET),
        LinuxNamespaceType::User => ("user", flags::USER),
        LinuxNamespaceType::Time => ("time", flags::TIME),
    }
}

/// The ranges of one map: none empty, none beyond the last id, none that overlap.
pub(super) fn id_ranges(
    field: &str,
    mappings: Option<&[LinuxIdMapping]>,
) -> Result<Vec<IdRange>, Error> {
    let mappings = mappings.unwrap_or_default();
    if mappings.len() > MAP_LINES {
        return Err(Error::invalid(field, format!("there are more than {MAP_LINES} entries")));
    }
    let mut ranges: Vec<IdRange> = Vec::with_capacity(mappings.len());
    for mapping in mappings {
        let range = IdRange {
            inside: mapping.container_id(),
            outside: mapping.host_id(),
            count: mapping.size(),
        };
        let fits = |first: u32| first.checked_add(range.count).is_some();
        if range.count == 0 || !fits(range.inside) || !fits(range.outside) {
            return Err(Error::invalid(field, "an entry is empty or goes beyond the last id"));
        }
        let overlap = |a: u32, a_count: u32, b: u32, b_count: u32| {
            u64::from(a) < u64::from(b) + u64::from(b_count)
                && u64::from(b) < u64::from(a) + u64::from(a_count)
        };
        if ranges.iter().any(|other| {
            overlap(other.inside, other.count, range.inside, range.count)
                || overlap(other.outside, other.count, range.outside, range.count)
        }) {
            return Err(Error::invalid(field, "two entries overlap"));
        }
        ranges.push(range);
    }
    Ok(ranges)
}

fn check_ids(namespaces: &Namespaces) -> Result<(), Error> {
    let ids = &namespaces.ids;
    if !namespaces.owns(flags::USER) {
        let field = match (ids.uid.is_empty(), ids.gid.is_empty()) {
            (true, true) => return Ok(()),
            (false, _) => "linux.uidMappings",
            (true, false) => "linux.gidMappings",
        };
        return Err(Error::invalid(field, "there is no user namespace"));
    }
    if namespaces.joins(flags::USER) && ids.is_empty() {
        return Ok(());
    }
    for (field, ranges) in [("linux.uidMappings", &ids.uid), ("linux.gidMappings", &ids.gid)] {
        if ranges.is_empty() {
            return Err(Error::invalid(field, "a new user namespace needs it"));
        }
    }
    Ok(())
}

/// `timens_offsets` in the form that the kernel reads, sorted by clock.
fn offsets(linux: &Linux, namespaces: &Namespaces) -> Result<Option<String>, Error> {
    const FIELD: &str = "linux.timeOffsets";
    let Some(offsets) = linux.time_offsets().as_ref().filter(|offsets| !offsets.is_empty()) else {
        return Ok(None);
    };
    if !namespaces.makes(flags::TIME) {
        return Err(Error::invalid(FIELD, "there is no new time namespace"));
    }
    let mut lines = Vec::new();
    for (clock, offset) in offsets {
        if !["monotonic", "boottime"].contains(&clock.as_str()) {
            return Err(Error::invalid(FIELD, format!("{clock} is no clock of a time namespace")));
        }
        let nanoseconds = offset.nanosecs().unwrap_or(0);
        if nanoseconds > 999_999_999 {
            return Err(Error::invalid(FIELD, "nanosecs is a second or more"));
        }
        lines.push(format!("{clock} {} {nanoseconds}\n", offset.secs().unwrap_or(0)));
    }
    lines.sort();
    Ok(Some(lines.concat()))
}

/// What an id of the container is outside, if it is mapped.
pub(crate) fn outside(ranges: &[IdRange], id: u32) -> Option<u32> {
    let range = ranges.iter().find(|range| {
        id >= range.inside && u64::from(id) < u64::from(range.inside) + u64::from(range.count)
    })?;
    Some(range.outside + (id - range.inside))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_one_of_the_mapped_ids() {
        let ranges = [
            IdRange { inside: 0, outside: 100_000, count: 10 },
            IdRange { inside: 50, outside: 7, count: 1 },
        ];
        let outside = |id| outside(&ranges, id);
        assert_eq!([0, 9, 50].map(outside), [Some(100_000), Some(100_009), Some(7)]);
        assert_eq!([10, 49, 51].map(outside), [None; 3]);
    }
}
