//! The form of `docker save`: a `manifest.json` that names a configuration and layers by their paths.

use fs_err as fs;
use serde::Deserialize;

use super::{Files, unpack_layers, write_manifest};
use crate::archive;
use crate::compression::expand;
use crate::config;
use crate::digest::Digest;
use crate::error::Error;
use crate::progress::Progress;
use crate::reference::Reference;
use crate::store::{NewImage, Stage};

/// Images in one archive.
const MAX_IMAGES: usize = 1000;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Option<Vec<String>>,
}

/// Verifies every image that `manifest.json` lists.
pub(super) fn prepare(
    stage: &mut Stage<'_>,
    files: &Files,
    progress: &mut Progress<'_>,
) -> Result<Vec<(NewImage, Digest)>, Error> {
    let bytes = files.read("manifest.json", stage.store().limits())?;
    let items: Vec<Item> = serde_json::from_slice(&bytes).map_err(|source| Error::Json {
        object: "the archive's manifest.json".to_owned(),
        source,
    })?;
    if items.is_empty() || items.len() > MAX_IMAGES {
        return Err(Error::refused("manifest.json", "it lists no image, or more than 1000"));
    }
    items.into_iter().map(|item| image(stage, files, item, progress)).collect()
}

fn image(
    stage: &mut Stage<'_>,
    files: &Files,
    item: Item,
    progress: &mut Progress<'_>,
) -> Result<(NewImage, Digest), Error> {
    let bytes = files.read(&item.config, stage.store().limits())?;
    let config = files.get(&item.config)?;
    check_config_name(&item.config, config.digest)?;
    let parsed = config::parse(&bytes, stage.store().limits())?;
    let layers = item.layers.unwrap_or_default();
    let blobs: Result<Vec<_>, _> = layers.iter().map(|name| files.get(name)).collect();
    let blobs = blobs?;
    unpack_layers(stage, &blobs, &parsed.diff_ids, progress)?;
    stage.keep(config);
    let mut listed = Vec::new();
    for blob in &blobs {
        let file = fs::File::open(&blob.path).map_err(Error::Store)?;
        let (compression, _) = expand(file, stage.store().limits())
            .map_err(|source| Error::Archive(archive::Error::Read(source)))?;
        listed.push((compression, blob.digest, blob.size));
    }
    let names = names(item.repo_tags.unwrap_or_default())?;
    let image = write_manifest(stage, (config.digest, config.size), &listed, names)?;
    Ok((image, config.digest))
}

/// `docker save` names the configuration after its digest, which is the image's id.
fn check_config_name(name: &str, digest: Digest) -> Result<(), Error> {
    let stem = name.strip_suffix(".json").unwrap_or(name);
    match Digest::from_hex(stem) {
        Ok(named) if named != digest => Err(Error::refused(
            format!("configuration {name:?}"),
            "its content does not match the digest in its name",
        )),
        _ => Ok(()),
    }
}

fn names(tags: Vec<String>) -> Result<Vec<Reference>, Error> {
    let parse = |tag: String| tag.parse().map_err(|source| Error::Reference { source });
    tags.into_iter().map(parse).collect()
}
