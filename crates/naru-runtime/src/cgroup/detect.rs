//! Which hierarchies of control groups the host has and where they are mounted.

use std::path::{Path, PathBuf};

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
        Ok(parse(&read("/proc/self/mountinfo")?, &read("/proc/self/cgroup")?, is_seen))
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

/// The file system of this device (`major:minor`) is what the path leads to: nothing covers it.
fn is_seen(mount: &Path, device: &str) -> bool {
    let seen = rustix::fs::stat(mount).map(|stat| stat.st_dev);
    let number = |seen| format!("{}:{}", rustix::fs::major(seen), rustix::fs::minor(seen));
    seen.is_ok_and(|seen| number(seen) == device)
}

/// Hierarchies from the text of `/proc/self/mountinfo` and `/proc/self/cgroup`, of those mounts of which
/// `is_seen` says so.
fn parse(mountinfo: &str, cgroup: &str, is_seen: impl Fn(&Path, &str) -> bool) -> Hierarchies {
    let known: Vec<Vec<String>> = cgroup
        .lines()
        .filter_map(|line| line.split(':').nth(1))
        .map(|names| names.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect())
        .collect();
    let mut list: Vec<MountedHierarchy> = Vec::new();
    for line in mountinfo.lines() {
        let Some((left, right)) = line.split_once(" - ") else { continue };
        let mut fields = left.split(' ').skip(2);
        let (Some(device), Some(root), Some(mount)) = (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
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
        let is_new = || list.iter().all(|known| known.controllers != controllers);
        if root == "/" && is_new() && is_seen(Path::new(mount), device) {
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
        let found = parse(HYBRID, "2:cpu,cpuacct:/\n1:name=systemd:/\n0::/\n", |_, _| true);
        let seen: Vec<String> =
            found.list.iter().map(|hierarchy| hierarchy.as_seen_inside(false).name).collect();
        assert_eq!(seen, ["cpu,cpuacct", "systemd", "unified"]);
        assert!(!found.is_unified());
    }

    #[test]
    fn a_hierarchy_whose_mount_is_covered_is_looked_for_elsewhere() {
        let text =
            format!("{HYBRID}50 31 0:29 / /srv/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct\n");
        let is_seen = |mount: &Path, device: &str| match mount.to_str() {
            Some("/srv/cpu") => device == "0:29",
            Some(other) => other.ends_with("systemd"),
            None => false,
        };
        let found = parse(&text, "2:cpu,cpuacct:/\n1:name=systemd:/\n0::/\n", is_seen);
        let mounts: Vec<&Path> = found.list.iter().map(|one| one.mount.as_path()).collect();
        assert_eq!(mounts, [Path::new("/sys/fs/cgroup/systemd"), Path::new("/srv/cpu")]);
    }

    #[test]
    fn a_v2_host_has_one_hierarchy() {
        let mounts = "24 20 0:22 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
        let found = parse(mounts, "0::/init.scope\n", |_, _| true);
        assert!(found.is_unified());
        assert_eq!(found.list[0].as_seen_inside(true).name, "");
    }
}
