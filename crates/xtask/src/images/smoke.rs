//! Tries the servers outside containers: the MongoDB stand-in's own tests, and each image in a root of its own.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use fs_err as fs;

use super::layer::{Staging, Workshop};
use crate::task;

/// The stand-in's tests, with the real `mongodb` and `mongoose` drivers.
pub(super) fn stand_in(workshop: &Workshop) -> Result<()> {
    let copy = Staging::new(workshop.output().join("cache/mongo-test"))?;
    let source = workshop.asset("mongo").join("stand-in");
    task::run(Command::new("cp").arg("-R").arg(source.join(".")).arg(&copy.path))?;
    task::run(Command::new("npm").args(["ci", "--silent"]).current_dir(&copy.path))?;
    task::run(Command::new("npm").args(["test", "--silent"]).current_dir(&copy.path))
}

/// Unpacks an archive and runs the image's `smoke.sh` on it, in namespaces of its own and without a network.
pub(super) fn image(workshop: &Workshop, folder: &str, archive: &Path) -> Result<()> {
    let script = workshop.asset(folder).join("smoke.sh");
    if !script.exists() {
        return Ok(());
    }
    let scratch = Staging::new(workshop.output().join(format!("cache/{folder}-smoke")))?;
    let root = scratch.path.join("root");
    fs::create_dir(&root)?;
    let tar = |from: &Path, to: &Path| {
        let mut tar = Command::new("tar");
        tar.args(["--extract", "--numeric-owner", "--preserve-permissions", "--file"]);
        task::run(tar.arg(from).arg("--directory").arg(to))
    };
    tar(archive, &scratch.path)?;
    let manifest = fs::read(scratch.path.join("manifest.json"))?;
    let manifest: serde_json::Value = serde_json::from_slice(&manifest)?;
    for layer in manifest[0]["Layers"].as_array().into_iter().flatten() {
        tar(&scratch.path.join(layer.as_str().unwrap_or_default()), &root)?;
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
    command.args(["sh", "-eu"]).arg(workshop.asset("in-root.sh")).arg(&root).arg(script);
    task::run(&mut command)
}
