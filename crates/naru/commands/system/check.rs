//! `naru system check`.

use naru_supervisor::check::{self, Finding};
use serde::Serialize;

use crate::error::{Blame, CommandError};
use crate::settings::Settings;
use crate::ui::{Printer, Table};

/// How the findings are told.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Set right what can be: records are written again or set aside in NARU_ROOT/damaged, what nothing owns is removed;
    /// the content of volumes is never touched
    #[arg(long)]
    repair: bool,
    /// Format the output: table or json (one object a line)
    #[arg(long, value_name = "FORMAT", default_value = "table", value_parser = ["table", "json"])]
    format: String,
}

/// A finding as `--format json` prints it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Row {
    kind: &'static str,
    object: String,
    project: Option<String>,
    problem: String,
    /// What was done about it.
    repair: Option<String>,
    repaired: bool,
}

/// Runs the command.
pub(crate) fn run(args: &Args, settings: &Settings, printer: &Printer) -> Result<u8, CommandError> {
    settings.no_dry_run("system check")?;
    let findings = check::check(&settings.directories).host("check this root")?;
    let rows: Vec<_> = findings.iter().map(|finding| row(finding, args.repair, settings)).collect();
    let is_left = rows.iter().any(|row| !row.repaired);
    if args.format == "json" {
        for row in &rows {
            printer.data_line(&serde_json::to_string(row).fault("print the findings")?)?;
        }
        return Ok(u8::from(is_left));
    }
    if rows.is_empty() {
        printer.say("nothing is wrong");
        return Ok(0);
    }
    let mut table = Table::new(&["KIND", "OBJECT", "PROBLEM", "REPAIR"]);
    for Row { kind, object, problem, repair, .. } in rows {
        table.row(vec![kind.to_owned(), object, problem, repair.unwrap_or_default()]);
    }
    printer.data(&table.to_string())?;
    if !args.repair {
        printer.hint(
            "`naru system check --repair` sets right what can be, and touches no volume's content",
        );
    }
    Ok(u8::from(is_left))
}

fn row(finding: &Finding, repairs: bool, settings: &Settings) -> Row {
    let done = repairs.then(|| check::repair(&settings.directories, finding));
    let repaired = done.as_ref().is_some_and(Result::is_ok);
    let text = |done: std::io::Result<String>| match done {
        Ok(done) => done,
        Err(error) => format!("not repaired: {error}"),
    };
    Row {
        kind: finding.kind,
        object: finding.object.clone(),
        project: finding.project.as_ref().map(ToString::to_string),
        problem: finding.problem.clone(),
        repair: done.map(text),
        repaired,
    }
}
