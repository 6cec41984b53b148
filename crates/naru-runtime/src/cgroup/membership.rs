//! Moving processes that are no container's between control groups: a supervising process goes into a group
//! of its own, so that a login session that ends does not take it along, and back at its end, since a group
//! with a process in it cannot be removed.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{Cgroup, Hierarchies, cgroup_error, rmdir};
use crate::Error;

/// Where the calling process was when this was made: its group in every hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    directories: Vec<PathBuf>,
}

impl Membership {
    /// The calling process's groups now (`/proc/self/cgroup`, cgroups(7)).
    ///
    /// # Errors
    /// When /proc cannot be read.
    pub fn of_self(hierarchies: &Hierarchies) -> Result<Self, Error> {
        let text = fs_err::read_to_string("/proc/self/cgroup")
            .map_err(|error| Error::host("read this process's control groups", error))?;
        let path_in = |controllers: &[String]| {
            let wanted = controllers.join(",");
            text.lines().find_map(|line| {
                let mut fields = line.splitn(3, ':').skip(1);
                let (found, path) = (fields.next()?, fields.next()?);
                (found == wanted).then(|| path.trim_start_matches('/').to_owned())
            })
        };
        let directories = hierarchies
            .list
            .iter()
            .filter_map(|hierarchy| Some(hierarchy.mount.join(path_in(&hierarchy.controllers)?)));
        Ok(Self { directories: directories.collect() })
    }

    /// Moves the calling process back; where its old group is gone, to the root of the hierarchy.
    pub fn restore(&self, hierarchies: &Hierarchies) {
        for (directory, hierarchy) in self.directories.iter().zip(&hierarchies.list) {
            let back = fs_err::write(directory.join("cgroup.procs"), "0");
            if back.is_err() {
                // Nothing is lost when this fails too: an empty group is left.
                drop(fs_err::write(hierarchy.mount.join("cgroup.procs"), "0"));
            }
        }
    }
}

impl Cgroup {
    /// Moves a process into this group, which is made without limits where it is not there.
    ///
    /// # Errors
    /// When the kernel refuses, in any hierarchy.
    pub fn admit(&self, pid: i32) -> Result<(), Error> {
        for hierarchy in &self.hierarchies {
            self.make(hierarchy, &[])?;
            let file = self.directory(hierarchy).join("cgroup.procs");
            fs_err::write(&file, pid.to_string())
                .map_err(|source| cgroup_error("join", &file, source))?;
        }
        Ok(())
    }

    /// Removes the group, and the groups above it that are empty then. A calling process that is still in it,
    /// since it was born there, goes to the root of the hierarchy first; others that are on their way out of it are
    /// waited for this long.
    pub fn remove_upwards(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        for hierarchy in &self.hierarchies {
            let mut directory = self.directory(hierarchy);
            leave(&directory, &hierarchy.mount);
            while directory != hierarchy.mount && rmdir(&directory, deadline).is_ok() {
                directory.pop();
            }
        }
    }
}

/// Moves the calling process from one group to another when it is in it.
fn leave(group: &Path, other: &Path) {
    let own = std::process::id().to_string();
    let members = fs_err::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    if members.lines().any(|pid| pid == own) {
        // When this fails, the group stays: empty once the process has ended.
        drop(fs_err::write(other.join("cgroup.procs"), "0"));
    }
}
