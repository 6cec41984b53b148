//! `naru down`.

use std::time::Duration;

use fs_err as fs;
use naru_state::{atomic, record};
use naru_supervisor::client::Client;
use naru_supervisor::observe;
use naru_supervisor::protocol::{Down, Request};

use super::services;
use crate::conversation::{connect_or_start, converse};
use crate::error::{Blame, CommandError};
use crate::settings::{Settings, Target};
use crate::ui::Printer;
use crate::variables::is_yes;

/// Stop and remove containers, networks
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Services (default: the whole project)
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// Remove named volumes declared in the Compose file and anonymous volumes
    #[arg(short, long)]
    volumes: bool,
    /// Seconds until containers are killed (default: each service's grace period)
    #[arg(short, long, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// Remove containers of services that are not in the Compose file
    #[arg(long)]
    remove_orphans: bool,
}

/// Runs the command.
pub(crate) fn run(args: &Args, settings: &Settings, printer: &Printer) -> Result<u8, CommandError> {
    let target = settings.target(&args.services)?;
    services::check(&args.services, &target)?;
    let doing = format!("take down project {}", target.name);
    let client = match Client::connect(&target.directories).host(&doing)? {
        Some(client) => client.lasting(&settings.directories, &target.name),
        None if is_something_left(&target, args.volumes, settings)? => {
            connect_or_start(&settings.directories, &target.name)?
        }
        None => {
            let name = &target.name;
            naru_supervisor::remove_remains(&settings.directories, name);
            printer.say(&format!("Warning: No resource found to remove for project \"{name}\"."));
            return Ok(0);
        }
    };
    let request = Request::Down(Down {
        services: args.services.clone(),
        volumes: args.volumes,
        timeout: args.timeout.map(Duration::from_secs),
        remove_orphans: args.remove_orphans
            || settings.configuration().get("COMPOSE_REMOVE_ORPHANS").is_some_and(|it| is_yes(it)),
    });
    converse(printer, client, &settings.wanted(request), target.loaded.as_ref(), &doing)?;
    Ok(0)
}

/// Whether there are records of containers, networks or (if they are to go) volumes, or bridges without a record.
fn is_something_left(
    target: &Target,
    volumes: bool,
    settings: &Settings,
) -> Result<bool, CommandError> {
    let doing = format!("look at project {}", target.name);
    if !observe::ids(&target.directories).host(&doing)?.is_empty() {
        return Ok(true);
    }
    let networks: Option<record::Networks> =
        atomic::load(&target.directories.networks_file()).host(&doing)?;
    if networks.is_some_and(|networks| !networks.networks.is_empty()) {
        return Ok(true);
    }
    if naru_supervisor::has_bridges(&settings.directories, &target.name).host(&doing)? {
        return Ok(true);
    }
    Ok(volumes && has_volumes(target, settings))
}

fn has_volumes(target: &Target, settings: &Settings) -> bool {
    let Ok(directories) = fs::read_dir(settings.directories.volumes()) else { return false };
    directories.flatten().any(|directory| {
        let record = atomic::load::<record::Volume>(&directory.path().join("volume.json"));
        let project = record.ok().flatten().and_then(|record| record.project);
        project.is_some_and(|(project, _key)| project == target.name)
    })
}
