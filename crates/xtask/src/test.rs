//! `cargo xtask test`: everything a change must pass, cheapest first, the test runner's summary last.

use anyhow::{Result, bail};

use crate::task::{self, cargo, step};
use crate::{debian, images, tools};

/// Runs all checks; stops at the first that fails.
pub(crate) fn run() -> Result<()> {
    if !task::is_root() {
        bail!("the scenario tests start real containers: run `cargo xtask test` as root");
    }
    step("tools", || {
        debian::ensure(&[("ip", "iproute2"), ("busybox", "busybox-static")])?;
        tools::nextest()
    })?;
    step("format", || task::run(&mut cargo(["fmt", "--all", "--check"])))?;
    step("lints", lints)?;
    step("dependencies", dependencies)?;
    step("examples in the documentation", || {
        task::run(&mut cargo(["test", "--quiet", "--workspace", "--doc", "--locked"]))
    })?;
    images::run(&images::Options { no_load: true, ..Default::default() })?;
    step("tests", tests)
}

fn lints() -> Result<()> {
    task::run(&mut cargo([
        "clippy",
        "--quiet",
        "--workspace",
        "--all-targets",
        "--locked",
        "--",
        "-D",
        "warnings",
    ]))
}

/// Licences, bans and sources always; advisories where their database can be fetched.
fn dependencies() -> Result<()> {
    if !tools::deny() {
        eprintln!(
            "    NOT CHECKED: cargo-deny cannot be installed, so licences, bans, sources and advisories are unknown"
        );
        return Ok(());
    }
    let deny = ["deny", "--log-level", "error", "check"];
    task::run(cargo(deny).args(["licenses", "bans", "sources"]))?;
    let fetched = cargo(["deny", "--log-level", "error", "fetch", "db"])
        .stderr(std::process::Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !fetched {
        eprintln!("    NOT CHECKED: the advisory database cannot be fetched from here");
        return Ok(());
    }
    task::run(cargo(deny).args(["--disable-fetch", "advisories"]))
}

/// Every test of every crate; the scenarios, the demo among them, are tests of the root package.
fn tests() -> Result<()> {
    let mut nextest = cargo(["nextest", "run", "--workspace", "--locked"]);
    nextest.env("NARU_IMAGES", images::output(&images::Options::default()));
    if std::env::var_os("CI").is_some() {
        nextest.args(["--profile", "ci"]);
    }
    task::run(&mut nextest)
}
