//! Tries what was made outside containers: the MongoDB stand-in's own tests, and all images in roots of their own.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use fs_err as fs;

use super::Recipe;
use super::layer::{Staging, Workshop};
use crate::{debian, task};

/// The stand-in's tests, with the real `mongodb` and `mongoose` drivers.
pub(super) fn stand_in(workshop: &Workshop) -> Result<()> {
    let copy = Staging::new(workshop.output().join("cache/mongo-test"))?;
    let source = workshop.asset("mongo").join("stand-in");
    task::run(Command::new("cp").arg("-R").arg(source.join(".")).arg(&copy.path))?;
    task::run(Command::new("npm").args(["ci", "--silent"]).current_dir(&copy.path))?;
    task::run(Command::new("npm").args(["test", "--silent"]).current_dir(&copy.path))
}

/// Unpacks the archives side by side and runs `smoke.sh` on them, in namespaces of its own and without a network.
pub(super) fn images(workshop: &Workshop, recipes: &[&Recipe], archives: &[PathBuf]) -> Result<()> {
    debian::ensure(&[("ip", "iproute2"), ("unshare", "util-linux")])?;
    let scratch = Staging::new(workshop.output().join("cache/smoke"))?;
    let roots = scratch.path.join("roots");
    for (recipe, archive) in recipes.iter().zip(archives) {
        unpack(archive, &roots.join(recipe.folder), &scratch.path.join("archive"))?;
    }
    let mut command = Command::new("unshare");
    command.args([
        "--mount",
        "--propagation",
        "private",
        "--pid",
        "--fork",
        "--kill-child",
        "--net",
    ]);
    task::run(command.args(["sh", "-eu"]).arg(workshop.asset("smoke.sh")).arg(&roots))
}

fn unpack(archive: &Path, root: &Path, scratch: &Path) -> Result<()> {
    let scratch = Staging::new(scratch.to_owned())?;
    fs::create_dir_all(root)?;
    extract(archive, &scratch.path)?;
    let manifest = fs::read(scratch.path.join("manifest.json"))?;
    let manifest: serde_json::Value = serde_json::from_slice(&manifest)?;
    for layer in manifest[0]["Layers"].as_array().into_iter().flatten() {
        extract(&scratch.path.join(layer.as_str().unwrap_or_default()), root)?;
    }
    Ok(())
}

fn extract(archive: &Path, to: &Path) -> Result<()> {
    let mut tar = Command::new("tar");
    tar.args(["--extract", "--numeric-owner", "--preserve-permissions", "--file"]);
    task::run(tar.arg(archive).arg("--directory").arg(to))
}
