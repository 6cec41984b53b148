//! The terminal of a process, from the container's own devpts.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use naru_sys::beneath;
use rustix::fs::{OFlags, ResolveFlags, Uid};
use rustix::io::Errno;
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;

use super::Session;
use super::files::is_device;
use super::root::{attach_on, clone_of};
use super::tree::{Tree, create_file};
use crate::error::{At, Failure, Stage};
use crate::wire::Report;

/// The type of devpts, as statfs(2) tells it.
const DEVPTS_SUPER_MAGIC: u64 = 0x1cd1;

/// Makes a terminal of this size and owner, sends its master to the caller and returns its other end.
///
/// The other end comes from the master itself (`TIOCGPTPEER`), never from a path.
pub(super) fn open(
    tree: &Tree,
    (rows, columns): (u16, u16),
    owner: u32,
    session: &Session,
) -> Result<OwnedFd, Failure> {
    let what = || "make a terminal".to_owned();
    let master = open_master(tree).at(Stage::Terminal, || "open /dev/pts/ptmx".to_owned())?;
    let make = || {
        rustix::pty::unlockpt(&master)?;
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags)?;
        if rows != 0 || columns != 0 {
            let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
            rustix::termios::tcsetwinsize(&slave, size)?;
        }
        // The program's user may open its terminal again, as /dev/tty or by its name.
        rustix::fs::fchown(&slave, Some(Uid::from_raw(owner)), None)?;
        Ok(slave)
    };
    let slave = make().at(Stage::Terminal, what)?;
    session
        .channel
        .report(&Report::Terminal, &[master.as_fd()])
        .at(Stage::Terminal, || "hand over the terminal".to_owned())?;
    Ok(slave)
}

/// Makes the terminal the container's console.
pub(super) fn mount_console(tree: &Tree, slave: &OwnedFd) -> Result<(), Failure> {
    let path = Path::new("/dev/console");
    let mount = || {
        let (parent, name) = tree.parent(path)?;
        create_file(parent.as_fd(), name)?;
        let target = tree.open_plain(path)?;
        attach_on(clone_of(slave, false)?, &target)
    };
    mount().at(Stage::Terminal, || "mount /dev/console".to_owned())
}

/// Makes the terminal the controlling one of this process, which leads a session.
pub(super) fn control(slave: &OwnedFd) -> Result<(), Failure> {
    rustix::process::ioctl_tiocsctty(slave)
        .at(Stage::Terminal, || "take control of the terminal".to_owned())
}

/// The multiplexer of the container's devpts, verified to be one.
fn open_master(tree: &Tree) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS;
    let flags = OFlags::RDWR | OFlags::NOCTTY;
    let master = beneath::open(tree, "/dev/pts/ptmx", flags, resolve)?;
    let kind = rustix::fs::fstatfs(&master)?.f_type;
    let is_devpts = u64::try_from(kind).is_ok_and(|kind| kind == DEVPTS_SUPER_MAGIC);
    if is_devpts && is_device(master.as_fd(), 5, 2)? { Ok(master) } else { Err(Errno::NODEV) }
}
