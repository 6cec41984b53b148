//! What was typed. Each command's own arguments are beside the command.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::commands::{
    analyze, attach, config, create, down, events, exec, image, kill, logs, ls, network, port, ps,
    remove, restart, run, scale, start, stop, system, up, version, volume, wait,
};
use crate::refused;
use crate::ui::{Ansi, Printer, ProgressMode};
use crate::variables::is_yes;

/// Runs Compose projects without Docker.
#[derive(Debug, Parser)]
#[command(name = "naru", version, disable_help_subcommand = true, subcommand_required = true)]
#[command(arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Command,
}

/// Options before the command.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Globals {
    /// Compose file; several are merged in order, `-` is standard input
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Project name
    #[arg(short, long, value_name = "NAME")]
    pub(crate) project_name: Option<String>,
    /// Directory that relative paths start from (default: that of the first Compose file)
    #[arg(long, alias = "workdir", value_name = "DIR")]
    pub(crate) project_directory: Option<PathBuf>,
    /// Enable a profile
    #[arg(long = "profile", value_name = "PROFILE")]
    pub(crate) profiles: Vec<String>,
    /// Environment file instead of .env
    #[arg(long = "env-file", value_name = "FILE")]
    pub(crate) env_files: Vec<PathBuf>,
    /// Keep networks, volumes, secrets and configs that no service uses
    #[arg(long)]
    pub(crate) all_resources: bool,
    /// Put `_` between the parts of names, as docker-compose 1
    #[arg(long)]
    pub(crate) compatibility: bool,
    /// Accepted for docker compose: whatever does not depend on each other is done at once
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) parallel: Option<i64>,
    /// Print what would be done, step by step and why, and do nothing
    #[arg(long, global = true)]
    pub(crate) dry_run: bool,
    /// When to print control characters
    #[arg(long, value_enum, value_name = "WHEN")]
    ansi: Option<Ansi>,
    /// How to show progress
    #[arg(long, value_enum, value_name = "KIND")]
    progress: Option<ProgressMode>,
}

/// All commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The same commands, as docker compose is called
    #[command(hide = true)]
    Compose(Compose),
    #[command(flatten)]
    Verb(Verb),
    /// Images of this machine
    #[command(subcommand)]
    Image(image::Command),
    /// Networks of this machine
    #[command(subcommand)]
    Network(network::Command),
    /// Named volumes of this machine
    #[command(subcommand)]
    Volume(volume::Command),
    /// naru itself
    #[command(subcommand)]
    System(system::Command),
}

/// `naru compose VERB`.
#[derive(Debug, Args)]
pub(crate) struct Compose {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// The commands on a project.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Up(up::Args),
    Down(down::Args),
    Port(port::Args),
    Ps(ps::Args),
    Logs(logs::Args),
    Events(events::Args),
    Analyze(analyze::Args),
    Exec(exec::Args),
    Run(Box<run::Args>),
    Attach(attach::Args),
    Create(create::Args),
    Start(start::Args),
    Stop(stop::Args),
    Restart(restart::Args),
    Kill(kill::Args),
    #[command(name = "rm")]
    Remove(remove::Args),
    Scale(scale::Args),
    Wait(wait::Args),
    #[command(alias = "convert")]
    Config(Box<config::Args>),
    Ls(ls::Args),
    Version(version::Args),
}

impl Cli {
    /// The options and the command, `compose` resolved.
    pub(crate) fn split(self) -> (Globals, Command) {
        match self.command {
            Command::Compose(compose) => {
                (self.globals.with(compose.globals), Command::Verb(compose.verb))
            }
            command => (self.globals, command),
        }
    }
}

impl Globals {
    /// How to print.
    pub(crate) fn printer(&self, environment: &BTreeMap<String, String>) -> Printer {
        let is_set = |name| environment.get(name).is_some_and(|value| !value.is_empty());
        let ansi = self.ansi.or_else(|| from_environment(environment, "COMPOSE_ANSI"));
        let progress = self.progress.or_else(|| from_environment(environment, "COMPOSE_PROGRESS"));
        let status_on_stdout =
            environment.get("COMPOSE_STATUS_STDOUT").is_some_and(|value| is_yes(value));
        Printer::new(ansi.unwrap_or_default(), progress.unwrap_or_default(), is_set("NO_COLOR"))
            .with_status_on_stdout(status_on_stdout)
    }

    /// These, and what stands closer to the verb over them.
    fn with(mut self, inner: Self) -> Self {
        self.files.extend(inner.files);
        self.profiles.extend(inner.profiles);
        self.env_files.extend(inner.env_files);
        self.project_name = inner.project_name.or(self.project_name);
        self.project_directory = inner.project_directory.or(self.project_directory);
        self.all_resources |= inner.all_resources;
        self.compatibility |= inner.compatibility;
        self.parallel = inner.parallel.or(self.parallel);
        self.dry_run |= inner.dry_run;
        self.ansi = inner.ansi.or(self.ansi);
        self.progress = inner.progress.or(self.progress);
        self
    }
}

fn from_environment<T: clap::ValueEnum>(
    environment: &BTreeMap<String, String>,
    name: &str,
) -> Option<T> {
    environment.get(name).and_then(|value| T::from_str(value, true).ok())
}

/// Parses the command line.
///
/// # Errors
/// When it asks for help or is wrong; [`explain`] tells the user.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, Refused> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let parsed = Cli::command().try_get_matches_from(&arguments);
    let cli = parsed.and_then(|matches| Cli::from_arg_matches(&matches));
    cli.map_err(|error| Refused { error, arguments })
}

/// A command line that no command was made of.
#[derive(Debug)]
pub(crate) struct Refused {
    error: clap::Error,
    arguments: Vec<OsString>,
}

/// Tells the user about help or what is wrong, and gives the exit code: 1 for a wrong command line, as
/// docker compose.
pub(crate) fn explain(refused: &Refused, environment: &BTreeMap<String, String>) -> u8 {
    let printer = Globals::default().printer(environment);
    let error = &refused.error;
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // Nobody reads the help: nothing else to do.
            let _written = printer.data(&error.render().to_string());
            0
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            printer.conversation(&error.render().to_string());
            1
        }
        _ => {
            match refused::known(error, &refused.arguments) {
                Some(message) => printer.error(&message),
                None => {
                    let text = error.render().to_string();
                    printer.error(text.strip_prefix("error: ").unwrap_or(&text).trim_end());
                }
            }
            1
        }
    }
}

/// The error that a wrong command line gives.
#[cfg(test)]
pub(crate) fn parse_error(arguments: &[OsString]) -> clap::Error {
    parse(arguments.to_vec()).unwrap_err().error
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(line: &str) -> (Globals, Command) {
        parse(line.split(' ').map(OsString::from)).unwrap().split()
    }

    #[test]
    fn the_definitions_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn compose_is_the_same_thing_and_options_on_both_sides_of_it_count() {
        let (globals, command) = split("naru -f a.yaml compose -p shop -f b.yaml up -d");
        assert_eq!(globals.files, [PathBuf::from("a.yaml"), "b.yaml".into()]);
        assert_eq!(globals.project_name.as_deref(), Some("shop"));
        assert!(matches!(command, Command::Verb(Verb::Up(_))));
    }

    #[test]
    fn options_after_the_verb_are_the_verbs() {
        let (globals, command) = split("naru logs -f web");
        assert!(globals.files.is_empty());
        assert!(matches!(command, Command::Verb(Verb::Logs(_))));
        assert!(parse(["naru", "up", "-f", "x"].map(OsString::from)).is_err());
    }
}
