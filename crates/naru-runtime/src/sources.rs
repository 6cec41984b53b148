//! Sources of bind mounts that the caller opens, because the container has not the rights: in a user
//! namespace, and where ids are mapped on the way.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use naru_sys::mount::{Attributes, set_attributes};
use naru_sys::spawn::{Spawn, SpawnError, spawn};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::OpenTreeFlags;
use rustix::process::Signal;

use crate::namespaces::Opened;
use crate::plan::{ContainerPlan, IdMaps, IdSource, Links, MountOp, flags};
use crate::process::wait;
use crate::role::Role;
use crate::user::write_maps;
use crate::wire::Channel;
use crate::{Binary, Error};

/// `MOUNT_ATTR_IDMAP` (Linux 5.12).
const ID_MAPPED: u64 = 0x10_0000;

/// The ids of a bind mount whose source is in the container, for a process that cannot map them itself because it is
/// in a user namespace: the caller does it when it is asked.
#[derive(Debug)]
pub(crate) struct Mapped {
    /// Its number among the plan's mounts.
    pub(crate) mount: usize,
    path: PathBuf,
    namespace: OwnedFd,
    recursive: bool,
}

impl Mapped {
    /// Lets the files of this tree be seen by the ids.
    pub(crate) fn apply(&self, tree: &OwnedFd) -> Result<(), Error> {
        map_ids(tree, self.namespace.as_fd(), self.recursive)
            .map_err(|errno| Error::host(format!("map the ids of {}", self.path.display()), errno))
    }
}

/// Those of the plan that the caller maps when it is asked.
pub(crate) fn mapped(plan: &ContainerPlan, binary: &Binary) -> Result<Vec<Mapped>, Error> {
    let mut all = Vec::new();
    for (number, mount) in plan.mounts.iter().enumerate().filter(|_| plan.user.is_some()) {
        if let MountOp::Bind { source, ids: Some((ids, recursive)), .. } = mount
            && plan.is_inside(mount)
        {
            let namespace = user_namespace(ids, &[], binary)?;
            let (path, recursive) = (source.clone(), *recursive);
            all.push(Mapped { mount: number, path, namespace, recursive });
        }
    }
    Ok(all)
}

/// Opens the sources of the mounts that need it: one entry for each mount.
pub(crate) fn open(
    plan: &ContainerPlan,
    namespaces: &[Opened],
    binary: &Binary,
) -> Result<Vec<Option<OwnedFd>>, Error> {
    let open = |mount: &MountOp| match mount {
        MountOp::Bind { ids, .. } if plan.is_inside(mount) => {
            let ids = ids.as_ref().filter(|_| plan.user.is_none());
            let ids = ids.map(|(ids, _)| user_namespace(ids, namespaces, binary));
            ids.transpose()
        }
        MountOp::Bind { source, recursive, ids, options, .. }
            if ids.is_some() || plan.user.is_some() =>
        {
            let tree = clone_tree(source, *recursive, options.links).map_err(|errno| {
                Error::host(format!("open {} for a mount", source.display()), errno)
            })?;
            if let Some((ids, recursive)) = ids {
                let namespace = user_namespace(ids, namespaces, binary)?;
                map_ids(&tree, namespace.as_fd(), *recursive).map_err(|errno| {
                    Error::host(format!("map the ids of {}", source.display()), errno)
                })?;
            }
            Ok(Some(tree))
        }
        _ => Ok(None),
    };
    plan.mounts.iter().map(open).collect()
}

/// Adds them to the envelope and tells the plan their places.
pub(crate) fn enclose<'a>(
    sources: &'a [Option<OwnedFd>],
    plan: &mut ContainerPlan,
    envelope: &mut Vec<BorrowedFd<'a>>,
) {
    for (mount, source) in plan.mounts.iter_mut().zip(sources) {
        if let (MountOp::Bind { opened, .. }, Some(source)) = (mount, source) {
            *opened = Some(envelope.len());
            envelope.push(source.as_fd());
        }
    }
}

fn clone_tree(path: &Path, recursive: bool, links: Links) -> Result<OwnedFd, Errno> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if links.bound || links.copied {
        flags |= OpenTreeFlags::AT_SYMLINK_NOFOLLOW;
    }
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    rustix::mount::open_tree(CWD, path, flags)
}

/// Lets the files of a tree be seen by the ids of a user namespace.
pub(crate) fn map_ids(
    tree: &OwnedFd,
    namespace: BorrowedFd<'_>,
    recursive: bool,
) -> Result<(), Errno> {
    use std::os::fd::AsRawFd;
    let user_namespace = u64::try_from(namespace.as_raw_fd()).map_err(|_| Errno::BADF)?;
    let attributes = Attributes { set: ID_MAPPED, user_namespace, ..Attributes::default() };
    set_attributes(tree.as_fd(), recursive, &attributes)
}

/// A user namespace with these maps: the one that the container joins, or one that nobody is in.
fn user_namespace(
    ids: &IdSource,
    namespaces: &[Opened],
    binary: &Binary,
) -> Result<OwnedFd, Error> {
    match ids {
        IdSource::Maps(maps) => empty_user_namespace(maps, binary),
        IdSource::Joined => {
            let user = flags::USER.cast_unsigned();
            let joined = namespaces.iter().find(|namespace| namespace.flag == user);
            let joined = joined.ok_or_else(|| Error::host("find the user namespace", Errno::NOENT));
            joined?.file.try_clone().map_err(|error| Error::host("copy a descriptor", error))
        }
    }
}

/// Makes a user namespace and takes it from the process it was made with, which waits for a plan
/// and gets none.
fn empty_user_namespace(maps: &IdMaps, binary: &Binary) -> Result<OwnedFd, Error> {
    let (_channel, theirs) = Channel::pair().map_err(Error::Channel)?;
    let spawned = spawn(&Spawn {
        program: binary.as_fd(),
        arguments: &[c"naru", Role::Container.argument()],
        environment: &[],
        socket: theirs.as_fd(),
        namespaces: u64::from(flags::USER.cast_unsigned()),
        sibling: false,
        cgroup: None,
        join: &[],
        keep_capabilities: false,
    });
    let holder = match spawned {
        Ok(holder) => holder,
        Err(SpawnError::Clone(errno) | SpawnError::Join(errno, _)) => {
            return Err(Error::Clone(errno));
        }
        Err(SpawnError::Exec(errno, holder)) => {
            let _ = wait(holder.pidfd.as_fd());
            return Err(Error::Enter(errno));
        }
        Err(SpawnError::Killed(holder)) => {
            let _ = wait(holder.pidfd.as_fd());
            return Err(Error::Killed);
        }
    };
    let namespace = write_maps(holder.pid, maps).and_then(|()| {
        let path = format!("/proc/{}/ns/user", holder.pid);
        rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|errno| Error::host("open a user namespace", errno))
    });
    // Both fail only when it has ended by itself, which is as good.
    let _ = rustix::process::pidfd_send_signal(&holder.pidfd, Signal::KILL);
    let _ = wait(holder.pidfd.as_fd());
    namespace
}
