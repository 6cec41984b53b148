//! `naru start`.

use std::time::Duration;

use naru_supervisor::observe;
use naru_supervisor::protocol::{Request, Start};

use super::services;
use crate::conversation::{connect_or_start, converse};
use crate::error::{Blame, CommandError};
use crate::settings::Settings;
use crate::ui::Printer;

/// Start services
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Services (default: all)
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// Wait for services to be running or healthy
    #[arg(long)]
    wait: bool,
    /// Seconds to wait at most
    #[arg(long, value_name = "SECONDS")]
    wait_timeout: Option<u64>,
}

/// Runs the command.
pub(crate) fn run(args: &Args, settings: &Settings, printer: &Printer) -> Result<u8, CommandError> {
    let target = settings.target(&args.services)?;
    services::check(&args.services, &target)?;
    let doing = format!("start project {}", target.name);
    if observe::ids(&target.directories).host(&doing)?.is_empty() {
        let name = &target.name;
        let error = CommandError::user(format!("project {name} has no container to start"));
        return Err(error.hint("`naru up -d` makes them"));
    }
    let client = connect_or_start(&settings.directories, &target.name)?;
    let request = Request::Start(Start {
        services: args.services.clone(),
        wait: args.wait,
        wait_timeout: args.wait_timeout.map(Duration::from_secs),
    });
    converse(printer, client, &settings.wanted(request), target.loaded.as_ref(), &doing)?;
    Ok(0)
}
