//! Control groups of a container on cgroup v1, v2 and hybrid hosts.
//!
//! One [`Cgroup`] is the same path in every hierarchy. Joining is not done here: the new process
//! starts in the v2 group by its clone, and moves itself into the v1 groups by their `tasks`
//! files; both avoid the wait for RCU (about 10 ms) that a write to `cgroup.procs` costs after a
//! quiet time.

mod detect;
mod devices;
mod files;
mod limits;
mod membership;

use std::collections::BTreeSet;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use oci_spec::runtime::LinuxResources;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

pub use detect::Hierarchies;
pub(crate) use detect::MountedHierarchy;
pub use membership::Membership;

use crate::Error;
use crate::plan::Hierarchy;

/// A group that is being emptied is busy for a moment after its last process was reaped.
const REMOVE_DEADLINE: Duration = Duration::from_secs(2);
/// Rounds of freeze, kill, thaw on kernels without `cgroup.kill`.
const KILL_ROUNDS: usize = 20;

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
        let climbs = path.components().any(|part| part == std::path::Component::ParentDir);
        if !path.is_absolute() || climbs || path == Path::new("/") {
            let reason = format!("{} is not a path below the root", path.display());
            return Err(Error::invalid("linux.cgroupsPath", reason));
        }
        let path = path.strip_prefix("/").unwrap_or(path).to_owned();
        Ok(Self { path, hierarchies: hierarchies.list.clone() })
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

    /// Makes the group in every hierarchy and sets the limits. A v1 group that exists is taken over;
    /// a v2 group without processes is made anew.
    ///
    /// # Errors
    /// For limits that this host or this runtime does not have, by their name, and for failures of
    /// the kernel's files; what was made stays for [`remove`](Self::remove).
    pub fn create(&self, resources: &LinuxResources) -> Result<(), Error> {
        let settings = limits::settings(resources, &self.hierarchies)?;
        for hierarchy in &self.hierarchies {
            if hierarchy.is_unified() {
                renew(&self.directory(hierarchy));
            }
            self.make(hierarchy, &settings.controllers)?;
        }
        for (hierarchy, file, value) in &settings.writes {
            let directory = self.directory(&self.hierarchies[*hierarchy]);
            self.write(&directory.join(file.as_ref()), value)?;
        }
        let unified = self.hierarchies.iter().find(|hierarchy| hierarchy.is_unified());
        if let Some(hierarchy) = unified.filter(|_| !self.has_v1("devices")) {
            devices::attach_filter(&self.directory(hierarchy), resources)?;
        }
        Ok(())
    }

    /// Kills every process in the group and below, and returns when the kernel accepted it; it
    /// does not wait until they are gone.
    ///
    /// # Errors
    /// When processes are left after several rounds, or the kernel's files cannot be used.
    pub fn kill_all(&self) -> Result<(), Error> {
        let Some(first) = self.hierarchies.first() else { return Ok(()) };
        for hierarchy in self.hierarchies.iter().filter(|h| h.is_unified()) {
            let file = self.directory(hierarchy).join("cgroup.kill");
            match files::write(&file, "1") {
                Ok(()) => return self.kill_outside(&self.directory(hierarchy)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(cgroup_error("kill", &file, source)),
            }
        }
        let frozen = self.freeze(true);
        let result = self.kill_rounds(&self.directory(first));
        if frozen {
            self.freeze(false);
        }
        result
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

    /// How many processes of the group the kernel has killed for want of memory.
    ///
    /// # Errors
    /// When the group's counter cannot be read.
    pub fn oom_kills(&self) -> Result<u64, Error> {
        for hierarchy in &self.hierarchies {
            let file = if hierarchy.has("memory") {
                "memory.oom_control"
            } else if hierarchy.is_unified() && !self.has_v1("memory") {
                "memory.events"
            } else {
                continue;
            };
            let path = self.directory(hierarchy).join(file);
            let text = match files::read(&path) {
                Ok(text) => text,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
                Err(source) => return Err(cgroup_error("read", &path, source)),
            };
            let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
            return Ok(count.and_then(|count| count.trim().parse().ok()).unwrap_or(0));
        }
        Ok(0)
    }

    /// Removes the group and all groups below it from every hierarchy, waiting a moment while the
    /// kernel still holds processes that have ended. Groups that are not there are fine.
    ///
    /// # Errors
    /// When processes are left in it; all hierarchies are tried and the first failure is returned.
    pub fn remove(&self) -> Result<(), Error> {
        let deadline = Instant::now() + REMOVE_DEADLINE;
        let mut result = Ok(());
        for hierarchy in &self.hierarchies {
            let removed = remove_tree(&self.directory(hierarchy), deadline);
            if result.is_ok() {
                result = removed;
            }
        }
        result
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
        self.hierarchies.iter().map(|hierarchy| hierarchy.as_seen_inside(only)).collect()
    }

    fn has_v1(&self, controller: &str) -> bool {
        self.hierarchies.iter().any(|hierarchy| hierarchy.has(controller))
    }

    fn directory(&self, hierarchy: &MountedHierarchy) -> PathBuf {
        hierarchy.mount.join(&self.path)
    }

    /// Makes the directories from the top; a new cpuset is usable only with CPUs and memory.
    fn make(&self, hierarchy: &MountedHierarchy, controllers: &[String]) -> Result<(), Error> {
        let directory = self.directory(hierarchy);
        let exists = directory.is_dir();
        if exists && !hierarchy.is_unified() {
            return Ok(());
        }
        let mut current = hierarchy.mount.clone();
        for part in &self.path {
            if hierarchy.is_unified() {
                enable_controllers(&current, controllers)?;
            }
            let above = current.clone();
            current.push(part);
            match fs_err::create_dir(&current) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(source) => return Err(cgroup_error("make", &current, source)),
            }
            if hierarchy.has("cpuset") {
                for file in ["cpuset.cpus", "cpuset.mems"] {
                    self.inherit(&above.join(file), &current.join(file))?;
                }
            }
        }
        Ok(())
    }

    /// Fills in a cpuset's file from the group above, if it is empty.
    fn inherit(&self, above: &Path, file: &Path) -> Result<(), Error> {
        let read =
            |path: &Path| files::read(path).map_err(|source| cgroup_error("read", path, source));
        if read(file)?.trim().is_empty() {
            self.write(file, read(above)?.trim())?;
        }
        Ok(())
    }

    fn write(&self, file: &Path, value: &str) -> Result<(), Error> {
        files::write(file, value)
            .map_err(|source| cgroup_error(&format!("write {value} to"), file, source))
    }

    /// Freezes or thaws by the v1 freezer or the v2 file; false when there is none.
    fn freeze(&self, freeze: bool) -> bool {
        self.hierarchies.iter().any(|hierarchy| {
            let directory = self.directory(hierarchy);
            if hierarchy.has("freezer") {
                let state = if freeze { "FROZEN" } else { "THAWED" };
                files::write(directory.join("freezer.state"), state).is_ok()
            } else if hierarchy.is_unified() {
                let state = if freeze { "1" } else { "0" };
                files::write(directory.join("cgroup.freeze"), state).is_ok()
            } else {
                false
            }
        })
    }

    /// After `cgroup.kill` of a hybrid host: whatever left the v2 group but not the v1 groups.
    fn kill_outside(&self, unified: &Path) -> Result<(), Error> {
        let mut killed = BTreeSet::new();
        collect_processes(unified, &mut killed)?;
        for pid in self.processes()? {
            if !killed.contains(&pid) {
                kill(pid);
            }
        }
        Ok(())
    }

    fn kill_rounds(&self, directory: &Path) -> Result<(), Error> {
        for _ in 0..KILL_ROUNDS {
            let pids = self.processes()?;
            if pids.is_empty() {
                return Ok(());
            }
            pids.into_iter().for_each(kill);
            if self.freeze(false) {
                std::thread::sleep(Duration::from_millis(1));
                self.freeze(true);
            }
        }
        let source = io::Error::from_raw_os_error(Errno::BUSY.raw_os_error());
        Err(cgroup_error("kill all processes of", directory, source))
    }
}

fn kill(pid: i32) {
    if let Some(pid) = rustix::process::Pid::from_raw(pid) {
        // The process may be gone already, which is what is wanted.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

fn cgroup_error(action: &str, path: &Path, source: io::Error) -> Error {
    Error::Cgroup { action: action.to_owned(), path: path.to_owned(), source }
}

/// Lets the groups below `directory` use the controllers, those that are there.
fn enable_controllers(directory: &Path, controllers: &[String]) -> Result<(), Error> {
    if controllers.is_empty() {
        return Ok(());
    }
    let read = |name: &str| {
        let path = directory.join(name);
        files::read(&path).map_err(|source| cgroup_error("read", &path, source))
    };
    let (available, enabled) = (read("cgroup.controllers")?, read("cgroup.subtree_control")?);
    let listed = |text: &str, name: &str| text.split_whitespace().any(|word| word == name);
    for controller in controllers {
        if listed(&available, controller) && !listed(&enabled, controller) {
            let file = directory.join("cgroup.subtree_control");
            files::write(&file, &format!("+{controller}")).map_err(|source| {
                cgroup_error(&format!("enable {controller} in"), &file, source)
            })?;
        }
    }
    Ok(())
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

/// Removes a group and those below it, deepest first.
fn remove_tree(directory: &Path, deadline: Instant) -> Result<(), Error> {
    let error = |source| cgroup_error("remove", directory, source);
    match rmdir(directory, deadline) {
        Ok(()) => return Ok(()),
        Err(failure) if failure.raw_os_error() == Some(Errno::NOTEMPTY.raw_os_error()) => {}
        Err(failure) if failure.raw_os_error() == Some(Errno::BUSY.raw_os_error()) => {
            if subdirectories(directory).map_err(error)?.is_empty() {
                return Err(error(failure));
            }
        }
        Err(failure) => return Err(error(failure)),
    }
    for below in subdirectories(directory).map_err(error)? {
        remove_tree(&below, deadline)?;
    }
    rmdir(directory, deadline).map_err(error)
}

/// Takes away a v2 group of an earlier run, if there is one that nobody is left in.
///
/// A clone into a group (`CLONE_INTO_CGROUP`) that `cgroup.kill` was ever written to is killed at
/// once by newer kernels (seen on 6.18): they compare the group's count of kills with that of the
/// group the caller is in. Only a new group starts to count anew.
fn renew(directory: &Path) {
    // What cannot be taken away is taken over as it is.
    drop(rmdir(directory, Instant::now() + REMOVE_DEADLINE));
}

/// Removes one group; busy means processes that are still on their way out, or groups below.
fn rmdir(directory: &Path, deadline: Instant) -> io::Result<()> {
    loop {
        match files::remove(directory) {
            Ok(()) => return Ok(()),
            Err(error) if is_gone(&error) => return Ok(()),
            Err(error) => {
                let busy = error.raw_os_error() == Some(Errno::BUSY.raw_os_error());
                if !busy || Instant::now() >= deadline || !subdirectories(directory)?.is_empty() {
                    return Err(error);
                }
            }
        }
        std::thread::sleep(Duration::from_micros(500));
    }
}
