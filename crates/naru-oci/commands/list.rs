//! `list`: all containers of the root.

use std::collections::BTreeMap;

use naru_runtime::store::{Container, Status, Store};
use serde::Serialize;

use crate::ui::{self, Ui};

/// List containers.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A table for people, or JSON
    #[arg(short, long, value_enum, default_value = "table")]
    format: Format,
    /// Only names
    #[arg(short, long)]
    quiet: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Table,
    Json,
}

/// One container, with the fields of runc's list.
#[derive(Debug, Serialize)]
struct Entry<'a> {
    #[serde(rename = "ociVersion")]
    oci_version: &'a str,
    id: &'a str,
    pid: i32,
    status: Status,
    bundle: String,
    rootfs: String,
    created: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<&'a String, &'a String>,
    owner: String,
}

pub(crate) fn run(args: &Args, store: &Store, ui: &Ui) -> anyhow::Result<u8> {
    let (containers, unreadable) = store.list()?;
    unreadable.into_iter().for_each(|error| ui.error(&error.into()));
    if args.quiet {
        for container in &containers {
            ui::print(&format!("{}\n", container.id()));
        }
        return Ok(0);
    }
    let entries: Vec<Entry<'_>> = containers.iter().map(entry).collect::<Result<_, _>>()?;
    match args.format {
        Format::Json => ui::print_json(&entries)?,
        Format::Table => print_table(&entries),
    }
    Ok(0)
}

fn entry(container: &Container) -> anyhow::Result<Entry<'_>> {
    let record = container.record();
    Ok(Entry {
        oci_version: record.config.version(),
        id: &record.id,
        pid: container.pid()?,
        status: container.status()?,
        bundle: record.bundle.display().to_string(),
        rootfs: record.rootfs.display().to_string(),
        created: ui::time(record.created),
        annotations: super::state::annotations(container),
        owner: "root".to_owned(),
    })
}

fn print_table(entries: &[Entry<'_>]) {
    let header = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    for entry in entries {
        rows.push(vec![
            entry.id.to_owned(),
            entry.pid.to_string(),
            entry.status.to_string(),
            entry.bundle.clone(),
            entry.created.clone(),
            entry.owner.clone(),
        ]);
    }
    ui::print_table(&rows);
}
