//! `naru network rm` and `prune`.

use naru_supervisor::network::predefined;
use naru_supervisor::network::shared::{self, Known};
use naru_supervisor::protocol::Request;

use super::failed;
use super::filter::{Filter, all};
use crate::conversation::{connect_or_start, converse};
use crate::error::CommandError;
use crate::settings::Settings;
use crate::ui::Printer;

/// The arguments of `rm`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Names, or what ids begin with
    #[arg(value_name = "NETWORK", required = true)]
    networks: Vec<String>,
    /// A network that is not there is no failure
    #[arg(short, long)]
    force: bool,
}

/// The arguments of `prune`.
#[derive(Debug, clap::Args)]
pub(crate) struct PruneArgs {
    /// Only networks with this (`label=KEY[=VALUE]`, `label!=KEY[=VALUE]`)
    #[arg(long = "filter", value_name = "FILTER")]
    filters: Vec<String>,
    /// Accepted for docker: nothing is asked
    #[arg(short, long)]
    force: bool,
}

pub(super) fn run(args: &Args, settings: &Settings, printer: &Printer) -> Result<u8, CommandError> {
    let mut problem = None;
    for word in &args.networks {
        let removed = match shared::find(&settings.directories, word) {
            Err(_) if args.force => continue,
            Err(failure) => Err(failed(failure)),
            Ok(known) => remove(&known, settings, printer),
        };
        match removed {
            Ok(()) => printer.data_line(word)?,
            Err(error) => problem = problem.or(Some(error)),
        }
    }
    problem.map_or(Ok(0), Err)
}

/// Removes a network that no container which runs is in; those that do not run lose their place with it.
fn remove(known: &Known, settings: &Settings, printer: &Printer) -> Result<(), CommandError> {
    let name = &known.record.name;
    if predefined::is_one(name) {
        let text = format!("{name} is a pre-defined network and cannot be removed");
        return Err(CommandError::user(text));
    }
    let users = shared::users(&settings.directories, known).map_err(failed)?;
    let active: Vec<_> = users
        .iter()
        .filter(|user| user.container.is_running())
        .map(|user| {
            let record = &user.container.record;
            format!("name:\"{}\" id:\"{}\"", record.name, record.id.short())
        })
        .collect();
    if !active.is_empty() {
        let active = active.join(", ");
        let text =
            format!("error while removing network: network {name} has active endpoints ({active})");
        return Err(CommandError::user(text));
    }
    let Some((project, _key)) = &known.project else {
        return shared::remove(&settings.directories, known).map_err(failed);
    };
    let doing = format!("remove network {name}");
    let client = connect_or_start(&settings.directories, project)?;
    converse(printer, client, &Request::RemoveNetwork { name: name.clone() }, None, &doing)
}

pub(super) fn prune(
    args: &PruneArgs,
    settings: &Settings,
    printer: &Printer,
) -> Result<u8, CommandError> {
    let filter = Filter::parse(&args.filters, &["label", "label!"])?;
    let mut removed = Vec::new();
    for known in all(settings)?.iter().filter(|known| known.project.is_none()) {
        if predefined::is_one(&known.record.name) || !filter.fits(known, &|_| false) {
            continue;
        }
        let users = shared::users(&settings.directories, known).map_err(failed)?;
        if users.is_empty() {
            shared::remove(&settings.directories, known).map_err(failed)?;
            removed.push(known.record.name.clone());
        }
    }
    if !removed.is_empty() {
        printer.data_line("Deleted Networks:")?;
        for name in removed {
            printer.data_line(&name)?;
        }
    }
    Ok(0)
}
