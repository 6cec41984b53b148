//! Control groups of a container on cgroup v1, v2 and hybrid hosts.
//!
//! One [`Cgroup`] is the same path in every hierarchy. Joining is not done here: the new process
//! starts in the v2 group by its clone, and moves itself into the v1 groups by their `tasks`
//! files; both avoid the wait for RCU (about 10 ms) that a write to `cgroup.procs` costs after a
//! quiet time.

mod create;
mod detect;
mod devices;
mod files;
mod freeze;
mod kill;
mod limits;
mod membership;
mod oom;
mod owner;
mod remove;
mod set;
mod stats;

use std::collections::BTreeSet;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

pub use detect::Hierarchies;
pub(crate) use detect::MountedHierarchy;
pub use freeze::Freezer;
pub use membership::Membership;
pub use oom::OomWatch;
use remove::rmdir;
pub use stats::{
    CpuStats, CpusetStats, IoEntry, IoStats, MemoryStats, MemoryUse, PidsStats, Pressure,
    PressureTotals, Pressures, RdmaStats, Stats,
};

use crate::Error;
use crate::plan::Hierarchy;

/// The control groups of one container: one path in every hierarchy of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cgroup {
    path: PathBuf,
    hierarchies: Vec<MountedHierarchy>,
}

impl Cgroup {
    /// The group at `path`, which is absolute below the root of each mounted hierarchy.
    ///
    /// Nothing is made yet.
    ///
    /// # Errors
    /// When the mounts cannot be read, or `path` is not absolute or contains `..`.
    pub fn new(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::within(&Hierarchies::detect()?, path)
    }

    /// As [`new`](Self::new), with hierarchies that were detected before.
    ///
    /// # Errors
    /// When `path` is not absolute or contains `..`.
    pub fn within(hierarchies: &Hierarchies, path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let climbs = path.components().any(|part| part == Component::ParentDir);
        if !path.is_absolute() || climbs || path == Path::new("/") {
            let reason = format!("{} is not a path below the root", path.display());
            return Err(Error::invalid("linux.cgroupsPath", reason));
        }
        let path = path.strip_prefix("/").unwrap_or(path).to_owned();
        Ok(Self { path, hierarchies: hierarchies.list.clone() })
    }

    /// The group of the container `id` by the rules of the specification (config-linux, "Cgroups Path"): an absolute
    /// path is below the root of each hierarchy; so is a relative one, as in crun; none is the container's id.
    ///
    /// # Errors
    /// When the path contains `..` or leads to the root.
    pub fn for_container(
        hierarchies: &Hierarchies,
        path: Option<&Path>,
        id: &str,
    ) -> Result<Self, Error> {
        let path = path.filter(|path| !path.as_os_str().is_empty());
        Self::within(hierarchies, Path::new("/").join(path.unwrap_or(Path::new(id))))
    }

    /// Groups below this one, by controller, for a further process: `PATH` in all hierarchies, or several of
    /// `CONTROLLER[,CONTROLLER]:PATH`, where the other hierarchies keep the group itself.
    ///
    /// # Errors
    /// For a path that leads out of the group or is none, and for a controller that the host does not have.
    pub fn below(&self, choices: &[String]) -> Result<Self, Error> {
        let mut paths = vec![PathBuf::new(); self.hierarchies.len()];
        for choice in choices {
            let (controllers, path) = match choice.split_once(':') {
                Some((controllers, path)) => (Some(controllers), path),
                None if choices.len() == 1 => (None, choice.as_str()),
                None => {
                    let reason = format!("{choice} has no controller before it");
                    return Err(Error::invalid("cgroup", reason));
                }
            };
            let path = Path::new("/").join(path);
            if path.components().any(|part| part == Component::ParentDir) {
                let reason = format!("{choice} is not a sub cgroup path");
                return Err(Error::invalid("cgroup", reason));
            }
            for controller in
                controllers.map_or(vec![None], |all| all.split(',').map(Some).collect())
            {
                let chosen = |hierarchy: &MountedHierarchy| match controller {
                    None => true,
                    Some("") => hierarchy.is_unified(),
                    Some(name) => hierarchy.has(name),
                };
                let mut found = false;
                for (index, _) in self.hierarchies.iter().enumerate().filter(|(_, one)| chosen(one))
                {
                    paths[index] = path.strip_prefix("/").unwrap_or(&path).to_owned();
                    found = true;
                }
                if !found {
                    let reason = format!("unknown controller {}", controller.unwrap_or_default());
                    return Err(Error::invalid("cgroup", reason));
                }
            }
        }
        let chosen = |(hierarchy, below): (&MountedHierarchy, PathBuf)| MountedHierarchy {
            mount: self.directory(hierarchy).join(below),
            ..hierarchy.clone()
        };
        let hierarchies = self.hierarchies.iter().zip(paths).map(chosen).collect();
        Ok(Self { path: PathBuf::new(), hierarchies })
    }

    /// No control groups: the process stays in those of its creator.
    #[must_use]
    pub fn none() -> Self {
        Self { path: PathBuf::new(), hierarchies: Vec::new() }
    }

    /// The path below each hierarchy's root, absolute.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        Path::new("/").join(&self.path)
    }

    /// All processes in the group and below, in any hierarchy, sorted.
    ///
    /// # Errors
    /// When a group exists but cannot be read.
    pub fn processes(&self) -> Result<Vec<i32>, Error> {
        let mut pids = BTreeSet::new();
        for hierarchy in &self.hierarchies {
            collect_processes(&self.directory(hierarchy), &mut pids)?;
        }
        Ok(pids.into_iter().collect())
    }

    /// The group is there in one hierarchy at least.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.hierarchies.iter().any(|hierarchy| self.directory(hierarchy).is_dir())
    }

    /// Where it is, by controller: the names of v1 and, for v2, an empty name; for records and for other programs.
    #[must_use]
    pub fn directories(&self) -> Vec<(String, PathBuf)> {
        let mut all = Vec::new();
        for hierarchy in &self.hierarchies {
            let directory = self.directory(hierarchy);
            if hierarchy.is_unified() {
                all.push((String::new(), directory));
                continue;
            }
            all.extend(hierarchy.controllers.iter().map(|name| (name.clone(), directory.clone())));
        }
        all
    }

    /// `tasks` files of the v1 hierarchies.
    pub(crate) fn tasks(&self) -> Vec<PathBuf> {
        let v1 = self.hierarchies.iter().filter(|hierarchy| !hierarchy.is_unified());
        v1.map(|hierarchy| self.directory(hierarchy).join("tasks")).collect()
    }

    /// The directory of the v2 group, for the clone.
    pub(crate) fn unified_directory(&self) -> Result<Option<OwnedFd>, Error> {
        let Some(hierarchy) = self.hierarchies.iter().find(|h| h.is_unified()) else {
            return Ok(None);
        };
        let path = self.directory(hierarchy);
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open(&path, flags, Mode::empty())
            .map(Some)
            .map_err(|errno| cgroup_error("open", &path, errno.into()))
    }

    /// Moves a process into the v2 group, for which the kernel may take its time.
    pub(crate) fn join_unified(&self, pid: i32) -> Result<(), Error> {
        for hierarchy in self.hierarchies.iter().filter(|hierarchy| hierarchy.is_unified()) {
            self.write(&self.directory(hierarchy).join("cgroup.procs"), &pid.to_string())?;
        }
        Ok(())
    }

    /// The hierarchies as a container mounts them.
    pub(crate) fn as_seen_inside(&self) -> Vec<Hierarchy> {
        let only = self.hierarchies.len() == 1;
        let seen = |hierarchy: &MountedHierarchy| Hierarchy {
            group: self.directory(hierarchy),
            ..hierarchy.as_seen_inside(only)
        };
        self.hierarchies.iter().map(seen).collect()
    }

    fn has_v1(&self, controller: &str) -> bool {
        self.hierarchies.iter().any(|hierarchy| hierarchy.has(controller))
    }

    /// The v2 group, on hybrid hosts too.
    fn unified(&self) -> Option<PathBuf> {
        let unified = self.hierarchies.iter().find(|hierarchy| hierarchy.is_unified());
        unified.map(|hierarchy| self.directory(hierarchy))
    }

    /// The group in the v1 hierarchy of `controller`.
    fn v1(&self, controller: &str) -> Option<PathBuf> {
        let found = self.hierarchies.iter().find(|hierarchy| hierarchy.has(controller));
        found.map(|hierarchy| self.directory(hierarchy))
    }

    fn directory(&self, hierarchy: &MountedHierarchy) -> PathBuf {
        hierarchy.mount.join(&self.path)
    }
}

fn cgroup_error(action: &str, path: &Path, source: io::Error) -> Error {
    Error::Cgroup { action: action.to_owned(), path: path.to_owned(), source }
}

fn subdirectories(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs_err::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut directories = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            directories.push(entry.path());
        }
    }
    Ok(directories)
}

fn collect_processes(directory: &Path, pids: &mut BTreeSet<i32>) -> Result<(), Error> {
    let file = directory.join("cgroup.procs");
    match files::read(&file) {
        Ok(text) => pids.extend(text.lines().filter_map(|line| line.parse::<i32>().ok())),
        Err(error) if is_gone(&error) => return Ok(()),
        Err(source) => return Err(cgroup_error("read", &file, source)),
    }
    for below in subdirectories(directory).map_err(|e| cgroup_error("list", directory, e))? {
        collect_processes(&below, pids)?;
    }
    Ok(())
}

fn is_gone(error: &io::Error) -> bool {
    let gone = [Errno::NOENT.raw_os_error(), Errno::NODEV.raw_os_error()];
    error.raw_os_error().is_some_and(|errno| gone.contains(&errno))
}
