//! Paths that cannot be read, and paths that cannot be written.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use naru_sys::mount::{Attributes, set_attributes};
use rustix::io::Errno;

use super::mounts::filesystem;
use super::root::{attach_on, clone_of};
use super::tree::{Tree, is_directory};
use crate::error::{At, Failure, Stage};
use crate::plan::Options;

const READ_ONLY: u64 = 0x1;
/// Read-only, and nothing in it is a program, a device or runs as somebody else.
const LOCKED: u64 = 0xf;
/// As [`LOCKED`], but it is a device.
const DEVICE: u64 = 0xb;

/// Covers files with the null device and directories with an empty read-only file system.
///
/// One mount of each kind is made; the others are copies of it.
pub(super) struct Mask {
    null: Covering,
    empty: Option<Covering>,
}

/// A mount that covers: still to be attached, or attached and to be copied.
struct Covering {
    mount: OwnedFd,
    attached: bool,
}

impl Covering {
    fn cover(&mut self, target: &OwnedFd) -> Result<(), Errno> {
        if self.attached {
            return attach_on(clone_of(&self.mount, false)?, target);
        }
        attach_on(&self.mount, target)?;
        self.attached = true;
        Ok(())
    }
}

impl Mask {
    /// `null` is a verified null device, in the host's mounts.
    pub(super) fn new(null: &OwnedFd) -> Result<Self, Failure> {
        let what = || "copy the null device's mount".to_owned();
        let mount = clone_of(null, false).at(Stage::Mask, what)?;
        let attributes = Attributes { set: DEVICE, ..Attributes::default() };
        set_attributes(mount.as_fd(), false, &attributes).at(Stage::Mask, what)?;
        Ok(Self { null: Covering { mount, attached: false }, empty: None })
    }

    /// The null device on a read-only mount; before the first mask.
    pub(super) fn null(&self) -> BorrowedFd<'_> {
        self.null.mount.as_fd()
    }

    /// Masks a path, if it exists.
    pub(super) fn cover(&mut self, tree: &Tree, path: &str) -> Result<(), Failure> {
        let what = || format!("mask {path}");
        let Some(target) = open_if_there(tree, path).at(Stage::Mask, what)? else {
            return Ok(());
        };
        if !is_directory(target.as_fd()).at(Stage::Mask, what)? {
            return self.null.cover(&target).at(Stage::Mask, what);
        }
        if self.empty.is_none() {
            let data = vec![("mode".to_owned(), Some("555".to_owned()))];
            let options = Options { set: LOCKED, data, ..Options::default() };
            let mount = filesystem("tmpfs", Some("tmpfs"), &options).at(Stage::Mask, what)?;
            self.empty = Some(Covering { mount, attached: false });
        }
        match &mut self.empty {
            Some(empty) => empty.cover(&target).at(Stage::Mask, what),
            None => Ok(()),
        }
    }
}

/// Makes a path read-only with everything mounted below it, if it exists.
pub(super) fn make_read_only(tree: &Tree, path: &str) -> Result<(), Failure> {
    let what = || format!("make {path} read-only");
    let Some(target) = open_if_there(tree, path).at(Stage::Mask, what)? else { return Ok(()) };
    let change = || {
        let copy = clone_of(&target, true)?;
        let read_only = Attributes { set: READ_ONLY, ..Attributes::default() };
        set_attributes(copy.as_fd(), true, &read_only)?;
        attach_on(&copy, &target)
    };
    change().at(Stage::Mask, what)
}

fn open_if_there(tree: &Tree, path: &str) -> Result<Option<OwnedFd>, Errno> {
    match tree.open(Path::new(path)) {
        Ok(target) => Ok(Some(target)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(errno) => Err(errno),
    }
}
