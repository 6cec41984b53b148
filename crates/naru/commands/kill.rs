//! `naru kill`.

use naru_supervisor::protocol::Request;
use nix::sys::signal::Signal;

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
    let signal = parse(&args.signal)
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

/// `9`, `KILL`, `SIGKILL`, in either case; real-time signals by number.
fn parse(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse::<i32>() {
        return (1..=64).contains(&number).then_some(number);
    }
    let name = text.to_ascii_uppercase();
    let name = if name.starts_with("SIG") { name } else { format!("SIG{name}") };
    name.parse::<Signal>().ok().map(|signal| signal as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names_and_numbers() {
        for text in ["9", "KILL", "SIGKILL", "kill", "sigkill"] {
            assert_eq!(parse(text), Some(9), "{text}");
        }
        assert_eq!(parse("64"), Some(64));
        assert_eq!(parse("0"), None);
        assert_eq!(parse("SIGNOTHING"), None);
    }
}
