//! The container's root file system becomes the root.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use naru_sys::mount::{Attributes, set_attributes};
use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags};

use super::Session;
use super::tree::Tree;
use crate::error::{At, Failure, Stage};
use crate::plan::{ContainerPlan, Propagation, RootPlan, RootSource};

const MS_PRIVATE: u64 = 1 << 18;

/// Stops mounts made here from reaching the host; mounts that the host removes still go here, so
/// that this namespace holds none of them until it has its own root.
///
/// With a shared root that is done after the sources of mounts were opened, so that those that are to be
/// shared are shared with the host.
pub(super) fn isolate() -> Result<(), Failure> {
    let flags = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", flags).at(Stage::Root, || "make the mounts private".to_owned())
}

/// The root file system as a mount that is attached nowhere.
pub(super) fn open(plan: &RootPlan, session: &mut Session) -> Result<OwnedFd, Failure> {
    let path = match &plan.source {
        RootSource::Mount(slot) => return session.take(*slot),
        RootSource::Path(path) => path,
    };
    let what = || format!("open the root file system {}", path.display());
    let root = clone_tree(path, true).at(Stage::Root, what)?;
    let private = Attributes { propagation: MS_PRIVATE, ..Attributes::default() };
    set_attributes(root.as_fd(), true, &private).at(Stage::Root, what)?;
    Ok(root)
}

/// A detached copy of the mount at a path of the host, with `recursive` of all mounts below too.
pub(super) fn clone_tree(path: &Path, recursive: bool) -> Result<OwnedFd, Errno> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    rustix::mount::open_tree(CWD, path, flags)
}

/// A file of the host, held by its path; what is to be mounted there on demand is.
pub(super) fn hold_tree(path: &Path, follows: bool) -> Result<OwnedFd, Errno> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLOEXEC;
    flags.set(OpenTreeFlags::AT_SYMLINK_NOFOLLOW, !follows);
    rustix::mount::open_tree(CWD, path, flags)
}

/// Attaches the root file system on top of the old root, where no path of the host is needed, or at
/// its own path when there are hooks that look for it; from then on things can be mounted below it.
pub(super) fn attach(root: &OwnedFd, plan: &ContainerPlan) -> Result<Tree, Failure> {
    let what = || "attach the root file system".to_owned();
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    let place = match (&plan.root.source, &plan.hooks) {
        (RootSource::Path(path), Some(hooks)) if hooks.see_the_root() => path.as_path(),
        _ => Path::new("/"),
    };
    rustix::mount::move_mount(root, "", CWD, place, flags).at(Stage::Root, what)?;
    let copy = rustix::io::fcntl_dupfd_cloexec(root, 0).at(Stage::Root, what)?;
    Ok(Tree::new(copy))
}

/// Makes `root`, which is attached, the root of this namespace and drops everything else.
///
/// The two change places by pivot_root(2) with both arguments the same directory.
pub(super) fn enter(root: &OwnedFd) -> Result<(), Failure> {
    let what = |step: &'static str| move || step.to_owned();
    rustix::process::fchdir(root).at(Stage::Root, what("enter the root file system"))?;
    match rustix::process::pivot_root(".", ".") {
        Ok(()) => {
            rustix::mount::unmount(".", UnmountFlags::DETACH)
                .at(Stage::Root, what("leave the host's root file system"))?;
        }
        // The old root is the kernel's initial one, which cannot be exchanged.
        Err(Errno::INVAL) => {
            rustix::process::chroot(".").at(Stage::Root, what("change the root"))?;
        }
        Err(errno) => {
            return Err(errno).at(Stage::Root, what("make the root file system the root"));
        }
    }
    rustix::process::chdir("/").at(Stage::Root, what("enter the new root"))
}

/// Goes back to the caller's mount namespace, with the root file system and its mounts as they are, but
/// attached nowhere: they last as long as a process has them for its root.
pub(super) fn return_to(namespace: &OwnedFd) -> Result<(), Failure> {
    let what = || "return to the mount namespace of the caller".to_owned();
    let tree = clone_tree(Path::new("/"), true).at(Stage::Root, what)?;
    let kind = Some(rustix::thread::LinkNameSpaceType::Mount);
    rustix::thread::move_into_link_name_space(namespace.as_fd(), kind).at(Stage::Root, what)?;
    take_for_root(&tree)
}

/// Makes a directory this process's root, whatever mount namespace it belongs to.
pub(super) fn take_for_root(directory: &OwnedFd) -> Result<(), Failure> {
    let what = || "enter the root file system".to_owned();
    rustix::process::fchdir(directory).at(Stage::Root, what)?;
    rustix::process::chroot(".").at(Stage::Root, what)?;
    rustix::process::chdir("/").at(Stage::Root, what)
}

/// Sets how mounts made in the root reach others; only now, since pivot_root(2) refuses a shared one.
pub(super) fn propagate(root: &OwnedFd, plan: &RootPlan) -> Result<(), Failure> {
    let Some(Propagation { flag, recursive }) = plan.propagation else { return Ok(()) };
    let attributes = Attributes { propagation: flag, ..Attributes::default() };
    set_attributes(root.as_fd(), recursive, &attributes)
        .at(Stage::Root, || "set the propagation of the root file system".to_owned())
}

/// Makes the root file system read-only, but not what is mounted in it.
pub(super) fn make_read_only(root: &OwnedFd) -> Result<(), Failure> {
    let read_only = Attributes { set: 0x1, ..Attributes::default() };
    set_attributes(root.as_fd(), false, &read_only)
        .at(Stage::Root, || "make the root file system read-only".to_owned())
}

/// Attaches a detached mount on the file or directory that `target` is.
pub(super) fn attach_on(
    mount: impl std::os::fd::AsFd,
    target: impl std::os::fd::AsFd,
) -> Result<(), Errno> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(mount, "", target, "", flags)
}

/// A detached copy of the mount that `file` is on, from `file` down.
pub(super) fn clone_of(file: impl std::os::fd::AsFd, recursive: bool) -> Result<OwnedFd, Errno> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    rustix::mount::open_tree(file, "", flags)
}
