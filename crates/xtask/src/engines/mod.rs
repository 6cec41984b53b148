//! `cargo xtask engines`: podman and dockerd run containers with `naru-oci`, and a table says what worked.
//!
//! The engines come from the `peers` script beside the repository (or `$NARU_PEERS`); a dockerd of its own is started
//! there, with its files in `/var/lib/naru-engines` and `/run/naru-engines` of the peers' root.

mod checks;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::images;
use crate::task::{self, cargo, step};
use checks::{CHECKS, Check};

/// The folder of the host that the peers see as `/share`.
const SHARE: &str = "/var/tmp/naru-share";
/// This task's folder in it.
const FOLDER: &str = "engines";
/// What the engines see: the runtime, and what looks from inside.
const PROGRAMS: [&str; 2] = ["naru-oci", "naru-check"];
/// How long a single check may take, in seconds.
const LIMIT: &str = "60";

/// What to run.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only this engine (podman or docker)
    #[arg(long)]
    engine: Option<String>,
    /// Only checks whose name has this in it
    #[arg(long)]
    only: Option<String>,
    /// Another runtime's path in the peers' root (/usr/bin/runc), to compare
    #[arg(long)]
    runtime: Option<String>,
}

/// The script that runs commands in the peers' root.
struct Peers(PathBuf);

impl Peers {
    fn find() -> Result<Self> {
        let script = std::env::var_os("NARU_PEERS")
            .map_or_else(|| task::workspace().join("../shared/tools/peers"), PathBuf::from);
        if !script.exists() {
            bail!("there are no engines: no `peers` script at {} (NARU_PEERS)", script.display());
        }
        Ok(Self(script))
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.0);
        command.arg("exec").args(words).current_dir("/").stdin(Stdio::null());
        command
    }
}

/// The daemon, ended with this task.
struct Daemon {
    child: Child,
    peers: PathBuf,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let stop = "kill $(cat /run/naru-engines/docker.pid)";
        // Without a daemon there is nothing to stop.
        drop(Command::new(&self.peers).args(["exec", "sh", "-c", stop]).status());
        drop(self.child.wait());
    }
}

/// Builds `naru-oci`, runs all checks with it, and fails when one fails.
pub(crate) fn run(options: &Options) -> Result<()> {
    if !task::is_root() {
        bail!("engines need root: run `cargo xtask engines` as root");
    }
    let peers = Peers::find()?;
    step("naru-oci", || {
        let mut build = cargo(["build", "--quiet"]);
        task::run(build.args(PROGRAMS.iter().flat_map(|program| ["--bin", program])))
    })?;
    let busybox =
        images::Options { images: vec!["busybox".to_owned()], no_load: true, ..Default::default() };
    images::run(&busybox)?;
    let folder = Path::new(SHARE).join(FOLDER);
    step("files for the engines", || place(&folder, &images::output(&busybox)))?;
    let runtime = options.runtime.clone().unwrap_or_else(|| format!("/share/{FOLDER}/naru-oci"));

    let wanted = |engine: &str| options.engine.as_deref().is_none_or(|wanted| wanted == engine);
    let mut rows = Vec::new();
    if wanted("podman") {
        let engine = format!(
            "podman --root /var/lib/naru-engines/podman --runroot /run/naru-engines/podman \
             --cgroup-manager cgroupfs --runtime {runtime}"
        );
        rows.extend(ask(&peers, "podman", &engine, options)?);
    }
    if wanted("docker") {
        let _daemon = step("dockerd", || start_daemon(&peers, &runtime))?;
        let engine = "docker -H unix:///run/naru-engines/docker.sock";
        rows.extend(ask(&peers, "docker", engine, options)?);
    }
    report(&rows)
}

/// The programs and the image, where the engines see them.
fn place(folder: &Path, images: &Path) -> Result<()> {
    fs_err::create_dir_all(folder).context("cannot make the shared folder")?;
    for program in PROGRAMS {
        let temporary = folder.join(format!(".{program}"));
        fs_err::copy(task::built("debug").join(program), &temporary)
            .with_context(|| format!("cannot copy {program}"))?;
        fs_err::rename(&temporary, folder.join(program))
            .with_context(|| format!("cannot place {program}"))?;
    }
    fs_err::copy(images.join("busybox.tar"), folder.join("busybox.tar"))
        .context("cannot copy the image")?;
    Ok(())
}

fn start_daemon(peers: &Peers, runtime: &str) -> Result<Daemon> {
    let line = format!(
        "mkdir -p /run/naru-engines /var/lib/naru-engines; cd /; exec dockerd \
         --data-root /var/lib/naru-engines/docker --exec-root /run/naru-engines/docker \
         --pidfile /run/naru-engines/docker.pid -H unix:///run/naru-engines/docker.sock \
         --add-runtime tested={runtime} --default-runtime tested \
         --iptables=false --ip6tables=false --bridge=none"
    );
    let child = peers
        .command(&["sh", "-c", &line])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start dockerd")?;
    let daemon = Daemon { child, peers: peers.0.clone() };
    let begin = Instant::now();
    let ask = ["docker", "-H", "unix:///run/naru-engines/docker.sock", "info"];
    while begin.elapsed() < Duration::from_secs(60) {
        let mut info = peers.command(&ask);
        let up = info.stdout(Stdio::null()).stderr(Stdio::null()).status();
        if up.is_ok_and(|status| status.success()) {
            return Ok(daemon);
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    bail!("dockerd did not come up within a minute")
}

/// How one check went.
struct Row {
    engine: &'static str,
    check: &'static Check,
    /// What was wrong, if something was.
    failure: Option<String>,
    took: Duration,
}

fn ask(peers: &Peers, name: &'static str, engine: &str, options: &Options) -> Result<Vec<Row>> {
    let load = format!("{engine} load -q -i /share/{FOLDER}/busybox.tar");
    step(&format!("{name}: load the image"), || {
        task::run(peers.command(&["sh", "-c", &load]).stdout(Stdio::null()))
    })?;
    let wanted = |check: &&Check| {
        let fits = options.only.as_deref().is_none_or(|part| check.name.contains(part));
        fits && check.only.is_none_or(|only| only == name)
    };
    let row = |check: &'static Check| {
        let begin = Instant::now();
        let failure = try_one(peers, engine, check).err().map(|error| format!("{error:#}"));
        let took = begin.elapsed();
        let mark = if failure.is_none() { "ok" } else { "FAILED" };
        println!("{name:7} {mark:7} {:5.1} s  {}", took.as_secs_f64(), check.name);
        Row { engine: name, check, failure, took }
    };
    Ok(CHECKS.iter().filter(wanted).map(row).collect())
}

fn try_one(peers: &Peers, engine: &str, check: &Check) -> Result<()> {
    // The folder that the peers' root was entered with is none there.
    let script = format!("cd /; {}", check.script);
    let mut command = peers.command(&["timeout", LIMIT, "sh", "-c", &script]);
    command.env("E", engine).env("N", "--network none").env("PODMAN_IGNORE_CGROUPSV1_WARNING", "1");
    let output = command.output().context("cannot run the check")?;
    let text = String::from_utf8_lossy(&output.stdout).replace('\r', "")
        + &String::from_utf8_lossy(&output.stderr);
    match output.status.code() {
        Some(code) if code == check.code && text.contains(check.output) => Ok(()),
        Some(code) if code == check.code => bail!("no {:?} in: {}", check.output, text.trim()),
        code => bail!("exit code {code:?} instead of {}: {}", check.code, text.trim()),
    }
}

fn report(rows: &[Row]) -> Result<()> {
    let failed: Vec<&Row> = rows.iter().filter(|row| row.failure.is_some()).collect();
    for row in &failed {
        let reason = row.failure.as_deref().unwrap_or_default();
        println!("\n{}: {}\n    {}\n    {reason}", row.engine, row.check.name, row.check.script);
    }
    let seconds: f64 = rows.iter().map(|row| row.took.as_secs_f64()).sum();
    println!("\n{} of {} checks passed in {seconds:.0} s", rows.len() - failed.len(), rows.len());
    if failed.is_empty() { Ok(()) } else { bail!("{} checks failed", failed.len()) }
}
