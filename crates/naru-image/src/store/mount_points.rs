//! What every container gets mounted over, where an image does not have it: one more layer for each image, made once.
//!
//! Without it each container would make the same files anew in its own writable layer, and copy `/etc` up for them.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use fs_err as fs;
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::{Store, Temp};
use crate::beneath::{self, to_io};
use crate::digest::Digest;
use crate::error::Error;
use crate::image::Image;
use crate::rootfs::Overlay;

/// The ending of the layer's name, after the image's id.
pub(super) const ENDING: &str = ".mount-points";

/// Directories at the root of every container.
const DIRECTORIES: [&str; 3] = ["dev", "proc", "sys"];

/// Files in `/etc` of every container that has a network.
const FILES: [&str; 3] = ["hosts", "hostname", "resolv.conf"];

impl Store {
    /// [`Store::lower_dirs`] for a container: with a layer on top that has what the container gets mounted over, if the
    /// image lacks any of it. When that cannot be made, the container's own layer gets it later.
    ///
    /// # Errors
    /// As [`Store::lower_dirs`].
    pub fn root_dirs(&self, image: &Image) -> Result<Vec<PathBuf>, Error> {
        let mut lower = self.lower_dirs(image)?;
        let place = self.mount_points(image.id);
        if !place.exists()
            && let Err(error) = self.make_mount_points(&lower, &place)
        {
            tracing::debug!(image = %image.id, %error, "no layer of mount points");
        }
        if place.is_dir() {
            lower.insert(0, place);
        }
        Ok(lower)
    }

    /// The layer's directory; an empty file where the image has everything.
    pub(super) fn mount_points(&self, image: Digest) -> PathBuf {
        self.path("layers").join(image.hex() + ENDING)
    }

    fn make_mount_points(&self, lower: &[PathBuf], place: &Path) -> io::Result<()> {
        let temp = Temp::new(self)?;
        let overlay = Overlay {
            lower: lower.to_owned(),
            upper: temp.path().join("layer"),
            work: temp.path().join("work"),
        };
        let root = overlay.mount().map_err(io::Error::other)?;
        let made = make_missing(&root).map_err(to_io)?;
        drop(root);
        if !made {
            return fs::write(place, "");
        }
        sync(&overlay.upper)?;
        match fs::rename(&overlay.upper, place) {
            // Somebody else was faster.
            Err(_) if place.is_dir() => Ok(()),
            renamed => renamed,
        }
    }
}

/// Makes in a root file system what is missing; whether anything was.
fn make_missing(root: &OwnedFd) -> Result<bool, Errno> {
    let mut made = false;
    for name in DIRECTORIES.iter().chain(["etc"].iter()) {
        let mode = Mode::from_raw_mode(0o755);
        if is_made(rustix::fs::mkdirat(root, *name, mode))? {
            // Whatever this process's umask takes away.
            rustix::fs::chmodat(root, *name, mode, AtFlags::empty())?;
            made = true;
        }
    }
    let etc = match beneath::open(root, b"etc", OFlags::RDONLY | OFlags::DIRECTORY) {
        // A link that leads nowhere, or no directory: the image's own affair.
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(made),
        etc => etc?,
    };
    let new = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    for name in FILES {
        let file = rustix::fs::openat(&etc, name, new, Mode::from_raw_mode(0o644));
        made |= is_made(file.map(drop))?;
    }
    Ok(made)
}

fn is_made(result: Result<(), Errno>) -> Result<bool, Errno> {
    match result {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Brings a tree of the few files above to the disk.
fn sync(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            sync(&entry?.path())?;
        }
    }
    fs::File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::testing::{Tar, TempDir, config, docker_archive};

    /// A store with one image, and the image.
    fn store(layer: &[u8]) -> (TempDir, Store, Image) {
        let dir = TempDir::new();
        let store = Store::open(&dir.path().join("images")).unwrap();
        let archive = docker_archive(&config(&[layer]), &[layer], &["app"]);
        store.load(&archive[..], &mut |_event| {}).unwrap();
        let image = store.find("app").unwrap().unwrap();
        (dir, store, image)
    }

    /// The names in a layer's root and in its `etc`.
    fn names(layer: &Path) -> [Vec<String>; 2] {
        [layer.to_owned(), layer.join("etc")].map(|directory| {
            let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
            let mut names: Vec<_> =
                entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        })
    }

    fn layers(store: &Store) -> usize {
        fs::read_dir(store.path("layers")).unwrap().count()
    }

    #[test]
    fn what_is_mounted_over_is_made_once_for_each_image_and_goes_with_it() {
        let layer =
            Tar::new().dir("etc/", 0o750).file("etc/hosts", b"own").dir("dev/", 0o700).end();
        let (_dir, store, image) = store(&layer);
        let before = layers(&store);
        let lower = store.root_dirs(&image).unwrap();
        assert_eq!(lower[1..], store.lower_dirs(&image).unwrap());
        let [root, etc] = names(&lower[0]);
        assert_eq!(root, ["etc", "proc", "sys"]);
        assert_eq!(etc, ["hostname", "resolv.conf"]);
        let mode = fs::metadata(lower[0].join("etc")).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o750, "overlayfs shows the attributes of the top layer");
        assert_eq!(store.root_dirs(&image).unwrap(), lower);
        assert_eq!(store.check().unwrap(), []);
        store.remove("app", &[]).unwrap();
        assert_eq!(layers(&store), before - 2, "the image's layer and record went too");
        assert!(!lower[0].exists());
    }

    #[test]
    fn an_image_that_has_everything_gets_no_layer_more() {
        let mut tar = Tar::new();
        for name in ["dev/", "proc/", "sys/", "etc/"] {
            tar = tar.dir(name, 0o755);
        }
        for name in FILES {
            tar = tar.file(&format!("etc/{name}"), b"");
        }
        let (_dir, store, image) = store(&tar.end());
        for _ in 0..2 {
            assert_eq!(store.root_dirs(&image).unwrap(), store.lower_dirs(&image).unwrap());
        }
        assert!(store.mount_points(image.id).is_file());
    }

    #[test]
    fn links_of_the_image_are_left_as_they_are() {
        let layer = Tar::new().symlink("etc", "../../outside").symlink("proc", "/nowhere").end();
        let (dir, store, image) = store(&layer);
        let lower = store.root_dirs(&image).unwrap();
        assert_eq!(names(&lower[0])[0], ["dev", "sys"]);
        assert!(!dir.path().join("outside").exists());
    }

    #[test]
    fn many_at_once_make_one() {
        let (_dir, store, image) = store(&Tar::new().file("a", b"").end());
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| assert_eq!(store.root_dirs(&image).unwrap().len(), 2));
            }
        });
        assert_eq!(fs::read_dir(store.path("tmp")).unwrap().count(), 0);
    }
}
