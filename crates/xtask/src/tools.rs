//! Cargo's own tools that a task needs and the machine lacks.

use std::process::Command;

use anyhow::Result;

use crate::task;

/// How long building a tool that can be done without may take, in seconds.
const PATIENCE: &str = "600";

/// Installs cargo-nextest if it is missing.
pub(crate) fn nextest() -> Result<()> {
    if task::has_program("cargo-nextest") {
        return Ok(());
    }
    eprintln!("    installing cargo-nextest");
    task::run(install(&mut Command::new("cargo"), "cargo-nextest"))
}

/// Installs cargo-deny if it is missing; false when that cannot be done in ten minutes.
pub(crate) fn deny() -> bool {
    if task::has_program("cargo-deny") {
        return true;
    }
    eprintln!("    installing cargo-deny");
    let mut command = Command::new("timeout");
    install(command.args([PATIENCE, "cargo"]), "cargo-deny").arg("--no-default-features");
    task::run(&mut command).is_ok()
}

/// From the root folder: the settings of this workspace are meant for naru's own programs.
fn install<'a>(command: &'a mut Command, tool: &str) -> &'a mut Command {
    command.args(["install", "--quiet", "--locked", "--profile", "dev", tool]).current_dir("/")
}
