//! Whether the store holds what it says: every blob hashes to its name, every layer is what its blob unpacks to, every
//! image of the index can be put together.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use fs_err as fs;
use naru_state::chain;
use sha2::{Digest as _, Sha256};

use super::index::{self, Index};
use super::temp::Temp;
use super::{LayerRecord, Store, unpack_into};
use crate::digest::Digest;
use crate::error::Error;
use crate::tree;

/// Something in the store that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// Which thing.
    pub part: Part,
    /// Where it is.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: String,
}

/// The things in a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// `index.json` itself.
    Index,
    /// An image of the index, by its manifest.
    Image(Digest),
    /// A manifest, a configuration or a layer as it came in.
    Blob,
    /// An unpacked layer.
    Layer(Digest),
}

/// The directories below each layer, top first.
type Below = BTreeMap<Digest, Vec<PathBuf>>;

impl Store {
    /// Looks at everything. Layers are unpacked once more to be compared, which needs the room of the largest.
    ///
    /// # Errors
    /// When the store cannot be read at all.
    pub fn check(&self) -> Result<Vec<Flaw>, Error> {
        let mut flaws = Vec::new();
        for blob in self.digests("blobs/sha256")? {
            flaws.extend(self.check_blob(blob)?);
        }
        let mut below = BTreeMap::new();
        match Index::read(self) {
            Ok(index) => flaws.extend(self.check_images(&index, &mut below)),
            Err(error) => {
                let path = self.path("index.json");
                flaws.push(Flaw { part: Part::Index, path, problem: chain(&error) });
            }
        }
        for diff_id in self.layer_names()? {
            flaws.extend(self.check_layer(diff_id, below.get(&diff_id)));
        }
        Ok(flaws)
    }

    /// Images that cannot be put together; of the others it is noted what lies below each layer.
    fn check_images(&self, index: &Index, below: &mut Below) -> Vec<Flaw> {
        let mut flaws = Vec::new();
        for (manifest, names) in index.images() {
            let name = names.first().map_or_else(|| manifest.to_string(), ToString::to_string);
            let problem = match self.image(manifest, names) {
                Ok(image) => {
                    for (position, layer) in image.layers.iter().enumerate() {
                        let lower = image.layers[..position].iter().rev();
                        let lower = lower.map(|layer| self.layer_dir(*layer)).collect();
                        below.entry(*layer).or_insert(lower);
                    }
                    match image.blobs.iter().find(|blob| !self.blob(**blob).is_file()) {
                        None => continue,
                        Some(blob) => format!("image {name}: its layer {blob} is missing"),
                    }
                }
                Err(error) => format!("image {name}: {}", chain(&error)),
            };
            flaws.push(Flaw { part: Part::Image(manifest), path: self.blob(manifest), problem });
        }
        flaws
    }

    /// Takes what is wrong out of the way, into the directory `aside`, which is on the same file system: the next use of
    /// a layer unpacks it again, and an image that is not whole is no longer listed.
    ///
    /// # Errors
    /// When it cannot be moved.
    pub fn set_aside(&self, flaw: &Flaw, aside: &Path) -> Result<(), Error> {
        let _lock = self.lock()?;
        let file_name = flaw.path.file_name().unwrap_or_default();
        let place = aside.join(file_name);
        match &flaw.part {
            Part::Index => {
                rename_if_there(&flaw.path, &place).map_err(Error::Store)?;
                naru_state::atomic::write_durable(&flaw.path, index::EMPTY).map_err(Error::Store)
            }
            Part::Image(manifest) => {
                let mut index = Index::read(self)?;
                index.remove(*manifest);
                index.write(self)
            }
            Part::Blob => rename_if_there(&flaw.path, &place).map_err(Error::Store),
            Part::Layer(diff_id) => {
                // The record first: without it the directory is rubbish, with it half a layer would count.
                let record = self.layer_record(*diff_id);
                tree::remove(&record).map_err(Error::Store)?;
                rename_if_there(&self.layer_dir(*diff_id), &place).map_err(Error::Store)
            }
        }
    }

    fn check_blob(&self, blob: Digest) -> Result<Option<Flaw>, Error> {
        let path = self.blob(blob);
        let problem = match hash(&path) {
            Ok(found) if found == blob => return Ok(None),
            Ok(found) => format!("its content is that of {found}"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => chain(&error),
        };
        Ok(Some(Flaw { part: Part::Blob, path, problem }))
    }

    /// Layers that have a directory or a record.
    fn layer_names(&self) -> Result<Vec<Digest>, Error> {
        let mut all = self.digests("layers")?;
        all.extend(self.digests_before("layers", ".json")?);
        all.sort();
        all.dedup();
        Ok(all)
    }

    fn check_layer(&self, diff_id: Digest, below: Option<&Vec<PathBuf>>) -> Option<Flaw> {
        let path = self.layer_dir(diff_id);
        let problem = match self.layer(diff_id) {
            Ok(Some(record)) => match self.compare(diff_id, &record, below) {
                Ok(None) => return None,
                Ok(Some(problem)) => problem,
                Err(error) => format!("cannot be compared: {}", chain(&error)),
            },
            Ok(None) if path.is_dir() => "is not whole: it has no record".to_owned(),
            Ok(None) => "has a record and no directory".to_owned(),
            Err(error) => chain(&error),
        };
        Some(Flaw { part: Part::Layer(diff_id), path, problem })
    }

    /// Where the layer differs from what its blob unpacks to.
    fn compare(
        &self,
        diff_id: Digest,
        record: &LayerRecord,
        below: Option<&Vec<PathBuf>>,
    ) -> Result<Option<String>, Error> {
        // One that no image uses has nothing to be compared with: its directories may come from any layer below.
        let Some(below) = below else { return Ok(None) };
        let blob = self.blob(record.blob);
        if !blob.is_file() {
            return Ok(None);
        }
        if hash(&blob).map_err(Error::Store)? != record.blob {
            // Said of the blob.
            return Ok(None);
        }
        let temp = Temp::new(self).map_err(Error::Store)?;
        let directory = temp.path().join("layer");
        let file = fs::File::open(blob).map_err(Error::Store)?;
        match unpack_into(file, &directory, below, &self.limits) {
            Ok(unpacked) if unpacked.diff_id == diff_id => {}
            Ok(unpacked) => return Ok(Some(format!("its blob unpacks to {}", unpacked.diff_id))),
            // What lies below is damaged itself, or there is no room: no verdict on this one.
            Err(error) => return Ok(Some(format!("cannot be compared: {}", chain(&error)))),
        }
        difference(&directory, &self.layer_dir(diff_id)).map_err(Error::Store)
    }
}

/// The first difference between two trees; what only the second has counts as one.
fn difference(expected: &Path, found: &Path) -> io::Result<Option<String>> {
    let mut waiting = vec![PathBuf::new()];
    while let Some(below) = waiting.pop() {
        let (left, right) = (names(&expected.join(&below))?, names(&found.join(&below))?);
        if let Some(name) = left.iter().find(|name| !right.contains(name)) {
            return Ok(Some(format!("/{} is missing", below.join(name).display())));
        }
        if let Some(name) = right.iter().find(|name| !left.contains(name)) {
            return Ok(Some(format!("/{} does not belong there", below.join(name).display())));
        }
        for name in left {
            let below = below.join(name);
            let (one, other) = (expected.join(&below), found.join(&below));
            if let Some(what) = entry_difference(&one, &other)? {
                return Ok(Some(format!("/{} has another {what}", below.display())));
            }
            if fs::symlink_metadata(&one)?.is_dir() {
                waiting.push(below);
            }
        }
    }
    Ok(None)
}

fn entry_difference(one: &Path, other: &Path) -> io::Result<Option<&'static str>> {
    let (left, right) = (fs::symlink_metadata(one)?, fs::symlink_metadata(other)?);
    let owner = |metadata: &std::fs::Metadata| (metadata.uid(), metadata.gid());
    let kind = left.file_type();
    Ok(if kind != right.file_type() {
        Some("type")
    } else if left.permissions().mode() != right.permissions().mode() {
        Some("mode")
    } else if owner(&left) != owner(&right) {
        Some("owner")
    } else if kind.is_symlink() {
        (fs::read_link(one)? != fs::read_link(other)?).then_some("target")
    } else if kind.is_char_device() || kind.is_block_device() {
        (left.rdev() != right.rdev()).then_some("device number")
    } else if kind.is_file() {
        let same = left.len() == right.len() && hash(one)? == hash(other)?;
        (!same).then_some("content")
    } else {
        None
    })
}

fn names(directory: &Path) -> io::Result<Vec<std::ffi::OsString>> {
    let entries: Result<Vec<_>, _> =
        fs::read_dir(directory)?.map(|entry| entry.map(|entry| entry.file_name())).collect();
    entries.map(|mut names| {
        names.sort();
        names
    })
}

fn hash(path: &Path) -> io::Result<Digest> {
    let mut file = fs::File::open(path)?;
    let mut hasher = Sha256::new();
    let mut piece = vec![0; 1 << 16];
    loop {
        match file.read(&mut piece)? {
            0 => break,
            length => hasher.update(&piece[..length]),
        }
    }
    Ok(Digest::from_bytes(hasher.finalize().into()))
}

fn rename_if_there(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        renamed => renamed,
    }
}
