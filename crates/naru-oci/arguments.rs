//! Arguments: global flags and one command.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, ValueEnum};

use naru_runtime::SPECIFICATION;

use crate::commands::Command;
use crate::ui;

/// An OCI container runtime.
#[derive(Debug, Parser)]
#[command(name = "naru-oci", disable_version_flag = true, disable_help_subcommand = true)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags before the command.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Where the state of containers is kept; should be on a tmpfs
    #[arg(long, value_name = "PATH")]
    pub(crate) root: Option<PathBuf>,
    /// Write messages to this file as well
    #[arg(long, value_name = "FILE")]
    pub(crate) log: Option<PathBuf>,
    /// How messages are written
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    pub(crate) log_format: LogFormat,
    /// Also tell what is done
    #[arg(long)]
    pub(crate) debug: bool,
    /// Which messages are written
    #[arg(long, value_name = "LEVEL", hide = true)]
    pub(crate) log_level: Option<String>,
    /// Make control groups through systemd (refused: naru makes them itself)
    #[arg(long)]
    pub(crate) systemd_cgroup: bool,
    /// Who makes control groups; cgroupfs is the only one
    #[arg(long, value_name = "NAME", hide = true)]
    pub(crate) cgroup_manager: Option<String>,
    /// Whether cgroup failures of ordinary users are passed over; naru-oci needs root
    #[arg(long, value_name = "true|false|auto", hide = true)]
    pub(crate) rootless: Option<String>,
    /// Accepted for checkpoint and restore, which do not exist
    #[arg(long, value_name = "PATH", hide = true)]
    pub(crate) criu: Option<PathBuf>,
}

/// The form of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// One line of text.
    Text,
    /// One JSON object in a line.
    Json,
}

/// Parses the command line.
pub(crate) fn parse(words: impl Iterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let words: Vec<OsString> = words.collect();
    let wants_version = |word: &OsString| word == "--version" || word == "-v";
    let first = words.iter().skip(1).find(|word| !is_switch(word));
    if first.is_some_and(wants_version) {
        return Err(clap::Error::raw(clap::error::ErrorKind::DisplayVersion, version()));
    }
    Cli::try_parse_from(words)
}

/// A global flag without a value, which may stand before `--version`.
fn is_switch(word: &OsString) -> bool {
    word == "--debug" || word == "--systemd-cgroup"
}

/// Three lines, which engines read.
fn version() -> String {
    let commit = option_env!("NARU_COMMIT").unwrap_or("unknown");
    let version = env!("CARGO_PKG_VERSION");
    format!("naru-oci version {version}\ncommit: {commit}\nspec: {SPECIFICATION}\n")
}

/// Prints help or what is wrong with the arguments.
pub(crate) fn explain(refused: &clap::Error) -> ExitCode {
    use clap::error::ErrorKind::{DisplayHelp, DisplayVersion};
    match refused.kind() {
        DisplayVersion => ui::print(&version()),
        DisplayHelp => ui::print(&refused.to_string()),
        _ => {
            ui::say_line(refused.to_string().trim_end());
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
