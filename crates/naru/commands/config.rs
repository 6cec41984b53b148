//! `naru config`: the project as naru understands it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use fs_err as fs;
use naru_compose::Loaded;
use naru_compose::project::Dollar;

use super::{diagnostics, explain};
use crate::error::{Blame, CommandError};
use crate::settings::Settings;
use crate::ui::Printer;

/// Parse, resolve and render the Compose file in canonical form
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Services (default: all)
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// Format the output: yaml or json
    #[arg(long, value_name = "FORMAT", default_value = "yaml", value_parser = ["yaml", "json"])]
    format: String,
    /// Only the names of services
    #[arg(long = "services", group = "what")]
    only_services: bool,
    /// Only the names of volumes
    #[arg(long, group = "what")]
    volumes: bool,
    /// Only the names of networks
    #[arg(long, group = "what")]
    networks: bool,
    /// Only the names of images
    #[arg(long, group = "what")]
    images: bool,
    /// Only the names of profiles
    #[arg(long, group = "what")]
    profiles: bool,
    /// The environment used for interpolation
    #[arg(long, group = "what")]
    environment: bool,
    /// The configuration hash of services, separated by commas, or of all with '*'
    #[arg(long, value_name = "SERVICE", group = "what")]
    hash: Option<String>,
    /// Tell problems, warnings included, as text or json; json takes the place of the output
    #[arg(long, value_name = "FORM", value_enum, default_value = "text")]
    diagnostics: diagnostics::Form,
    /// Where a value comes from: which file and line won, and what lost; json with --format json
    #[arg(long, value_name = "PATH", group = "what")]
    explain: Option<String>,
    /// Only check, print nothing
    #[arg(short, long)]
    quiet: bool,
    /// Save to a file instead of stdout
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Runs the command.
pub(crate) fn run(args: &Args, settings: &Settings, printer: &Printer) -> Result<u8, CommandError> {
    if let Some(path) = &args.explain {
        return explain::run(path, args.format == "json", settings, printer);
    }
    if args.diagnostics == diagnostics::Form::Json {
        return diagnostics::run(&args.services, settings, printer);
    }
    let mut loaded = match settings.read(&args.services) {
        Err(problems) if args.format == "json" && !args.quiet => {
            return Err(diagnostics::on_stdout(problems, printer)?);
        }
        result => result.map_err(CommandError::config)?,
    };
    loaded.warnings.iter().for_each(|problem| printer.problem(&problem.to_string()));
    select(&mut loaded, &args.services)?;
    let text = match &args.hash {
        Some(services) => hashes(services, &loaded)?,
        None => text(args, &loaded),
    };
    match &args.output {
        _ if args.quiet => {}
        Some(path) => fs::write(path, text).host("save the configuration")?,
        None => printer.data(&text)?,
    }
    Ok(0)
}

/// Leaves only the services named on the command line and what they depend on.
fn select(loaded: &mut Loaded, services: &[String]) -> Result<(), CommandError> {
    if services.is_empty() {
        return Ok(());
    }
    let all = &mut loaded.project.services;
    let mut wanted = BTreeSet::new();
    let mut open: Vec<String> = services.to_vec();
    while let Some(name) = open.pop() {
        let Some(service) = all.get(&name) else {
            return Err(CommandError::user(format!("no such service: {name}")));
        };
        if wanted.insert(name) {
            open.extend(service.depends_on.keys().filter(|&name| all.contains_key(name)).cloned());
        }
    }
    all.retain(|name, _| wanted.contains(name));
    Ok(())
}

fn text(args: &Args, loaded: &Loaded) -> String {
    let project = &loaded.project;
    let list = |names: Vec<String>| names.iter().map(|name| format!("{name}\n")).collect();
    match args {
        Args { only_services: true, .. } => list(project.services.keys().cloned().collect()),
        Args { volumes: true, .. } => list(project.volumes.keys().cloned().collect()),
        Args { networks: true, .. } => list(project.networks.keys().cloned().collect()),
        Args { images: true, .. } => list(images(loaded)),
        Args { profiles: true, .. } => list(profiles(loaded).into_iter().collect()),
        Args { environment: true, .. } => {
            list(loaded.environment.iter().map(|(name, value)| format!("{name}={value}")).collect())
        }
        _ if args.format == "json" => project.to_json(Dollar::Doubled) + "\n",
        _ => project.to_yaml(Dollar::Doubled),
    }
}

/// `web 1a2b…` for each service.
fn hashes(services: &str, loaded: &Loaded) -> Result<String, CommandError> {
    let all = &loaded.project.services;
    let named: Vec<&str> = match services {
        "*" => all.keys().map(String::as_str).collect(),
        services => services.split(',').collect(),
    };
    let mut text = String::new();
    for name in named {
        let service = all.get(name);
        let service =
            service.ok_or_else(|| CommandError::user(format!("no such service: {name}")))?;
        text.push_str(&format!("{name} {}\n", naru_plan::hash::service(service)));
    }
    Ok(text)
}

/// The image of each service; of one that is only built, the name that its image gets.
fn images(loaded: &Loaded) -> Vec<String> {
    let name = |(name, service): (&String, &naru_compose::project::Service)| match service
        .image
        .as_str()
    {
        "" => format!("{}-{name}", loaded.project.name),
        image => image.to_owned(),
    };
    loaded.project.services.iter().map(name).collect()
}

fn profiles(loaded: &Loaded) -> BTreeSet<String> {
    let project = &loaded.project;
    let services = project.services.values().chain(project.disabled_services.values());
    services.flat_map(|service| service.profiles.iter().cloned()).collect()
}
