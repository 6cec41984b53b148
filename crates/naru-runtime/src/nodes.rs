//! Device nodes that the caller makes, because a container in a user namespace may not: with the mode and the
//! owner of the specification, on a file system that is mounted nowhere.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Gid, Mode, Uid};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, OpenTreeFlags};

use crate::Error;
use crate::plan::{ContainerPlan, DeviceNode, IdMaps, IdRange};

/// Makes the nodes of the listed devices: one entry for each device.
///
/// Nothing where the caller may not make one, or the kernel cannot show a file of such a file system
/// (Linux before 6.15): the host's node is shown then.
pub(crate) fn make(plan: &ContainerPlan, ids: &IdMaps) -> Result<Vec<Option<OwnedFd>>, Error> {
    let is_made = |device: &DeviceNode| device.bound && !device.is_default();
    if !plan.devices.iter().any(is_made) {
        return Ok(Vec::new());
    }
    let folder = file_system().map_err(|errno| Error::host("make a place for devices", errno))?;
    let make = |(index, device): (usize, &DeviceNode)| {
        let owner = outside(&ids.uid, device.uid).zip(outside(&ids.gid, device.gid));
        let Some(owner) = owner.filter(|_| is_made(device)) else { return Ok(None) };
        match node(&folder, index, device, owner) {
            Err(Errno::PERM | Errno::INVAL) => Ok(None),
            result => result.map(Some).map_err(|errno| {
                Error::host(format!("make the device {}", device.path.display()), errno)
            }),
        }
    };
    plan.devices.iter().enumerate().map(make).collect()
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

/// What an id of the container is outside, if it is mapped.
fn outside(ranges: &[IdRange], id: u32) -> Option<u32> {
    let range = ranges.iter().find(|range| {
        id >= range.inside && u64::from(id) < u64::from(range.inside) + u64::from(range.count)
    })?;
    Some(range.outside + (id - range.inside))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_one_of_the_mapped_ids() {
        let ranges = [
            IdRange { inside: 0, outside: 100_000, count: 10 },
            IdRange { inside: 50, outside: 7, count: 1 },
        ];
        let outside = |id| outside(&ranges, id);
        assert_eq!([0, 9, 50].map(outside), [Some(100_000), Some(100_009), Some(7)]);
        assert_eq!([10, 49, 51].map(outside), [None; 3]);
    }
}
