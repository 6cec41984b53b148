//! `naru network …`, as `docker network …`.

mod create;
mod filter;
mod inspect;
mod list;
mod places;
mod remove;

use naru_supervisor::protocol::Failure;

use crate::error::CommandError;
use crate::settings::Settings;
use crate::ui::Printer;

/// Commands on networks.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// List networks
    #[command(visible_alias = "list")]
    Ls(list::Args),
    /// Show everything about networks
    Inspect(inspect::Args),
    /// Make a network that several projects can use; prints its id
    Create(Box<create::Args>),
    /// Remove networks
    #[command(visible_alias = "remove")]
    Rm(remove::Args),
    /// Remove the networks that no container is in and no project owns
    Prune(remove::PruneArgs),
    /// Connect a container to a network
    Connect(Box<places::ConnectArgs>),
    /// Disconnect a container from a network
    Disconnect(places::DisconnectArgs),
}

/// Runs a command.
pub(crate) fn run(
    command: &Command,
    settings: &Settings,
    printer: &Printer,
) -> Result<u8, CommandError> {
    settings.no_dry_run("network")?;
    match command {
        Command::Ls(args) => list::run(args, settings, printer),
        Command::Inspect(args) => inspect::run(args, settings, printer),
        Command::Create(args) => create::run(args, settings, printer),
        Command::Rm(args) => remove::run(args, settings, printer),
        Command::Prune(args) => remove::prune(args, settings, printer),
        Command::Connect(args) => places::connect(args, settings, printer),
        Command::Disconnect(args) => places::disconnect(args, settings, printer),
    }
}

/// A failure as the command's own, with its causes.
fn failed(failure: Failure) -> CommandError {
    let texts = std::iter::once(failure.message).chain(failure.causes);
    let text = texts.collect::<Vec<_>>().join(": ");
    failure.hints.into_iter().fold(CommandError::user(text), CommandError::hint)
}

/// The first twelve digits of an id.
fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}
