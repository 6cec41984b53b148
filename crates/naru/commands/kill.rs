//! `naru kill`.

use naru_supervisor::protocol::Request;
use naru_supervisor::spec::parse_signal;

use super::{services, stop};
use crate::conversation::converse;
use crate::error::CommandError;
use crate::settings::Settings;
use crate::ui::Printer;

/// Force stop service containers
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Services (default: all)
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// Signal to send
    #[arg(short, long, value_name = "SIGNAL", default_value = "SIGKILL")]
    signal: String,
}

/// Runs the command.
pub(crate) fn run(args: &Args, settings: &Settings, printer: &Printer) -> Result<u8, CommandError> {
    let signal = parse_signal(&args.signal)
        .ok_or_else(|| CommandError::user(format!("there is no signal {:?}", args.signal)))?;
    let target = settings.target(&args.services)?;
    services::check(&args.services, &target)?;
    let doing = format!("send a signal to project {}", target.name);
    match stop::supervisor(&target, settings, &doing)? {
        Some(client) => {
            let request = Request::Kill { services: args.services.clone(), signal };
            converse(printer, client, &request, target.loaded.as_ref(), &doing)?;
        }
        None => printer.say("no container to kill"),
    }
    Ok(0)
}
