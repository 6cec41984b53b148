//! `naru logs`.

mod export;
mod unkept;

use std::io;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use naru_state::log::Range;
use naru_state::record::{Phase, now_ns};
use naru_supervisor::observe;

use super::services;
use crate::conversation::revive;
use crate::error::{Blame, CommandError};
use crate::follow::{Alarm, Entry, Logs, Selection};
use crate::settings::{Settings, Target};
use crate::time;
use crate::ui::{Layout, Output, Printer};

/// For how long a project must have nothing that runs until following it ends: a recreate is shorter.
const QUIET: Duration = Duration::from_secs(1);

/// View output from containers
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Services (default: all)
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// Follow log output, through restarts and recreates
    #[arg(short, long)]
    follow: bool,
    /// Number of lines to show from the end of each container's log
    #[arg(short = 'n', long, value_name = "LINES", default_value = "all")]
    tail: String,
    /// Show timestamps
    #[arg(short, long)]
    timestamps: bool,
    /// Show logs since a time (e.g. 2026-01-02T13:23:37Z) or a length of time ago (e.g. 42m)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Show logs before a time or a length of time ago
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Don't print prefix
    #[arg(long)]
    no_log_prefix: bool,
    /// Produce monochrome output
    #[arg(long)]
    no_color: bool,
    /// Print one JSON object per line, as Docker's json-file driver writes them, with container and service
    #[arg(long, conflicts_with_all = ["timestamps", "no_log_prefix", "raw"])]
    json: bool,
    /// Let a terminal obey whatever the containers have written
    #[arg(long)]
    raw: bool,
    /// Index of the container if the service has several
    #[arg(long, value_name = "N")]
    index: Option<u32>,
}

/// Runs the command.
pub(crate) fn run(args: &Args, settings: &Settings, printer: &Printer) -> Result<u8, CommandError> {
    let selection = selection(args)?;
    let until_ns = selection.range.until_ns;
    let target = settings.target(&args.services)?;
    services::check(&args.services, &target)?;
    revive(&settings.directories, &target.name, printer);
    unkept::tell(&target, &selection, printer)?;
    let layout = Layout {
        prefix: !args.no_log_prefix,
        colour: !args.no_color,
        timestamps: args.timestamps,
        raw: args.raw,
    };
    let mut view = match args.json {
        true => View::Json(export::Json::new(&target)),
        false => View::Lines(Output::new(printer, layout)),
    };
    let mut logs = Logs::new(target.directories.clone(), selection.clone());
    let doing = format!("read the logs of project {}", target.name);
    if let View::Lines(output) = &mut view {
        logs.names().host(&doing)?.iter().for_each(|name| output.widen(name));
    }
    if args.follow {
        follow(&mut logs, &mut view, &target, until_ns)?;
    } else {
        while logs.read(|entry| view.show(&entry)).host(&doing)? {}
        logs.finish(None, |entry| view.show(&entry)).host(&doing)?;
        view.end()?;
        unkept::tell_late(&target, &selection, printer)?;
    }
    Ok(0)
}

/// How entries are shown.
enum View {
    Lines(Output),
    Json(export::Json),
}

impl View {
    fn show(&mut self, entry: &Entry<'_>) -> io::Result<()> {
        match self {
            Self::Lines(output) => output.write(entry),
            Self::Json(json) => json.write(entry),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Lines(output) => output.flush(),
            Self::Json(json) => json.flush(),
        }
    }

    fn end(&mut self) -> io::Result<()> {
        match self {
            Self::Lines(output) => output.end(),
            Self::Json(json) => json.flush(),
        }
    }
}

fn selection(args: &Args) -> Result<Selection, CommandError> {
    if args.index.is_some() && args.services.len() != 1 {
        return Err(CommandError::user("--index needs exactly one service"));
    }
    let now = now_ns();
    let parse = |text: &Option<String>, flag| {
        text.as_ref().map(|text| time::parse(text, now).asked(format!("use --{flag}"))).transpose()
    };
    Ok(Selection {
        services: (!args.services.is_empty()).then(|| args.services.iter().cloned().collect()),
        number: args.index,
        range: Range {
            since_ns: parse(&args.since, "since")?,
            until_ns: parse(&args.until, "until")?,
        },
        tail: parse_tail(&args.tail)?,
        follows: args.follow,
        passing: false,
    })
}

/// `all` and negative numbers are everything.
fn parse_tail(text: &str) -> Result<Option<u64>, CommandError> {
    match (text, text.parse::<i64>()) {
        ("all", _) => Ok(None),
        (_, Ok(lines)) => Ok(u64::try_from(lines).ok()),
        (_, Err(_)) => {
            Err(CommandError::user(format!("--tail must be a number or `all`, not {text:?}")))
        }
    }
}

/// Shows what comes until nothing more will.
fn follow(
    logs: &mut Logs,
    view: &mut View,
    target: &Target,
    until_ns: Option<u64>,
) -> Result<(), CommandError> {
    let (sender, changes) = mpsc::channel();
    let mut alarm = Alarm::new(&target.directories, move || {
        let sender = sender.clone();
        // Nobody follows any more: nobody to wake.
        Box::new(move || sender.send(()).unwrap_or_default())
    });
    let doing = format!("follow the logs of project {}", target.name);
    let mut quiet_since = None;
    loop {
        let over = is_over(target);
        let is_late = until_ns.is_some_and(|until| until < now_ns());
        let mut was_quiet = true;
        let patience = alarm.set();
        let more = logs.read(|entry| {
            was_quiet = false;
            view.show(&entry)
        });
        let more = more.host(&doing)?;
        view.flush()?;
        if !was_quiet || !over {
            quiet_since = None;
        }
        let is_over = over && quiet_since.get_or_insert_with(Instant::now).elapsed() > QUIET;
        if !more && (is_over || is_late) {
            logs.finish(None, |entry| view.show(&entry)).host(&doing)?;
            return Ok(view.end()?);
        }
        let left = until_ns.map(|until| Duration::from_nanos(until.saturating_sub(now_ns()) + 1));
        let patience = if more { Duration::ZERO } else { patience.min(left.unwrap_or(patience)) };
        if let Err(RecvTimeoutError::Disconnected) = changes.recv_timeout(patience) {
            return Ok(());
        }
        while changes.try_recv().is_ok() {}
    }
}

/// Whether the project has been up and nothing of it runs or is about to. Before the first `up` it is not:
/// following may begin earlier.
fn is_over(target: &Target) -> bool {
    let Ok(containers) = observe::containers(&target.directories) else { return false };
    let is_ended = |seen: &observe::Seen| seen.state.phase == Phase::Exited;
    if containers.is_empty() {
        return target.directories.logs().is_dir();
    }
    containers.iter().all(is_ended)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_a_number_or_all() {
        assert_eq!(parse_tail("all").unwrap(), None);
        assert_eq!(parse_tail("-1").unwrap(), None);
        assert_eq!(parse_tail("0").unwrap(), Some(0));
        assert!(parse_tail("many").is_err());
    }
}
