//! `naru scale`.

use naru_supervisor::protocol;

use super::up;
use crate::error::CommandError;
use crate::settings::Settings;
use crate::ui::Printer;

/// Scale services
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many containers each service is to have
    #[arg(value_name = "SERVICE=REPLICAS", required = true, value_parser = up::parse_scale)]
    scale: Vec<(String, u32)>,
    /// Don't start the services they depend on
    #[arg(long)]
    no_deps: bool,
}

/// Runs the command.
pub(crate) fn run(args: &Args, settings: &Settings, printer: &Printer) -> Result<u8, CommandError> {
    let services: Vec<_> = args.scale.iter().map(|(service, _count)| service.clone()).collect();
    let loaded = up::load(&services, settings, printer)?;
    up::check_names(services.iter(), &loaded)?;
    let request = protocol::Up {
        services,
        no_deps: args.no_deps,
        scale: args.scale.iter().cloned().collect(),
        ..up::defaults(&loaded, settings)
    };
    up::detached(&loaded, request, settings, printer)
}
