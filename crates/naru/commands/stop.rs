//! `naru stop`.

use std::time::Duration;

use naru_supervisor::client::Client;
use naru_supervisor::observe::{self, Seen};
use naru_supervisor::protocol::{Request, Stop};

use super::services;
use crate::conversation::{connect_or_start, converse};
use crate::error::{Blame, CommandError};
use crate::settings::{Settings, Target};
use crate::ui::Printer;

/// Stop services
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Services (default: all)
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// Seconds until containers are killed (default: each service's grace period)
    #[arg(short, long, value_name = "SECONDS")]
    timeout: Option<u64>,
}

/// Runs the command.
pub(crate) fn run(args: &Args, settings: &Settings, printer: &Printer) -> Result<u8, CommandError> {
    let target = settings.target(&args.services)?;
    services::check(&args.services, &target)?;
    let doing = format!("stop project {}", target.name);
    if let Some(client) = supervisor(&target, settings, &doing)? {
        let request = Request::Stop(Stop {
            services: args.services.clone(),
            timeout: args.timeout.map(Duration::from_secs),
        });
        converse(printer, client, &settings.wanted(request), target.loaded.as_ref(), &doing)?;
    }
    Ok(0)
}

/// The project's supervisor; it is started when there is none and containers run all the same.
///
/// # Errors
/// When it cannot be talked to.
pub(crate) fn supervisor(
    target: &Target,
    settings: &Settings,
    doing: &str,
) -> Result<Option<Client>, CommandError> {
    if let Some(client) = Client::connect(&target.directories).host(doing)? {
        return Ok(Some(client.lasting(&settings.directories, &target.name)));
    }
    let containers = observe::containers(&target.directories).host(doing)?;
    match containers.iter().any(Seen::is_running) {
        true => connect_or_start(&settings.directories, &target.name).map(Some),
        false => Ok(None),
    }
}
