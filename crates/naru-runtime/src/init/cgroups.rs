//! Joining control groups and showing them to the container.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::sched::CloneFlags;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::thread::CpuSet;

use naru_sys::mount::{Attributes, set_attributes};

use super::mounts::{change_attributes, filesystem};
use super::root::{attach_on, clone_tree};
use crate::error::{At, Failure, Stage};
use crate::plan::{CgroupPlan, Hierarchy, Options};

/// Moves this process, which has one thread, into the groups of these `tasks` files.
///
/// Writing `0` there moves the calling thread without the lock that `cgroup.procs` takes, for
/// which the kernel would wait about 10 ms for RCU when nothing was moved for a while.
pub(super) fn join(tasks: &[PathBuf]) -> Result<(), Failure> {
    for file in tasks {
        let write = || {
            let flags = OFlags::WRONLY | OFlags::CLOEXEC;
            let opened = rustix::fs::open(file, flags, Mode::empty())?;
            rustix::io::write(&opened, b"0").map(drop)
        };
        write().at(Stage::Cgroup, || format!("join the control group {}", file.display()))?;
    }
    Ok(())
}

/// Lets this process run on all processors of its groups: since Linux 6.2 a choice that the caller was started with
/// would outlive the join. The kernel leaves out those that there are not, or that the group does not have.
pub(super) fn spread() {
    let mut all = CpuSet::new();
    (0..CpuSet::MAX_CPU).for_each(|number| all.set(number));
    // Where this is not allowed the caller's choice stays.
    let _ = rustix::thread::sched_setaffinity(None, &all);
}

/// Hides the groups above the ones that were joined.
pub(super) fn isolate(plan: &CgroupPlan) -> Result<(), Failure> {
    if plan.unshare {
        nix::sched::unshare(CloneFlags::CLONE_NEWCGROUP)
            .map_err(|errno| Errno::from_raw_os_error(errno as i32))
            .at(Stage::Cgroup, || "make a cgroup namespace".to_owned())?;
    }
    Ok(())
}

/// Mounts the hierarchies on `target`: the only v2 one directly, several in a tmpfs.
///
/// With `bound` the container's own groups are shown by bind mounts instead.
pub(super) fn mount(
    target: &OwnedFd,
    hierarchies: &[Hierarchy],
    bound: bool,
    options: &Options,
) -> Result<(), Failure> {
    let what = || "mount the control groups".to_owned();
    if let [only] = hierarchies
        && only.name.is_empty()
    {
        let mount = hierarchy(only, bound, options).at(Stage::Mount, what)?;
        return attach_on(&mount, target).at(Stage::Mount, what);
    }
    let data = vec![("mode".to_owned(), Some("755".to_owned()))];
    let writable = Options { set: options.set & !READ_ONLY, data, ..options.clone() };
    let top = filesystem("tmpfs", Some("cgroup"), &writable).at(Stage::Mount, what)?;
    attach_on(&top, target).at(Stage::Mount, what)?;
    for entry in hierarchies {
        let what = || format!("mount the control groups of {}", entry.name);
        place(&top, entry, bound, options).at(Stage::Mount, what)?;
    }
    if options.set & READ_ONLY != 0 {
        let read_only = Attributes { set: READ_ONLY, ..Attributes::default() };
        set_attributes(top.as_fd(), false, &read_only).at(Stage::Mount, what)?;
    }
    Ok(())
}

const READ_ONLY: u64 = 0x1;

/// One hierarchy in its directory, with a link for each of several controllers.
fn place(top: &OwnedFd, entry: &Hierarchy, bound: bool, options: &Options) -> Result<(), Errno> {
    rustix::fs::mkdirat(top, &entry.name, Mode::from_bits_truncate(0o755))?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = rustix::fs::openat(top, Path::new(&entry.name), flags, Mode::empty())?;
    let mount = hierarchy(entry, bound, options)?;
    attach_on(&mount, &directory)?;
    if entry.controllers.len() > 1 {
        for controller in &entry.controllers {
            rustix::fs::symlinkat(&entry.name, top, controller)?;
        }
    }
    Ok(())
}

/// A hierarchy seen from this cgroup namespace, or the container's group in it; attached nowhere.
fn hierarchy(entry: &Hierarchy, bound: bool, options: &Options) -> Result<OwnedFd, Errno> {
    if bound {
        let mount = clone_tree(&entry.group, false)?;
        change_attributes(&mount, &Options { data: Vec::new(), ..options.clone() })?;
        return Ok(mount);
    }
    if entry.controllers.is_empty() {
        let plain = Options { data: Vec::new(), ..options.clone() };
        return filesystem("cgroup2", Some("cgroup"), &plain);
    }
    let mut data = Vec::new();
    for controller in &entry.controllers {
        match controller.strip_prefix("name=") {
            Some(name) => {
                data.push(("none".to_owned(), None));
                data.push(("name".to_owned(), Some(name.to_owned())));
            }
            None => data.push((controller.clone(), None)),
        }
    }
    filesystem("cgroup", Some("cgroup"), &Options { data, ..options.clone() })
}
