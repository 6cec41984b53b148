//! `naru image ls`.

use naru_image::{Image, Reference, Store};
use naru_state::record::now_ns;
use serde::Serialize;

use crate::commands::status::elapsed;
use crate::error::{Blame, CommandError};
use crate::time;
use crate::ui::{self, Printer, Table};

/// List images
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only images of this name
    #[arg(value_name = "NAME[:TAG]")]
    name: Option<String>,
    /// Only ids
    #[arg(short, long)]
    quiet: bool,
    /// Format the output: table or json (one object a line)
    #[arg(long, value_name = "FORMAT", default_value = "table", value_parser = ["table", "json"])]
    format: String,
    /// Don't cut ids
    #[arg(long)]
    no_trunc: bool,
}

/// A name of an image as `--format json` prints it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Row {
    created_at: String,
    created_since: String,
    digest: String,
    #[serde(rename = "ID")]
    id: String,
    repository: String,
    size: String,
    tag: String,
}

/// Runs the command.
pub(super) fn run(args: &Args, store: &Store, printer: &Printer) -> Result<u8, CommandError> {
    let images = store.list().host("list the images")?;
    let now = now_ns();
    let mut rows: Vec<Row> = images.iter().flat_map(|image| rows(image, args, now)).collect();
    if args.quiet {
        rows.dedup_by(|a, b| a.id == b.id);
        rows.iter().try_for_each(|row| printer.data_line(&row.id))?;
    } else if args.format == "json" {
        for row in rows {
            printer.data_line(&serde_json::to_string(&row).fault("print the images")?)?;
        }
    } else {
        let mut table = Table::new(&["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"]);
        for Row { repository, tag, id, created_since, size, .. } in rows {
            table.row(vec![repository, tag, id, created_since, size]);
        }
        printer.data(&table.to_string())?;
    }
    Ok(0)
}

/// A row for each name of the image, or one when it has none.
fn rows(image: &Image, args: &Args, now_ns: u64) -> Vec<Row> {
    let none = || "<none>".to_owned();
    let created = image.created.as_deref().and_then(|text| time::parse(text, now_ns).ok());
    let row = |repository: String, tag: String| Row {
        created_at: created.map_or_else(String::new, time::date),
        created_since: created.map_or_else(
            || "N/A".to_owned(),
            |created| format!("{} ago", ui::duration(elapsed(created, now_ns))),
        ),
        digest: image.manifest.to_string(),
        id: if args.no_trunc { image.id.to_string() } else { image.id.short() },
        repository,
        size: ui::bytes(image.size),
        tag,
    };
    let wanted = |name: &&Reference| args.name.as_deref().is_none_or(|wanted| is(name, wanted));
    if image.names.is_empty() && args.name.is_none() {
        return vec![row(none(), none())];
    }
    let tag = |name: &Reference| name.tag().map_or_else(none, str::to_owned);
    image.names.iter().filter(wanted).map(|name| row(name.familiar_name(), tag(name))).collect()
}

/// Whether `wanted` is the name, with or without its tag.
fn is(name: &Reference, wanted: &str) -> bool {
    let Ok(reference) = wanted.parse::<Reference>() else { return false };
    let has_tag = wanted.rsplit('/').next().is_some_and(|last| last.contains(':'));
    reference.familiar_name() == name.familiar_name() && (!has_tag || reference.tag() == name.tag())
}
