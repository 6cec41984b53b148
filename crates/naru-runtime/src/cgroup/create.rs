//! Making the groups: from the top, with what v1 cpusets and v2 controllers need on the way.

use std::io;
use std::path::Path;
use std::time::Instant;

use oci_spec::runtime::LinuxResources;
use rustix::io::Errno;

use super::detect::MountedHierarchy;
use super::limits::{Current, Needed, no_controller, settings};
use super::remove::{REMOVE_DEADLINE, rmdir};
use super::{Cgroup, cgroup_error, devices, files, is_gone};
use crate::Error;

/// The controllers of v2 that a container has even when nothing asks for them, for its statistics, its
/// out-of-memory events and later limits.
const USUAL: [&str; 8] = ["cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma", "misc"];

/// What a cpuset needs before a process can join it (cpuset(7)).
const CPUSET: [&str; 2] = ["cpuset.cpus", "cpuset.mems"];

/// How often processes are moved out of a group: some may fork on the way; and how often
/// groups are made again that others take away.
const ROUNDS: usize = 20;

impl Cgroup {
    /// Makes the group in every hierarchy and sets the limits. A v1 group that exists is taken over;
    /// a v2 group without processes is made anew.
    ///
    /// # Errors
    /// For limits that this host does not have, by their name, and for failures of the kernel's
    /// files; what was made stays for [`remove`](Self::remove).
    pub fn create(&self, resources: &LinuxResources) -> Result<(), Error> {
        let settings = settings(resources, &self.hierarchies, &Current::default())?;
        for hierarchy in &self.hierarchies {
            if hierarchy.is_unified() {
                renew(&self.directory(hierarchy));
            }
            self.make(hierarchy, &settings.controllers)?;
        }
        self.set(&settings.writes)?;
        if let Some(unified) = self.unified().filter(|_| !self.has_v1("devices")) {
            devices::attach_filter(&unified, resources)?;
        }
        Ok(())
    }

    /// Makes the directories from the top; a new cpuset is usable only with CPUs and memory. Others may give up the
    /// groups above at the same moment, when their last container has gone: then it begins again.
    pub(super) fn make(
        &self,
        hierarchy: &MountedHierarchy,
        controllers: &[Needed],
    ) -> Result<(), Error> {
        let vanished =
            |error: &Error| matches!(error, Error::Cgroup { source, .. } if is_gone(source));
        let mut result = self.make_once(hierarchy, controllers);
        for _ in 0..ROUNDS {
            if !result.as_ref().is_err_and(vanished) {
                break;
            }
            result = self.make_once(hierarchy, controllers);
        }
        result
    }

    fn make_once(&self, hierarchy: &MountedHierarchy, controllers: &[Needed]) -> Result<(), Error> {
        // Where v1 has the controllers, nobody asks v2 for more than it has to do.
        let usual = if self.hierarchies.len() == 1 { USUAL.as_slice() } else { &[] };
        let asks = hierarchy.is_unified() && !(controllers.is_empty() && usual.is_empty());
        if !asks && self.make_last(hierarchy)? {
            return Ok(());
        }
        let mut current = hierarchy.mount.clone();
        for part in &self.path {
            if hierarchy.is_unified() {
                enable(&current, controllers, usual)?;
            }
            let above = current.clone();
            current.push(part);
            match files::make(&current) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(source) => return Err(cgroup_error("make", &current, source)),
            }
            if hierarchy.has("cpuset") {
                for file in CPUSET {
                    self.inherit(&above.join(file), &current.join(file))?;
                }
            }
        }
        Ok(())
    }

    /// Makes the group where the groups above it are there and in use, which is nearly always; false where they
    /// are not, or where a cpuset may be one that another maker has not filled in yet.
    fn make_last(&self, hierarchy: &MountedHierarchy) -> Result<bool, Error> {
        let directory = self.directory(hierarchy);
        match files::make(&directory) {
            Ok(()) if hierarchy.has("cpuset") => {
                let above = directory.parent().unwrap_or(&hierarchy.mount);
                for file in CPUSET {
                    let value = read(&above.join(file))?;
                    if value.trim().is_empty() {
                        return Ok(false);
                    }
                    self.write(&directory.join(file), value.trim())?;
                }
                Ok(true)
            }
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Ok(!hierarchy.has("cpuset"))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(cgroup_error("make", &directory, source)),
        }
    }

    /// Fills in a cpuset's file from the group above, if it is empty.
    fn inherit(&self, above: &Path, file: &Path) -> Result<(), Error> {
        if read(file)?.trim().is_empty() {
            self.write(file, read(above)?.trim())?;
        }
        Ok(())
    }
}

fn read(file: &Path) -> Result<String, Error> {
    files::read(file).map_err(|source| cgroup_error("read", file, source))
}

/// Lets the groups below `directory` use controllers: the needed ones, or it is an error, and of the usual ones
/// what is there and can be had.
fn enable(directory: &Path, needed: &[Needed], usual: &[&str]) -> Result<(), Error> {
    if needed.is_empty() && usual.is_empty() {
        return Ok(());
    }
    let file = directory.join("cgroup.subtree_control");
    let (available, enabled) = (read(&directory.join("cgroup.controllers"))?, read(&file)?);
    let listed = |text: &str, name: &str| text.split_whitespace().any(|word| word == name);
    let enable = |name: &str| files::write(&file, &format!("+{name}"));
    for Needed { controller, field } in needed {
        if !listed(&available, controller) {
            return Err(no_controller(controller, field));
        }
        if !listed(&enabled, controller) {
            let enabled = enable(controller).or_else(|error| match error.raw_os_error() {
                Some(errno) if errno == Errno::BUSY.raw_os_error() && make_room(directory)? => {
                    enable(controller)
                }
                _ => Err(error),
            });
            enabled.map_err(|source| {
                cgroup_error(&format!("enable {controller} in"), &file, source)
            })?;
        }
    }
    let missing = |name: &&&str| listed(&available, name) && !listed(&enabled, name);
    for name in usual.iter().filter(missing) {
        // Nobody asked for it: a group that cannot have it (of real-time processes, or with processes of its
        // own) goes without.
        drop(enable(name));
    }
    Ok(())
}

/// Moves the processes of the group that is the root of this cgroup namespace, as it is inside a container, to a group
/// below it, since the kernel lets no group have both processes and limits below it ("No Internal Process
/// Constraint"). False for any other group: those processes are none of ours.
fn make_room(directory: &Path) -> io::Result<bool> {
    // The hierarchy's own root has no type, and no such rule; a root of a namespace has nothing above it here.
    let above = directory.parent().is_some_and(|above| above.join("cgroup.procs").exists());
    if above || !directory.join("cgroup.type").exists() {
        return Ok(false);
    }
    let room = directory.join("init");
    match files::make(&room) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    for _ in 0..ROUNDS {
        let processes = files::read(directory.join("cgroup.procs"))?;
        if processes.is_empty() {
            return Ok(true);
        }
        for pid in processes.lines() {
            match files::write(room.join("cgroup.procs"), pid) {
                // It has ended meanwhile.
                Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => {}
                result => result?,
            }
        }
    }
    Ok(true)
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
