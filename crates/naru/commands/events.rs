//! `naru events`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

use naru_state::events::{self, Event, Follower};
use naru_state::record::now_ns;
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use serde::Serialize;

use crate::conversation::revive;
use crate::error::{Blame, CommandError};
use crate::settings::Settings;
use crate::time;
use crate::ui::Printer;

/// Labels that Compose tools put on containers: not shown.
const OWN_LABELS: &str = "com.docker.compose.";

/// The longest time between two looks when the kernel tells of changes, and when it does not.
const LOOK: Duration = Duration::from_millis(500);
const LOOK_UNTOLD: Duration = Duration::from_millis(50);

/// Receive real time events from containers
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Services (default: all)
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// Output events as a stream of JSON objects
    #[arg(long)]
    json: bool,
    /// Show all events created since this time (2013-01-02T13:23:37Z) or length of time ago (42m)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Stream events until this time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

/// An event as `--json` prints it.
#[derive(Debug, Serialize)]
struct Line<'a> {
    action: &'a str,
    attributes: BTreeMap<&'a String, &'a String>,
    id: &'a str,
    service: &'a str,
    time: String,
    #[serde(rename = "type")]
    kind: &'static str,
}

/// Runs the command.
pub(crate) fn run(args: &Args, settings: &Settings, printer: &Printer) -> Result<u8, CommandError> {
    settings.no_dry_run("events")?;
    let now = now_ns();
    let parse = |text: &Option<String>, flag| {
        text.as_ref().map(|text| time::parse(text, now).asked(format!("use --{flag}"))).transpose()
    };
    let (since, until) = (parse(&args.since, "since")?, parse(&args.until, "until")?);
    let target = settings.target(&args.services)?;
    let doing = format!("read the events of project {}", target.name);
    let path = target.directories.events_file();
    let mut follower = Follower::new(&path).host(&doing)?;
    revive(&settings.directories, &target.name, printer);
    let is_meant = |event: &Event| {
        (args.services.is_empty() || args.services.contains(&event.service))
            && since.is_none_or(|since| event.time_ns >= since)
            && until.is_none_or(|until| event.time_ns <= until)
    };
    let print = |event: &Event| printer.data_line(&shown(event, args.json));
    let mut told = Told::default();
    if since.is_some() || until.is_some_and(|until| until <= now) {
        for event in events::history(&path).host(&doing)? {
            told.note(&event);
            if is_meant(&event) {
                print(&event)?;
            }
        }
    }
    let mut changes = Changes::default();
    loop {
        for event in follower.read().host(&doing)? {
            if told.note(&event) && is_meant(&event) {
                print(&event)?;
            }
        }
        let left = until.map(|until| until.saturating_sub(now_ns()));
        if left == Some(0) {
            return Ok(0);
        }
        changes.wait(target.directories.data(), left.map(Duration::from_nanos));
    }
}

/// What the history told: an event may come between reading that and following.
#[derive(Debug, Default)]
struct Told(Vec<Event>);

impl Told {
    /// Notes an event; false when it was told.
    fn note(&mut self, event: &Event) -> bool {
        // Few come in that moment, and they are the last.
        const MOMENT: usize = 64;
        let is_new = !self.0.contains(event);
        if self.0.len() == MOMENT {
            self.0.remove(0);
        }
        self.0.push(event.clone());
        is_new
    }
}

/// The kernel's word that files have changed.
#[derive(Debug, Default)]
struct Changes {
    watch: Option<(RecommendedWatcher, Receiver<()>)>,
}

impl Changes {
    /// Waits for a change in `directory`, which need not be there yet.
    fn wait(&mut self, directory: &Path, at_most: Option<Duration>) {
        if self.watch.is_none() && directory.is_dir() {
            // Without it, looking often enough does as well.
            self.watch = watch(directory).ok();
        }
        let longest = if self.watch.is_some() { LOOK } else { LOOK_UNTOLD };
        let wait = at_most.map_or(longest, |most| most.min(longest));
        match &self.watch {
            None => std::thread::sleep(wait),
            Some((_, changes)) => match changes.recv_timeout(wait) {
                Err(RecvTimeoutError::Disconnected) => self.watch = None,
                _ => while changes.try_recv().is_ok() {},
            },
        }
    }
}

fn watch(directory: &Path) -> notify::Result<(RecommendedWatcher, Receiver<()>)> {
    let (sender, changes) = mpsc::channel();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| !event.kind.is_access()) {
            // Nobody waits any more: nobody to wake.
            let _told = sender.send(());
        }
    })?;
    watcher.watch(directory, RecursiveMode::NonRecursive)?;
    Ok((watcher, changes))
}

/// As docker compose prints it: in text, an empty line follows.
fn shown(event: &Event, json: bool) -> String {
    let shown = |name: &str| !name.starts_with(OWN_LABELS);
    let attributes = event.attributes.iter().filter(|(name, _)| shown(name));
    if json {
        let line = Line {
            action: &event.action,
            attributes: attributes.collect(),
            id: event.id.as_str(),
            service: &event.service,
            time: time::rfc3339_local(event.time_ns),
            kind: "container",
        };
        return serde_json::to_string(&line).unwrap_or_default();
    }
    let attributes: Vec<_> = attributes.map(|(name, value)| format!("{name}={value}")).collect();
    let (time, action, id) = (time::local_micro(event.time_ns), &event.action, &event.id);
    crate::ui::metadata(&format!("{time} container {action} {id} ({})", attributes.join(", ")))
        + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_reads_as_docker_compose_prints_it() {
        let event: Event = serde_json::from_value(serde_json::json!({
            "time_ns": 1_700_000_000_000_001_000_u64, "action": "die", "service": "web", "id": "a".repeat(64),
            "generation": 1,
            "attributes": {"com.docker.compose.project": "shop", "exitCode": "3", "image": "test", "name": "shop-web-1"}
        }))
        .unwrap();
        let id = "a".repeat(64);
        let text = shown(&event, false);
        let rest = format!(" container die {id} (exitCode=3, image=test, name=shop-web-1)\n");
        assert!(text.ends_with(&rest) && text.len() == rest.len() + 26, "{text}");
        let line = shown(&event, true);
        let start =
            r#"{"action":"die","attributes":{"exitCode":"3","image":"test","name":"shop-web-1"},"#;
        assert!(line.starts_with(start), "{line}");
        let end = r#","type":"container"}"#;
        assert!(
            line.contains(&format!(r#""id":"{id}","service":"web","time":""#))
                && line.ends_with(end),
            "{line}"
        );
    }
}
