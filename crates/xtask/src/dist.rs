//! `cargo xtask dist`: the two programs of a release in `target/release/`, where people look for them.

use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::task::{self, cargo, step};

/// What is released.
const PROGRAMS: [&str; 2] = ["naru", "naru-oci"];

/// Builds both and copies them from the folder of the explicit target; says how big they are, and fails when one needs
/// anything of the machine it will run on.
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
        let built = task::built("release").join(program);
        check_static(&fs_err::read(&built)?).with_context(|| built.display().to_string())?;
        // A program that runs is replaced, not written to.
        let temporary = folder.join(format!(".{program}"));
        let size =
            fs_err::copy(&built, &temporary).with_context(|| format!("cannot copy {program}"))?;
        fs_err::rename(&temporary, &to).with_context(|| format!("cannot place {program}"))?;
        println!("{} {:.1} MB", to.display(), megabytes(size));
    }
    Ok(())
}

/// Fails when a program asks for a loader (`PT_INTERP`, elf(5)), which is who looks for libraries.
fn check_static(elf: &[u8]) -> Result<()> {
    const LOADER: u64 = 3;
    let number = |offset: usize, length: usize| -> Result<u64> {
        let bytes = elf.get(offset..offset + length).context("it ends too early")?;
        Ok(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    };
    // 64 bits, the least significant byte first.
    if !elf.starts_with(b"\x7fELF\x02\x01") {
        bail!("it is no program of 64 bits");
    }
    let (first, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
    for header in 0..count {
        if number(usize::try_from(first + header * size)?, 4)? == LOADER {
            bail!("it is not static: it asks for a loader");
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_asks_for_a_loader_is_not_static() {
        // Two program headers of 56 bytes behind a header of 64.
        let mut elf = vec![0; 64 + 2 * 56];
        elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
        (elf[32], elf[54], elf[56], elf[64]) = (64, 56, 2, 1);
        assert!(check_static(&elf).is_ok());
        elf[64 + 56] = 3;
        assert!(check_static(&elf).unwrap_err().to_string().contains("loader"));
        elf[56] = 3;
        elf[64 + 56] = 1;
        assert!(check_static(&elf).is_err(), "it is cut off");
        assert!(check_static(b"#!/bin/sh").is_err());
    }
}
