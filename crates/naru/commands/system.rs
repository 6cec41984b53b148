//! `naru system`: what naru itself does on this machine.

mod boot;
mod check;

use naru_supervisor::client;
use naru_supervisor::observe;

use crate::error::{Blame, CommandError};
use crate::settings::Settings;
use crate::ui::Printer;

/// The commands.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Let this naru take over the running projects (all, or that of --project-name)
    ///
    /// The processes that look after a project go on with the program they were started with, whatever happens to the
    /// file. This gives them this one, in place: no container notices. Connections that are established through a
    /// published port are reset; new ones wait a moment.
    Upgrade,
    /// Look for damaged records, images and volumes, and for what no project owns any more; exits with 1 when there is any
    Check(check::Args),
    /// What comes back after a restart of the machine
    #[command(subcommand)]
    Boot(boot::Command),
}

/// Runs a command.
pub(crate) fn run(
    command: &Command,
    settings: &Settings,
    printer: &Printer,
) -> Result<u8, CommandError> {
    match command {
        Command::Upgrade => upgrade(settings, printer),
        Command::Check(args) => check::run(args, settings, printer),
        Command::Boot(command) => boot::run(command, settings, printer),
    }
}

fn upgrade(settings: &Settings, printer: &Printer) -> Result<u8, CommandError> {
    settings.no_dry_run("system upgrade")?;
    let projects = match settings.named_project()? {
        Some(name) => vec![name],
        None => observe::projects(&settings.directories).host("list the projects")?,
    };
    let own = naru_supervisor::protocol::Hello::own();
    for name in projects {
        let before = client::upgrade(&settings.directories.project(&name))
            .host(format!("upgrade project {name}"))?;
        let text = match before {
            None => continue,
            Some(before) if before == own => format!("{name}: is run by this naru already"),
            Some(before) => format!("{name}: naru {} → {}", before.version, own.version),
        };
        printer.say(&text);
    }
    Ok(0)
}
