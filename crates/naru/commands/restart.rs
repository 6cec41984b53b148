//! `naru restart`.

use std::time::Duration;

use naru_supervisor::observe;
use naru_supervisor::protocol::{Request, Restart};

use super::services;
use crate::conversation::{connect_or_start, converse};
use crate::error::{Blame, CommandError};
use crate::settings::Settings;
use crate::ui::Printer;

/// Restart service containers; changes of the Compose file are named and not applied
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Services (default: all)
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// Don't restart the services that depend on them with `restart: true`
    #[arg(long)]
    no_deps: bool,
    /// Seconds until containers are killed (default: each service's grace period)
    #[arg(short, long, value_name = "SECONDS")]
    timeout: Option<u64>,
}

/// Runs the command.
pub(crate) fn run(args: &Args, settings: &Settings, printer: &Printer) -> Result<u8, CommandError> {
    let target = settings.target(&args.services)?;
    services::check(&args.services, &target)?;
    let doing = format!("restart project {}", target.name);
    if observe::ids(&target.directories).host(&doing)?.is_empty() {
        let name = &target.name;
        let error = CommandError::user(format!("project {name} has no container to restart"));
        return Err(error.hint("`naru up -d` makes them"));
    }
    let client = connect_or_start(&settings.directories, &target.name)?;
    let request = Request::Restart(Restart {
        services: args.services.clone(),
        no_deps: args.no_deps,
        timeout: args.timeout.map(Duration::from_secs),
        project: target.loaded.as_ref().map(|loaded| Box::new(loaded.project.clone())),
    });
    converse(printer, client, &settings.wanted(request), target.loaded.as_ref(), &doing)?;
    Ok(0)
}
