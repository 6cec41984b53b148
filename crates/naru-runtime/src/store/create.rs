//! Creating a recorded container.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use oci_spec::runtime::{LinuxResources, Spec, State};

use super::container::Container;
use super::{ContainerId, Error, Record, START, Store, devices, notify, open_directory};
use crate::{Binary, Cgroup, Create, Identity, Parent, Process, Root, Stdio};

/// The kinds of namespaces, as in `/proc/PID/ns`.
const NAMESPACES: [&str; 8] = ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"];

/// How often a group is made again that was removed with the one above it.
const ATTEMPTS: usize = 5;

/// What [`Store::create`] needs.
#[derive(Debug)]
pub struct NewContainer<'a> {
    /// Its id.
    pub id: &'a ContainerId,
    /// Its bundle, absolute.
    pub bundle: &'a Path,
    /// Its configuration.
    pub spec: &'a Spec,
    /// Its files.
    pub stdio: Stdio,
    /// Its control groups, which are made; those of [`Cgroup::none`] are not.
    pub cgroup: &'a Cgroup,
    /// Whose child its first process is.
    pub parent: Parent,
    /// naru's own program.
    pub binary: &'a Binary,
    /// It is given a socket to say at that it is ready, for [`Container::start_notified`].
    pub notify: bool,
}

impl Store {
    /// Creates a container that waits for its start, also when the caller ends.
    ///
    /// # Errors
    /// [`Error::Exists`] when there is one of this id, [`Error::Occupied`] when its control group is
    /// another one's, [`Error::Frozen`] when nothing could run in it; nothing is left of one that failed.
    pub fn create(&self, new: NewContainer<'_>) -> Result<(Container, Process), Error> {
        let (directory, lock) = self.begin(new.id)?;
        let cgroup = new.cgroup.clone();
        let free = cgroup.processes().map(|processes| processes.is_empty());
        let result = match free {
            Ok(true) if cgroup.has_frozen() => Err(Error::Frozen(cgroup.path())),
            Ok(true) => create_in(&directory, new).inspect_err(|_| {
                // The first failure is the one to tell.
                drop(cgroup.kill_all());
                drop(cgroup.remove());
            }),
            Ok(false) => Err(Error::Occupied(cgroup.path())),
            Err(error) => Err(error.into()),
        };
        if result.is_err() {
            drop(fs_err::remove_dir_all(&directory));
        }
        drop(lock);
        result
    }
}

fn create_in(directory: &Path, new: NewContainer<'_>) -> Result<(Container, Process), Error> {
    let rootfs = rootfs(new.bundle, new.spec)?;
    let has_cgroup = *new.cgroup != Cgroup::none();
    let mut record = Record {
        version: Record::VERSION,
        id: new.id.to_string(),
        bundle: new.bundle.to_owned(),
        rootfs: rootfs.clone(),
        created: SystemTime::now(),
        process: None,
        cgroup: has_cgroup.then(|| new.cgroup.path()),
        namespaces: BTreeMap::new(),
        config: new.spec.clone(),
    };
    // Before anything is made, so that it can be deleted when its creator dies in between.
    record.save(directory)?;
    let state = record.state();
    let spec = new.spec;
    let prepared = new.notify.then(|| notify::prepare(directory, spec)).transpose()?;
    let new = NewContainer { spec: prepared.as_ref().unwrap_or(spec), ..new };
    // The specification wants what ran for the creation to be undone also when that has failed.
    let process = make(directory, &rootfs, new, &state)
        .inspect_err(|_| super::warn(crate::hooks::poststop(spec, &state)))?;
    record.process = Some(process.identity()?);
    record.namespaces = namespaces(record.process.as_ref());
    let id = ContainerId::new(record.id.clone())?;
    let container = Container::new(id, directory.to_owned(), record);
    container.record().save(directory)?;
    Ok((container, process))
}

fn make(
    directory: &Path,
    rootfs: &Path,
    new: NewContainer<'_>,
    state: &State,
) -> Result<Process, Error> {
    let resources = new.spec.linux().as_ref().and_then(|linux| linux.resources().clone());
    create_group(new.cgroup, &devices::complete(resources.unwrap_or_default())?)?;
    let folder = open_directory(directory)?;
    let listener = crate::listen(&folder, START)?;
    let created = crate::create(Create {
        spec: new.spec,
        root: Root::Path(rootfs),
        cgroup: new.cgroup,
        stdio: new.stdio,
        parent: new.parent,
        binary: new.binary,
        init: false,
        waits_at: Some(listener),
        state: Some(state),
    })?;
    Ok(created.settle()?)
}

/// Makes the group; the one above may be removed with another container's in between.
fn create_group(cgroup: &Cgroup, resources: &LinuxResources) -> Result<(), crate::Error> {
    for _ in 0..ATTEMPTS {
        match cgroup.create(resources) {
            Err(error) if error.errno() == Some(nix::libc::ENOENT) => {}
            result => return result,
        }
    }
    cgroup.create(resources)
}

/// `root.path`, relative to the bundle.
fn rootfs(bundle: &Path, spec: &Spec) -> Result<PathBuf, Error> {
    let missing = || crate::Error::invalid("root", "it is missing");
    let root = spec.root().as_ref().ok_or_else(missing)?;
    Ok(bundle.join(root.path()))
}

fn namespaces(process: Option<&Identity>) -> BTreeMap<String, PathBuf> {
    let Some(process) = process else { return BTreeMap::new() };
    let path = |kind: &&str| PathBuf::from(format!("/proc/{}/ns/{kind}", process.pid));
    NAMESPACES.iter().map(|kind| ((*kind).to_owned(), path(kind))).collect()
}
