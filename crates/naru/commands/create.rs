//! `naru create`.

use naru_supervisor::protocol;

use super::up;
use crate::error::CommandError;
use crate::settings::Settings;
use crate::ui::Printer;

/// Create containers for services, without starting them
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Services (default: all)
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// Recreate containers even if their configuration and image haven't changed
    #[arg(long, conflicts_with = "no_recreate")]
    force_recreate: bool,
    /// If containers already exist, don't recreate them
    #[arg(long)]
    no_recreate: bool,
    /// Remove containers of services that are not in the Compose file
    #[arg(long)]
    remove_orphans: bool,
    /// Number of containers of a service, over the file's
    #[arg(long, value_name = "SERVICE=NUM", value_parser = up::parse_scale)]
    scale: Vec<(String, u32)>,
    /// When to pull images; naru does not pull yet, so `always` and `build` are refused
    #[arg(long, value_name = "POLICY", default_value = "policy", value_parser = up::parse_pull)]
    pull: String,
    /// Pull without progress
    #[arg(long)]
    quiet_pull: bool,
    /// Don't build an image, even if it's missing
    #[arg(long)]
    no_build: bool,
    /// Assume "yes"; naru does not ask
    #[arg(short, long)]
    yes: bool,
}

/// Runs the command.
pub(crate) fn run(args: &Args, settings: &Settings, printer: &Printer) -> Result<u8, CommandError> {
    let loaded = up::load(&args.services, settings, printer)?;
    let scaled = args.scale.iter().map(|(service, _count)| service);
    up::check_names(args.services.iter().chain(scaled), &loaded)?;
    let defaults = up::defaults(&loaded, settings);
    let request = protocol::Up {
        services: args.services.clone(),
        force_recreate: args.force_recreate,
        no_recreate: args.no_recreate,
        remove_orphans: args.remove_orphans || defaults.remove_orphans,
        scale: args.scale.iter().cloned().collect(),
        no_start: true,
        ..defaults
    };
    up::detached(&loaded, request, settings, printer)
}
