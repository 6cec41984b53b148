//! Directories, archives written byte by byte, and images made of them, for tests.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use fs_err as fs;
use rustix::fs::{Mode, OFlags};
use serde_json::{Value, json};

use crate::digest::Digest;

static NEXT: AtomicU64 = AtomicU64::new(0);

/// A directory of its own, removed at the end of the test.
#[derive(Debug)]
pub(crate) struct TempDir(PathBuf);

impl TempDir {
    pub(crate) fn new() -> Self {
        let root = rustix::process::geteuid().is_root();
        assert!(root, "the tests of naru-image mount file systems: run them as root");
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("naru-image-{}-{number}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Makes a directory in it.
    pub(crate) fn dir(&self, name: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(&path).unwrap();
        path
    }

    pub(crate) fn open(&self) -> OwnedFd {
        open(&self.0)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        crate::tree::remove(&self.0).unwrap();
    }
}

pub(crate) fn open(path: &Path) -> OwnedFd {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).unwrap()
}

/// An archive under construction; whatever a header can say, it says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tar(Vec<u8>);

impl Tar {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// An entry whose header was changed by `change` before its checksum was taken.
    pub(crate) fn entry(
        mut self,
        kind: u8,
        name: &str,
        data: &[u8],
        change: impl FnOnce(&mut tar::Header),
    ) -> Self {
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(tar::EntryType::new(kind));
        header.set_size(data.len() as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_000_000_000);
        change(&mut header);
        header.set_cksum();
        self.0.extend(header.as_bytes());
        self.0.extend(data);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub(crate) fn file(self, name: &str, content: &[u8]) -> Self {
        self.entry(b'0', name, content, |_| {})
    }

    pub(crate) fn dir(self, name: &str, mode: u32) -> Self {
        self.entry(b'5', name, b"", |header| header.set_mode(mode))
    }

    pub(crate) fn symlink(self, name: &str, target: &str) -> Self {
        self.link(b'2', name, target)
    }

    pub(crate) fn hard_link(self, name: &str, target: &str) -> Self {
        self.link(b'1', name, target)
    }

    fn link(self, kind: u8, name: &str, target: &str) -> Self {
        self.entry(kind, name, b"", |header| {
            header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
        })
    }

    pub(crate) fn device(self, kind: u8, name: &str, major: u32, minor: u32) -> Self {
        self.entry(kind, name, b"", |header| {
            header.set_device_major(major).unwrap();
            header.set_device_minor(minor).unwrap();
        })
    }

    pub(crate) fn pax(self, records: &[(&str, &[u8])]) -> Self {
        self.extension(b'x', records)
    }

    pub(crate) fn extension(self, kind: u8, records: &[(&str, &[u8])]) -> Self {
        let data: Vec<u8> =
            records.iter().flat_map(|(key, value)| pax_record(key, value)).collect();
        self.entry(kind, "pax", &data, |_| {})
    }

    /// A GNU header with a long name (`L`) or a long link name (`K`).
    pub(crate) fn long(self, kind: u8, name: &str) -> Self {
        self.entry(kind, "././@LongLink", &[name.as_bytes(), b"\0"].concat(), |_| {})
    }

    /// Ends the archive as it should end.
    pub(crate) fn end(mut self) -> Vec<u8> {
        self.0.extend([0; 1024]);
        self.0
    }

    /// Ends the archive without the blocks that say so.
    pub(crate) fn cut(self) -> Vec<u8> {
        self.0
    }
}

fn pax_record(key: &str, value: &[u8]) -> Vec<u8> {
    let body = key.len() + value.len() + 3;
    let length = (body..).find(|length| length - length.to_string().len() == body).unwrap();
    [format!("{length} {key}=").as_bytes(), value, b"\n"].concat()
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

/// A configuration for these layers, given expanded.
pub(crate) fn config(layers: &[&[u8]]) -> Value {
    let diff_ids: Vec<Digest> = layers.iter().map(|layer| Digest::of(layer)).collect();
    json!({
        "architecture": crate::config::architecture(), "os": "linux",
        "config": {"Cmd": ["sh"], "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    })
}

/// The old form of `docker save`: directories with a `layer.tar` each.
pub(crate) fn docker_archive(config: &Value, layers: &[&[u8]], tags: &[&str]) -> Vec<u8> {
    let config = config.to_string();
    let config_name = format!("{}.json", Digest::of(config.as_bytes()).hex());
    let mut tar = Tar::new();
    let mut names = Vec::new();
    for (index, layer) in layers.iter().enumerate() {
        let name = format!("layer{index}/layer.tar");
        tar = tar.dir(&format!("layer{index}/"), 0o755).file(&name, layer);
        names.push(name);
    }
    let manifest = json!([{"Config": config_name, "RepoTags": tags, "Layers": names}]).to_string();
    tar.file(&config_name, config.as_bytes())
        .file("manifest.json", manifest.as_bytes())
        .file("repositories", b"{}")
        .end()
}

/// Blobs of an OCI layout, and the index that leads to them.
#[derive(Debug, Default)]
pub(crate) struct Oci {
    pub(crate) tar: Tar,
}

impl Oci {
    pub(crate) fn blob(&mut self, media_type: &str, bytes: &[u8]) -> Value {
        let digest = Digest::of(bytes);
        let tar = std::mem::take(&mut self.tar);
        self.tar = tar.file(&format!("blobs/sha256/{}", digest.hex()), bytes);
        json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
    }

    /// A manifest of these layers with their media types; its descriptor.
    pub(crate) fn manifest(&mut self, config: &Value, layers: &[(&str, &[u8])]) -> Value {
        let config =
            self.blob("application/vnd.oci.image.config.v1+json", config.to_string().as_bytes());
        let layers: Vec<Value> = layers
            .iter()
            .map(|(kind, bytes)| self.blob(&format!("{LAYER}{kind}"), bytes))
            .collect();
        let manifest =
            json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers});
        self.blob(MANIFEST, manifest.to_string().as_bytes())
    }

    pub(crate) fn archive(self, manifests: &[Value]) -> Vec<u8> {
        let index = json!({"schemaVersion": 2, "manifests": manifests}).to_string();
        self.tar
            .file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)
            .file("index.json", index.as_bytes())
            .end()
    }
}

pub(crate) const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Something outside every image that must never change, and that hostile archives point at.
#[derive(Debug)]
pub(crate) struct Canary {
    pub(crate) dir: TempDir,
    before: Vec<String>,
}

impl Canary {
    pub(crate) fn new() -> Self {
        let dir = TempDir::new();
        fs::write(dir.path().join("f"), "SECRET").unwrap();
        fs::write(dir.dir("d").join("inner"), "SECRET").unwrap();
        let before = listing(dir.path());
        Self { dir, before }
    }

    pub(crate) fn path(&self) -> String {
        self.dir.path().display().to_string()
    }

    pub(crate) fn check(&self) {
        assert_eq!(
            listing(self.dir.path()),
            self.before,
            "something outside the image was changed"
        );
    }
}

/// Every file below a directory with its mode, owner, times, size, number of links and content.
pub(crate) fn listing(path: &Path) -> Vec<String> {
    use std::os::unix::fs::MetadataExt;
    let mut lines = Vec::new();
    let mut waiting = vec![path.to_owned()];
    while let Some(path) = waiting.pop() {
        let found = fs::symlink_metadata(&path).unwrap();
        let content = match found.is_file() {
            true => Digest::of(&fs::read(&path).unwrap()).short(),
            false => {
                fs::read_link(&path).map(|path| path.display().to_string()).unwrap_or_default()
            }
        };
        let (mode, owner) = (found.mode(), (found.uid(), found.gid()));
        let (modified, links, device) = (found.mtime(), found.nlink(), found.rdev());
        lines.push(format!(
            "{} {mode:o} {owner:?} {modified} {links} {device} {content}",
            path.display()
        ));
        if found.is_dir() {
            waiting.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    lines.sort();
    lines
}
