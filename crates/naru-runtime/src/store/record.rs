//! The record of a container: one JSON file, replaced as a whole.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use oci_spec::runtime::{Spec, State};
use serde::{Deserialize, Serialize};

use super::Error;
use crate::Identity;

/// The record's file in the container's directory.
const FILE: &str = "state.json";

/// What is known of a container beyond what the kernel tells.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// The format's version.
    pub version: u32,
    /// The container's id.
    pub id: String,
    /// Its bundle, absolute.
    pub bundle: PathBuf,
    /// Its root file system, absolute.
    pub rootfs: PathBuf,
    /// When it was created.
    pub created: SystemTime,
    /// Its first process, by the ids that also tell it from another one of the same number. Nothing
    /// while it is being created.
    pub process: Option<Identity>,
    /// Its control group, absolute below each hierarchy; nothing when it stays in its creator's.
    pub cgroup: Option<PathBuf>,
    /// The files of its namespaces by their kind, for what joins them.
    pub namespaces: BTreeMap<String, PathBuf>,
    /// Its configuration.
    pub config: Spec,
}

impl Record {
    /// The format that is written.
    pub const VERSION: u32 = 1;

    /// Which container it is, as hooks and seccomp agents are told; status and process are theirs who tell.
    #[must_use]
    pub fn state(&self) -> State {
        let mut state = State::default();
        state.set_version(self.config.version().clone());
        state.set_id(self.id.clone()).set_bundle(self.bundle.clone());
        state.set_annotations(self.config.annotations().clone());
        state
    }

    /// Reads the record of a container's directory; nothing when there is none yet.
    pub(super) fn load(directory: &Path) -> Result<Option<Self>, Error> {
        let path = directory.join(FILE);
        let text = match fs_err::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(Error::File { action: "read", path, source }),
        };
        serde_json::from_slice(&text).map(Some).map_err(|source| Error::Record { path, source })
    }

    /// Writes the record; a reader sees the one before or this one. Nothing of it outlives the boot,
    /// so nothing waits for a disk.
    pub(super) fn save(&self, directory: &Path) -> Result<(), Error> {
        let path = directory.join(FILE);
        let temporary = directory.join(".state.json");
        let text = serde_json::to_vec(self)
            .map_err(|source| Error::Record { path: path.clone(), source })?;
        let write = || {
            let mut file = fs_err::File::create(&temporary)?;
            file.write_all(&text)?;
            fs_err::rename(&temporary, &path)
        };
        write().map_err(|source| Error::File { action: "write", path: path.clone(), source })
    }
}
