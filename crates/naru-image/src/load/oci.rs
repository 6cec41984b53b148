//! OCI archives: an `index.json` that leads by digests to manifests, configurations and layers.

use oci_spec::image::{Descriptor, ImageIndex, ImageManifest};
use serde::Deserialize;

use super::{Files, unpack_layers};
use crate::config::{self, runs_here};
use crate::digest::Digest;
use crate::error::Error;
use crate::image::this_platform;
use crate::limits::Limits;
use crate::progress::Progress;
use crate::reference::Reference;
use crate::store::{NAME, NewImage, Spooled, Stage};

/// Indexes within indexes; more than one level is already unusual.
const MAX_NESTING: usize = 3;
/// Images and platforms in one index.
const MAX_DESCRIPTORS: usize = 1000;

const CONTAINERD_NAME: &str = "io.containerd.image.name";
const ATTESTATION: (&str, &str) = ("vnd.docker.reference.type", "attestation-manifest");

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Layout {
    image_layout_version: String,
}

/// Verifies every image that `index.json` lists for this machine.
pub(super) fn prepare(
    stage: &mut Stage<'_>,
    files: &Files,
    progress: &mut Progress<'_>,
) -> Result<Vec<(NewImage, Digest)>, Error> {
    let limits = *stage.store().limits();
    if files.has("oci-layout") {
        let layout: Layout = parse(&files.read("oci-layout", &limits)?, "oci-layout")?;
        if !layout.image_layout_version.starts_with("1.") {
            return Err(Error::refused("oci-layout", "its version is not 1"));
        }
    }
    let index: ImageIndex = parse(&files.read("index.json", &limits)?, "index.json")?;
    let mut images: Vec<(NewImage, Digest)> = Vec::new();
    for descriptor in for_this_machine(index.manifests())? {
        let manifest = choose(files, descriptor, &limits, 0)?;
        let (mut image, id) = image(stage, files, &manifest, progress)?;
        image.names.extend(name(descriptor)?);
        match images.iter_mut().find(|(other, _)| other.manifest == image.manifest) {
            Some((other, _)) => other.names.append(&mut image.names),
            None => images.push((image, id)),
        }
    }
    Ok(images)
}

fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8], name: &str) -> Result<T, Error> {
    serde_json::from_slice(bytes)
        .map_err(|source| Error::Json { object: format!("the archive's {name}"), source })
}

/// The descriptors for this platform, exact matches before others that run here too. One without a platform says
/// nothing about it and is always taken.
fn for_this_machine(descriptors: &[Descriptor]) -> Result<Vec<&Descriptor>, Error> {
    if descriptors.len() > MAX_DESCRIPTORS {
        return Err(Error::refused("index", "it lists more than 1000 images"));
    }
    let images: Vec<&Descriptor> = descriptors.iter().filter(|one| !is_attestation(one)).collect();
    if images.is_empty() {
        return Err(Error::refused("index", "it lists no image"));
    }
    let select = |fits: &dyn Fn(&str, &str) -> bool| -> Vec<&Descriptor> {
        let fits = |one: &&&Descriptor| {
            one.platform().as_ref().is_none_or(|platform| {
                fits(&platform.os().to_string(), &platform.architecture().to_string())
            })
        };
        images.iter().filter(fits).copied().collect()
    };
    let exact = select(&|os, architecture| format!("{os}/{architecture}") == this_platform());
    let fitting = if exact.is_empty() { select(&runs_here) } else { exact };
    if fitting.is_empty() {
        let platforms = images.iter().filter_map(|descriptor| descriptor.platform().as_ref());
        let found: Vec<String> = platforms
            .map(|platform| format!("{}/{}", platform.os(), platform.architecture()))
            .collect();
        return Err(Error::Platform { wanted: this_platform(), found: found.join(", ") });
    }
    Ok(fitting)
}

fn is_attestation(descriptor: &Descriptor) -> bool {
    let (key, value) = ATTESTATION;
    let annotations = descriptor.annotations().as_ref();
    annotations.and_then(|annotations| annotations.get(key)).is_some_and(|found| found == value)
}

/// Follows indexes to the one manifest for this machine.
fn choose(
    files: &Files,
    descriptor: &Descriptor,
    limits: &Limits,
    depth: usize,
) -> Result<Descriptor, Error> {
    match descriptor.media_type().to_string().as_str() {
        "application/vnd.oci.image.manifest.v1+json"
        | "application/vnd.docker.distribution.manifest.v2+json" => Ok(descriptor.clone()),
        "application/vnd.oci.image.index.v1+json"
        | "application/vnd.docker.distribution.manifest.list.v2+json" => {
            if depth >= MAX_NESTING {
                return Err(Error::refused("index", "indexes are nested too deeply"));
            }
            let digest = blob(files, descriptor)?.digest;
            let index: ImageIndex = parse(&files.read_blob(digest, limits)?, "index")?;
            let best = for_this_machine(index.manifests())?[0].clone();
            choose(files, &best, limits, depth + 1)
        }
        other => Err(Error::refused(
            format!("descriptor of type {other}"),
            "it is neither a manifest nor an index of images",
        )),
    }
}

/// The file a descriptor means, compared with the size it states; the digest was compared before.
fn blob<'a>(files: &'a Files, descriptor: &Descriptor) -> Result<&'a Spooled, Error> {
    let text = descriptor.digest().to_string();
    let digest: Digest = text.parse().map_err(|_| {
        Error::refused("descriptor", "its digest is no sha256 of 64 lower-case digits")
    })?;
    let spooled = files.blob(digest)?;
    if spooled.size != descriptor.size() {
        return Err(Error::refused(
            format!("blob {digest}"),
            "its size is not what its descriptor says",
        ));
    }
    Ok(spooled)
}

fn image(
    stage: &mut Stage<'_>,
    files: &Files,
    descriptor: &Descriptor,
    progress: &mut Progress<'_>,
) -> Result<(NewImage, Digest), Error> {
    let limits = *stage.store().limits();
    let spooled = blob(files, descriptor)?;
    let manifest: ImageManifest = parse(&files.read_blob(spooled.digest, &limits)?, "manifest")?;
    check_types(&manifest)?;
    let config = blob(files, manifest.config())?;
    let parsed = config::parse(&files.read_blob(config.digest, &limits)?, &limits)?;
    let blobs: Result<Vec<_>, _> =
        manifest.layers().iter().map(|layer| blob(files, layer)).collect();
    unpack_layers(stage, &blobs?, &parsed.diff_ids, progress)?;
    stage.keep(config);
    stage.keep(spooled);
    let image = NewImage {
        manifest: spooled.digest,
        manifest_size: spooled.size,
        media_type: descriptor.media_type().clone(),
        names: Vec::new(),
    };
    Ok((image, config.digest))
}

fn check_types(manifest: &ImageManifest) -> Result<(), Error> {
    let config = manifest.config().media_type().to_string();
    let known = [
        "application/vnd.oci.image.config.v1+json",
        "application/vnd.docker.container.image.v1+json",
    ];
    if !known.contains(&config.as_str()) {
        let problem = "it is not that of a container image";
        return Err(Error::refused(format!("configuration of type {config}"), problem));
    }
    for layer in manifest.layers() {
        let kind = layer.media_type().to_string();
        // The compression is seen in the data itself; the type only has to say that it is an archive.
        let archives = [
            "application/vnd.oci.image.layer.v1.tar",
            "application/vnd.oci.image.layer.nondistributable.v1.tar",
            "application/vnd.docker.image.rootfs.diff.tar",
            "application/vnd.docker.image.rootfs.foreign.diff.tar",
        ];
        let is_archive = archives
            .iter()
            .filter_map(|known| kind.strip_prefix(known))
            .any(|rest| matches!(rest, "" | "+gzip" | "+zstd" | ".gzip" | ".zstd"));
        if !is_archive {
            return Err(Error::refused(
                format!("layer of type {kind}"),
                "this type is not supported",
            ));
        }
    }
    Ok(())
}

/// The name a descriptor gives its image. Some tools write only a tag there, which names nothing.
fn name(descriptor: &Descriptor) -> Result<Option<Reference>, Error> {
    let Some(annotations) = descriptor.annotations() else { return Ok(None) };
    let full = annotations.get(NAME).filter(|name| name.contains(['/', ':']));
    let name = annotations.get(CONTAINERD_NAME).or(full);
    name.map(|name| name.parse().map_err(|source| Error::Reference { source })).transpose()
}
