//! `naru ls`.

use std::collections::BTreeMap;

use naru_state::record::{self, Phase};
use naru_state::{ProjectName, atomic};
use naru_supervisor::observe::{self, Seen};
use serde::Serialize;

use super::status;
use crate::conversation::revive;
use crate::error::{Blame, CommandError};
use crate::settings::Settings;
use crate::ui::{Printer, Table};

/// List running projects
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Show all projects, stopped ones too
    #[arg(short, long)]
    all: bool,
    /// Only project names
    #[arg(short, long)]
    quiet: bool,
    /// Format the output: table or json
    #[arg(long, value_name = "FORMAT", default_value = "table", value_parser = ["table", "json"])]
    format: String,
    /// Filter by name: name=PATTERN
    #[arg(long, value_name = "FILTER")]
    filter: Vec<String>,
}

/// A project as `--format json` prints it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Row {
    name: String,
    status: String,
    config_files: String,
}

/// Runs the command.
pub(crate) fn run(args: &Args, settings: &Settings, printer: &Printer) -> Result<u8, CommandError> {
    let patterns = patterns(&args.filter)?;
    let mut rows = Vec::new();
    for name in observe::projects(&settings.directories).host("list the projects")? {
        if patterns.is_empty() || patterns.iter().any(|pattern| name.as_str().contains(pattern)) {
            revive(&settings.directories, &name, printer);
            rows.extend(row(&name, args.all, settings)?);
        }
    }
    if args.quiet {
        rows.iter().try_for_each(|row| printer.data_line(&row.name))?;
    } else if args.format == "json" {
        printer.data_line(&serde_json::to_string(&rows).fault("print the projects")?)?;
    } else {
        let mut table = Table::new(&["NAME", "STATUS", "CONFIG FILES"]);
        rows.into_iter().for_each(|row| table.row(vec![row.name, row.status, row.config_files]));
        printer.data(&table.to_string())?;
    }
    Ok(0)
}

fn patterns(filters: &[String]) -> Result<Vec<&str>, CommandError> {
    let name =
        |filter: &'_ String| filter.split_once('=').filter(|(key, _)| *key == "name").is_some();
    match filters.iter().find(|filter| !name(filter)) {
        Some(filter) => Err(CommandError::user(format!(
            "the filter {filter:?} is not possible: only name=PATTERN is"
        ))),
        None => Ok(filters
            .iter()
            .filter_map(|filter| filter.split_once('='))
            .map(|(_, value)| value)
            .collect()),
    }
}

/// The project's row; none when nothing of it runs, unless `all`.
fn row(name: &ProjectName, all: bool, settings: &Settings) -> Result<Option<Row>, CommandError> {
    let directories = settings.directories.project(name);
    let doing = format!("look at project {name}");
    let containers = observe::containers(&directories).host(&doing)?;
    if containers.is_empty() || !(all || containers.iter().any(is_running)) {
        return Ok(None);
    }
    let project: Option<record::Project> =
        atomic::load(&directories.project_file()).host(&doing)?;
    let config_files = project.map_or(String::new(), |project| project.compose_files.join(","));
    Ok(Some(Row { name: name.to_string(), status: summary(&containers), config_files }))
}

fn is_running(seen: &Seen) -> bool {
    matches!(seen.state.phase, Phase::Running | Phase::Restarting)
}

/// `exited(1), running(2)`.
fn summary(containers: &[Seen]) -> String {
    let mut counts = BTreeMap::<&str, usize>::new();
    for seen in containers {
        *counts.entry(status::word(seen.state.phase)).or_default() += 1;
    }
    let parts: Vec<_> = counts.iter().map(|(word, count)| format!("{word}({count})")).collect();
    parts.join(", ")
}
