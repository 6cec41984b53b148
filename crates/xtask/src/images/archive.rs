//! Image archives as `docker save` writes them: an OCI image layout that also has Docker's `manifest.json`.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use fs_err as fs;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::layer::{Layer, architecture, hexadecimal};
use crate::task;

/// What an archive is made of.
#[derive(Debug)]
pub(super) struct Image {
    /// The name a Compose file uses, with its tag.
    pub(super) reference: &'static str,
    /// The `config` object: environment, command, volumes and so on.
    pub(super) config: Value,
    /// The layers, lowest first.
    pub(super) layers: Vec<Layer>,
}

/// Writes the archive to `path`; false when the same image is there already.
pub(super) fn write(image: &Image, path: &Path) -> Result<bool> {
    let inputs = json!([
        image.reference,
        image.config,
        image.layers.iter().map(|layer| &layer.digest).collect::<Vec<_>>()
    ])
    .to_string();
    let stamp = path.with_extension("made-of");
    if path.exists() && fs::read_to_string(&stamp).is_ok_and(|made_of| made_of == inputs) {
        return Ok(false);
    }
    let part = path.with_extension("part");
    write_members(image, &part)?;
    fs::rename(&part, path)?;
    fs::write(stamp, inputs)?;
    Ok(true)
}

/// The image id (the digest of its configuration, in hexadecimal digits) that an archive holds.
pub(super) fn image_id(path: &Path) -> Result<String> {
    let mut archive = tar::Archive::new(fs::File::open(path)?);
    for entry in archive.entries()? {
        let mut entry = entry?;
        if entry.path()?.as_os_str() == "manifest.json" {
            let mut text = String::new();
            entry.read_to_string(&mut text)?;
            let manifest: Value = serde_json::from_str(&text)?;
            let config = manifest[0]["Config"].as_str().unwrap_or_default();
            return Ok(config.trim_start_matches("blobs/sha256/").to_owned());
        }
    }
    anyhow::bail!("{} holds no manifest.json", path.display())
}

fn write_members(image: &Image, path: &Path) -> Result<()> {
    let created = task::output(Command::new("date").args(["-u", "+%Y-%m-%dT%H:%M:%SZ"]))?;
    let configuration = Blob::new(&json!({
        "architecture": architecture()?,
        "os": "linux",
        "created": created,
        "config": image.config,
        "rootfs": { "type": "layers", "diff_ids": digests(&image.layers) },
        "history": image.layers.iter().map(|_| json!({ "created": created, "created_by": "cargo xtask images" }))
            .collect::<Vec<_>>(),
    }));
    let manifest = Blob::new(&json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": configuration.descriptor("application/vnd.oci.image.config.v1+json"),
        "layers": image.layers.iter().map(|layer| json!({
            "mediaType": "application/vnd.oci.image.layer.v1.tar",
            "digest": format!("sha256:{}", layer.digest),
            "size": layer.size,
        })).collect::<Vec<_>>(),
    }));
    let mut file = fs::File::create(path)?;
    let mut archive = tar::Builder::new(&mut file);
    add(&mut archive, "oci-layout", &json!({ "imageLayoutVersion": "1.0.0" }))?;
    add(&mut archive, "index.json", &index(image, &manifest))?;
    add(&mut archive, "manifest.json", &docker_manifest(image, &configuration))?;
    for blob in [&configuration, &manifest] {
        append(&mut archive, &blob.path(), blob.bytes.len() as u64, blob.bytes.as_slice())?;
    }
    for layer in &image.layers {
        let bytes = fs::File::open(&layer.path)?;
        append(&mut archive, &format!("blobs/sha256/{}", layer.digest), layer.size, bytes)?;
    }
    archive.finish().with_context(|| format!("cannot finish {}", path.display()))?;
    drop(archive);
    Ok(file.flush()?)
}

fn index(image: &Image, manifest: &Blob) -> Value {
    let (_, tag) = image.reference.split_once(':').unwrap_or((image.reference, "latest"));
    let mut descriptor = manifest.descriptor("application/vnd.oci.image.manifest.v1+json");
    descriptor["annotations"] = json!({
        "io.containerd.image.name": format!("docker.io/library/{}", image.reference),
        "org.opencontainers.image.ref.name": tag,
    });
    json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [descriptor],
    })
}

fn docker_manifest(image: &Image, configuration: &Blob) -> Value {
    let layers: Vec<String> =
        image.layers.iter().map(|layer| format!("blobs/sha256/{}", layer.digest)).collect();
    json!([{ "Config": configuration.path(), "RepoTags": [image.reference], "Layers": layers }])
}

fn digests(layers: &[Layer]) -> Vec<String> {
    layers.iter().map(|layer| format!("sha256:{}", layer.digest)).collect()
}

fn add(archive: &mut tar::Builder<impl std::io::Write>, name: &str, value: &Value) -> Result<()> {
    let bytes = value.to_string();
    append(archive, name, bytes.len() as u64, bytes.as_bytes())
}

fn append(
    archive: &mut tar::Builder<impl std::io::Write>,
    name: &str,
    size: u64,
    bytes: impl std::io::Read,
) -> Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o644);
    archive.append_data(&mut header, name, bytes).with_context(|| format!("cannot append {name}"))
}

/// A JSON document that is addressed by its digest.
struct Blob {
    bytes: Vec<u8>,
    digest: String,
}

impl Blob {
    fn new(value: &Value) -> Self {
        let bytes = value.to_string().into_bytes();
        let digest = hexadecimal(&Sha256::digest(&bytes));
        Self { bytes, digest }
    }

    fn path(&self) -> String {
        format!("blobs/sha256/{}", self.digest)
    }

    fn descriptor(&self, media_type: &str) -> Value {
        json!({
            "mediaType": media_type,
            "digest": format!("sha256:{}", self.digest),
            "size": self.bytes.len(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::layer::{Staging, hash_file};

    #[test]
    fn an_archive_is_written_once_and_holds_what_it_names() {
        let folder =
            Staging::new(std::env::temp_dir().join(format!("naru-archive-{}", std::process::id())))
                .unwrap();
        let layer = folder.path.join("layer.tar");
        fs::write(&layer, "not really a tar").unwrap();
        let (digest, size) = hash_file(&layer).unwrap();
        let image = Image {
            reference: "sample:1",
            config: json!({ "Cmd": ["sh"] }),
            layers: vec![Layer { path: layer, digest: digest.clone(), size }],
        };
        let path = folder.path.join("sample.tar");
        assert!(write(&image, &path).unwrap());
        assert!(!write(&image, &path).unwrap());

        let id = image_id(&path).unwrap();
        let mut archive = tar::Archive::new(fs::File::open(&path).unwrap());
        let names: Vec<String> = archive
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().display().to_string())
            .collect();
        assert_eq!(names[..3], ["oci-layout", "index.json", "manifest.json"]);
        assert!(names.contains(&format!("blobs/sha256/{id}")));
        assert!(names.contains(&format!("blobs/sha256/{digest}")));
    }
}
