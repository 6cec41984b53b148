//! The mounts of the plan, all by descriptor.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use naru_sys::mount::{Attributes, set_attributes};
use rustix::fs::AtFlags;
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};

use super::root::{attach_on, clone_tree};
use super::tree::{Tree, is_directory};
use super::{Session, cgroups, copy_up, files};
use crate::error::{At, Failure, Stage};
use crate::plan::{Atime, MountOp, Options, Propagation, READ_ONLY};

const ATIME_MASK: u64 = 0x70;
const NO_ATIME: u64 = 0x10;
const STRICT_ATIME: u64 = 0x20;

/// What the plan's mounts need from the host, opened while it can still be seen: one entry for each
/// mount, with something in it for binds.
pub(super) fn open_sources(
    mounts: &[MountOp],
    session: &mut Session,
) -> Result<Vec<Option<OwnedFd>>, Failure> {
    let open = |mount: &MountOp| match mount {
        MountOp::Bind { opened: Some(slot), .. } => session.take(*slot).map(Some),
        MountOp::Bind { source, recursive, .. } => clone_tree(source, *recursive)
            .map(Some)
            .at(Stage::Mount, || format!("open {} for a mount", source.display())),
        MountOp::Filesystem { .. } | MountOp::Cgroup { .. } => Ok(None),
    };
    mounts.iter().map(open).collect()
}

/// Mounts one entry of the plan.
pub(super) fn mount(
    tree: &Tree,
    operation: &MountOp,
    source: Option<OwnedFd>,
) -> Result<(), Failure> {
    let what = || describe(operation);
    match operation {
        MountOp::Filesystem { kind, source, target, options } if kind == "tmpfs" => {
            let exists = tree.open(target).is_ok();
            let target = directory(tree, kind, target)?;
            let mount = || tmpfs(source.as_deref(), exists.then_some(&target), options);
            let mount = mount().at(Stage::Mount, what)?;
            attach_on(&mount, &target).at(Stage::Mount, what)
        }
        MountOp::Filesystem { kind, source, target, options } => {
            let mount = filesystem(kind, source.as_deref(), options).at(Stage::Mount, what)?;
            let target = directory(tree, kind, target)?;
            attach_on(&mount, &target).at(Stage::Mount, what)
        }
        MountOp::Bind { target, options, .. } => {
            let source = source.ok_or(Errno::BADF).at(Stage::Mount, what)?;
            change_attributes(&source, options).at(Stage::Mount, what)?;
            let is_directory = is_directory(source.as_fd()).at(Stage::Mount, what)?;
            let place =
                if is_directory { tree.directory(target, 0o755) } else { tree.file(target) };
            let place = place.at(Stage::Mount, || format!("make {}", target.display()))?;
            check_bind(operation, &source, &place)?;
            attach_on(&source, &place).at(Stage::Mount, what)
        }
        MountOp::Cgroup { target, hierarchies, bound, options } => {
            let place = directory(tree, "cgroup", target)?;
            cgroups::mount(&place, hierarchies, *bound, options)
        }
    }
}

fn describe(operation: &MountOp) -> String {
    let target = operation.target().display();
    match operation {
        MountOp::Filesystem { kind, .. } => format!("mount {kind} on {target}"),
        MountOp::Bind { source, .. } => format!("mount {} on {target}", source.display()),
        MountOp::Cgroup { .. } => format!("mount the control groups on {target}"),
    }
}

/// Where a new file system goes: an ordinary directory, in which a link of the image has no say
/// where it matters (/proc, /sys, /dev).
fn directory(tree: &Tree, kind: &str, target: &Path) -> Result<OwnedFd, Failure> {
    let plain = ["proc", "sysfs", "devpts", "mqueue", "cgroup"].contains(&kind)
        || target.starts_with("/dev")
        || target.starts_with("/sys");
    let open = || {
        let made = tree.directory(target, 0o755);
        if plain { made.and_then(|_| tree.open_plain(target)) } else { made }
    };
    let place = open().at(Stage::Mount, || format!("make the directory {}", target.display()))?;
    let is_directory =
        is_directory(place.as_fd()).at(Stage::Mount, || format!("look at {}", target.display()))?;
    if !is_directory {
        let text = format!("cannot mount {kind} on {}", target.display());
        return Err(Failure::new(Stage::Mount, Errno::NOTDIR, text));
    }
    refuse_proc(&place, target)?;
    Ok(place)
}

/// Nothing is mounted inside /proc, whatever way the path took.
fn refuse_proc(place: &OwnedFd, target: &Path) -> Result<(), Failure> {
    let what = || format!("look at {}", target.display());
    if files::is_proc(place.as_fd()).at(Stage::Mount, what)? {
        let text = format!("cannot mount on {}: it is inside /proc", target.display());
        return Err(Failure::new(Stage::Mount, Errno::PERM, text));
    }
    Ok(())
}

/// What is bound is no way into /proc: on /proc itself only a /proc, in it only some plain files.
fn check_bind(operation: &MountOp, source: &OwnedFd, place: &OwnedFd) -> Result<(), Failure> {
    let target = operation.target();
    let what = || format!("look at {}", target.display());
    if target == Path::new("/proc") && !files::is_proc(source.as_fd()).at(Stage::Mount, what)? {
        let text = "cannot mount on /proc: it is no procfs".to_owned();
        return Err(Failure::new(Stage::Mount, Errno::PERM, text));
    }
    let plain = !is_directory(place.as_fd()).at(Stage::Mount, what)?;
    if plain && operation.replaces_a_file_of_proc() {
        return Ok(());
    }
    refuse_proc(place, target)
}

/// A tmpfs, which has the mode of the directory that it covers, and with `tmpcopyup` what that holds.
fn tmpfs(
    source: Option<&str>,
    covered: Option<&OwnedFd>,
    options: &Options,
) -> Result<OwnedFd, Errno> {
    let Some(covered) = covered else { return filesystem("tmpfs", source, options) };
    let mut options = options.clone();
    if options.data.iter().all(|(key, _)| key != "mode") {
        let mode = rustix::fs::statat(covered, c"", AtFlags::EMPTY_PATH)?.st_mode & 0o7777;
        options.data.push(("mode".to_owned(), Some(format!("{mode:o}"))));
    }
    if !options.copy_up {
        return filesystem("tmpfs", source, &options);
    }
    let writable = Options { set: options.set & !READ_ONLY, ..options.clone() };
    let mount = filesystem("tmpfs", source, &writable)?;
    copy_up::copy(covered.as_fd(), mount.as_fd())?;
    let attributes = Attributes { set: options.set & READ_ONLY, ..Attributes::default() };
    set_attributes(mount.as_fd(), false, &attributes)?;
    Ok(mount)
}

/// A new file system, attached nowhere.
pub(super) fn filesystem(
    kind: &str,
    source: Option<&str>,
    options: &Options,
) -> Result<OwnedFd, Errno> {
    let context = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    if let Some(source) = source {
        rustix::mount::fsconfig_set_string(&context, "source", source)?;
    }
    for (key, value) in &options.data {
        match value {
            Some(value) => rustix::mount::fsconfig_set_string(&context, key, value)?,
            None => rustix::mount::fsconfig_set_flag(&context, key)?,
        }
    }
    for name in &options.whole {
        rustix::mount::fsconfig_set_flag(&context, name)?;
    }
    if options.set & READ_ONLY != 0 && !MADE_ON_THE_FLY.contains(&kind) {
        rustix::mount::fsconfig_set_flag(&context, "ro")?;
    }
    rustix::mount::fsconfig_create(&context)?;
    let (set, _) = attributes(options.set, options.clear, options.atime);
    let set = u32::try_from(set).map_err(|_| Errno::INVAL)?;
    let flags = FsMountFlags::FSMOUNT_CLOEXEC;
    let mount = rustix::mount::fsmount(&context, flags, MountAttrFlags::from_bits_retain(set))?;
    if let Some(Propagation { flag, recursive }) = options.propagation {
        let attributes = Attributes { propagation: flag, ..Attributes::default() };
        set_attributes(mount.as_fd(), recursive, &attributes)?;
    }
    Ok(mount)
}

/// File systems without a disk, of which only the mount is read-only.
const MADE_ON_THE_FLY: [&str; 7] =
    ["proc", "sysfs", "cgroup", "cgroup2", "mqueue", "devpts", "tmpfs"];

/// Gives the copy of a host's mount the options of the plan; what they do not name stays as it is
/// on the host.
pub(super) fn change_attributes(mount: &OwnedFd, options: &Options) -> Result<(), Errno> {
    let (set, clear) =
        attributes(options.recursive_set, options.recursive_clear, options.recursive_atime);
    let asked = options.propagation.unwrap_or(Propagation::PRIVATE);
    let of = |recursive| if asked.recursive == recursive { asked.flag } else { 0 };
    let below = Attributes { set, clear, propagation: of(true), ..Attributes::default() };
    if below != Attributes::default() {
        set_attributes(mount.as_fd(), true, &below)?;
    }
    let (set, clear) = attributes(options.set, options.clear, options.atime);
    let own = Attributes { set, clear, propagation: of(false), ..Attributes::default() };
    if own != Attributes::default() {
        set_attributes(mount.as_fd(), false, &own)?;
    }
    Ok(())
}

/// `MOUNT_ATTR_*` to set and to clear, access times included.
fn attributes(set: u64, clear: u64, atime: Option<Atime>) -> (u64, u64) {
    let (atime, mask) = match atime {
        None => (0, 0),
        Some(Atime::Relative) => (0, ATIME_MASK),
        Some(Atime::Never) => (NO_ATIME, ATIME_MASK),
        Some(Atime::Strict) => (STRICT_ATIME, ATIME_MASK),
    };
    (set | atime, clear | mask)
}
