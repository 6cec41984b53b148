//! New images while they are gathered and verified; nothing of them is visible before [`Stage::commit`].

use std::collections::BTreeMap;
use std::io::{BufWriter, Read};
use std::path::{Path, PathBuf};

use fs_err as fs;
use oci_spec::image::{Descriptor, MediaType};

use super::index::Index;
use super::temp::Temp;
use super::{LayerRecord, Store, unpack_into};
use crate::archive;
use crate::compression::expand;
use crate::digest::{Digest, Hashing};
use crate::error::Error;
use crate::progress::{Event, Progress};
use crate::reference::Reference;
use crate::unpack;

/// Content that was read into a temporary file.
#[derive(Debug, Clone)]
pub(crate) struct Spooled {
    pub(crate) path: PathBuf,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
}

/// One image about to become visible.
#[derive(Debug)]
pub(crate) struct NewImage {
    pub(crate) manifest: Digest,
    pub(crate) manifest_size: u64,
    pub(crate) media_type: MediaType,
    pub(crate) names: Vec<Reference>,
}

/// What one load or import has verified so far.
#[derive(Debug)]
pub(crate) struct Stage<'a> {
    store: &'a Store,
    temp: Temp,
    files: u64,
    blobs: BTreeMap<Digest, PathBuf>,
    layers: BTreeMap<Digest, (PathBuf, LayerRecord)>,
}

impl<'a> Stage<'a> {
    pub(crate) fn new(store: &'a Store) -> Result<Self, Error> {
        let temp = Temp::new(store).map_err(Error::Store)?;
        Ok(Self { store, temp, files: 0, blobs: BTreeMap::new(), layers: BTreeMap::new() })
    }

    pub(crate) fn store(&self) -> &'a Store {
        self.store
    }

    /// Reads content to its end into a temporary file.
    pub(crate) fn spool(&mut self, mut content: impl Read) -> Result<Spooled, Error> {
        let path = self.new_path();
        let file = fs::File::create_new(&path).map_err(Error::Store)?;
        let mut writer = Hashing::new(file);
        let mut buffer = vec![0; 128 << 10];
        loop {
            let count = content
                .read(&mut buffer)
                .map_err(|source| Error::Archive(archive::Error::Read(source)))?;
            if count == 0 {
                break;
            }
            std::io::Write::write_all(&mut writer, &buffer[..count]).map_err(Error::Store)?;
        }
        let (digest, size, _) = writer.finish();
        Ok(Spooled { path, digest, size })
    }

    /// A path in the temporary directory that nothing has yet.
    pub(crate) fn new_path(&mut self) -> PathBuf {
        self.files += 1;
        self.temp.path().join(self.files.to_string())
    }

    /// Makes a spooled file a blob of the image to come.
    pub(crate) fn keep(&mut self, spooled: &Spooled) {
        self.blobs.entry(spooled.digest).or_insert_with(|| spooled.path.clone());
    }

    /// Makes bytes a blob of the image to come.
    pub(crate) fn keep_bytes(&mut self, bytes: &[u8]) -> Result<Digest, Error> {
        let path = self.new_path();
        fs::write(&path, bytes).map_err(Error::Store)?;
        let digest = Digest::of(bytes);
        self.blobs.entry(digest).or_insert(path);
        Ok(digest)
    }

    /// Verifies that a spooled layer expands to `expected`, and unpacks it unless that was done before.
    /// `below` are the layers under it, lowest first.
    pub(crate) fn layer(
        &mut self,
        blob: &Spooled,
        expected: Digest,
        below: &[Digest],
        progress: &mut Progress<'_>,
    ) -> Result<bool, unpack::Error> {
        if self.is_verified(expected, blob.digest) {
            return Ok(false);
        }
        let file = fs::File::open(&blob.path).map_err(unpack::Error::Directory)?;
        if self.is_unpacked(expected) {
            let found = self.expanded_digest(file)?;
            return if found == expected {
                Ok(false)
            } else {
                Err(unpack::Error::DiffId { expected, found })
            };
        }
        let directory = self.new_path();
        let below = self.directories(below);
        let unpacked = unpack_into(file, &directory, &below, self.store.limits())?;
        if unpacked.diff_id != expected {
            return Err(unpack::Error::DiffId { expected, found: unpacked.diff_id });
        }
        self.keep_layer(directory, &unpacked, blob.digest, progress);
        Ok(true)
    }

    /// Takes over a directory that a layer was unpacked into.
    pub(crate) fn keep_layer(
        &mut self,
        directory: PathBuf,
        unpacked: &unpack::Unpacked,
        blob: Digest,
        progress: &mut Progress<'_>,
    ) {
        if unpacked.skipped_devices > 0 {
            progress(Event::DevicesSkipped { count: unpacked.skipped_devices });
        }
        let record = LayerRecord::new(unpacked, blob);
        self.layers.entry(unpacked.diff_id).or_insert((directory, record));
    }

    /// Makes everything durable, moves it into place and writes the index last.
    pub(crate) fn commit(
        self,
        images: &[NewImage],
        progress: &mut Progress<'_>,
    ) -> Result<(), Error> {
        progress(Event::Committing);
        self.temp.sync().map_err(Error::Store)?;
        let store = self.store;
        let _lock = store.lock()?;
        for (digest, path) in &self.blobs {
            let target = store.blob(*digest);
            if !target.exists() {
                fs::rename(path, target).map_err(Error::Store)?;
            }
        }
        for (diff_id, (directory, record)) in &self.layers {
            store.place_layer(*diff_id, directory, record).map_err(Error::Store)?;
        }
        for directory in ["blobs/sha256", "layers"] {
            let directory = fs::File::open(store.path(directory)).map_err(Error::Store)?;
            directory.sync_all().map_err(Error::Store)?;
        }
        let mut index = Index::read(store)?;
        for image in images {
            index.add(image.descriptor(), image.manifest);
            for name in &image.names {
                index.name(image.manifest, name);
            }
        }
        index.write(store)
    }

    fn is_verified(&self, diff_id: Digest, blob: Digest) -> bool {
        let staged = self.layers.get(&diff_id).map(|(_, record)| record.blob);
        let stored = || self.store.layer(diff_id).ok().flatten().map(|record| record.blob);
        staged.or_else(stored) == Some(blob)
    }

    fn is_unpacked(&self, diff_id: Digest) -> bool {
        self.layers.contains_key(&diff_id)
            || self.store.layer(diff_id).is_ok_and(|layer| layer.is_some())
    }

    fn directories(&self, lowest_first: &[Digest]) -> Vec<PathBuf> {
        let directory = |diff_id: &Digest| match self.layers.get(diff_id) {
            Some((directory, _)) => directory.clone(),
            None => self.store.layer_dir(*diff_id),
        };
        lowest_first.iter().rev().map(directory).collect()
    }

    fn expanded_digest(&self, blob: impl Read) -> Result<Digest, unpack::Error> {
        let read = |source| unpack::Error::Archive(archive::Error::Read(source));
        let (_, stream) = expand(blob, self.store.limits()).map_err(read)?;
        let mut hashing = Hashing::new(stream);
        std::io::copy(&mut hashing, &mut std::io::sink()).map_err(read)?;
        Ok(hashing.finish().0)
    }
}

impl NewImage {
    fn descriptor(&self) -> Descriptor {
        let digest: oci_spec::image::Digest =
            self.manifest.to_string().parse().expect("a sha256 digest is a digest");
        Descriptor::new(self.media_type.clone(), self.manifest_size, digest)
    }
}

/// Copies everything read from a source into a file of the stage.
pub(crate) struct Tee<R> {
    source: R,
    copy: Hashing<BufWriter<fs::File>>,
}

impl<R: Read> Tee<R> {
    pub(crate) fn new(source: R, path: &Path) -> Result<Self, Error> {
        let file = fs::File::create_new(path).map_err(Error::Store)?;
        Ok(Self { source, copy: Hashing::new(BufWriter::with_capacity(1 << 20, file)) })
    }

    /// Ends the copy: what was read is then a spooled file.
    pub(crate) fn finish(self, path: PathBuf) -> Result<Spooled, Error> {
        let (digest, size, mut file) = self.copy.finish();
        std::io::Write::flush(&mut file).map_err(Error::Store)?;
        Ok(Spooled { path, digest, size })
    }
}

impl<R: Read> Read for Tee<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.source.read(buffer)?;
        std::io::Write::write_all(&mut self.copy, &buffer[..count])?;
        Ok(count)
    }
}
