//! Layers: a staging folder filled by a recipe's `build.sh`, packed as a tar and kept under a key of its inputs.

use std::io::Read as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use fs_err as fs;
use sha2::{Digest as _, Sha256};

use super::Recipe;
use crate::task;

/// One packed layer.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    /// The uncompressed tar.
    pub(super) path: PathBuf,
    /// Its SHA-256 in hexadecimal digits.
    pub(super) digest: String,
    /// Its length in bytes.
    pub(super) size: u64,
}

/// Where layers are made and kept.
#[derive(Debug)]
pub(super) struct Workshop {
    output: PathBuf,
    cache: PathBuf,
    assets: PathBuf,
    workspace: PathBuf,
    /// Held while this lives: two runs at once would remove each other's staging folders.
    _lock: fs::File,
}

impl Workshop {
    /// A workshop whose archives go to `output`, with its cache in a folder of it.
    pub(super) fn open(output: PathBuf) -> Result<Self> {
        fs::create_dir_all(output.join("cache"))?;
        let output = fs::canonicalize(output)?;
        let cache = output.join("cache");
        let lock = fs::File::create(output.join("lock"))?;
        lock.file().lock().context("cannot lock the folder of the images")?;
        let workspace = task::workspace();
        let assets = workspace.join("crates/xtask/assets");
        Ok(Self { output, cache, assets, workspace, _lock: lock })
    }

    /// Where the archives go.
    pub(super) fn output(&self) -> &Path {
        &self.output
    }

    /// A recipe's folder.
    pub(super) fn asset(&self, folder: &str) -> PathBuf {
        self.assets.join(folder)
    }

    /// Forgets every layer.
    pub(super) fn clear(&self) -> Result<()> {
        fs::remove_dir_all(&self.cache)?;
        Ok(fs::create_dir(&self.cache)?)
    }

    /// True when the recipe's layer need not be made again.
    pub(super) fn is_made(&self, recipe: &Recipe) -> bool {
        self.key(recipe).is_ok_and(|key| self.cached(recipe, &key).is_ok())
    }

    /// The recipe's layer, made if it is not in the cache.
    pub(super) fn layer(&self, recipe: &Recipe) -> Result<Layer> {
        let key = self.key(recipe)?;
        if let Ok(layer) = self.cached(recipe, &key) {
            return Ok(layer);
        }
        let begin = Instant::now();
        self.forget(recipe.folder)?;
        let staging = Staging::new(self.cache.join(format!("{}-staging", recipe.folder)))?;
        self.build(recipe, &staging.path)?;
        mark_removed(&staging.path)?;
        let path = self.cache.join(format!("{}-{key}.tar", recipe.folder));
        let part = path.with_extension("part");
        self.pack(recipe, &staging.path, &part)?;
        let (digest, size) = hash_file(&part)?;
        if recipe.folder == "debian" {
            fs::rename(&staging.path, path.with_extension("root"))?;
        }
        fs::write(path.with_extension("sha256"), &digest)?;
        fs::rename(&part, &path)?;
        let (megabytes, seconds) = (size / 1_000_000, begin.elapsed().as_secs_f64());
        eprintln!("    {}: {megabytes} MB, {seconds:.1} s", recipe.folder);
        Ok(Layer { path, digest, size })
    }

    fn cached(&self, recipe: &Recipe, key: &str) -> Result<Layer> {
        let path = self.cache.join(format!("{}-{key}.tar", recipe.folder));
        let size = fs::metadata(&path)?.len();
        let digest = fs::read_to_string(path.with_extension("sha256"))?;
        if recipe.folder == "debian" {
            fs::metadata(path.with_extension("root"))?;
        }
        Ok(Layer { path, digest, size })
    }

    /// Removes what older keys and interrupted runs left.
    fn forget(&self, folder: &str) -> Result<()> {
        for entry in fs::read_dir(&self.cache)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(&format!("{folder}-")) {
                let removed = if entry.file_type()?.is_dir() {
                    fs::remove_dir_all(entry.path())
                } else {
                    fs::remove_file(entry.path())
                };
                removed?;
            }
        }
        Ok(())
    }

    /// Runs `build.sh` in mount and pid namespaces of its own, so that no mount and no process outlives it.
    fn build(&self, recipe: &Recipe, staging: &Path) -> Result<()> {
        let script = self.asset(recipe.folder).join("build.sh");
        let log = self.cache.join(format!("{}.log", recipe.folder));
        let output = fs::File::create(&log)?;
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"]);
        command.args(["sh", "-eu"]).arg(script).env("STAGING", staging).env("ASSETS", &self.assets);
        command.env("ARCHITECTURE", architecture()?);
        command.env(
            "SOURCE",
            recipe.source.map_or(PathBuf::new(), |source| self.workspace.join(source)),
        );
        if recipe.folder != "debian" {
            let base = self.cache.join(format!("debian-{}.root", self.key(super::find("debian"))?));
            command.env("DEBIAN_ROOT", base);
        }
        let (out, errors) = (output.into_parts().0, fs::File::options().append(true).open(&log)?);
        command.stdin(std::process::Stdio::null()).stdout(out).stderr(errors.into_parts().0);
        if command.status().context("cannot run unshare")?.success() {
            return Ok(());
        }
        let text = fs::read_to_string(&log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(15).collect();
        let last: Vec<&str> = lines.into_iter().rev().collect();
        bail!("making {} failed; the end of {}:\n{}", recipe.folder, log.display(), last.join("\n"))
    }

    /// Packs the staging folder, then the recipe's `rootfs/` as files of root.
    fn pack(&self, recipe: &Recipe, staging: &Path, path: &Path) -> Result<()> {
        let excluded = self.assets.join("excluded");
        let mut tar = Command::new("tar");
        tar.args(["--create", "--sort=name", "--numeric-owner", "--anchored", "--wildcards"]);
        tar.arg("--exclude-from").arg(excluded).arg("--file").arg(path);
        task::run(tar.arg("--directory").arg(staging).arg("."))?;
        let rootfs = self.asset(recipe.folder).join("rootfs");
        if !rootfs.exists() {
            return Ok(());
        }
        let mut names: Vec<String> = Vec::new();
        list(&rootfs, &mut |file, _| {
            names.push(file.strip_prefix(&rootfs).unwrap_or(file).to_string_lossy().into_owned());
            Ok(())
        })?;
        let mut tar = Command::new("tar");
        tar.args(["--append", "--sort=name", "--owner=0", "--group=0", "--numeric-owner"]);
        tar.args(["--mode=u+rwX,go+rX,go-w", "--transform=s,^,./,S", "--file"]).arg(path);
        task::run(tar.arg("--directory").arg(&rootfs).args(names))
    }

    /// A hash of everything that decides what the layer holds, the layers below included.
    fn key(&self, recipe: &Recipe) -> Result<String> {
        let mut hash = Sha256::new();
        hash.update(architecture()?);
        hash.update(fs::read(self.assets.join("excluded"))?);
        for folder in recipe.below {
            hash.update(self.key(super::find(folder))?);
        }
        let folders = [
            Some(self.asset(recipe.folder)),
            recipe.source.map(|source| self.workspace.join(source)),
        ];
        for folder in folders.iter().flatten() {
            list(folder, &mut |file, metadata| {
                if file.ends_with("image.json") {
                    return Ok(());
                }
                hash.update(
                    file.strip_prefix(folder).unwrap_or(file).as_os_str().as_encoded_bytes(),
                );
                hash.update([0, u8::from(metadata.permissions().mode() & 0o100 != 0)]);
                hash.update(Sha256::digest(fs::read(file)?));
                Ok(())
            })?;
        }
        Ok(hexadecimal(&hash.finalize()[..8]))
    }
}

/// This machine's architecture in the words of Debian and of images.
pub(super) fn architecture() -> Result<&'static str> {
    match std::env::consts::ARCH {
        "x86_64" => Ok("amd64"),
        "aarch64" => Ok("arm64"),
        other => bail!("images for {other} are not known to this task"),
    }
}

/// SHA-256 and length of a file.
pub(super) fn hash_file(path: &Path) -> Result<(String, u64)> {
    let mut file = fs::File::open(path)?;
    let (mut hash, mut size, mut buffer) = (Sha256::new(), 0, vec![0; 1 << 20]);
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            return Ok((hexadecimal(&hash.finalize()), size));
        }
        hash.update(&buffer[..count]);
        size += count as u64;
    }
}

/// Bytes as lower case hexadecimal digits.
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Every file below a folder except what npm and tsc leave behind, in a fixed order.
fn list(
    folder: &Path,
    each: &mut dyn FnMut(&Path, &std::fs::Metadata) -> Result<()>,
) -> Result<()> {
    let mut entries = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let (path, metadata) = (entry.path(), entry.metadata()?);
        if metadata.is_dir() {
            if entry.file_name() != "node_modules" && entry.file_name() != "dist" {
                list(&path, each)?;
            }
        } else {
            each(&path, &metadata)?;
        }
    }
    Ok(())
}

/// Turns overlayfs' marks of removed files (character devices 0/0) into those of image layers (`.wh.NAME`). Its marks of
/// replaced folders do not occur here: installing packages replaces none.
fn mark_removed(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            mark_removed(&entry.path())?;
        } else if kind.is_char_device() && entry.metadata()?.rdev() == 0 {
            fs::remove_file(entry.path())?;
            let name = format!(".wh.{}", entry.file_name().to_string_lossy());
            fs::write(folder.join(name), "")?;
        }
    }
    Ok(())
}

/// A folder that is gone when its owner is.
#[derive(Debug)]
pub(super) struct Staging {
    /// The folder.
    pub(super) path: PathBuf,
}

impl Staging {
    /// An empty folder at `path`.
    pub(super) fn new(path: PathBuf) -> Result<Self> {
        if path.exists() {
            fs::remove_dir_all(&path)?;
        }
        fs::create_dir_all(&path)?;
        Ok(Self { path })
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            eprintln!("xtask: {error}");
        }
    }
}
