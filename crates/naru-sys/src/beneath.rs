//! Opening what a path names below a directory that it cannot leave: openat2(2), and where that call is denied (an old
//! sandbox answers it with `EPERM`) a walk from component to component that comes to the same.
//!
//! The walk opens each component without following a link, reads links itself and keeps the descriptors of all
//! directories above, so that `..` goes back to one that it came through and never asks the file system: whatever is
//! renamed meanwhile, it cannot come out above the root. A magic link of procfs is never followed, only ordinary text
//! is.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::OnceLock;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, StatxFlags};
use rustix::io::Errno;

/// How often the kernel may be unsure because of renames before the walk, which they do not disturb, is taken instead.
const ATTEMPTS: usize = 32;
/// Links that one path may lead through, as in the kernel.
const LINKS: usize = 40;
/// The type of procfs, as statfs(2) tells it.
const PROC_SUPER_MAGIC: u64 = 0x9fa0;

/// Opens `path` with `root` as the root directory (`RESOLVE_IN_ROOT`) or as the directory that must not be left
/// (`RESOLVE_BENEATH`). Magic links are never followed. `path` may be absolute and contain links and `..`.
///
/// See [openat2(2)](https://man7.org/linux/man-pages/man2/openat2.2.html) (Linux 5.6).
///
/// # Errors
/// As openat2: `ELOOP` for a link that may not be followed, `EXDEV` for a way out of `RESOLVE_BENEATH` or, with
/// `RESOLVE_NO_XDEV`, into another mount.
pub fn open(
    root: impl AsFd,
    path: impl AsRef<Path>,
    flags: OFlags,
    resolve: ResolveFlags,
) -> Result<OwnedFd, Errno> {
    let (root, path) = (root.as_fd(), path.as_ref());
    let (flags, resolve) = (flags | OFlags::CLOEXEC, resolve | ResolveFlags::NO_MAGICLINKS);
    for _ in 0..ATTEMPTS {
        match rustix::fs::openat2(root, path, flags, Mode::empty(), resolve) {
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(Errno::NOSYS | Errno::PERM) if is_denied() => break,
            result => return result,
        }
    }
    walk(root, path, flags, resolve)
}

/// Whether this process may not call openat2 at all, or the kernel has none.
fn is_denied() -> bool {
    static DENIED: OnceLock<bool> = OnceLock::new();
    *DENIED.get_or_init(|| {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let opened = rustix::fs::openat2(CWD, "/", flags, Mode::empty(), ResolveFlags::empty());
        matches!(opened, Err(Errno::NOSYS | Errno::PERM))
    })
}

/// The way through the tree so far.
struct Walk<'a> {
    root: BorrowedFd<'a>,
    /// The directories below the root that lead to where the walk is.
    above: Vec<OwnedFd>,
    /// Components still to be taken.
    left: VecDeque<Vec<u8>>,
    /// What is named last has to be a directory, whatever the flags say.
    wants_directory: bool,
    links: usize,
    resolve: ResolveFlags,
    mount: Option<u64>,
}

/// What a step came to.
enum Step {
    /// Another directory, or a link whose text is now part of the way.
    Further,
    /// The last component: its descriptor, opened as a path, and its name.
    Last(OwnedFd, Vec<u8>),
}

fn walk(
    root: BorrowedFd<'_>,
    path: &Path,
    flags: OFlags,
    resolve: ResolveFlags,
) -> Result<OwnedFd, Errno> {
    let path = path.as_os_str().as_bytes();
    if path.is_empty() {
        return Err(Errno::NOENT);
    }
    let no_xdev = resolve.contains(ResolveFlags::NO_XDEV);
    let mut walk = Walk {
        root,
        above: Vec::new(),
        left: VecDeque::new(),
        wants_directory: false,
        links: 0,
        resolve,
        mount: if no_xdev { Some(mount_of(root)?) } else { None },
    };
    walk.take_up(path)?;
    loop {
        let Some(name) = walk.left.pop_front() else { return walk.finish(flags) };
        match walk.step(name, flags)? {
            Step::Further => {}
            Step::Last(found, name) => match walk.open_last(found, &name, flags) {
                // Something else has taken the name: what it is now is looked at anew.
                Err(Errno::LOOP) if !is_plain(flags) && walk.links < LINKS => {
                    walk.links += 1;
                    walk.left.push_front(name);
                }
                result => return result,
            },
        }
    }
}

impl Walk<'_> {
    /// Puts the components of a path or of a link's text before those that are left.
    fn take_up(&mut self, path: &[u8]) -> Result<(), Errno> {
        if path.starts_with(b"/") {
            if self.resolve.contains(ResolveFlags::BENEATH) {
                return Err(Errno::XDEV);
            }
            self.above.clear();
        }
        if self.left.is_empty() && matches!(path.rsplit(|b| *b == b'/').next(), Some(b"" | b".")) {
            self.wants_directory = true;
        }
        let names = path.split(|byte| *byte == b'/');
        for name in names.filter(|name| !matches!(*name, b"" | b".")).rev() {
            self.left.push_front(name.to_vec());
        }
        Ok(())
    }

    fn here(&self) -> BorrowedFd<'_> {
        self.above.last().map_or(self.root, AsFd::as_fd)
    }

    fn step(&mut self, name: Vec<u8>, flags: OFlags) -> Result<Step, Errno> {
        if name == b".." {
            if self.above.pop().is_none() && self.resolve.contains(ResolveFlags::BENEATH) {
                return Err(Errno::XDEV);
            }
            return Ok(Step::Further);
        }
        let look = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let found = rustix::fs::openat(self.here(), &name[..], look, Mode::empty())?;
        self.check_mount(found.as_fd())?;
        let ends_here = self.left.is_empty() && !self.wants_directory;
        match FileType::from_raw_mode(rustix::fs::fstat(&found)?.st_mode) {
            FileType::Symlink if ends_here && flags.contains(OFlags::NOFOLLOW) => {
                if is_plain(flags) { Ok(Step::Last(found, name)) } else { Err(Errno::LOOP) }
            }
            FileType::Symlink => self.follow(&found),
            _ if ends_here => Ok(Step::Last(found, name)),
            FileType::Directory => {
                self.above.push(found);
                Ok(Step::Further)
            }
            _ => Err(Errno::NOTDIR),
        }
    }

    fn follow(&mut self, link: &OwnedFd) -> Result<Step, Errno> {
        self.links += 1;
        if self.resolve.contains(ResolveFlags::NO_SYMLINKS) || self.links > LINKS {
            return Err(Errno::LOOP);
        }
        let text = rustix::fs::readlinkat(link, "", Vec::new())?;
        let text = text.as_bytes();
        // procfs has two kinds of links; only the ordinary ones are relative paths.
        let kind = rustix::fs::fstatfs(link)?.f_type;
        let is_proc = u64::try_from(kind).is_ok_and(|kind| kind == PROC_SUPER_MAGIC);
        if is_proc && (text.starts_with(b"/") || text.contains(&b':') || text.contains(&b'(')) {
            return Err(Errno::LOOP);
        }
        if text.is_empty() {
            return Err(Errno::NOENT);
        }
        self.take_up(text)?;
        Ok(Step::Further)
    }

    fn check_mount(&self, file: BorrowedFd<'_>) -> Result<(), Errno> {
        match self.mount {
            Some(mount) if mount_of(file)? != mount => Err(Errno::XDEV),
            _ => Ok(()),
        }
    }

    /// Opens the last component, which is no link, as the caller asked.
    fn open_last(&self, found: OwnedFd, name: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        if is_plain(flags) {
            let kind = FileType::from_raw_mode(rustix::fs::fstat(&found)?.st_mode);
            if flags.contains(OFlags::DIRECTORY) && kind != FileType::Directory {
                return Err(Errno::NOTDIR);
            }
            return Ok(found);
        }
        let flags = flags | OFlags::NOFOLLOW;
        let opened = rustix::fs::openat(self.here(), name, flags, Mode::empty())?;
        self.check_mount(opened.as_fd())?;
        Ok(opened)
    }

    /// The path ends in a directory that the walk is in already.
    fn finish(&self, flags: OFlags) -> Result<OwnedFd, Errno> {
        rustix::fs::openat(self.here(), ".", flags, Mode::empty())
    }
}

/// Whether the flags ask for no more than a descriptor of the place.
fn is_plain(flags: OFlags) -> bool {
    flags.contains(OFlags::PATH)
}

fn mount_of(file: BorrowedFd<'_>) -> Result<u64, Errno> {
    let stat = rustix::fs::statx(file, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)?;
    // Without the number nobody can tell the mounts apart (Linux before 5.8).
    if stat.stx_mask & StatxFlags::MNT_ID.bits() == 0 {
        return Err(Errno::NOSYS);
    }
    Ok(stat.stx_mnt_id)
}

#[cfg(test)]
mod tests;
