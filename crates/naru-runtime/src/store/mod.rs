//! Containers that outlive the program that creates them: a directory with a record for each.
//!
//! The directory of container `ID` below the store's root holds `state.json` (the [`Record`]), `lock`
//! (held while the container is created, started, changed or deleted) and, until it is started,
//! `start`, the socket its first process waits at. One that can say that it is ready has a folder
//! `notify` besides. Whether it runs is never recorded but asked: the
//! process of the record, told from others of the same number by its start time and the boot's id.

mod container;
mod create;
mod delete;
mod devices;
mod error;
mod id;
mod lock;
mod network;
mod notify;
mod record;
mod signal;
mod update;

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

pub use container::{Container, Further, Status};
pub use create::NewContainer;
pub use error::Error;
pub use id::ContainerId;
pub use network::{InterfaceStats, Traffic};
pub use record::Record;

use lock::Lock;
use rustix::fs::{Mode, OFlags};

/// The group above those of containers whose configuration names none.
pub const GROUP: &str = "/naru-oci";
/// The socket at which a created container waits.
const START: &str = "start";

/// A directory of containers.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// The store at `root`, which is made with the first container.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The container `id`.
    ///
    /// # Errors
    /// [`Error::Missing`] when there is none.
    pub fn open(&self, id: &ContainerId) -> Result<Container, Error> {
        let directory = self.directory(id);
        match Record::load(&directory)? {
            Some(record) => Ok(Container::new(id.clone(), directory, record)),
            None => Err(Error::Missing(id.clone())),
        }
    }

    /// All containers, by their ids; the second list is of those that cannot be read.
    ///
    /// # Errors
    /// When the store's directory cannot be listed; one that is not there is empty.
    pub fn list(&self) -> Result<(Vec<Container>, Vec<Error>), Error> {
        let error = |source| Error::File { action: "list", path: self.root.clone(), source };
        let entries = match fs_err::read_dir(&self.root) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((vec![], vec![])),
            Err(source) => return Err(error(source)),
        };
        let mut names = Vec::new();
        for entry in entries {
            names.push(entry.map_err(error)?.file_name());
        }
        names.sort();
        let (mut containers, mut unreadable) = (Vec::new(), Vec::new());
        for name in names {
            let Ok(id) = ContainerId::new(name.to_string_lossy()) else { continue };
            match self.open(&id) {
                Ok(container) => containers.push(container),
                // Deleted meanwhile, or another program's directory.
                Err(Error::Missing(_)) => {}
                Err(error) => unreadable.push(error),
            }
        }
        Ok((containers, unreadable))
    }

    fn directory(&self, id: &ContainerId) -> PathBuf {
        self.root.join(id.as_str())
    }

    /// Makes the directory of a new container, locked.
    fn begin(&self, id: &ContainerId) -> Result<(PathBuf, Lock), Error> {
        let directory = self.directory(id);
        let mut builder = std::fs::DirBuilder::new();
        builder.mode(0o700).recursive(true);
        let failed = |path: &Path, source| {
            let path = path.to_owned();
            Error::File { action: "make", path, source }
        };
        builder.create(&self.root).map_err(|source| failed(&self.root, source))?;
        match builder.recursive(false).create(&directory) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(Error::Exists(id.clone()));
            }
            Err(source) => return Err(failed(&directory, source)),
        }
        let lock = Lock::take(&directory)?;
        Ok((directory, lock))
    }
}

/// A container's directory, as where its socket is.
fn open_directory(path: &Path) -> Result<OwnedFd, Error> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| Error::File {
        action: "open",
        path: path.to_owned(),
        source: errno.into(),
    })
}

/// Failures of hooks that the specification makes warnings.
fn warn(sentences: Vec<String>) {
    for sentence in sentences {
        tracing::warn!("{sentence}");
    }
}
