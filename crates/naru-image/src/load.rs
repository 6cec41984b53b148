//! Archives of whole images: what `docker save` writes, in its old and its new form, and OCI archives.
//!
//! An archive is read once, front to back, so it may come from a pipe: every file in it is put into a temporary file
//! while its digest is taken, and only then the documents that say what the files are can be looked at. The layers
//! are unpacked and verified before the image is shown to anybody.

use std::collections::BTreeMap;
use std::io::Read;

use fs_err as fs;
use oci_spec::image::{DescriptorBuilder, ImageManifestBuilder, MediaType, SCHEMA_VERSION};

use crate::archive::{self, Kind, Reader, components};
use crate::compression::{Compression, expand};
use crate::digest::Digest;
use crate::error::Error;
use crate::limits::Limits;
use crate::progress::{Event, Progress, Reporting};
use crate::reference::Reference;
use crate::store::{NewImage, Spooled, Stage, Store};

mod docker;
mod oci;

/// Files in an archive of images: a manifest, a configuration and layers for each image, and little else.
const MAX_FILES: u64 = 100_000;
/// Links that may lead from a name of an archive to its file.
const MAX_LINKS: usize = 8;

/// One image that is now in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The name it has, one of these for each; `None` when the archive names it nothing.
    pub name: Option<Reference>,
    /// The image's id.
    pub id: Digest,
}

impl Store {
    /// Takes all images out of an archive (docker-archive or OCI archive; plain, gzip or zstd).
    ///
    /// # Errors
    /// When anything in the archive is not as it has to be; then nothing of it is in the store.
    pub fn load(
        &self,
        archive: impl Read,
        progress: &mut Progress<'_>,
    ) -> Result<Vec<Loaded>, Error> {
        let mut stage = Stage::new(self)?;
        let files = spool(&mut stage, archive, progress)?;
        let prepared = if files.has("manifest.json") {
            docker::prepare(&mut stage, &files, progress)?
        } else if files.has("index.json") {
            oci::prepare(&mut stage, &files, progress)?
        } else {
            let problem = "it has neither a manifest.json nor an index.json, so it holds no image; \
                           a root file system is taken in with `naru image import`";
            return Err(Error::refused("content", problem));
        };
        let mut loaded = Vec::new();
        for (image, id) in &prepared {
            loaded.extend(
                image.names.iter().map(|name| Loaded { name: Some(name.clone()), id: *id }),
            );
            if image.names.is_empty() {
                loaded.push(Loaded { name: None, id: *id });
            }
        }
        let images: Vec<NewImage> = prepared.into_iter().map(|(image, _)| image).collect();
        stage.commit(&images, progress)?;
        Ok(loaded)
    }
}

/// What an archive holds, by normalised name.
#[derive(Debug, Default)]
struct Files {
    spooled: BTreeMap<Vec<u8>, Spooled>,
    links: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Files {
    fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    fn find(&self, name: &str) -> Option<&Spooled> {
        let mut name = lexical(name.as_bytes())?;
        for _ in 0..MAX_LINKS {
            if let Some(spooled) = self.spooled.get(&name) {
                return Some(spooled);
            }
            name = self.links.get(&name)?.clone();
        }
        None
    }

    fn get(&self, name: &str) -> Result<&Spooled, Error> {
        self.find(name)
            .ok_or_else(|| Error::refused(format!("file {name:?}"), "it is not in the archive"))
    }

    /// A small file of the archive.
    fn read(&self, name: &str, limits: &Limits) -> Result<Vec<u8>, Error> {
        let spooled = self.get(name)?;
        if spooled.size > limits.max_metadata {
            let problem = "it is larger than a manifest or configuration can be";
            return Err(Error::refused(format!("file {name:?}"), problem));
        }
        fs::read(&spooled.path).map_err(Error::Store)
    }

    /// The blob of an OCI layout with this digest; its content was compared when it was spooled.
    fn blob(&self, digest: Digest) -> Result<&Spooled, Error> {
        self.get(&blob_name(digest))
    }

    /// A small blob of an OCI layout.
    fn read_blob(&self, digest: Digest, limits: &Limits) -> Result<Vec<u8>, Error> {
        self.read(&blob_name(digest), limits)
    }
}

fn blob_name(digest: Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// Reads the whole archive into temporary files.
fn spool(
    stage: &mut Stage<'_>,
    archive: impl Read,
    progress: &mut Progress<'_>,
) -> Result<Files, Error> {
    let store = stage.store();
    let limits =
        Limits { max_entries: MAX_FILES.min(store.limits().max_entries), ..*store.limits() };
    let source = Reporting::new(archive, progress);
    let (_, stream) =
        expand(source, &limits).map_err(|source| Error::Archive(archive::Error::Read(source)))?;
    let mut reader = Reader::new(stream, &limits);
    let mut files = Files::default();
    while let Some(entry) = reader.next()? {
        let name = components(&entry.path, &limits)?.join(&b'/');
        match entry.kind {
            Kind::File => {
                let spooled = stage.spool(&mut reader)?;
                check_blob(&name, &spooled)?;
                if files.spooled.insert(name, spooled).is_some() {
                    return Err(entry.refused("a file of this name came before").into());
                }
            }
            // Old docker-archives hold each layer once and link to it from the images that share it.
            Kind::Symlink => {
                let mut target = name.rsplit(|byte| *byte == b'/').skip(1).collect::<Vec<_>>();
                target.reverse();
                let target = [target.join(&b'/'), entry.link.clone()].join(&b'/');
                let target =
                    lexical(&target).ok_or_else(|| entry.refused("it leads out of the archive"))?;
                files.links.insert(name, target);
            }
            Kind::HardLink => {
                let target = components(&entry.link, &limits)?.join(&b'/');
                files.links.insert(name, target);
            }
            Kind::Directory => {}
            _ => {
                return Err(entry.refused("no archive of images holds entries of its type").into());
            }
        }
    }
    reader.drain()?;
    Ok(files)
}

/// A file that claims to be named after its digest must be.
fn check_blob(name: &[u8], spooled: &Spooled) -> Result<(), Error> {
    let Some(hex) = name.strip_prefix(b"blobs/sha256/") else { return Ok(()) };
    let named = str::from_utf8(hex).ok().and_then(|hex| Digest::from_hex(hex).ok());
    if named == Some(spooled.digest) {
        return Ok(());
    }
    Err(Error::refused(
        format!("file {:?}", String::from_utf8_lossy(name)),
        "its content does not match the digest in its name",
    ))
}

/// Resolves `.` and `..` of a name within an archive; `None` when it leads out.
fn lexical(path: &[u8]) -> Option<Vec<u8>> {
    let mut names: Vec<&[u8]> = Vec::new();
    for name in path.split(|byte| *byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." => drop(names.pop()?),
            _ => names.push(name),
        }
    }
    Some(names.join(&b'/'))
}

/// Verifies and unpacks the layers of one image, lowest first.
fn unpack_layers(
    stage: &mut Stage<'_>,
    blobs: &[&Spooled],
    diff_ids: &[Digest],
    progress: &mut Progress<'_>,
) -> Result<(), Error> {
    let of = diff_ids.len();
    if blobs.len() != of {
        let problem = "it lists another number of layers than the image's configuration";
        return Err(Error::refused("manifest", problem));
    }
    for (index, (blob, diff_id)) in blobs.iter().zip(diff_ids).enumerate() {
        let number = index + 1;
        progress(Event::Layer { number, of, diff_id: *diff_id });
        let unpacked = stage
            .layer(blob, *diff_id, &diff_ids[..index], progress)
            .map_err(|source| Error::Layer { number, of, source })?;
        if !unpacked {
            progress(Event::LayerPresent { number, of });
        }
        stage.keep(blob);
    }
    Ok(())
}

/// Writes an OCI manifest for a configuration and layers, for archives that bring none.
pub(crate) fn write_manifest(
    stage: &mut Stage<'_>,
    config: (Digest, u64),
    layers: &[(Compression, Digest, u64)],
    names: Vec<Reference>,
) -> Result<NewImage, Error> {
    let descriptor = |media_type: MediaType, digest: Digest, size: u64| {
        let digest: oci_spec::image::Digest =
            digest.to_string().parse().expect("a sha256 digest is a digest");
        DescriptorBuilder::default()
            .media_type(media_type)
            .digest(digest)
            .size(size)
            .build()
            .expect("every required field is set")
    };
    let layers: Vec<_> = layers
        .iter()
        .map(|(compression, digest, size)| {
            descriptor(MediaType::from(compression.layer_media_type()), *digest, *size)
        })
        .collect();
    let manifest = ImageManifestBuilder::default()
        .schema_version(SCHEMA_VERSION)
        .media_type(MediaType::ImageManifest)
        .config(descriptor(MediaType::ImageConfig, config.0, config.1))
        .layers(layers)
        .build()
        .expect("every required field is set");
    let bytes = serde_json::to_vec(&manifest)
        .map_err(|source| Error::Json { object: "the new manifest".to_owned(), source })?;
    Ok(NewImage {
        manifest: stage.keep_bytes(&bytes)?,
        manifest_size: bytes.len() as u64,
        media_type: MediaType::ImageManifest,
        names,
    })
}

#[cfg(test)]
mod tests;
