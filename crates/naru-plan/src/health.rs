//! The health check of one run of a container: when to probe next, and what the results mean.
//!
//! The counted probes follow Docker exactly: the first one an interval after the start, the next an
//! interval after the last has ended, failures inside the start period not counted. Between them run
//! early probes (at once, then after pauses that grow from 50 ms, [`pace`]) until the first success.
//! An early probe can only succeed: its failure changes nothing, and it is given up when a counted one is
//! due, so that a service is known to be ready sooner than under Docker and never known to be unhealthy sooner.
//!
//! All times are counted from the container's start; the caller has the clock. A new [`Probes`] is
//! made for each start, so no status outlives the process it is about.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{observed, pace};

/// No pause is shorter, whatever an image says (it is Docker's minimum too).
const SHORTEST: Duration = Duration::from_millis(1);
/// How many results are kept.
const HISTORY: usize = 50;
/// How much of a probe's output is kept, as in Docker.
const OUTPUT: usize = 4096;

/// A health check's times and counts, with Docker's defaults filled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Pause between two probes.
    pub interval: Duration,
    /// How long a probe may take.
    pub timeout: Duration,
    /// How many counted failures in a row make the container unhealthy.
    pub retries: u32,
    /// How long after the start failures do not count.
    pub start_period: Duration,
    /// Pause between two probes during the start period.
    pub start_interval: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(30),
            timeout: Duration::from_secs(30),
            retries: 3,
            start_period: Duration::ZERO,
            start_interval: Duration::from_secs(5),
        }
    }
}

/// A probe to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// When, counted from the container's start; a time that has passed means now.
    pub at: Duration,
    /// Kill it and report [`Outcome::TimedOut`] after this time.
    pub timeout: Duration,
    /// Whether it is an early probe, whose failure does not count.
    pub early: bool,
}

/// How a probe ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It ran and exited with this code; 0 is healthy.
    Exited(u8),
    /// It took longer than the timeout and was killed.
    TimedOut,
    /// It could not be run; the output says why.
    NotRun,
}

/// One line of a container's health history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When the probe began, counted from the container's start.
    pub began: Duration,
    /// When it ended.
    pub ended: Duration,
    /// How it ended.
    pub outcome: Outcome,
    /// What it wrote, at most 4096 bytes of it.
    pub output: String,
    /// Whether it was an early probe.
    pub early: bool,
}

/// The state of a health check since the container's start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probes {
    settings: Settings,
    status: observed::Health,
    streak: u32,
    due: Duration,
    /// When the next early probe is due.
    early: Option<Duration>,
    history: VecDeque<Entry>,
}

/// Where a health check stands, without its history: what the next supervisor needs to go on with it as if nothing
/// had happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    status: observed::Health,
    streak: u32,
    due: Duration,
    early: Option<Duration>,
}

impl Probes {
    /// Where it stands.
    pub fn schedule(&self) -> Schedule {
        let Self { status, streak, due, early, .. } = *self;
        Schedule { status, streak, due, early }
    }

    /// The health check of a run that goes on, with its deadlines and counts.
    pub fn resume(
        settings: Settings,
        schedule: Schedule,
        history: impl IntoIterator<Item = Entry>,
    ) -> Self {
        let Schedule { status, streak, due, early } = schedule;
        Self { settings, status, streak, due, early, history: history.into_iter().collect() }
    }

    /// A container that has just been started.
    pub fn new(settings: Settings) -> Self {
        let mut probes = Self {
            settings,
            status: observed::Health::Starting,
            streak: 0,
            due: Duration::ZERO,
            early: Some(Duration::ZERO),
            history: VecDeque::new(),
        };
        probes.due = probes.pause(Duration::ZERO);
        probes
    }

    /// What the health check says now.
    pub fn status(&self) -> observed::Health {
        self.status
    }

    /// How many counted probes have failed in a row.
    pub fn failing_streak(&self) -> u32 {
        self.streak
    }

    /// The last results, oldest first, at most 50.
    pub fn history(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.history.iter()
    }

    /// The next probe to run once no other is running.
    pub fn next(&self) -> Probe {
        let timeout = self.settings.timeout;
        match self.early {
            Some(at) if at < self.due => {
                Probe { at, timeout: timeout.min(self.due - at), early: true }
            }
            _ => Probe { at: self.due, timeout, early: false },
        }
    }

    /// Takes a probe's result; says whether the status has changed.
    pub fn record(&mut self, mut entry: Entry) -> bool {
        let before = self.status;
        if entry.outcome == Outcome::Exited(0) {
            self.status = observed::Health::Healthy;
            self.streak = 0;
            self.early = None;
            self.due = entry.ended + self.pause(entry.ended);
        } else {
            if !entry.early {
                self.count_failure(entry.began);
                self.due = entry.ended + self.pause(entry.ended);
            }
            let pause = pace::pause(entry.began, entry.ended).min(self.pause(entry.ended));
            self.early = self.early.map(|_| entry.ended + pause);
        }
        truncate(&mut entry.output);
        if self.history.len() == HISTORY {
            self.history.pop_front();
        }
        self.history.push_back(entry);
        self.status != before
    }

    fn count_failure(&mut self, began: Duration) {
        let starting = self.status == observed::Health::Starting;
        if starting && began < self.settings.start_period {
            return;
        }
        self.streak = self.streak.saturating_add(1);
        if self.streak >= self.settings.retries.max(1) {
            self.status = observed::Health::Unhealthy;
            self.early = None;
        }
    }

    /// The pause between counted probes at this time of the container's life.
    fn pause(&self, at: Duration) -> Duration {
        let Settings { interval, start_period, start_interval, .. } = self.settings;
        let starting = self.status == observed::Health::Starting && at < start_period;
        if starting { start_interval } else { interval }.max(SHORTEST)
    }
}

/// Cuts to the size Docker keeps, at a character's border.
fn truncate(output: &mut String) {
    if output.len() > OUTPUT {
        let end = (0..=OUTPUT).rev().find(|&at| output.is_char_boundary(at)).unwrap_or(0);
        output.truncate(end);
    }
}

#[cfg(test)]
#[path = "health_tests.rs"]
mod tests;
