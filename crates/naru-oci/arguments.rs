//! Arguments: global flags and one command.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, ValueEnum};

use crate::commands::Command;
use crate::ui;

/// Three lines, with the name before them, which engines read.
const VERSION: &str =
    concat!("version ", env!("CARGO_PKG_VERSION"), "\ncommit: unknown\nspec: 1.2.1");

/// Open Container Initiative runtime
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

/// Parses the command line; help and version have the name by which this program was called.
pub(crate) fn parse(words: impl Iterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let words: Vec<OsString> = words.collect();
    let called = words.first().and_then(|word| Path::new(word).file_name());
    let name = called.and_then(OsStr::to_str).unwrap_or("naru-oci").to_owned();
    let mut command = Cli::command().help_template(help(&name));
    let verbs: Vec<String> = command.get_subcommands().map(|c| c.get_name().to_owned()).collect();
    for verb in verbs {
        let template = help(&format!("{name} {verb}"));
        command = command.mut_subcommand(verb, |one| one.help_template(template));
    }
    let command = command.display_name(name.clone()).bin_name(name);
    Cli::from_arg_matches(&command.try_get_matches_from(words)?)
}

/// The help of a command in runc's form, of which tools read the first lines.
fn help(name: &str) -> String {
    format!("NAME:\n   {name} - {{about}}\n\nUSAGE:\n   {{usage}}\n\n{{all-args}}")
}

/// Prints help or what is wrong with the arguments.
pub(crate) fn explain(refused: &clap::Error) -> ExitCode {
    use clap::error::ErrorKind::{DisplayHelp, DisplayVersion, InvalidSubcommand};
    match refused.kind() {
        DisplayHelp | DisplayVersion => ui::print(&refused.to_string()),
        kind => {
            ui::say_line(refused.to_string().trim_end());
            let verb = refused.get(clap::error::ContextKind::InvalidSubcommand);
            if let (InvalidSubcommand, Some(verb)) = (kind, verb) {
                ui::say_line(&format!("No help topic for '{verb}'"));
            }
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
