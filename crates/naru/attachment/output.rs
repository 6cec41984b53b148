//! The container's output, passed on byte for byte.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::time::Duration;

use naru_state::log::{Exact, Stream};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};

use super::Event;
use crate::error::{Blame, CommandError};

/// The longest that is waited for news of the log, when news come and when they do not.
const PATIENCE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_millis(10));

/// What is read, and who tells that there is more.
pub(super) struct Output {
    log: Exact,
    directory: PathBuf,
    sender: Sender<Event>,
    watcher: Option<RecommendedWatcher>,
}

impl Output {
    /// The log in `directory`; when `is_late`, only what comes from now on.
    pub(super) fn begin(
        directory: &Path,
        is_late: bool,
        sender: Sender<Event>,
    ) -> io::Result<Self> {
        let mut log = Exact::new(directory);
        if is_late {
            log.skip_to_end()?;
        }
        Ok(Self { log, directory: directory.to_owned(), sender, watcher: None })
    }

    /// Sees to it that news of the log are told as soon as there is one; gives how long to wait for them at most.
    pub(super) fn watch(&mut self) -> Duration {
        if self.watcher.is_none() && self.directory.is_dir() {
            self.watcher = self.watcher().ok();
        }
        if self.watcher.is_some() { PATIENCE.0 } else { PATIENCE.1 }
    }

    fn watcher(&self) -> notify::Result<RecommendedWatcher> {
        let sender = self.sender.clone();
        let tell = move |event: notify::Result<notify::Event>| {
            // Opening and reading are events too, and ours.
            if event.is_ok_and(|event| !event.kind.is_access()) {
                drop(sender.send(Event::Output));
            }
        };
        let mut watcher = notify::recommended_watcher(tell)?;
        watcher.watch(&self.directory, RecursiveMode::NonRecursive)?;
        Ok(watcher)
    }

    /// Passes on all that is there.
    ///
    /// # Errors
    /// When it cannot be read, or nobody takes it.
    pub(super) fn pass(&mut self, doing: &str) -> Result<(), CommandError> {
        loop {
            let pieces = self.log.pieces().host(doing)?;
            if pieces.is_empty() {
                return Ok(());
            }
            for piece in pieces {
                crate::ui::pass_through(piece.stream == Stream::Stderr, &piece.bytes)?;
            }
        }
    }
}
