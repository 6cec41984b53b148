//! `cargo xtask fuzz`: the loader, interpolation, files of variables and the name server's packets on inputs changed at
//! random, for as long as wanted.
//!
//! The targets are tests of naru-compose (`src/tests/fuzz.rs`) and naru-net (`src/dns/message/tests/fuzz.rs`), which say
//! what is promised. They run on stable Rust, without optimisation, so that an arithmetic overflow is found too, and
//! with a limit on their memory. What broke a promise, crashed or hung is kept in `target/fuzz` with the command that
//! tries it again.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::task::{self, cargo, step};

/// What the tests are called here, their package, and their names.
const TARGETS: [(&str, &str, &str); 4] = [
    ("loader", "naru-compose", "any_change_of_compose_files_keeps_the_loaders_promises"),
    (
        "interpolation",
        "naru-compose",
        "any_change_of_a_template_keeps_the_promises_of_interpolation",
    ),
    ("dotenv", "naru-compose", "any_change_of_an_env_file_keeps_the_promises_of_its_grammar"),
    ("dns", "naru-net", "any_packet_keeps_the_promises_of_the_name_server"),
];

/// The address space of a target, in KiB.
const MEMORY: u32 = 2 << 20;

/// How long, and what.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// Only these: loader, interpolation, dotenv, dns (default: all)
    #[arg(value_parser = ["loader", "interpolation", "dotenv", "dns"])]
    targets: Vec<String>,
    /// Seconds for each
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// The same number gives the same inputs (default: another one each time)
    #[arg(long)]
    seed: Option<u64>,
    /// Try this input again instead, on one target
    #[arg(long, value_name = "FILE", requires = "targets")]
    replay: Option<PathBuf>,
}

/// Runs every target; fails when one broke a promise.
pub(crate) fn run(options: &Options) -> Result<()> {
    let seed = match options.seed {
        Some(seed) => seed,
        None => std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(1, |time| time.as_secs()),
    };
    let folder = task::workspace().join("target/fuzz");
    fs_err::create_dir_all(&folder)?;
    step("build the targets", || {
        let packages = ["--package", "naru-compose", "--package", "naru-net"];
        task::run(cargo(["test", "--quiet", "--lib", "--no-run"]).args(packages))
    })?;
    let wanted =
        |name: &str| options.targets.is_empty() || options.targets.iter().any(|it| it == name);
    let mut broken = Vec::new();
    for (name, package, test) in TARGETS.into_iter().filter(|(name, _, _)| wanted(name)) {
        let kept = step(&format!("{name}, seed {seed}"), || {
            target(options, seed, (package, test), &folder)
        })?;
        broken.extend(
            kept.map(|input| format!("cargo xtask fuzz {name} --replay {}", input.display())),
        );
    }
    if broken.is_empty() {
        return Ok(());
    }
    bail!("promises are broken; to try again:\n  {}", broken.join("\n  "));
}

/// Runs one target. Gives the input on which it ended, when it did.
fn target(
    options: &Options,
    seed: u64,
    (package, test): (&str, &str),
    folder: &Path,
) -> Result<Option<PathBuf>> {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let limited = format!("ulimit -v {MEMORY}; exec \"$@\"");
    let mut command = Command::new("sh");
    command.args(["-c", &limited, "sh"]).arg(program);
    command.args(["test", "--quiet", "--package", package, "--lib", test]);
    command.current_dir(task::workspace()).stdin(Stdio::null());
    if let Some(input) = &options.replay {
        let input = fs_err::canonicalize(input)?;
        let status = command.env("NARU_FUZZ_INPUT", &input).status()?;
        return Ok((!status.success()).then_some(input));
    }
    let status = command
        .env("NARU_FUZZ_SECONDS", options.seconds.to_string())
        .env("NARU_FUZZ_SEED", seed.to_string())
        .env("NARU_FUZZ_DIRECTORY", folder)
        .status()
        .context("cannot run cargo test")?;
    if status.success() {
        let count =
            fs_err::read_to_string(folder.join(format!("{test}.count"))).unwrap_or_default();
        println!("    {count} inputs");
        return Ok(None);
    }
    let kept = folder.join(format!("{test}-{seed}.input"));
    fs_err::copy(folder.join(test), &kept).context("it ended before its first input")?;
    Ok(Some(kept))
}
