//! Which hierarchies of control groups the host has and where they are mounted.

use std::path::PathBuf;

use crate::Error;
use crate::plan::Hierarchy;

/// The hierarchies of the host that are mounted from their root, in the order of their mounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchies {
    pub(crate) list: Vec<MountedHierarchy>,
}

/// One mounted hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MountedHierarchy {
    /// Where it is mounted.
    pub(crate) mount: PathBuf,
    /// Its v1 controllers (`name=systemd` is one too); empty for v2.
    pub(crate) controllers: Vec<String>,
}

impl Hierarchies {
    /// Reads them from the calling process's mounts and control groups.
    ///
    /// # Errors
    /// When /proc cannot be read.
    pub fn detect() -> Result<Self, Error> {
        let read = |path: &str| {
            fs_err::read_to_string(path).map_err(|error| Error::host("read the mounts", error))
        };
        Ok(parse(&read("/proc/self/mountinfo")?, &read("/proc/self/cgroup")?))
    }

    /// Only the cgroup v2 that is mounted at `mount`, of all that the host has.
    #[must_use]
    pub fn unified_at(mount: impl Into<PathBuf>) -> Self {
        Self { list: vec![MountedHierarchy { mount: mount.into(), controllers: Vec::new() }] }
    }

    /// The host has only cgroup v2.
    #[must_use]
    pub fn is_unified(&self) -> bool {
        self.list.len() == 1 && self.list[0].is_unified()
    }
}

impl MountedHierarchy {
    /// It is cgroup v2.
    pub(crate) fn is_unified(&self) -> bool {
        self.controllers.is_empty()
    }

    /// It is a v1 hierarchy with this controller.
    pub(crate) fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|known| known == controller)
    }

    pub(crate) fn as_seen_inside(&self, only: bool) -> Hierarchy {
        let name = match self.controllers.first() {
            _ if only && self.is_unified() => String::new(),
            None => "unified".to_owned(),
            Some(first) => match first.strip_prefix("name=") {
                Some(name) => name.to_owned(),
                None => self.controllers.join(","),
            },
        };
        Hierarchy { name, controllers: self.controllers.clone(), group: self.mount.clone() }
    }
}

/// Hierarchies from the text of `/proc/self/mountinfo` and `/proc/self/cgroup`.
fn parse(mountinfo: &str, cgroup: &str) -> Hierarchies {
    let known: Vec<Vec<String>> = cgroup
        .lines()
        .filter_map(|line| line.split(':').nth(1))
        .map(|names| names.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect())
        .collect();
    let mut list: Vec<MountedHierarchy> = Vec::new();
    for line in mountinfo.lines() {
        let Some((left, right)) = line.split_once(" - ") else { continue };
        let mut fields = left.split(' ').skip(3);
        let (Some(root), Some(mount)) = (fields.next(), fields.next()) else { continue };
        let mut right = right.split(' ');
        let kind = right.next().unwrap_or_default();
        let options: Vec<&str> = right.nth(1).unwrap_or_default().split(',').collect();
        let controllers = match kind {
            "cgroup2" => Vec::new(),
            "cgroup" => {
                let matches = |set: &&Vec<String>| {
                    !set.is_empty() && set.iter().all(|name| options.contains(&name.as_str()))
                };
                match known.iter().find(matches) {
                    Some(set) => set.clone(),
                    None => continue,
                }
            }
            _ => continue,
        };
        if root == "/" && list.iter().all(|known| known.controllers != controllers) {
            list.push(MountedHierarchy { mount: PathBuf::from(mount), controllers });
        }
    }
    Hierarchies { list }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
42 31 0:38 /x /other rw,relatime - cgroup2 cgroup2 rw
";

    #[test]
    fn a_hybrid_host_has_its_v1_hierarchies_and_the_unified_one() {
        let found = parse(HYBRID, "2:cpu,cpuacct:/\n1:name=systemd:/\n0::/\n");
        let seen: Vec<String> =
            found.list.iter().map(|hierarchy| hierarchy.as_seen_inside(false).name).collect();
        assert_eq!(seen, ["cpu,cpuacct", "systemd", "unified"]);
        assert!(!found.is_unified());
    }

    #[test]
    fn a_v2_host_has_one_hierarchy() {
        let mounts = "24 20 0:22 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
        let found = parse(mounts, "0::/init.scope\n");
        assert!(found.is_unified());
        assert_eq!(found.list[0].as_seen_inside(true).name, "");
    }
}
