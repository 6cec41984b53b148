//! The images on disk: an OCI image layout with the layers unpacked beside it.
//!
//! ```text
//! images/                    0700: setuid programs in layers are out of reach for others
//!   oci-layout               {"imageLayoutVersion":"1.0.0"}
//!   index.json               one descriptor for each name of each image
//!   blobs/sha256/<hex>       manifests, configurations and layers as they came in
//!   layers/<hex>/            the layer whose expanded archive has this digest, for overlayfs
//!   layers/<hex>.json        its size and the blob it came from
//!   layers/<hex>.mount-points/  for an image of this id: what containers get mounted over and it lacks
//!   naru.json                the version of everything here that is not OCI's
//!   lock                     held by whoever changes any of this
//!   tmp/<n>/                 work in progress, locked by its owner; what nobody locks is rubbish
//! ```
//!
//! Readers take no lock: every file appears whole by a rename, and `index.json`, written last and read first, decides
//! what exists. Writers gather and verify in `tmp` and hold the lock only to move things into place.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use fs_err as fs;
use oci_spec::image::ImageManifest;
use rustix::fs::{FlockOperation, Mode, OFlags};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::beneath::to_io;
use crate::compression::expand;
use crate::config;
use crate::digest::Digest;
use crate::error::Error;
use crate::image::{Image, Inspection, Layers};
use crate::limits::Limits;
use crate::reference::Reference;
use crate::unpack;

mod check;
mod index;
mod mount_points;
mod remove;
mod stage;
mod temp;

pub use check::{Flaw, Part};
pub use remove::{DiskUsage, Removed};
pub(crate) use stage::{NewImage, Spooled, Stage, Tee};

pub(crate) use index::NAME;

use index::Index;
use temp::Temp;

/// The newest form of the files that are naru's own.
const VERSION: u32 = 1;
/// Characters of an image id that are enough to look it up.
const SHORTEST_ID: usize = 4;

/// The image store of one naru root.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
    limits: Limits,
}

#[derive(Serialize, Deserialize)]
struct Format {
    version: u32,
}

/// What is known of an unpacked layer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct LayerRecord {
    version: u32,
    /// Bytes of all files in it.
    pub(crate) size: u64,
    /// Whether it hides all layers below.
    pub(crate) opaque: bool,
    /// The blob it was unpacked from, and verified with.
    pub(crate) blob: Digest,
}

impl Store {
    /// Opens the store in this directory, making it when it is not there, and clears away what a crash left.
    pub fn open(root: &Path) -> Result<Self, Error> {
        Self::with_limits(root, Limits::default())
    }

    /// [`Store::open`] with other bounds on what images may ask for.
    pub fn with_limits(root: &Path, limits: Limits) -> Result<Self, Error> {
        let store = Self { root: root.to_owned(), limits };
        let format = store.path("naru.json");
        match fs::read(&format) {
            Ok(bytes) => check_version(&bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                store.create().map_err(Error::Store)?;
            }
            Err(error) => return Err(Error::Store(error)),
        }
        temp::clean(&store).map_err(Error::Store)?;
        Ok(store)
    }

    /// The directory the store lives in.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// All images, those with names first, in the order of their names.
    pub fn list(&self) -> Result<Vec<Image>, Error> {
        let index = Index::read(self)?;
        let mut images = Vec::new();
        for (manifest, names) in index.images() {
            match self.image(manifest, names) {
                // Removed between reading the index and now.
                Err(error) if is_gone(&error) && !Index::read(self)?.holds(manifest) => {}
                result => images.push(result?),
            }
        }
        images.sort_by(|a, b| {
            let key =
                |image: &Image| (image.names.is_empty(), image.names.first().cloned(), image.id);
            key(a).cmp(&key(b))
        });
        Ok(images)
    }

    /// The image that a name, an id or the beginning of an id stands for.
    pub fn find(&self, name: &str) -> Result<Option<Image>, Error> {
        let index = Index::read(self)?;
        let Some(manifest) = self.resolve(&index, name)? else { return Ok(None) };
        let names = index.images().remove(&manifest).unwrap_or_default();
        self.image(manifest, names).map(Some)
    }

    /// Gives an image a further name; the image that had this name keeps its other ones.
    pub fn tag(&self, image: &Image, name: &Reference) -> Result<(), Error> {
        let _lock = self.lock()?;
        let mut index = Index::read(self)?;
        if !index.holds(image.manifest) {
            return Err(Error::Name {
                name: image.id.to_string(),
                problem: "was removed meanwhile",
            });
        }
        index.name(image.manifest, name);
        index.write(self)
    }

    /// What `naru image inspect` prints.
    pub fn inspect(&self, image: &Image) -> Result<Inspection, Error> {
        let bytes = self.read_metadata(image.id)?;
        let object = || format!("the configuration {}", image.id);
        let document: Value = serde_json::from_slice(&bytes)
            .map_err(|source| Error::Json { object: object(), source })?;
        let text = |key: &str| document[key].as_str().unwrap_or_default().to_owned();
        let digests =
            image.names.iter().map(|name| format!("{}@{}", name.familiar_name(), image.manifest));
        let mut repo_digests: Vec<String> = digests.collect();
        repo_digests.dedup();
        Ok(Inspection {
            id: image.id,
            repo_tags: image.names.iter().map(ToString::to_string).collect(),
            repo_digests,
            comment: text("comment"),
            created: text("created"),
            author: text("author"),
            config: document["config"].clone(),
            architecture: image.config.architecture().to_string(),
            os: image.config.os().to_string(),
            size: image.size,
            root_fs: Layers { kind: "layers", layers: image.layers.clone() },
        })
    }

    /// The directories overlayfs puts together to the image's root file system, top layer first. A layer that is not
    /// unpacked, because another tool put the image here, is unpacked now.
    pub fn lower_dirs(&self, image: &Image) -> Result<Vec<PathBuf>, Error> {
        let mut lower = Vec::new();
        for (index, diff_id) in image.layers.iter().enumerate() {
            let record = match self.layer(*diff_id)? {
                Some(record) => record,
                None => self.unpack_again(image, index)?,
            };
            if record.opaque {
                lower.clear();
            }
            lower.push(self.layer_dir(*diff_id));
        }
        if lower.is_empty() {
            lower.push(self.path("layers/empty"));
        }
        lower.reverse();
        Ok(lower)
    }

    fn resolve(&self, index: &Index, name: &str) -> Result<Option<Digest>, Error> {
        if let Ok(reference) = name.parse::<Reference>()
            && let Some(manifest) = index.find(&reference)
        {
            return Ok(Some(manifest));
        }
        let hex = name.strip_prefix("sha256:").unwrap_or(name);
        let digits = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if hex.len() < SHORTEST_ID || hex.len() > 64 || !hex.bytes().all(digits) {
            return Ok(None);
        }
        let mut found = None;
        for manifest in index.images().into_keys() {
            let id = match self.config_digest(manifest) {
                Ok(id) => id,
                // That it cannot be read for want of descriptors or memory says nothing about an image.
                Err(Error::Store(error)) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::Store(error));
                }
                // A damaged one does not hide the others.
                Err(_) => continue,
            };
            let matches = id.hex().starts_with(hex) || (hex.len() == 64 && manifest.hex() == hex);
            if matches && found.replace(manifest).is_some() {
                let problem = "is the beginning of several image ids";
                return Err(Error::Name { name: name.to_owned(), problem });
            }
        }
        Ok(found)
    }

    fn image(&self, manifest: Digest, names: Vec<Reference>) -> Result<Image, Error> {
        let (id, blobs) = self.manifest(manifest)?;
        let parsed = config::parse(&self.read_metadata(id)?, &self.limits)?;
        if blobs.len() != parsed.diff_ids.len() {
            let problem = "has another number of layers than its configuration";
            return Err(Error::Damaged { object: format!("the manifest {manifest}"), problem });
        }
        Ok(Image {
            id,
            manifest,
            names,
            healthcheck: parsed.healthcheck,
            shell: parsed.shell,
            created: parsed.configuration.created().clone(),
            size: self.size(&parsed.diff_ids, &blobs)?,
            layers: parsed.diff_ids,
            config: parsed.configuration,
            blobs,
        })
    }

    fn config_digest(&self, manifest: Digest) -> Result<Digest, Error> {
        self.manifest(manifest).map(|(id, _)| id)
    }

    /// The configuration and the layers a manifest of the store lists.
    fn manifest(&self, digest: Digest) -> Result<(Digest, Vec<Digest>), Error> {
        let object = || format!("the manifest {digest}");
        let manifest: ImageManifest = serde_json::from_slice(&self.read_metadata(digest)?)
            .map_err(|source| Error::Json { object: object(), source })?;
        let parse = |digest: &oci_spec::image::Digest| {
            digest.to_string().parse().map_err(|_| Error::Damaged {
                object: object(),
                problem: "lists a digest that is no sha256",
            })
        };
        let id = parse(manifest.config().digest())?;
        let blobs: Result<_, _> =
            manifest.layers().iter().map(|layer| parse(layer.digest())).collect();
        Ok((id, blobs?))
    }

    fn size(&self, layers: &[Digest], blobs: &[Digest]) -> Result<u64, Error> {
        let mut size = 0;
        for (layer, blob) in layers.iter().zip(blobs) {
            size += match self.layer(*layer)? {
                Some(record) => record.size,
                None => fs::metadata(self.blob(*blob)).map_err(Error::Store)?.len(),
            };
        }
        Ok(size)
    }

    /// A small blob, compared with its digest.
    fn read_metadata(&self, digest: Digest) -> Result<Vec<u8>, Error> {
        let file = fs::File::open(self.blob(digest)).map_err(Error::Store)?;
        let mut bytes = Vec::new();
        let max = self.limits.max_metadata;
        file.take(max + 1).read_to_end(&mut bytes).map_err(Error::Store)?;
        let damaged = |problem| Error::Damaged { object: format!("the blob {digest}"), problem };
        if bytes.len() as u64 > max {
            return Err(damaged("is larger than a manifest or configuration can be"));
        }
        if Digest::of(&bytes) != digest {
            return Err(damaged("does not match its name"));
        }
        Ok(bytes)
    }

    /// What is known of a layer, if it is unpacked.
    pub(crate) fn layer(&self, diff_id: Digest) -> Result<Option<LayerRecord>, Error> {
        let path = self.layer_record(diff_id);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::Store(error)),
        };
        let record: LayerRecord = serde_json::from_slice(&bytes)
            .map_err(|source| Error::Json { object: path.display().to_string(), source })?;
        Ok(self.layer_dir(diff_id).is_dir().then_some(record))
    }

    fn unpack_again(&self, image: &Image, position: usize) -> Result<LayerRecord, Error> {
        let (diff_id, blob) = (image.layers[position], image.blobs[position]);
        let temp = Temp::new(self).map_err(Error::Store)?;
        let below: Vec<PathBuf> =
            image.layers[..position].iter().rev().map(|layer| self.layer_dir(*layer)).collect();
        let file = fs::File::open(self.blob(blob)).map_err(Error::Store)?;
        let about = |source| Error::Layer { number: position + 1, of: image.layers.len(), source };
        let directory = temp.path().join("layer");
        let unpacked = unpack_into(file, &directory, &below, &self.limits).map_err(about)?;
        if unpacked.diff_id != diff_id {
            return Err(about(unpack::Error::DiffId {
                expected: diff_id,
                found: unpacked.diff_id,
            }));
        }
        let record = LayerRecord::new(&unpacked, blob);
        temp.sync().map_err(Error::Store)?;
        let _lock = self.lock()?;
        self.place_layer(diff_id, &directory, &record).map_err(Error::Store)?;
        Ok(record)
    }

    /// Makes an unpacked layer visible; the caller holds the lock and has made the content durable.
    fn place_layer(&self, diff_id: Digest, from: &Path, record: &LayerRecord) -> io::Result<()> {
        let target = self.layer_dir(diff_id);
        let json = serde_json::to_vec(record).map_err(io::Error::other)?;
        // The directory comes first: a record without one is a lie, one without a record is rubbish.
        if target.is_dir() {
            return naru_state::atomic::write_durable(&self.layer_record(diff_id), &json);
        }
        fs::rename(from, &target)?;
        naru_state::atomic::write_durable(&self.layer_record(diff_id), &json)
    }

    fn create(&self) -> io::Result<()> {
        use std::os::unix::fs::DirBuilderExt;
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.root)?;
        fs::set_permissions(&self.root, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
        for directory in ["blobs/sha256", "layers/empty", "tmp"] {
            fs::create_dir_all(self.path(directory))?;
        }
        fs::set_permissions(
            self.path("layers/empty"),
            std::os::unix::fs::PermissionsExt::from_mode(0o755),
        )?;
        let _lock = self.lock_file()?;
        let write = naru_state::atomic::write_durable;
        if !self.path("oci-layout").exists() {
            write(&self.path("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        }
        if !self.path("index.json").exists() {
            write(&self.path("index.json"), index::EMPTY)?;
        }
        let format = serde_json::to_vec(&Format { version: VERSION }).map_err(io::Error::other)?;
        write(&self.path("naru.json"), &format)
    }

    /// Waits until this process alone may change the store; the lock goes with the returned descriptor.
    fn lock(&self) -> Result<OwnedFd, Error> {
        self.lock_file().map_err(Error::Store)
    }

    fn lock_file(&self) -> io::Result<OwnedFd> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = rustix::fs::open(self.path("lock"), flags, Mode::from_raw_mode(0o600))
            .map_err(to_io)?;
        rustix::io::retry_on_intr(|| rustix::fs::flock(&file, FlockOperation::LockExclusive))
            .map_err(to_io)?;
        Ok(file)
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub(crate) fn blob(&self, digest: Digest) -> PathBuf {
        self.path("blobs/sha256").join(digest.hex())
    }

    pub(crate) fn layer_dir(&self, diff_id: Digest) -> PathBuf {
        self.path("layers").join(diff_id.hex())
    }

    fn layer_record(&self, diff_id: Digest) -> PathBuf {
        self.path("layers").join(diff_id.hex() + ".json")
    }
}

impl LayerRecord {
    pub(crate) fn new(unpacked: &unpack::Unpacked, blob: Digest) -> Self {
        Self { version: VERSION, size: unpacked.size, opaque: unpacked.opaque, blob }
    }
}

/// Expands and unpacks a layer's blob into a directory that does not exist yet.
pub(crate) fn unpack_into(
    blob: impl Read,
    directory: &Path,
    below: &[PathBuf],
    limits: &Limits,
) -> Result<unpack::Unpacked, unpack::Error> {
    fs::create_dir_all(directory).map_err(unpack::Error::Directory)?;
    let open = |path: &Path| -> Result<OwnedFd, unpack::Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open(path, flags, Mode::empty())
            .map_err(|errno| unpack::Error::Directory(to_io(errno)))
    };
    let root = open(directory)?;
    let below: Result<Vec<_>, _> = below.iter().map(|path| open(path)).collect();
    let (_, stream) = expand(blob, limits)
        .map_err(|source| unpack::Error::Archive(crate::archive::Error::Read(source)))?;
    unpack::unpack(stream, std::os::fd::AsFd::as_fd(&root), &below?, limits)
}

fn check_version(bytes: &[u8]) -> Result<(), Error> {
    let format: Format = serde_json::from_slice(bytes).map_err(|source| Error::Json {
        object: "the image store's naru.json".to_owned(),
        source,
    })?;
    if format.version > VERSION {
        return Err(Error::Version { found: format.version, known: VERSION });
    }
    Ok(())
}

fn is_gone(error: &Error) -> bool {
    matches!(error, Error::Store(source) if source.kind() == io::ErrorKind::NotFound)
}

/// Images of the store by manifest, with their names.
type Named = BTreeMap<Digest, Vec<Reference>>;

#[cfg(test)]
mod tests;
