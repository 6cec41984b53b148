//! `naru logs`.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use naru_state::record::{Phase, now_ns};
use naru_supervisor::observe;

use super::services;
use crate::conversation::revive;
use crate::error::{Blame, CommandError};
use crate::follow::{Alarm, Entry, Logs, Selection};
use crate::settings::{Settings, Target};
use crate::time;
use crate::ui::{Layout, Output, Piece, Printer};

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
    /// Index of the container if the service has several
    #[arg(long, value_name = "N")]
    index: Option<u32>,
}

/// Runs the command.
pub(crate) fn run(args: &Args, settings: &Settings, printer: &Printer) -> Result<u8, CommandError> {
    let tail = parse_tail(&args.tail)?;
    let selection = selection(args)?;
    let target = settings.target(&args.services)?;
    services::check(&args.services, &target)?;
    revive(&settings.directories, &target.name, printer);
    let layout =
        Layout { prefix: !args.no_log_prefix, colour: !args.no_color, timestamps: args.timestamps };
    let mut output = Output::new(printer, layout);
    let mut logs = Logs::new(target.directories.clone(), selection);
    let doing = format!("read the logs of project {}", target.name);
    let mut entries = logs.read().host(&doing)?;
    if !args.follow {
        entries.extend(logs.finish(None));
        entries.sort_by_key(|entry| entry.line.time_ns);
    }
    logs.names().for_each(|name| output.widen(name));
    write(&mut output, &last_of_each(entries, tail))?;
    if args.follow {
        follow(&mut logs, &mut output, &target)?;
    }
    Ok(0)
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
        since_ns: parse(&args.since, "since")?,
        until_ns: parse(&args.until, "until")?,
    })
}

/// `all` and negative numbers are everything.
fn parse_tail(text: &str) -> Result<usize, CommandError> {
    match (text, text.parse::<i64>()) {
        ("all", _) => Ok(usize::MAX),
        (_, Ok(lines)) => Ok(usize::try_from(lines).unwrap_or(usize::MAX)),
        (_, Err(_)) => {
            Err(CommandError::user(format!("--tail must be a number or `all`, not {text:?}")))
        }
    }
}

/// The last `count` lines of each container.
pub(crate) fn last_of_each(entries: Vec<Entry>, count: usize) -> Vec<Entry> {
    if count == usize::MAX {
        return entries;
    }
    let mut taken = std::collections::BTreeMap::<String, usize>::new();
    let mut kept: Vec<Entry> = entries
        .into_iter()
        .rev()
        .filter(|entry| {
            let taken = taken.entry(entry.name.clone()).or_default();
            *taken += 1;
            *taken <= count
        })
        .collect();
    kept.reverse();
    kept
}

/// Writes a batch of lines.
///
/// # Errors
/// When nobody takes them.
pub(crate) fn write(output: &mut Output, entries: &[Entry]) -> std::io::Result<()> {
    for Entry { name, service, line } in entries {
        output.write(&Piece { name, service, line })?;
    }
    output.flush()
}

/// Shows what comes until nothing more will.
fn follow(logs: &mut Logs, output: &mut Output, target: &Target) -> Result<(), CommandError> {
    let (sender, changes) = mpsc::channel();
    let mut alarm = Alarm::new(&target.directories, move || {
        let sender = sender.clone();
        // Nobody follows any more: nobody to wake.
        Box::new(move || sender.send(()).unwrap_or_default())
    });
    let doing = format!("follow the logs of project {}", target.name);
    let mut quiet_since = None;
    loop {
        if let Err(RecvTimeoutError::Disconnected) = changes.recv_timeout(alarm.set()) {
            return Ok(());
        }
        while changes.try_recv().is_ok() {}
        let over = is_over(target);
        let entries = logs.read().host(&doing)?;
        if !entries.is_empty() || !over {
            quiet_since = None;
        }
        write(output, &entries)?;
        if over && quiet_since.get_or_insert_with(Instant::now).elapsed() > QUIET {
            write(output, &logs.finish(None))?;
            return Ok(());
        }
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
    use naru_state::log::{Line, Stream};

    use super::*;

    fn entry(name: &str, time_ns: u64) -> Entry {
        let bytes = time_ns.to_string().into_bytes();
        let line = Line { time_ns, stream: Stream::Stdout, generation: 1, bytes, complete: true };
        Entry { name: name.into(), service: name.into(), line }
    }

    #[test]
    fn the_tail_is_counted_for_each_container() {
        let entries = vec![entry("a", 1), entry("b", 2), entry("a", 3), entry("a", 4)];
        let times: Vec<_> =
            last_of_each(entries, 2).iter().map(|entry| entry.line.time_ns).collect();
        assert_eq!(times, [2, 3, 4]);
    }

    #[test]
    fn the_tail_is_a_number_or_all() {
        assert_eq!(parse_tail("all").unwrap(), usize::MAX);
        assert_eq!(parse_tail("-1").unwrap(), usize::MAX);
        assert_eq!(parse_tail("0").unwrap(), 0);
        assert!(parse_tail("many").is_err());
    }
}
