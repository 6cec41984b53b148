//! `naru kill`.

use std::io;
use std::os::fd::OwnedFd;

use naru_supervisor::observe::{self, Seen};
use naru_supervisor::protocol::Request;
use naru_supervisor::spec::parse_signal;
use nix::sys::signal::Signal;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::{services as named, stop};
use crate::conversation::converse;
use crate::error::{Blame, CommandError};
use crate::settings::{Settings, Target};
use crate::ui::Printer;

/// How long a process may take to end after SIGKILL: one in the middle of writing to a slow disk may.
const PATIENCE: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };

/// Force stop service containers
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Services (default: all)
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// Signal to send
    #[arg(short, long, value_name = "SIGNAL", default_value = "SIGKILL")]
    signal: String,
    /// Also containers of services that are not in the Compose file
    #[arg(long)]
    remove_orphans: bool,
}

/// Runs the command.
pub(crate) fn run(args: &Args, settings: &Settings, printer: &Printer) -> Result<u8, CommandError> {
    settings.no_dry_run("kill")?;
    let signal = parse_signal(&args.signal)
        .ok_or_else(|| CommandError::user(format!("there is no signal {:?}", args.signal)))?;
    let target = settings.target(&args.services)?;
    named::check(&args.services, &target)?;
    let doing = format!("send a signal to project {}", target.name);
    let Some(client) = stop::supervisor(&target, settings, &doing)? else {
        printer.say("no container to kill");
        return Ok(0);
    };
    let services = services(args, &target);
    let running = running(&services, &target, &doing)?;
    if running.is_empty() {
        printer.say("no container to kill");
        return Ok(0);
    }
    let request = Request::Kill { services, signal };
    converse(printer, client, &request, target.loaded.as_ref(), &doing)?;
    if signal == Signal::SIGKILL as i32 {
        await_ends(&running, printer).host(&doing)?;
    }
    Ok(0)
}

/// Those that are meant, all when empty: without the flag what has left the file is left alone.
fn services(args: &Args, target: &Target) -> Vec<String> {
    match &target.loaded {
        Some(loaded) if args.services.is_empty() && !args.remove_orphans => {
            loaded.project.services.keys().cloned().collect()
        }
        _ => args.services.clone(),
    }
}

/// The containers that run, each with a descriptor of its first process.
fn running(
    services: &[String],
    target: &Target,
    doing: &str,
) -> Result<Vec<(String, OwnedFd)>, CommandError> {
    let is_meant = |seen: &Seen| services.is_empty() || services.contains(&seen.record.service);
    let descriptor = |seen: Seen| {
        let process = seen.state.process?;
        let pidfd = pidfd_open(Pid::from_raw(process.pid)?, PidfdFlags::empty()).ok()?;
        // Looked at again once the descriptor is held: a pid may be taken by another process.
        process.is_alive().then_some((seen.record.name, pidfd))
    };
    let containers = observe::containers(&target.directories).host(doing)?;
    Ok(containers.into_iter().filter(is_meant).filter_map(descriptor).collect())
}

/// Waits until all have ended, as nothing survives SIGKILL for long.
fn await_ends(running: &[(String, OwnedFd)], printer: &Printer) -> io::Result<()> {
    for (name, pidfd) in running {
        let mut watched = [PollFd::new(pidfd, PollFlags::IN)];
        poll(&mut watched, Some(&PATIENCE))?;
        let ended = !watched[0].revents().is_empty();
        let word = if ended { "Killed" } else { "still runs" };
        printer.say(&format!(" Container {name}  {word}"));
    }
    Ok(())
}
