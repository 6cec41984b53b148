//! Device nodes that the caller makes, because a container in a user namespace may not: with the mode and the
//! owner of the specification, on a file system that is mounted nowhere.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, Uid};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags,
};

use crate::Error;
use crate::plan::{ContainerPlan, DeviceNode, IdMaps, outside};

/// Makes the nodes of the listed devices: one entry for each device.
///
/// Nothing where the caller may not make one: the host's node is shown then. Linux before 6.15 gives a file of a file
/// system away only while that is mounted: then a thread of its own mounts it where nobody sees it.
pub(crate) fn make(plan: &ContainerPlan, ids: &IdMaps) -> Result<Vec<Option<OwnedFd>>, Error> {
    let is_made = |device: &DeviceNode| device.bound && !device.is_default();
    if !plan.devices.iter().any(is_made) {
        return Ok(Vec::new());
    }
    let failed = |errno| Error::host("make a place for devices", errno);
    let folder = file_system().map_err(failed)?;
    let make = || -> Result<Vec<Option<OwnedFd>>, Error> {
        let make = |(index, device): (usize, &DeviceNode)| {
            let owner = outside(&ids.uid, device.uid).zip(outside(&ids.gid, device.gid));
            let Some(owner) = owner.filter(|_| is_made(device)) else { return Ok(None) };
            match node(&folder, index, device, owner) {
                Err(Errno::PERM) => Ok(None),
                result => result.map(Some).map_err(|errno| {
                    Error::host(format!("make the device {}", device.path.display()), errno)
                }),
            }
        };
        plan.devices.iter().enumerate().map(make).collect()
    };
    let whole = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::AT_EMPTY_PATH;
    match rustix::mount::open_tree(&folder, "", whole | OpenTreeFlags::OPEN_TREE_CLOEXEC) {
        Err(Errno::INVAL) => while_mounted(&folder, make).map_err(failed)?,
        _ => make(),
    }
}

/// Calls `work` on a thread that has a mount namespace to itself, in which `folder` is mounted.
fn while_mounted<T: Send>(folder: &OwnedFd, work: impl FnOnce() -> T + Send) -> Result<T, Errno> {
    use nix::sched::{CloneFlags, unshare};
    let work = || {
        unshare(CloneFlags::CLONE_NEWNS).map_err(|error| Errno::from_raw_os_error(error as i32))?;
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        rustix::mount::mount_change("/", private)?;
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        rustix::mount::move_mount(folder, "", CWD, "/", flags)?;
        Ok(work())
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("naru".to_owned());
        let thread = thread.spawn_scoped(scope, work).map_err(|_| Errno::AGAIN)?;
        thread.join().map_err(|_| Errno::CANCELED)?
    })
}

/// Adds them to the envelope and tells the plan their places.
pub(crate) fn enclose<'a>(
    nodes: &'a [Option<OwnedFd>],
    plan: &mut ContainerPlan,
    envelope: &mut Vec<BorrowedFd<'a>>,
) {
    for (device, node) in plan.devices.iter_mut().zip(nodes) {
        if let Some(node) = node {
            device.made = Some(envelope.len());
            envelope.push(node.as_fd());
        }
    }
}

fn file_system() -> Result<OwnedFd, Errno> {
    let context = rustix::mount::fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    rustix::mount::fsconfig_set_string(&context, "mode", "0700")?;
    rustix::mount::fsconfig_create(&context)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

/// One node, as a mount of its own.
fn node(
    folder: &OwnedFd,
    index: usize,
    device: &DeviceNode,
    (uid, gid): (u32, u32),
) -> Result<OwnedFd, Errno> {
    let name = index.to_string();
    let kind = if device.kind == 'b' { FileType::BlockDevice } else { FileType::CharacterDevice };
    let mode = Mode::from_bits_truncate(device.mode);
    let numbers = rustix::fs::makedev(device.major, device.minor);
    rustix::fs::mknodat(folder, name.as_str(), kind, mode, numbers)?;
    // Not what the umask has left of it.
    rustix::fs::chmodat(folder, name.as_str(), mode, AtFlags::empty())?;
    let owner = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
    rustix::fs::chownat(folder, name.as_str(), owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW)?;
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    rustix::mount::open_tree(folder, name.as_str(), flags)
}
