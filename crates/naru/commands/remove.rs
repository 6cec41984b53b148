//! `naru rm`.

use std::io;

use naru_state::record::Phase;
use naru_supervisor::observe::{self, Seen};
use naru_supervisor::protocol::{Remove, Request};

use super::services;
use crate::conversation::{connect_or_start, converse};
use crate::error::{Blame, CommandError};
use crate::settings::{Settings, Target};
use crate::ui::Printer;

/// Remove stopped service containers
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Services (default: all)
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// Has no effect any more, as in docker compose
    #[arg(short, long, hide = true)]
    all: bool,
    /// Don't ask
    #[arg(short, long)]
    force: bool,
    /// Stop the containers first, if they run
    #[arg(short, long)]
    stop: bool,
    /// Remove their anonymous volumes
    #[arg(short, long)]
    volumes: bool,
}

/// Runs the command.
pub(crate) fn run(args: &Args, settings: &Settings, printer: &Printer) -> Result<u8, CommandError> {
    let target = settings.target(&args.services)?;
    services::check(&args.services, &target)?;
    let doing = format!("remove containers of project {}", target.name);
    let going = going(args, &target, &doing)?;
    if going.is_empty() {
        printer.say("No stopped containers");
        return Ok(0);
    }
    if !args.force && !agrees(&going, printer)? {
        return Ok(0);
    }
    let client = connect_or_start(&settings.directories, &target.name)?;
    let request = Request::Remove(Remove {
        services: args.services.clone(),
        stop: args.stop,
        volumes: args.volumes,
    });
    converse(printer, client, &settings.wanted(request), target.loaded.as_ref(), &doing)?;
    Ok(0)
}

/// The names of the containers that will go.
fn going(args: &Args, target: &Target, doing: &str) -> Result<Vec<String>, CommandError> {
    let goes = |seen: &Seen| {
        let is_meant = args.services.is_empty() || args.services.contains(&seen.record.service);
        let is_idle = matches!(seen.state.phase, Phase::Created | Phase::Exited);
        is_meant && !seen.record.is_one_off() && (args.stop || is_idle)
    };
    let containers = observe::containers(&target.directories).host(doing)?;
    Ok(containers.into_iter().filter(goes).map(|seen| seen.record.name).collect())
}

/// Asks; no answer is a no.
fn agrees(going: &[String], printer: &Printer) -> Result<bool, CommandError> {
    printer.say(&format!("Going to remove {}", going.join(", ")));
    printer.conversation("Are you sure? [yN] ");
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).host("read the answer from standard input")?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}
