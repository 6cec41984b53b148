//! `naru analyze`: where the time of the last `up` went.

mod svg;

use std::collections::BTreeMap;
use std::path::PathBuf;

use fs_err as fs;
use naru_plan::timeline::{Span, Timeline, What};
use naru_state::atomic;
use serde::Serialize;

use crate::error::{Blame, CommandError};
use crate::settings::Settings;
use crate::time;
use crate::ui::{Printer, Table, metadata};

/// Show where the time of the last `up` went: each container's steps, and the chain that determined the whole
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Output all times as JSON
    #[arg(long)]
    json: bool,
    /// Draw the timeline into this file
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Analysis<'a> {
    #[serde(flatten)]
    timeline: &'a Timeline,
    /// The ids of the chain's spans, first to last.
    critical_path: Vec<u32>,
}

/// Runs the command.
pub(crate) fn run(args: &Args, settings: &Settings, printer: &Printer) -> Result<u8, CommandError> {
    settings.no_dry_run("analyze")?;
    let target = settings.target(&[])?;
    let name = &target.name;
    let timeline: Option<Timeline> = atomic::load(&target.directories.timeline_file())
        .host(format!("read the times of project {name}"))?;
    let timeline = timeline.ok_or_else(|| {
        CommandError::user(format!("nothing is known of an `up` of project {name}"))
            .hint("`naru up -d` does something, and this command tells how long each step took")
    })?;
    if let Some(path) = &args.svg {
        let drawn = svg::draw(name.as_str(), &timeline);
        fs::write(path, drawn).host(format!("draw {}", path.display()))?;
    }
    if args.json {
        let critical_path = timeline.critical_path().iter().map(|span| span.id).collect();
        let analysis = Analysis { timeline: &timeline, critical_path };
        let text = serde_json::to_string(&analysis).fault("print the times")?;
        printer.data_line(&text)?;
    } else if args.svg.is_none() {
        printer.data(&text(name.as_str(), &timeline))?;
    }
    Ok(0)
}

/// `12.3 ms`.
fn length(us: u64) -> String {
    match us {
        0..1_000_000 => format!("{}.{} ms", us / 1000, us % 1000 / 100),
        _ => format!("{}.{:03} s", us / 1_000_000, us % 1_000_000 / 1000),
    }
}

fn text(project: &str, timeline: &Timeline) -> String {
    let (took, began) = (length(timeline.took_us), time::local_micro(timeline.began_ns));
    let how = if timeline.failed { "failed after" } else { "took" };
    let mut text =
        format!("up of project {project} at {began} {how} {took}\n\n{}", table(timeline));
    text += "\nWhat determined that:\n";
    let mut ended = 0;
    for span in timeline.critical_path() {
        let waited = span.begin_us.saturating_sub(ended);
        let gap = if waited >= 1000 {
            format!(" (after {} of nothing)", length(waited))
        } else {
            String::new()
        };
        text += &format!(
            "  +{:<10} {:<10} {}{gap}\n",
            length(span.begin_us),
            length(span.took_us()),
            words(span)
        );
        ended = span.end_us;
    }
    text
}

/// `container shop-web-1 start`.
fn words(span: &Span) -> String {
    let name = metadata(&span.name);
    let failed = if span.failed { ", failed" } else { "" };
    match (span.what, &span.service) {
        (What::Ready, _) => format!("container {name} becomes ready{failed}"),
        (what, Some(_)) => format!("container {name} {}{failed}", what.word()),
        (what, None) => format!("{name} {}{failed}", what.word()),
    }
}

/// A row for each container that something was done to.
fn table(timeline: &Timeline) -> Table {
    let mut rows = BTreeMap::<&str, Vec<&Span>>::new();
    for span in timeline.spans.iter().filter(|span| span.service.is_some()) {
        rows.entry(&span.name).or_default().push(span);
    }
    let mut table = Table::new(&[
        "CONTAINER",
        "CREATE",
        "START",
        "IMAGE",
        "FILES",
        "NETWORK",
        "PROCESS",
        "READY",
        "WAITED FOR",
    ]);
    for (name, spans) in rows {
        let of = |what| spans.iter().find(|span| span.what == what);
        let took = |what| of(what).map(|span| length(span.took_us())).unwrap_or_default();
        let start = of(What::Start);
        let part = |name: &str| {
            let parts = start.iter().flat_map(|start| &start.parts);
            let us: u64 = parts
                .filter(|part| part.name == name)
                .map(|part| part.end_us.saturating_sub(part.begin_us))
                .sum();
            if us == 0 { String::new() } else { length(us) }
        };
        // Its own creation says nothing.
        let waited = start.and_then(|start| timeline.waited_for(start));
        let waited = waited.filter(|span| span.name != *name).map(words);
        table.row(vec![
            name.to_owned(),
            took(What::Create),
            took(What::Start),
            part("image"),
            part("files"),
            part("network"),
            part("process"),
            took(What::Ready),
            waited.unwrap_or_default(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_in_milliseconds_below_a_second() {
        assert_eq!(length(0), "0.0 ms");
        assert_eq!(length(12_345), "12.3 ms");
        assert_eq!(length(1_204_000), "1.204 s");
    }
}
