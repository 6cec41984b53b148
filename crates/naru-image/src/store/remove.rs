//! Taking names and images away, and with them what nothing else uses.

use std::collections::BTreeSet;
use std::path::PathBuf;

use fs_err as fs;
use serde::Serialize;

use super::index::Index;
use super::temp::Temp;
use super::{Store, mount_points};
use crate::digest::Digest;
use crate::error::Error;
use crate::reference::Reference;
use crate::tree;

/// What a removal did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Removed {
    /// Names that no longer stand for an image.
    pub untagged: Vec<Reference>,
    /// The image itself, when nothing named it any more.
    pub deleted: Option<Digest>,
    /// Layers that no other image uses, by the digest of their expanded archive.
    pub layers: Vec<Digest>,
}

/// Where the store's bytes are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct DiskUsage {
    /// Manifests, configurations and layers as they came in.
    pub blobs: u64,
    /// The files of unpacked layers.
    pub layers: u64,
}

/// Everything the images of an index need.
#[derive(Default)]
struct Used {
    blobs: BTreeSet<Digest>,
    layers: BTreeSet<Digest>,
}

impl Store {
    /// Removes a name, and the image with it when that was its last one. `in_use` are the ids of images that
    /// containers are made of: their last name cannot be removed.
    ///
    /// # Errors
    /// [`Error::Name`] when there is no such image, [`Error::InUse`] when a container is made of it.
    pub fn remove(&self, name: &str, in_use: &[Digest]) -> Result<Removed, Error> {
        let _lock = self.lock()?;
        let mut index = Index::read(self)?;
        let Some(manifest) = self.resolve(&index, name)? else {
            return Err(Error::Name {
                name: name.to_owned(),
                problem: "is no image of this store",
            });
        };
        let names = index.images().remove(&manifest).unwrap_or_default();
        let mut removed = Removed::default();
        match name.parse::<Reference>() {
            Ok(reference) if names.contains(&reference) && names.len() > 1 => {
                index.unname(&reference);
                index.write(self)?;
                removed.untagged.push(reference);
                return Ok(removed);
            }
            _ => {}
        }
        let id = self.config_digest(manifest)?;
        if in_use.contains(&id) {
            return Err(Error::InUse { name: name.to_owned(), id });
        }
        index.remove(manifest);
        // Before anything is changed: an image that cannot be read might use any layer.
        let used = self.used(&index)?;
        index.write(self)?;
        removed.untagged = names;
        removed.deleted = Some(id);
        removed.layers = self.sweep(&used)?;
        Ok(removed)
    }

    /// Bytes the store takes on the disk, without directories and small files of its own.
    pub fn disk_usage(&self) -> Result<DiskUsage, Error> {
        let mut usage = DiskUsage::default();
        for entry in fs::read_dir(self.path("blobs/sha256")).map_err(Error::Store)? {
            let metadata = entry.and_then(|entry| entry.metadata()).map_err(Error::Store)?;
            usage.blobs += metadata.len();
        }
        for diff_id in self.digests("layers")? {
            usage.layers += self.layer(diff_id)?.map_or(0, |record| record.size);
        }
        Ok(usage)
    }

    fn used(&self, index: &Index) -> Result<Used, Error> {
        let mut used = Used::default();
        for manifest in index.images().into_keys() {
            let image = self.image(manifest, Vec::new())?;
            used.blobs.extend([manifest, image.id]);
            used.blobs.extend(&image.blobs);
            used.layers.extend(&image.layers);
        }
        Ok(used)
    }

    /// Removes every blob and layer that is not used. A layer leaves its place by one rename, since half a layer must
    /// never be taken for a whole one.
    fn sweep(&self, used: &Used) -> Result<Vec<Digest>, Error> {
        let rubbish = Temp::unlocked(self).map_err(Error::Store)?;
        let mut layers = Vec::new();
        for diff_id in self.digests("layers")? {
            if used.layers.contains(&diff_id) {
                continue;
            }
            remove_if_there(self.layer_record(diff_id))?;
            let target = rubbish.path().join(diff_id.hex());
            fs::rename(self.layer_dir(diff_id), target).map_err(Error::Store)?;
            layers.push(diff_id);
        }
        for image in self.digests_before("layers", mount_points::ENDING)? {
            if !used.blobs.contains(&image) {
                let target = rubbish.path().join(image.hex() + mount_points::ENDING);
                fs::rename(self.mount_points(image), target).map_err(Error::Store)?;
            }
        }
        for blob in self.digests("blobs/sha256")? {
            if !used.blobs.contains(&blob) {
                remove_if_there(self.blob(blob))?;
            }
        }
        Ok(layers)
    }

    /// The digests that name files or directories of one of the store's directories.
    pub(super) fn digests(&self, directory: &str) -> Result<Vec<Digest>, Error> {
        self.digests_before(directory, "")
    }

    /// The digests that name files or directories of one of the store's directories, with this ending.
    pub(super) fn digests_before(
        &self,
        directory: &str,
        ending: &str,
    ) -> Result<Vec<Digest>, Error> {
        let mut digests = Vec::new();
        for entry in fs::read_dir(self.path(directory)).map_err(Error::Store)? {
            let name = entry.map_err(Error::Store)?.file_name();
            let hex = name.to_str().and_then(|name| name.strip_suffix(ending));
            digests.extend(hex.and_then(|hex| Digest::from_hex(hex).ok()));
        }
        digests.sort();
        Ok(digests)
    }
}

fn remove_if_there(path: PathBuf) -> Result<(), Error> {
    tree::remove(&path).map_err(Error::Store)
}
