//! `naru up`.

mod attached;
pub(crate) mod evidence;
mod foreground;
mod guilty;
pub(crate) mod result;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use naru_compose::Loaded;
use naru_compose::project::Service;
use naru_supervisor::logging;
use naru_supervisor::protocol::{self, Request};

use crate::conversation::{connect_or_start, exchange, explain};
use crate::error::{CommandError, INTERRUPTED};
use crate::settings::Settings;
use crate::ui::Printer;
use crate::variables::is_yes;

/// Create and start containers
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Services (default: all)
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// Run containers in the background
    #[arg(short, long, conflicts_with_all = ["attach", "attach_dependencies", "abort_on_container_exit", "abort_on_container_failure"])]
    detach: bool,
    /// Wait for services to be running or healthy; implies --detach
    #[arg(long, conflicts_with_all = ["attach", "attach_dependencies", "abort_on_container_exit"])]
    wait: bool,
    /// Don't start the services after creating them
    #[arg(long, conflicts_with_all = ["wait", "exit_code_from", "abort_on_container_exit", "abort_on_container_failure"])]
    no_start: bool,
    /// Where ports are published: as the Compose file says, or each at any free one
    #[arg(long, value_name = "WHERE", default_value = "file", value_parser = ["file", "auto"])]
    ports: String,
    /// Seconds to wait at most
    #[arg(long, value_name = "SECONDS")]
    wait_timeout: Option<u64>,
    /// Recreate containers even if their configuration and image haven't changed
    #[arg(long, conflicts_with = "no_recreate")]
    force_recreate: bool,
    /// If containers already exist, don't recreate them
    #[arg(long)]
    no_recreate: bool,
    /// Don't start dependencies
    #[arg(long)]
    no_deps: bool,
    /// Recreate dependencies too
    #[arg(long, conflicts_with = "no_recreate")]
    always_recreate_deps: bool,
    /// Recreate anonymous volumes instead of taking over their data
    #[arg(short = 'V', long, conflicts_with = "no_recreate")]
    renew_anon_volumes: bool,
    /// Remove containers of services that are not in the Compose file
    #[arg(long)]
    remove_orphans: bool,
    /// Number of containers of a service, over the file's
    #[arg(long, value_name = "SERVICE=NUM", value_parser = parse_scale)]
    scale: Vec<(String, u32)>,
    /// Seconds until running containers are killed when they are replaced or stopped
    #[arg(short, long, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// Show timestamps
    #[arg(long)]
    timestamps: bool,
    /// Don't print prefix in logs
    #[arg(long)]
    no_log_prefix: bool,
    /// Produce monochrome output
    #[arg(long)]
    no_color: bool,
    /// Show the output of these services only
    #[arg(long, value_name = "SERVICE", conflicts_with = "attach_dependencies")]
    attach: Vec<String>,
    /// Don't show the output of these services
    #[arg(long, value_name = "SERVICE")]
    no_attach: Vec<String>,
    /// Show the output of dependencies too
    #[arg(long)]
    attach_dependencies: bool,
    /// Stop all containers as soon as one exits
    #[arg(long, conflicts_with = "abort_on_container_failure")]
    abort_on_container_exit: bool,
    /// Stop all containers as soon as one exits with a failure
    #[arg(long)]
    abort_on_container_failure: bool,
    /// Return the exit code of this service's container; implies --abort-on-container-exit
    #[arg(long, value_name = "SERVICE", conflicts_with_all = ["detach", "wait"])]
    exit_code_from: Option<String>,
    /// When to pull images; naru does not pull yet, so `always` and `build` are refused
    #[arg(long, value_name = "POLICY", default_value = "policy", value_parser = parse_pull)]
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
    /// Print what has come of it as one JSON document on stdout; all other output goes to stderr
    #[arg(long, conflicts_with = "no_start")]
    json: bool,
}

pub(crate) fn parse_scale(text: &str) -> Result<(String, u32), String> {
    let parts = text.split_once('=');
    let parsed = parts.and_then(|(service, count)| Some((service.to_owned(), count.parse().ok()?)));
    parsed.ok_or_else(|| "it must be SERVICE=NUM".to_owned())
}

pub(crate) fn parse_pull(text: &str) -> Result<String, String> {
    match text {
        "policy" | "missing" | "never" => Ok(text.to_owned()),
        "always" | "build" => Err("naru cannot pull or build images yet".to_owned()),
        _ => Err("it must be policy, missing or never".to_owned()),
    }
}

/// Runs the command.
pub(crate) fn run(args: &Args, settings: &Settings, printer: &Printer) -> Result<u8, CommandError> {
    let began = Instant::now();
    let outcome = bring_up(args, settings, printer);
    if args.json {
        result::print(&outcome, began.elapsed(), &args.services, (settings, printer))?;
    }
    outcome
}

fn bring_up(args: &Args, settings: &Settings, printer: &Printer) -> Result<u8, CommandError> {
    let loaded = load(&args.services, settings, printer)?;
    let scaled = args.scale.iter().map(|(service, _count)| service);
    let named = args.services.iter().chain(scaled).chain(&args.attach).chain(&args.no_attach);
    check_names(named.chain(&args.exit_code_from), &loaded)?;
    let request = request(args, &loaded, settings);
    if args.detach || args.wait || args.no_start || settings.is_dry_run() {
        return detached(&loaded, request, settings, printer);
    }
    possible(&loaded, &args.services, settings)?;
    let target = settings.named(&loaded.project.name, None)?;
    let client = connect_or_start(&settings.directories, &target.name)?;
    let session = foreground::Session { args, loaded: &loaded, target: &target, printer };
    let code = session.run(client, &Request::Up(Box::new(request)))?;
    if !matches!(code, 0 | INTERRUPTED) {
        guilty::tell(code, &session, settings)?;
    }
    Ok(code)
}

/// Loads the project and shows what there is to say about its files.
///
/// # Errors
/// With everything that is wrong in them.
pub(crate) fn load(
    services: &[String],
    settings: &Settings,
    printer: &Printer,
) -> Result<Loaded, CommandError> {
    let loaded = settings.load(services)?;
    loaded.warnings.iter().chain(&loaded.notes()).for_each(|problem| {
        printer.problem(&problem.to_string());
    });
    Ok(loaded)
}

/// Refuses names of services that the file does not have, and a file without any.
///
/// # Errors
/// With the first such name.
pub(crate) fn check_names<'a>(
    mut named: impl Iterator<Item = &'a String>,
    loaded: &Loaded,
) -> Result<(), CommandError> {
    let services = &loaded.project.services;
    if let Some(name) = named.find(|&name| !services.contains_key(name)) {
        return Err(CommandError::user(format!("no such service: {name}")));
    }
    match services.is_empty() {
        true => Err(CommandError::user("no service selected")),
        false => Ok(()),
    }
}

/// Brings the project up (or shows the plan of that) and comes back when it is done.
///
/// # Errors
/// When it cannot be; the last words of who is guilty are shown first.
pub(crate) fn detached(
    loaded: &Loaded,
    up: protocol::Up,
    settings: &Settings,
    printer: &Printer,
) -> Result<u8, CommandError> {
    possible(loaded, &up.services, settings)?;
    let target = settings.named(&loaded.project.name, None)?;
    let client = connect_or_start(&settings.directories, &target.name)?;
    let doing = format!("bring up project {}", target.name);
    let request = settings.wanted(Request::Up(Box::new(up)));
    match exchange(printer, client, &request, &doing)? {
        Ok(()) => Ok(0),
        Err(failure) => {
            evidence::show(&failure, &target, &BTreeSet::new(), printer)?;
            Err(explain(failure, Some(loaded), &doing))
        }
    }
}

/// What makes `up` of these services impossible, all of it at once.
///
/// # Errors
/// With all of it.
pub(crate) fn possible(
    loaded: &Loaded,
    services: &[String],
    settings: &Settings,
) -> Result<(), CommandError> {
    let refusals = loaded.refusals(services);
    if !refusals.is_empty() {
        return Err(CommandError::problems(&refusals));
    }
    if let Some(failure) = without_journal(loaded, services) {
        return Err(explain(failure, Some(loaded), "bring up the project"));
    }
    if !settings.is_root {
        let text =
            "cannot bring containers up without root: running as an ordinary user is not there yet";
        return Err(CommandError::user(text).hint(
            "run it with sudo; once naru runs without root, its files will be under \
             ~/.local/share/naru instead of /var/lib/naru",
        ));
    }
    Ok(())
}

/// A service whose output is to go to systemd's journal, on a machine that has none.
fn without_journal(loaded: &Loaded, services: &[String]) -> Option<protocol::Failure> {
    if Path::new(logging::JOURNAL).exists() {
        return None;
    }
    let is_meant = |name: &String| services.is_empty() || services.contains(name);
    let all = loaded.project.services.iter().filter(|(name, _)| is_meant(name));
    let uses = |service: &Service| {
        service.logging.as_ref().is_some_and(|logging| logging.driver == "journald")
    };
    let (name, _) = all.into_iter().find(|(_, service)| uses(service))?;
    let message = format!(
        "the logging driver `journald` needs systemd's journal, and {} is not there",
        logging::JOURNAL
    );
    let failure = protocol::Failure { message, ..protocol::Failure::default() };
    Some(failure.at(format!("services.{name}.logging.driver")))
}

/// An `up` of the whole project without any flag.
pub(crate) fn defaults(loaded: &Loaded, settings: &Settings) -> protocol::Up {
    protocol::Up {
        project: loaded.project.clone(),
        remove_orphans: is_set(loaded, "COMPOSE_REMOVE_ORPHANS"),
        ignore_orphans: is_set(loaded, "COMPOSE_IGNORE_ORPHANS"),
        caller: settings.caller(),
        ..protocol::Up::default()
    }
}

fn request(args: &Args, loaded: &Loaded, settings: &Settings) -> protocol::Up {
    let defaults = defaults(loaded, settings);
    protocol::Up {
        services: args.services.clone(),
        force_recreate: args.force_recreate || args.renew_anon_volumes,
        no_recreate: args.no_recreate,
        no_deps: args.no_deps,
        always_recreate_deps: args.always_recreate_deps,
        renew_anon_volumes: args.renew_anon_volumes,
        remove_orphans: args.remove_orphans || defaults.remove_orphans,
        scale: args.scale.iter().cloned().collect(),
        no_start: args.no_start,
        auto_ports: args.ports == "auto",
        wait: args.wait,
        wait_timeout: args.wait_timeout.map(Duration::from_secs),
        stop_timeout: args.timeout.map(Duration::from_secs),
        ..defaults
    }
}

/// Whether a variable of the environment or of `.env` says yes.
fn is_set(loaded: &Loaded, variable: &str) -> bool {
    loaded.environment.get(variable).is_some_and(|value| is_yes(value))
}
