//! `cargo xtask vm`: the kernel tests, `naru-oci` and a small project on a Debian kernel with pure cgroup v2, in an
//! emulated machine.
//!
//! What is tested here cannot be tested on the machine it runs on: cgroup v2 alone, delegation, a reboot, and kernels
//! older than the machine's own. Debian's cloud kernel is fetched with the machine's own package configuration, an
//! initramfs holds the programs, and qemu emulates the machine in software, so no hardware support is needed.
//!
//! Two boots on one disk: the first runs the tests and leaves a project running when the power goes; the second looks
//! at what naru makes of it. The guest's first serial line is the kernel's console, the second carries the results.

mod initramfs;
mod kernel;
mod machine;
mod modules;
mod results;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::debian;
use crate::task::{self, cargo, step};
use machine::{Boot, Machine};
use results::Results;

/// Which kernel, which control groups, which tests.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// Only tests whose name contains this (`oci::` are those of naru-oci); the project and the reboot are left out then
    filter: Option<String>,
    /// The Debian release whose cloud kernel is booted: bookworm is 6.1, trixie is 6.12
    #[arg(long, default_value = "bookworm")]
    kernel: String,
    /// How the control groups are mounted in the guest
    #[arg(long, value_enum, default_value_t = Groups::V2)]
    cgroups: Groups,
    /// Only the runtime's tests of control groups, and no reboot: what fits into a gate
    #[arg(long, conflicts_with = "filter")]
    short: bool,
    /// Only what a machine of its own shows of supervision: clocks that are set, process ids that come back, a boot
    #[arg(long, conflicts_with_all = ["filter", "short"])]
    supervision: bool,
    /// Seconds after which a boot counts as hung
    #[arg(long, default_value_t = 600)]
    deadline: u64,
    /// The processors of the guest
    #[arg(long, default_value_t = 2)]
    processors: u32,
}

/// The layouts of control groups that hosts have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Groups {
    V1,
    V2,
    Hybrid,
}

/// Fetches, builds, boots and reports; fails when a test failed, when none ran, and when the guest hung or panicked.
pub(crate) fn run(options: &Options) -> Result<()> {
    let begin = Instant::now();
    debian::ensure(&[
        ("qemu-system-x86_64", "qemu-system-x86"),
        ("busybox", "busybox-static"),
        ("mke2fs", "e2fsprogs"),
        ("xz", "xz-utils"),
    ])?;
    let folder = task::built("vm").join(&options.kernel);
    fs_err::create_dir_all(&folder)?;
    let kernel = step(&format!("the kernel of {}", options.kernel), || {
        kernel::fetch(&options.kernel, &folder.join("kernel"))
    })?;
    eprintln!("    {}", kernel.release);
    let programs = step("programs", programs)?;
    let initramfs = step("initramfs", || initramfs::write(&folder, &kernel, &programs))?;
    let machine = Machine {
        kernel: kernel.image,
        initramfs,
        disk: disk(&folder)?,
        log: folder.join("console.log"),
        programs: task::built("debug"),
        processors: options.processors,
        deadline: Duration::from_secs(options.deadline),
    };
    let mut results = Results::default();
    let (first, second) = match options {
        Options { supervision: true, .. } => ("supervision", Some("boot")),
        Options { short: true, .. } | Options { filter: Some(_), .. } => ("tests", None),
        _ => ("tests+project", Some("after")),
    };
    step("first boot", || machine.boot(&boot(first, options), &mut results))?;
    if let Some(second) = second {
        step("second boot", || machine.boot(&boot(second, options), &mut results))?;
    }
    eprintln!("    {results}; all in {:.0} s", begin.elapsed().as_secs_f64());
    results.verdict()
}

fn boot(stage: &'static str, options: &Options) -> Boot {
    let groups = match options.cgroups {
        Groups::V1 => "v1",
        Groups::V2 => "v2",
        Groups::Hybrid => "hybrid",
    };
    let filter = options.filter.clone();
    let filter = filter
        .or_else(|| options.short.then(|| "cgroups::,limits::,usage::,oci::groups::".to_owned()));
    Boot { stage, groups, filter }
}

/// A program of the guest: where it is and what it is called there.
pub(crate) struct Program {
    file: PathBuf,
    name: &'static str,
}

/// naru, its tools, the runtime's kernel tests, which are one program too, and the tests of the whole.
fn programs() -> Result<Vec<Program>> {
    let mut names = vec!["naru", "naru-check"];
    if fs_err::metadata(task::workspace().join("crates/naru-oci")).is_ok() {
        names.push("naru-oci");
    }
    let mut build = cargo(["build", "--quiet"]);
    for name in &names {
        build.args(["--bin", name]);
    }
    task::run(&mut build)?;
    let mut programs: Vec<Program> = names
        .into_iter()
        .map(|name| Program { file: task::built("debug").join(name), name })
        .collect();
    let kernel = tests(["--package", "naru-runtime", "--test", "kernel"], "kernel")?;
    programs.push(Program { file: kernel, name: "kernel" });
    let whole = tests(["--package", "naru", "--test", "tests"], "tests")?;
    programs.push(Program { file: whole, name: "tests" });
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].map(Path::new);
    let busybox = busybox.into_iter().find(|path| path.exists()).context("there is no busybox")?;
    programs.push(Program { file: busybox.to_owned(), name: "busybox" });
    Ok(programs)
}

/// Builds a program of tests and asks cargo where it is.
fn tests(which: [&str; 4], name: &str) -> Result<PathBuf> {
    let mut build = cargo(["test", "--no-run", "--quiet", "--message-format", "json"]);
    let messages = task::output(build.args(which))?;
    let executable = |line: &str| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let is_it = message.pointer("/target/name")? == name;
        let path = message.get("executable")?.as_str()?;
        is_it.then(|| PathBuf::from(path))
    };
    messages.lines().find_map(executable).with_context(|| format!("cargo built no tests {name}"))
}

/// An empty file system for what has to survive a reboot.
fn disk(folder: &Path) -> Result<PathBuf> {
    let disk = folder.join("disk.img");
    let file = fs_err::File::create(&disk)?;
    file.set_len(256 << 20)?;
    task::run(Command::new("mke2fs").args(["-q", "-F", "-t", "ext4"]).arg(&disk))?;
    if fs_err::metadata(&disk)?.len() == 0 {
        bail!("mke2fs made an empty disk");
    }
    Ok(disk)
}
