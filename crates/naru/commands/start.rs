//! `naru start`.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use naru_supervisor::observe;
use naru_supervisor::protocol::{Request, Start};

use super::services;
use super::up::{evidence, result};
use crate::conversation::{connect_or_start, exchange, explain};
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
    /// Print what has come of it as one JSON document on stdout
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(args: &Args, settings: &Settings, printer: &Printer) -> Result<u8, CommandError> {
    let began = Instant::now();
    let outcome = begin(args, settings, printer);
    if args.json {
        result::print(&outcome, began.elapsed(), &args.services, (settings, printer))?;
    }
    outcome
}

fn begin(args: &Args, settings: &Settings, printer: &Printer) -> Result<u8, CommandError> {
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
    match exchange(printer, client, &settings.wanted(request), &doing)? {
        Ok(()) => Ok(0),
        Err(failure) => {
            evidence::show(&failure, &target, &BTreeSet::new(), printer)?;
            Err(explain(failure, target.loaded.as_ref(), &doing))
        }
    }
}
