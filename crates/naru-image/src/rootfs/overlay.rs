//! Layers and a writable directory become one root file system, mounted but attached nowhere.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use fs_err as fs;
use rustix::fs::{Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};

use crate::beneath::{magic_path, to_io};

/// Bytes of one string option in the mount interface, the zero at its end included.
const MAX_OPTION: usize = 256;
/// Layers overlayfs takes (`OVL_MAX_STACK`).
const MAX_LAYERS: usize = 500;

/// The directories of one container's root file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlay {
    /// Read-only layers, top first.
    pub lower: Vec<PathBuf>,
    /// Where the container's own changes go.
    pub upper: PathBuf,
    /// overlayfs's own work directory, on the same file system as `upper`.
    pub work: PathBuf,
}

/// Why a root file system could not be mounted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A directory is missing or cannot be opened; the source names it.
    #[error("a layer of the root file system cannot be opened")]
    Directory(#[source] io::Error),
    /// There are more layers than this kernel can put together.
    #[error("the image has {layers} layers, more than this kernel can mount")]
    TooManyLayers {
        /// How many there are.
        layers: usize,
    },
    /// The kernel refused.
    #[error("the root file system cannot be mounted: {step} failed{}", message(details))]
    Mount {
        /// The step it refused.
        step: &'static str,
        /// What the kernel said in words, if it said anything.
        details: String,
        /// What it said as a number.
        source: io::Error,
    },
}

fn message(details: &str) -> String {
    if details.is_empty() { String::new() } else { format!(" ({details})") }
}

impl Overlay {
    /// Makes the upper and the work directory when they are not there. A new upper directory gets the owner and the
    /// mode of the image's own root, since overlayfs shows the upper one's.
    ///
    /// # Errors
    /// When a directory cannot be made or read.
    pub fn prepare(&self) -> Result<(), Error> {
        // The work directory is made last: when it is there, the upper one has its attributes.
        if self.work.is_dir() && self.upper.is_dir() {
            return Ok(());
        }
        fs::create_dir_all(&self.upper).map_err(Error::Directory)?;
        if let Some(top) = self.lower.first() {
            let (top, upper) = (open(top)?, open(&self.upper)?);
            copy_attributes(&top, &upper).map_err(|errno| Error::Directory(to_io(errno)))?;
        }
        fs::create_dir_all(&self.work).map_err(Error::Directory)
    }

    /// Mounts the root file system without attaching it: the descriptor is all there is of it, on the host nothing
    /// shows. Makes the upper and work directories first.
    ///
    /// # Errors
    /// When a layer cannot be opened or the kernel refuses the mount.
    pub fn mount(&self) -> Result<OwnedFd, Error> {
        self.prepare()?;
        if self.lower.is_empty() || self.lower.len() > MAX_LAYERS {
            return Err(Error::TooManyLayers { layers: self.lower.len() });
        }
        let folders = Folders {
            lower: self.lower.iter().map(|path| open(path)).collect::<Result<_, _>>()?,
            upper: open(&self.upper)?,
            work: open(&self.work)?,
        };
        match folders.mount(set_lower) {
            // Before Linux 6.5 the kernel collects what it is told and reads it only here, before 6.7 there: it does
            // not know how to take layers one by one.
            Err(Error::Mount { step: "creating it" | "lowerdir+", source, .. })
                if source.raw_os_error() == Some(Errno::INVAL.raw_os_error()) =>
            {
                folders.mount_with_few_words()
            }
            result => result,
        }
    }
}

/// The directories, open: paths through descriptors are always short, need no escapes, and cannot change their meaning
/// meanwhile.
struct Folders {
    lower: Vec<OwnedFd>,
    upper: OwnedFd,
    work: OwnedFd,
}

impl Folders {
    fn mount(
        &self,
        set_lower: impl FnOnce(&OwnedFd, &[OwnedFd]) -> Result<(), Error>,
    ) -> Result<OwnedFd, Error> {
        let context = rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)
            .map_err(|errno| failed(None, "fsopen", errno))?;
        let set = |key: &'static str, value: &str| {
            rustix::mount::fsconfig_set_string(&context, key, value)
                .map_err(|errno| failed(Some(&context), key, errno))
        };
        set_lower(&context, &self.lower)?;
        set("upperdir", &magic_path(&self.upper))?;
        set("workdir", &magic_path(&self.work))?;
        // Layers must not be able to say where a directory's or a file's content is to be found.
        set("redirect_dir", "nofollow")?;
        set("metacopy", "off")?;
        // An index would tie the upper directory to these very layer directories and refuse it after a copy.
        set("index", "off")?;
        // Inode numbers of different layers are told apart by device instead of by high bits, which some programs
        // with 32-bit inode numbers cannot read.
        set("xino", "off")?;
        rustix::mount::fsconfig_create(&context)
            .map_err(|errno| failed(Some(&context), "creating it", errno))?;
        // A device node of an image is never a device: /dev is a file system of its own.
        rustix::mount::fsmount(
            &context,
            FsMountFlags::FSMOUNT_CLOEXEC,
            MountAttrFlags::MOUNT_ATTR_NODEV,
        )
        .map_err(|errno| failed(Some(&context), "fsmount", errno))
    }

    /// All layers in one option, of at most 255 bytes: the descriptors' numbers, as paths from the directory where the
    /// kernel shows them. A thread of its own goes there, so that nobody else's working directory changes.
    fn mount_with_few_words(&self) -> Result<OwnedFd, Error> {
        let in_thread = || {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_FS)
                .map_err(|errno| failed(None, "unshare", Errno::from_raw_os_error(errno as i32)))?;
            rustix::process::chdir("/proc/self/fd")
                .map_err(|errno| failed(None, "chdir", errno))?;
            self.mount(set_joined_lower)
        };
        std::thread::scope(|scope| {
            let builder = std::thread::Builder::new().stack_size(256 * 1024);
            let thread = builder.spawn_scoped(scope, in_thread).map_err(Error::Directory)?;
            let lost = || Error::Directory(io::Error::other("the thread panicked"));
            thread.join().unwrap_or_else(|_| Err(lost()))
        })
    }
}

fn copy_attributes(from: &OwnedFd, to: &OwnedFd) -> Result<(), Errno> {
    let stat = rustix::fs::fstat(from)?;
    let (owner, group) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    let to = crate::beneath::reopen(to, OFlags::RDONLY | OFlags::DIRECTORY)?;
    rustix::fs::fchown(&to, Some(owner), Some(group))?;
    rustix::fs::fchmod(&to, Mode::from_raw_mode(stat.st_mode & 0o7777))
}

/// Tells the kernel the layers, one by one; since Linux 6.7.
fn set_lower(context: &OwnedFd, lower: &[OwnedFd]) -> Result<(), Error> {
    lower.iter().try_for_each(|layer| {
        rustix::mount::fsconfig_set_string(context, "lowerdir+", magic_path(layer))
            .map_err(|errno| failed(Some(context), "lowerdir+", errno))
    })
}

/// All layers at once, for a caller whose working directory is the one of the descriptors.
fn set_joined_lower(context: &OwnedFd, lower: &[OwnedFd]) -> Result<(), Error> {
    let joined: Vec<String> = lower.iter().map(|layer| layer.as_raw_fd().to_string()).collect();
    let joined = joined.join(":");
    if joined.len() >= MAX_OPTION {
        return Err(Error::TooManyLayers { layers: lower.len() });
    }
    rustix::mount::fsconfig_set_string(context, "lowerdir", joined)
        .map_err(|errno| failed(Some(context), "lowerdir", errno))
}

fn open(path: &Path) -> Result<OwnedFd, Error> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| {
        let source = to_io(errno);
        Error::Directory(io::Error::new(source.kind(), format!("{}: {source}", path.display())))
    })
}

/// The error with the messages the kernel left in the context, which say more than the number.
fn failed(context: Option<&OwnedFd>, step: &'static str, errno: Errno) -> Error {
    let mut details = Vec::new();
    let mut buffer = [0_u8; 512];
    while let Some(context) = context
        && details.len() < 8
        && let Ok(count) = rustix::io::read(context.as_fd(), &mut buffer)
    {
        let line = String::from_utf8_lossy(&buffer[..count]);
        details.push(line.trim_start_matches(['e', 'w', 'i', ' ']).trim_end().to_owned());
    }
    Error::Mount { step, details: details.join("; "), source: to_io(errno) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;
    use crate::beneath;
    use crate::testing::TempDir;

    fn read(root: &OwnedFd, path: &str) -> io::Result<String> {
        let file = beneath::open(root, path.as_bytes(), OFlags::RDONLY).map_err(to_io)?;
        io::read_to_string(std::fs::File::from(file))
    }

    fn overlay(dir: &TempDir, layers: usize) -> Overlay {
        let lower = (0..layers).map(|n| dir.dir(&format!("lower{n}"))).collect();
        Overlay { lower, upper: dir.path().join("upper"), work: dir.path().join("work") }
    }

    #[test]
    fn a_hundred_and_twenty_eight_layers_become_one_root() {
        let dir = TempDir::new();
        let overlay = overlay(&dir, 128);
        for (n, lower) in overlay.lower.iter().enumerate() {
            fs::write(lower.join(format!("f{n}")), n.to_string()).unwrap();
            fs::write(lower.join("same"), n.to_string()).unwrap();
        }
        let root = overlay.mount().unwrap();
        assert_eq!(read(&root, "f127").unwrap(), "127");
        assert_eq!(read(&root, "same").unwrap(), "0", "the first layer is the top one");
    }

    #[test]
    fn the_mount_is_attached_nowhere_and_goes_with_its_descriptor() {
        let dir = TempDir::new();
        let before = fs::read_to_string("/proc/self/mountinfo").unwrap().lines().count();
        let root = overlay(&dir, 1).mount().unwrap();
        assert_eq!(fs::read_to_string("/proc/self/mountinfo").unwrap().lines().count(), before);
        drop(root);
        // Only an unmounted upper directory can be mounted again without a complaint.
        overlay(&dir, 1).mount().unwrap();
    }

    #[test]
    fn device_nodes_cannot_be_opened_through_the_root() {
        let dir = TempDir::new();
        let overlay = overlay(&dir, 1);
        let (kind, mode) = (rustix::fs::FileType::CharacterDevice, Mode::from_raw_mode(0o666));
        let null = rustix::fs::makedev(1, 3);
        rustix::fs::mknodat(rustix::fs::CWD, overlay.lower[0].join("null"), kind, mode, null)
            .unwrap();
        let root = overlay.mount().unwrap();
        assert_eq!(read(&root, "null").unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    }

    #[test]
    fn the_root_directory_looks_like_the_images() {
        let dir = TempDir::new();
        let overlay = overlay(&dir, 1);
        fs::set_permissions(&overlay.lower[0], PermissionsExt::from_mode(0o1711)).unwrap();
        std::os::unix::fs::chown(&overlay.lower[0], Some(12), Some(34)).unwrap();
        let root = overlay.mount().unwrap();
        let stat = rustix::fs::fstat(&root).unwrap();
        assert_eq!((stat.st_mode & 0o7777, stat.st_uid, stat.st_gid), (0o1711, 12, 34));
        assert_eq!(fs::metadata(&overlay.upper).unwrap().uid(), 12);
    }

    #[test]
    fn paths_with_colons_commas_and_great_length_are_no_problem() {
        let dir = TempDir::new();
        let odd = dir.dir(&format!("a:b,c\\d/{}/{}", "x".repeat(200), "y".repeat(200)));
        fs::write(odd.join("file"), "here").unwrap();
        let overlay = Overlay {
            lower: vec![odd],
            upper: dir.path().join("u,:p"),
            work: dir.path().join("w"),
        };
        assert_eq!(read(&overlay.mount().unwrap(), "file").unwrap(), "here");
    }

    #[test]
    fn many_layers_can_be_mounted_the_old_way_too() {
        let dir = TempDir::new();
        let overlay = overlay(&dir, 40);
        overlay.prepare().unwrap();
        let before = std::env::current_dir().unwrap();
        let folders = Folders {
            lower: overlay.lower.iter().map(|path| open(path).unwrap()).collect(),
            upper: open(&overlay.upper).unwrap(),
            work: open(&overlay.work).unwrap(),
        };
        fs::write(overlay.lower[39].join("file"), "here").unwrap();
        let root = folders.mount_with_few_words().unwrap();
        assert_eq!(read(&root, "file").unwrap(), "here");
        assert_eq!(std::env::current_dir().unwrap(), before);
    }

    #[test]
    fn a_missing_layer_and_too_many_layers_are_named() {
        let dir = TempDir::new();
        let mut one = overlay(&dir, 1);
        one.lower[0] = dir.path().join("not-there");
        let error = one.mount().unwrap_err();
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains("not-there"), "{source}");
        one.lower = vec![dir.path().into(); 501];
        assert!(matches!(
            one.mount(),
            Err(Error::TooManyLayers { layers: 501 }) | Err(Error::Directory(_))
        ));
    }
}
