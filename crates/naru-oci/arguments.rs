//! Arguments: global flags and one command.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, ValueEnum};

use crate::commands::Command;
use crate::ui;

/// Three lines, with the name before them, which engines read.
const VERSION: &str =
    concat!("version ", env!("CARGO_PKG_VERSION"), "\ncommit: unknown\nspec: 1.2.1");

/// An OCI container runtime.
#[derive(Debug, Parser)]
#[command(name = "naru-oci", version = VERSION, disable_version_flag = true)]
#[command(disable_help_subcommand = true)]
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
    /// Print the version
    #[arg(short, long, action = clap::ArgAction::Version)]
    version: Option<bool>,
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
    Cli::try_parse_from(words)
}

/// Prints help or what is wrong with the arguments.
pub(crate) fn explain(refused: &clap::Error) -> ExitCode {
    use clap::error::ErrorKind::{DisplayHelp, DisplayVersion};
    match refused.kind() {
        DisplayHelp | DisplayVersion => ui::print(&refused.to_string()),
        _ => {
            ui::say_line(refused.to_string().trim_end());
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_names_the_specification() {
        assert!(VERSION.ends_with(naru_runtime::SPECIFICATION));
    }

    #[test]
    fn the_arguments_fit_together() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }
}
