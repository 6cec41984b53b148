//! The mounts of the plan, all by descriptor.

use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use naru_sys::mount::{Attributes, set_attributes};
use rustix::fs::{AtFlags, FileType};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};

use super::root::{attach_on, clone_of, hold_tree};
use super::tree::{Tree, is_directory};
use super::{Session, cgroups, copy_up, files};
use crate::error::{At, Failure, Stage};
use crate::plan::{
    Atime, ContainerPlan, MountOp, NAMED, NO_DIRECTORY_ATIME, NO_SYMLINKS, Options, Propagation,
    READ_ONLY, RootSource,
};
use crate::sources;

const ATIME_MASK: u64 = 0x70;
const NO_ATIME: u64 = 0x10;
const STRICT_ATIME: u64 = 0x20;

/// What is bound: a mount that is made already, or a file of the host from which it is made at its turn. The
/// kernel lists mounts by their age, and they are to be listed in the order of the specification.
#[derive(Debug)]
pub(super) enum Source {
    /// A mount that is attached nowhere.
    Made(OwnedFd),
    /// A file of the host.
    Held(OwnedFd),
    /// A path below the container's root, looked at when what is mounted there before is.
    Inside(PathBuf, Ids),
}

/// The ids by which what is bound is seen.
#[derive(Debug)]
pub(super) enum Ids {
    /// Its own.
    Own,
    /// Those of this user namespace, also below where that is asked for.
    Mapped(OwnedFd, bool),
    /// The caller maps those of the mount with this number.
    Asked(usize),
}

/// What the plan's mounts need from the host, opened while it can still be seen: one entry for each
/// mount, with something in it for binds.
pub(super) fn open_sources(
    plan: &ContainerPlan,
    session: &mut Session,
) -> Result<Vec<Option<Source>>, Failure> {
    let shared = plan.root.propagation.is_some_and(Propagation::is_shared);
    let root = match &plan.root.source {
        RootSource::Path(path) => Some(path.as_path()),
        RootSource::Mount(_) => None,
    };
    let open = |(number, mount): (usize, &MountOp)| match mount {
        MountOp::Bind { source, opened, ids, .. } if plan.is_inside(mount) => {
            let ids = match (ids, opened) {
                (None, _) => Ids::Own,
                (Some((_, below)), Some(slot)) => Ids::Mapped(session.take(*slot)?, *below),
                (Some(_), None) => Ids::Asked(number),
            };
            let below = plan.root.source.below(source).unwrap_or(source);
            Ok(Some(Source::Inside(below.to_owned(), ids)))
        }
        MountOp::Bind { opened: Some(slot), .. } => {
            session.take(*slot).map(|made| Some(Source::Made(made)))
        }
        MountOp::Bind { source, recursive, options, .. } => {
            let what = || format!("open {} for a mount", source.display());
            let follows = !options.links.bound && !options.links.copied;
            let held = hold_tree(source, follows).at(Stage::Mount, what)?;
            // What is shared has to be so before this namespace is isolated, and what the root file
            // system will be attached in must not bring that along.
            let at_once = shared || *recursive && leads_to(&held, root);
            let made = at_once.then(|| clone_of(&held, *recursive)).transpose();
            Ok(Some(made.at(Stage::Mount, what)?.map_or(Source::Held(held), Source::Made)))
        }
        MountOp::Filesystem { .. } | MountOp::Cgroup { .. } | MountOp::Change { .. } => Ok(None),
    };
    plan.mounts.iter().enumerate().map(open).collect()
}

/// The root file system, which is attached at its path or on the root, will be below this directory.
fn leads_to(directory: &OwnedFd, root: Option<&Path>) -> bool {
    let path = |file: &OwnedFd| {
        let link = rustix::fs::readlink(format!("/proc/self/fd/{}", file.as_raw_fd()), Vec::new());
        link.map(|link| PathBuf::from(OsStr::from_bytes(link.as_bytes())))
    };
    let Ok(directory) = path(directory) else { return true };
    let below = |root: &Path| {
        let root = hold_tree(root, true).and_then(|root| path(&root));
        root.map_or(true, |root| root.starts_with(&directory))
    };
    directory == Path::new("/") || root.is_some_and(below)
}

/// Mounts one entry of the plan. The mount of a read-only tmpfs is returned, to be made so by [`make_read_only`]
/// when nothing is to be made in it any more.
pub(super) fn mount(
    tree: &Tree,
    operation: &MountOp,
    source: Option<Source>,
    session: &Session,
    locked: bool,
) -> Result<Option<OwnedFd>, Failure> {
    if let MountOp::Filesystem { kind, source, target, options } = operation
        && kind == "tmpfs"
    {
        let what = || describe(operation);
        let exists = tree.open(target).is_ok();
        let target = directory(tree, kind, target)?;
        let options = Options { set: options.set & !READ_ONLY, ..options.clone() };
        let mount = || tmpfs(source.as_deref(), exists.then_some(&target), &options);
        let mount = mount().at(Stage::Mount, what)?;
        attach_on(&mount, &target).at(Stage::Mount, what)?;
        return Ok(operation.is_read_only().then_some(mount));
    }
    mount_now(tree, operation, source, session, locked).map(|()| None)
}

/// Makes a mount read-only, but not what is mounted below it.
pub(super) fn make_read_only(mount: &OwnedFd) -> Result<(), Failure> {
    let attributes = Attributes { set: READ_ONLY, ..Attributes::default() };
    set_attributes(mount.as_fd(), false, &attributes)
        .at(Stage::Mount, || "make a mount read-only".to_owned())
}

fn mount_now(
    tree: &Tree,
    operation: &MountOp,
    source: Option<Source>,
    session: &Session,
    locked: bool,
) -> Result<(), Failure> {
    let what = || describe(operation);
    match operation {
        MountOp::Filesystem { kind, source, target, options } => {
            let mount = filesystem(kind, source.as_deref(), options).at(Stage::Mount, what)?;
            let target = directory(tree, kind, target)?;
            attach_on(&mount, &target).at(Stage::Mount, what)
        }
        MountOp::Bind { target, options, recursive, .. } => {
            let source = match source {
                Some(Source::Made(mount)) => Ok(mount),
                Some(Source::Held(file)) => clone_of(&file, *recursive),
                Some(Source::Inside(path, ids)) => {
                    clone_inside(tree, &path, *recursive, (ids, session))
                }
                None => Err(Errno::BADF),
            };
            let source = source.at(Stage::Mount, what)?;
            if options.links.copied && copy_link(tree, &source, target).at(Stage::Mount, what)? {
                return Ok(());
            }
            change_attributes(&source, &bound(options, locked)).at(Stage::Mount, what)?;
            let is_directory = is_directory(source.as_fd()).at(Stage::Mount, what)?;
            let link = if options.links.covered { tree.link(target) } else { None };
            let place = match link {
                Some(link) => Ok(link),
                None if is_directory => tree.directory(target, 0o755),
                None => tree.file(target),
            };
            let place = place.at(Stage::Mount, || format!("make {}", target.display()))?;
            check_bind(operation, &source, &place)?;
            attach_on(&source, &place).at(Stage::Mount, what)
        }
        MountOp::Cgroup { target, hierarchies, bound, options } => {
            let place = directory(tree, "cgroup", target)?;
            cgroups::mount(&place, hierarchies, *bound, options)
        }
        MountOp::Change { target, options } => {
            let place = tree.open(target).at(Stage::Mount, what)?;
            let asked = Options { clear: options.clear | NAMED & !options.set, ..options.clone() };
            let keep = Options { propagation: None, ..bound(&asked, locked) };
            let (set, clear) = attributes(keep.set, keep.clear, keep.atime);
            let propagation = options.propagation.map_or(0, |one| one.flag);
            let changed = Attributes { set, clear, propagation, ..Attributes::default() };
            set_attributes(place.as_fd(), false, &changed).at(Stage::Mount, what)
        }
    }
}

/// Makes the link that the source is at the destination; false when it is none.
fn copy_link(tree: &Tree, source: &OwnedFd, target: &Path) -> Result<bool, Errno> {
    let stat = rustix::fs::statat(source, c"", AtFlags::EMPTY_PATH)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
        return Ok(false);
    }
    let words = rustix::fs::readlinkat(source, c"", Vec::new())?;
    let (parent, name) = tree.parent(target)?;
    if files::is_proc(parent.as_fd())? {
        return Err(Errno::PERM);
    }
    match rustix::fs::symlinkat(&words, &parent, name) {
        Err(Errno::EXIST) if rustix::fs::readlinkat(&parent, name, Vec::new()) == Ok(words) => {
            Ok(true)
        }
        result => result.map(|()| true),
    }
}

/// A copy of what is at `path` in the container by now.
fn clone_inside(
    tree: &Tree,
    path: &Path,
    recursive: bool,
    (ids, session): (Ids, &Session),
) -> Result<OwnedFd, Errno> {
    let copy = clone_of(&tree.open(path)?, recursive)?;
    match ids {
        Ids::Own => {}
        Ids::Mapped(namespace, below) => sources::map_ids(&copy, namespace.as_fd(), below)?,
        Ids::Asked(mount) => {
            if !session.channel.ask_for_ids(mount, copy.as_fd())? {
                return Err(Errno::CONNRESET);
            }
        }
    }
    Ok(copy)
}

/// What a bind with any option of its own has: these and no others. One without is as its source. In a user
/// namespace what the source keeps from its users stays, since they could not take it back there either.
fn bound(options: &Options, locked: bool) -> Options {
    let mut bound = options.clone();
    if options.set | options.clear != 0 || options.atime.is_some() {
        let others = if locked { NO_SYMLINKS } else { NAMED };
        bound.clear |= others & !options.set;
    }
    if options.set & NO_DIRECTORY_ATIME != 0 || options.atime.is_some() {
        bound.clear |= NO_DIRECTORY_ATIME & !options.set;
        bound.atime = options.atime.or(Some(Atime::Relative));
    }
    bound
}

fn describe(operation: &MountOp) -> String {
    let target = operation.target().display();
    match operation {
        MountOp::Filesystem { kind, .. } => format!("mount {kind} on {target}"),
        MountOp::Bind { source, .. } => format!("mount {} on {target}", source.display()),
        MountOp::Cgroup { .. } => format!("mount the control groups on {target}"),
        MountOp::Change { .. } => format!("change the mount on {target}"),
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
    let special = ["proc", "sysfs"].contains(&kind);
    let place = open().at(Stage::Mount, || match special {
        true => format!(
            "mount {kind} on {}: filesystem {kind:?} must be mounted on ordinary directory",
            target.display()
        ),
        false => format!("make the directory {}", target.display()),
    })?;
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
    let writable = Options {
        set: options.set & !READ_ONLY,
        recursive_set: options.recursive_set & !READ_ONLY,
        ..options.clone()
    };
    let mount = filesystem("tmpfs", source, &writable)?;
    copy_up::copy(covered.as_fd(), mount.as_fd())?;
    let set = (options.set | options.recursive_set) & READ_ONLY;
    let attributes = Attributes { set, ..Attributes::default() };
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
    // Nothing is below, but the mount itself is among those that are meant.
    let (set, clear) =
        attributes(options.recursive_set, options.recursive_clear, options.recursive_atime);
    if set | clear != 0 {
        set_attributes(mount.as_fd(), true, &Attributes { set, clear, ..Attributes::default() })?;
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
