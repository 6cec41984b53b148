//! `events`: what a container uses, once or again and again, and when it runs out of memory.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use naru_runtime::store::{Container, Store};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use serde::Serialize;

use super::stats::{self, Usage};
use crate::ui;

/// Print what a container uses and when it runs out of memory.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print once what it uses
    #[arg(long)]
    stats: bool,
    /// How often to print what it uses: `5s`, `100ms`, `1m`
    #[arg(long, value_name = "TIME", default_value = "5s")]
    interval: String,
    /// The container's name
    #[arg(value_name = "CONTAINER")]
    id: String,
}

/// One line, with runc's names.
#[derive(Debug, Serialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Usage>,
}

pub(crate) fn run(args: &Args, store: &Store) -> anyhow::Result<u8> {
    let interval = interval(&args.interval)?;
    let container = super::open(store, &args.id)?;
    if container.process()?.is_none() {
        bail!("container with id {} is not running", args.id);
    }
    if args.stats {
        print_stats(&container)?;
    } else {
        follow(&container, interval)?;
    }
    Ok(0)
}

fn print_stats(container: &Container) -> anyhow::Result<()> {
    let data = Some(stats::usage(container)?);
    ui::print_json(&Event { kind: "stats", id: container.id().as_str(), data })
}

/// Prints until the container ends.
fn follow(container: &Container, interval: Duration) -> anyhow::Result<()> {
    let Some(process) = container.process()? else { return Ok(()) };
    // A host without a memory controller has nobody to tell.
    let mut watch = container.cgroup()?.watch_oom().ok();
    let mut next = Instant::now() + interval;
    loop {
        let mut ready = vec![PollFd::from_borrowed_fd(process.as_fd(), PollFlags::IN)];
        ready.extend(
            watch.iter().map(|watch| PollFd::from_borrowed_fd(watch.as_fd(), PollFlags::IN)),
        );
        let left = next.saturating_duration_since(Instant::now());
        let left = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        };
        match rustix::event::poll(&mut ready, Some(&left)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno).context("cannot wait for events"),
        }
        let has_ended = !ready[0].revents().is_empty();
        drop(ready);
        // A group that is gone has nothing more to tell.
        let killed = watch.as_mut().and_then(|watch| watch.count().ok());
        for _ in 0..killed.unwrap_or(0) {
            let id = container.id().as_str();
            ui::print_json(&Event { kind: "oom", id, data: None })?;
        }
        if has_ended {
            return Ok(());
        }
        if killed.is_none() {
            watch = None;
        }
        if Instant::now() >= next {
            next += interval;
            match print_stats(container) {
                Err(_) if container.process()?.is_none() => return Ok(()),
                result => result?,
            }
        }
    }
}

/// A time with its unit, as Go writes it.
fn interval(text: &str) -> anyhow::Result<Duration> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let number: f64 = digits.parse().with_context(|| format!("cannot parse {text:?} as a time"))?;
    let seconds = match &text[digits.len()..] {
        "ms" => number / 1000.0,
        "s" => number,
        "m" => number * 60.0,
        "h" => number * 3600.0,
        _ => bail!("cannot parse {text:?} as a time: it needs a unit (ms, s, m or h)"),
    };
    match Duration::try_from_secs_f64(seconds) {
        Ok(interval) if interval >= Duration::from_millis(1) => Ok(interval),
        _ => bail!("duration interval must be greater than 0"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_has_a_unit() {
        for (text, millis) in [("5s", 5000), ("100ms", 100), ("1m", 60_000), ("0.5s", 500)] {
            assert_eq!(interval(text).unwrap(), Duration::from_millis(millis), "{text}");
        }
        for text in ["", "5", "0s", "-1s", "1d", "s"] {
            assert!(interval(text).is_err(), "{text}");
        }
    }
}
