//! `cargo xtask test`: everything a change must pass, cheapest first, the test runner's summary last.

use anyhow::{Context as _, Result, bail};

use crate::task::{self, cargo, step};
use crate::{debian, images, tools};

/// Runs all checks; stops at the first that fails.
pub(crate) fn run() -> Result<()> {
    if !task::is_root() {
        bail!("the scenario tests start real containers: run `cargo xtask test` as root");
    }
    step("tools", || {
        debian::ensure(&[
            ("ip", "iproute2"),
            ("busybox", "busybox-static"),
            ("cc", "gcc"),
            ("musl-gcc", "musl-tools"),
        ])?;
        tools::nextest()
    })?;
    step("format", || task::run(&mut cargo(["fmt", "--all", "--check"])))?;
    step("lints", lints)?;
    step("dependencies", dependencies)?;
    step("examples in the documentation", || {
        task::run(&mut cargo(["test", "--quiet", "--workspace", "--doc", "--locked"]))
    })?;
    images::run(&images::Options { no_load: true, ..Default::default() })?;
    step("comparison with docker compose", comparison)?;
    step("tests of what resolves paths, without openat2", without_openat2)?;
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

/// The public Compose files beside the repository, through the program itself, when they are there. The loader's own test
/// of them cannot say that it compared nothing, since a passed test is not heard.
fn comparison() -> Result<()> {
    let tool = task::workspace().join("../shared/tools/config-diff");
    if !tool.exists() || !task::has_program("python3") {
        eprintln!(
            "    NOT COMPARED: it takes ../shared/tools/config-diff, ../shared/corpus and python3"
        );
        return Ok(());
    }
    task::run(&mut cargo(["build", "--quiet", "--locked", "--bin", "naru"]))?;
    let naru = task::built("debug").join("naru");
    task::run(std::process::Command::new(tool).arg("-v").arg("--cmd").arg(naru))
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

/// The tests of everything that resolves paths in hostile trees once more, where openat2(2) is denied: each test program
/// is started by this one, with the filter.
fn without_openat2() -> Result<()> {
    let exe = std::env::current_exe().context("where is this program?")?;
    let triple = exe.ancestors().nth(2).and_then(|folder| folder.file_name());
    let triple =
        triple.and_then(|name| name.to_str()).context("this program is not in a target folder")?;
    let runner = format!("CARGO_TARGET_{}_RUNNER", triple.to_uppercase().replace(['-', '.'], "_"));
    let mut nextest = cargo([
        "nextest",
        "run",
        "--locked",
        "--status-level",
        "fail",
        "--final-status-level",
        "fail",
    ]);
    nextest
        .args(["-p", "naru-sys", "-p", "naru-image", "-p", "naru-runtime", "-p", "naru", "-E"])
        .arg("not package(naru) or test(/^scenario::(attacks|volumes|secrets)::/)")
        .env(runner, format!("{} without-openat2 eperm", exe.display()));
    task::run(&mut nextest)
}
