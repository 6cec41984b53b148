//! `cargo xtask dist`: the two programs of a release in `target/release/`, where people look for them.

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::task::{self, cargo, step};

/// What is released.
const PROGRAMS: [&str; 2] = ["naru", "naru-oci"];

/// Builds both and copies them from the folder of the explicit target; says how big they are.
pub(crate) fn run() -> Result<()> {
    step("release build", || {
        task::run(&mut cargo([
            "build",
            "--release",
            "--quiet",
            "--locked",
            "--bin",
            "naru",
            "--bin",
            "naru-oci",
        ]))
    })?;
    let folder = target().join("release");
    fs_err::create_dir_all(&folder).context("cannot make the release folder")?;
    for program in PROGRAMS {
        let to = folder.join(program);
        // A program that runs is replaced, not written to.
        let temporary = folder.join(format!(".{program}"));
        let size = fs_err::copy(task::built("release").join(program), &temporary)
            .with_context(|| format!("cannot copy {program}"))?;
        fs_err::rename(&temporary, &to).with_context(|| format!("cannot place {program}"))?;
        println!("{} {:.1} MB", to.display(), megabytes(size));
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "the size of a program")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// Cargo's target folder: above the one of the explicit target.
fn target() -> std::path::PathBuf {
    let built = task::built("release");
    built.ancestors().nth(2).map_or_else(|| task::workspace().join("target"), Path::to_owned)
}
