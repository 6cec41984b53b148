//! `naru ps`.

use naru_state::record::{Phase, now_ns};
use naru_supervisor::network::shared;
use naru_supervisor::observe::{self, Seen};
use serde::Serialize;

use super::{labels, services, status, zombies};
use crate::conversation::revive;
use crate::error::{Blame, CommandError};
use crate::settings::{Settings, Target};
use crate::time;
use crate::ui::{self, Printer, Table};

/// List containers
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Services (default: all)
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// Show all containers, stopped ones too
    #[arg(short, long)]
    all: bool,
    /// Only container ids
    #[arg(short, long)]
    quiet: bool,
    /// Only the names of services
    #[arg(long = "services")]
    only_services: bool,
    /// Format the output: table or json (one object a line)
    #[arg(long, value_name = "FORMAT", default_value = "table", value_parser = ["table", "json"])]
    format: String,
    /// Filter by status: created, restarting, running, exited
    #[arg(long, value_name = "STATUS", value_parser = ["created", "restarting", "running", "exited", "paused", "dead", "removing"])]
    status: Vec<String>,
    /// Filter by a property: status=STATUS
    #[arg(long, value_name = "FILTER")]
    filter: Option<String>,
    /// Don't cut commands and ids
    #[arg(long)]
    no_trunc: bool,
    /// Include containers of services that are not in the Compose file
    #[arg(long, value_name = "BOOL", default_value_t = true, num_args = 0..=1, default_missing_value = "true", require_equals = true, action = clap::ArgAction::Set)]
    orphans: bool,
}

/// A container as `--format json` prints it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Row {
    command: String,
    created_at: String,
    exit_code: i32,
    health: &'static str,
    #[serde(rename = "ID")]
    id: String,
    image: String,
    labels: String,
    local_volumes: String,
    mounts: String,
    name: String,
    names: String,
    networks: String,
    ports: String,
    project: String,
    publishers: Vec<status::Publisher>,
    running_for: String,
    service: String,
    size: &'static str,
    state: &'static str,
    status: String,
}

/// Runs the command.
pub(crate) fn run(args: &Args, settings: &Settings, printer: &Printer) -> Result<u8, CommandError> {
    let states = states(args)?;
    let target = settings.target(&args.services)?;
    services::check(&args.services, &target)?;
    revive(&settings.directories, &target.name, printer);
    let containers = observe::containers(&target.directories)
        .host(format!("look at project {}", target.name))?;
    warn_of_damage(&target, printer);
    warn_of_clashes(&target, printer);
    warn_of_networks(&target, settings, printer);
    let selected = |seen: &&Seen| is_selected(seen, args, &states, &target);
    let containers: Vec<&Seen> = containers.iter().filter(selected).collect();
    let now = now_ns();
    let project = labels::Project::of(&target);
    let rows = containers.iter().map(|seen| row(seen, &project, args.no_trunc, now));
    if args.quiet {
        // Ids as docker compose prints them here: whole.
        return lines(printer, containers.iter().map(|seen| seen.record.id.to_string()));
    }
    if args.only_services {
        let names = containers.iter().map(|seen| seen.record.service.clone());
        return lines(printer, names.collect::<std::collections::BTreeSet<_>>());
    }
    if args.format == "json" {
        let objects: Result<Vec<_>, _> = rows.map(|row| serde_json::to_string(&row)).collect();
        return lines(printer, objects.fault("print the containers")?);
    }
    let mut table =
        Table::new(&["NAME", "IMAGE", "COMMAND", "SERVICE", "CREATED", "STATUS", "PORTS"]);
    for row in rows {
        let Row { name, image, command, service, running_for, status, ports, .. } = row;
        table.row(vec![name, image, command, service, running_for, status, ports]);
    }
    printer.data(&table.to_string())?;
    for seen in containers {
        if let Some(text) = zombies::note(seen) {
            printer.say(&text);
        }
    }
    Ok(0)
}

/// A container that cannot be listed is told of.
fn warn_of_damage(target: &Target, printer: &Printer) {
    for id in observe::damaged(&target.directories).unwrap_or_default() {
        printer.say(&format!(
            "Warning: the record of container {} is damaged; `naru system check --repair` sets that right",
            id.short()
        ));
    }
}

/// Routes that came after the project's networks and lie over their addresses.
fn warn_of_clashes(target: &Target, printer: &Printer) {
    // What cannot be read is told elsewhere.
    let networks = naru_state::atomic::load(&target.directories.networks_file());
    let Ok(Some(networks)) = networks else { return };
    for clash in naru_supervisor::network::clashes(&networks) {
        printer.say(&format!("Warning: {clash}"));
    }
}

/// A network that is gone and does not come back: the supervisor makes it again within a second where it can.
fn warn_of_networks(target: &Target, settings: &Settings, printer: &Printer) {
    for network in shared::broken(&settings.directories, &target.name).unwrap_or_default() {
        printer.say(&format!(
            "Warning: interface {} of network {} is gone: its containers reach nobody; `naru up` makes it again",
            network.bridge, network.name
        ));
    }
}

fn lines(printer: &Printer, lines: impl IntoIterator<Item = String>) -> Result<u8, CommandError> {
    let text: String = lines.into_iter().map(|line| line + "\n").collect();
    printer.data(&text)?;
    Ok(0)
}

/// The states asked for by `--status` and `--filter status=…`.
fn states(args: &Args) -> Result<Vec<String>, CommandError> {
    let mut states = args.status.clone();
    match args.filter.as_deref().map(|filter| (filter, filter.split_once('='))) {
        None => {}
        Some((_, Some(("status", state)))) => states.push(state.to_owned()),
        Some((filter, _)) => {
            let text = format!("the filter {filter:?} is not possible: only status=STATUS is");
            return Err(CommandError::user(text));
        }
    }
    Ok(states)
}

fn is_selected(seen: &Seen, args: &Args, states: &[String], target: &Target) -> bool {
    let service = &seen.record.service;
    let in_file = || {
        let project = target.loaded.as_ref().map(|loaded| &loaded.project);
        project.is_none_or(|project| project.services.contains_key(service))
    };
    let in_state = match states {
        [] => args.all || matches!(seen.state.phase, Phase::Running | Phase::Restarting),
        states => states.iter().any(|state| state == status::word(seen.state.phase)),
    };
    in_state
        && (args.all || !seen.record.is_one_off())
        && (args.services.is_empty() || args.services.contains(service))
        && (args.orphans || in_file())
}

fn row(seen: &Seen, project: &labels::Project, whole: bool, now_ns: u64) -> Row {
    let Seen { record, state } = seen;
    let publishers = status::publishers(&record.ports);
    let labels = project.labels(record);
    let labels: Vec<_> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let project = project.name();
    let networks: Vec<_> = record
        .attachments
        .iter()
        .map(|attachment| format!("{project}_{}", attachment.network))
        .collect();
    let mounts: Vec<_> = record.volumes.values().cloned().collect();
    let created = ui::duration(status::elapsed(record.created_ns, now_ns));
    Row {
        command: status::command(&record.command, whole),
        created_at: time::date(record.created_ns),
        exit_code: exit_code(state),
        health: status::health(state),
        id: if whole { record.id.to_string() } else { record.id.short().to_owned() },
        image: record.image.clone(),
        labels: labels.join(","),
        local_volumes: mounts.len().to_string(),
        mounts: mounts.join(","),
        name: record.name.clone(),
        names: record.name.clone(),
        networks: networks.join(","),
        ports: status::ports(&publishers),
        project: project.to_owned(),
        publishers,
        running_for: format!("{created} ago"),
        service: record.service.clone(),
        size: "0B",
        state: status::word(state.phase),
        status: status::sentence(state, now_ns),
    }
}

/// The code of the last run; an unknown one is -1, which is no success. 0 while it runs, as in Docker.
fn exit_code(state: &naru_state::record::State) -> i32 {
    match (state.phase, &state.exit) {
        (Phase::Running | Phase::Created, _) | (_, None) => 0,
        (_, Some(exit)) => exit.code.map_or(-1, i32::from),
    }
}
