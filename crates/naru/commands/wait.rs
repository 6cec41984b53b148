//! `naru wait`.

use std::time::Duration;

use naru_state::record::Phase;
use naru_supervisor::observe::{self, Seen};
use naru_supervisor::protocol::{Down, Reply, Request};

use super::{services, stop};
use crate::conversation::converse;
use crate::error::{Blame, CommandError};
use crate::settings::{Settings, Target};
use crate::ui::Printer;

/// The exit code when nobody saw the container's: a failure, as restart policies take it.
const UNKNOWN: u8 = 255;

/// How long a supervisor that has just gone is given to be followed by another.
const PAUSE: Duration = Duration::from_millis(50);

/// Block until containers of all (or specified) services stop
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Services
    #[arg(value_name = "SERVICE", required = true)]
    services: Vec<String>,
    /// Take the project down when the first container has stopped
    #[arg(long)]
    down_project: bool,
}

/// Runs the command; its exit code is that of the container awaited last.
pub(crate) fn run(args: &Args, settings: &Settings, printer: &Printer) -> Result<u8, CommandError> {
    settings.no_dry_run("wait")?;
    let target = settings.target(&args.services)?;
    services::check(&args.services, &target)?;
    let doing = format!("wait for project {}", target.name);
    let mut awaited = containers(args, &target, &doing)?;
    if let Some(name) = args.services.iter().find(|&name| !has_container(&awaited, name)) {
        return Err(CommandError::user(format!("service {name} has no container to wait for")));
    }
    let mut code = 0;
    while !awaited.is_empty() {
        let client = stop::supervisor(&target, settings, &doing)?;
        let mut client = match client {
            Some(mut client) => client.send(&Request::Watch).is_ok().then_some(client),
            None => None,
        };
        // Changes after this look are told.
        let mut ended = ended(args, &target, &doing)?;
        loop {
            for (id, ended_with) in ended.drain(..) {
                if let Some(place) = awaited.iter().position(|seen| seen.record.id.as_str() == id) {
                    awaited.remove(place);
                    code = ended_with;
                    let line = format!("container {id:?} exited with status code {code}");
                    printer.data_line(&line)?;
                    if args.down_project {
                        return take_down(&target, settings, printer).map(|()| code);
                    }
                }
            }
            let Some(client) = client.as_mut().filter(|_| !awaited.is_empty()) else { break };
            match client.next_reply().host(&doing)? {
                Some(Reply::Changed(_)) => ended = self::ended(args, &target, &doing)?,
                Some(_) => {}
                None => break,
            }
        }
        if !awaited.is_empty() {
            std::thread::sleep(PAUSE);
        }
    }
    Ok(code)
}

fn has_container(containers: &[Seen], service: &str) -> bool {
    containers.iter().any(|seen| seen.record.service == service)
}

fn containers(args: &Args, target: &Target, doing: &str) -> Result<Vec<Seen>, CommandError> {
    let mut containers = observe::containers(&target.directories).host(doing)?;
    containers.retain(|seen| args.services.contains(&seen.record.service));
    Ok(containers)
}

/// The ids of the containers that do not run, each with the code its last run ended with.
fn ended(args: &Args, target: &Target, doing: &str) -> Result<Vec<(String, u8)>, CommandError> {
    let ended = |seen: Seen| {
        let code = match seen.state.phase {
            Phase::Running => return None,
            Phase::Created => 0,
            Phase::Exited | Phase::Restarting => seen.exit_code().unwrap_or(UNKNOWN),
        };
        Some((seen.record.id.as_str().to_owned(), code))
    };
    Ok(containers(args, target, doing)?.into_iter().filter_map(ended).collect())
}

fn take_down(target: &Target, settings: &Settings, printer: &Printer) -> Result<(), CommandError> {
    let doing = format!("take down project {}", target.name);
    let client = crate::conversation::connect_or_start(&settings.directories, &target.name)?;
    let request = Request::Down(Down { remove_orphans: true, ..Down::default() });
    converse(printer, client, &request, target.loaded.as_ref(), &doing)
}
