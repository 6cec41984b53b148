//! Debian's packages that a task needs and the machine lacks.

use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::task;

/// Installs the packages whose program is missing; `wanted` are pairs of program and package.
pub(crate) fn ensure(wanted: &[(&str, &str)]) -> Result<()> {
    let missing: Vec<&str> = wanted
        .iter()
        .filter(|(program, _)| !task::has_program(program))
        .map(|&(_, package)| package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    if !task::has_program("apt-get") {
        bail!("{list} is missing and there is no apt-get to install it");
    }
    if !task::is_root() {
        bail!("{list} is missing: run `apt-get install {list}` as root");
    }
    eprintln!("    installing {list}");
    apt_get(&["update", "-q"])?;
    let mut install = vec!["install", "-qy", "--no-install-recommends"];
    install.extend(missing);
    apt_get(&install)
}

fn apt_get(arguments: &[&str]) -> Result<()> {
    task::run(
        Command::new("apt-get")
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdout(Stdio::null()),
    )
}
