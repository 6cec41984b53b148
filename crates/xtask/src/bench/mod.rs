//! `cargo xtask bench`: naru beside the programs it replaces, and beside the bare kernel.
//!
//! Everything that is compared runs alternately within one invocation, so that a busy moment of the machine meets all
//! alike; what counts is the ratio of the medians. naru runs in a mount and network namespace of its own; Docker, runc
//! and crun run in a root file system of their own (`peers`, see [`peers`]). The clock is always inside the process
//! that starts what is measured (`naru-bench`).

mod compose;
mod config;
mod container;
mod gates;
mod hostile;
mod installed;
mod join;
mod logs;
mod memory;
mod names;
mod networks;
mod order;
mod peers;
mod ports;
mod survival;
mod table;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::debian;
use crate::task::{self, cargo, step};
use peers::Peers;
use table::Table;

/// Set for the run inside the namespaces.
const INSIDE: &str = "NARU_BENCH_INSIDE";

/// What to measure, and how often.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// Which groups of rows: container, compose, order, survival, config, logs, names, networks, ports (default: all)
    groups: Vec<Group>,
    /// Rounds per row; fewer than 15 are for trying things out
    #[arg(long, default_value_t = 15)]
    rounds: u32,
    /// Numbers of services for the compose rows
    #[arg(long, value_delimiter = ',', default_values_t = [1, 3, 10, 30])]
    services: Vec<usize>,
    /// Write the table to docs/benchmarks.md too
    #[arg(long)]
    write: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Group {
    Container,
    Compose,
    Order,
    Survival,
    Config,
    Logs,
    Names,
    Networks,
    Ports,
}

/// What every group of rows needs.
struct Bench {
    rounds: u32,
    /// Release builds of `naru` and `naru-bench`.
    naru: PathBuf,
    clock: PathBuf,
    peers: Peers,
    /// Files for this run, seen by the peers as [`peers::SHARE`].
    share: PathBuf,
}

/// Measures and prints the table.
pub(crate) fn run(options: &Options) -> Result<()> {
    if !task::is_root() {
        bail!("containers are started: run `cargo xtask bench` as root");
    }
    if std::env::var_os(INSIDE).is_none() {
        // Before the new mount namespace: the peers' network namespace must stay visible to the machine.
        drop(Peers::start());
        return in_own_namespaces();
    }
    task::run(Command::new("ip").args(["link", "set", "lo", "up"]))?;
    debian::ensure(&[("busybox", "busybox-static")])?;
    step("release build", || {
        task::run(&mut cargo([
            "build",
            "--release",
            "--quiet",
            "--bin",
            "naru",
            "--bin",
            "naru-bench",
            "--bin",
            "naru-check",
        ]))
    })?;
    let bench = step("what naru is compared with", || Bench::prepare(options.rounds))?;
    let mut table = Table::new(options.rounds);
    let wanted = |group| options.groups.is_empty() || options.groups.contains(&group);
    if wanted(Group::Container) {
        step("one container", || container::measure(&bench, &mut table))?;
    }
    if wanted(Group::Compose) {
        for &services in &options.services {
            step(&format!("{services} services"), || {
                compose::measure(&bench, services, &mut table)
            })?;
        }
    }
    if wanted(Group::Order) {
        step("what waits for what", || order::measure(&bench, &mut table))?;
        step("gates, and many at once", || gates::measure(&bench, &mut table))?;
    }
    if wanted(Group::Survival) {
        step("deaths, and an hour", || survival::measure(&bench, &mut table))?;
    }
    if wanted(Group::Config) {
        step("reading Compose files", || config::measure(&bench, &mut table))?;
        step("reading hostile files", || hostile::measure(&bench, &mut table))?;
    }
    if wanted(Group::Logs) {
        step("200 MB of output", || logs::measure(&bench, &mut table))?;
    }
    if wanted(Group::Names) {
        step("names", || names::measure(&bench, &mut table))?;
    }
    if wanted(Group::Networks) {
        step("networks", || networks::measure(&bench, &mut table))?;
    }
    if wanted(Group::Ports) {
        step("published ports", || ports::measure(&bench, &mut table))?;
    }
    let text = table.to_string();
    print!("{text}");
    if options.write {
        fs_err::write(task::workspace().join("docs/benchmarks.md"), table::document(&text))?;
    }
    match table.broken() {
        [] => Ok(()),
        broken => bail!("promises not kept in this run:\n  {}", broken.join("\n  ")),
    }
}

/// Makes and removes `count` containers with the runtime alone; fails when anything of them is left.
pub(crate) fn cycles(count: u64) -> Result<()> {
    debian::ensure(&[("busybox", "busybox-static")])?;
    task::run(&mut cargo(["build", "--release", "--quiet", "--bin", "naru-bench"]))?;
    let share = std::env::temp_dir().join(format!("naru-soak-{}", std::process::id()));
    let scratch = share.join("scratch");
    fs_err::create_dir_all(&scratch)?;
    let root = root_file_system(&share)?;
    let done = task::run(
        Command::new(task::built("release").join("naru-bench"))
            .arg(format!("--count={count}"))
            .arg("cycles")
            .args([&root, &scratch]),
    );
    fs_err::remove_dir_all(&share)?;
    done
}

/// The same task again where the machine's own interfaces and mounts cannot be touched.
fn in_own_namespaces() -> Result<()> {
    task::run(
        Command::new("unshare")
            .args(["--net", "--mount", "--propagation", "private", "--"])
            .arg(std::env::current_exe()?)
            .args(std::env::args_os().skip(1))
            .env(INSIDE, "1"),
    )
}

impl Bench {
    fn prepare(rounds: u32) -> Result<Self> {
        let share = PathBuf::from(
            std::env::var_os("PEERS_SHARE").unwrap_or_else(|| "/var/tmp/naru-share".into()),
        );
        let release = task::built("release");
        let bench = Self {
            rounds,
            naru: release.join("naru"),
            clock: release.join("naru-bench"),
            peers: Peers::start(),
            share,
        };
        fs_err::create_dir_all(&bench.share)?;
        fs_err::copy(&bench.clock, bench.share.join("naru-bench"))?;
        root_file_system(&bench.share)?;
        Ok(bench)
    }

    fn root(&self) -> PathBuf {
        self.share.join("rootfs")
    }
}

/// A root file system of busybox alone, used by every program that is compared.
fn root_file_system(share: &Path) -> Result<PathBuf> {
    let root = share.join("rootfs");
    for folder in ["bin", "proc", "sys", "dev", "etc", "tmp"] {
        fs_err::create_dir_all(root.join(folder))?;
    }
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].map(Path::new);
    let busybox = busybox.iter().find(|path| path.exists());
    fs_err::copy(busybox.unwrap_or(&Path::new("/bin/busybox")), root.join("bin/busybox"))?;
    fs_err::write(root.join("etc/passwd"), "root:x:0:0:root:/:/bin/sh\n")?;
    fs_err::write(root.join("etc/group"), "root:x:0:\n")?;
    for name in ["true", "sleep", "sh", "test", "touch"] {
        let link = root.join("bin").join(name);
        if !link.exists() {
            std::os::unix::fs::symlink("busybox", link)?;
        }
    }
    Ok(root)
}
