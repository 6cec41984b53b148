//! One container as the keeper sees it: where its output comes from, where it goes, and its process.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use naru_state::log::{Source, Stream, Writer};
use naru_state::{ProjectDirectories, process};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::link::Watch;

/// How long a log that could not be written (a full disk) is left alone; the output waits in its FIFO.
const RETRY: Duration = Duration::from_millis(500);

/// A container that is looked after.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) watch: Watch,
    /// Ready for reading once the process has ended; `None` when it already has.
    pub(super) pidfd: Option<OwnedFd>,
    sources: Vec<(Stream, OwnedFd)>,
    log: Writer,
    retry_at: Option<Instant>,
}

impl Output {
    /// Opens the log and the container's FIFOs by name, or takes its terminal.
    pub(super) fn open(
        watch: Watch,
        terminal: Option<OwnedFd>,
        directories: &ProjectDirectories,
    ) -> io::Result<Self> {
        let log = Writer::open(&directories.log(&watch.name), watch.generation)?;
        let run = directories.container_run(&watch.id);
        let sources = match terminal {
            Some(master) => {
                rustix::io::ioctl_fionbio(&master, true)?;
                vec![(Stream::Stdout, master)]
            }
            // A supervisor that was started again has no terminal to give: the old keeper's is still read.
            None if watch.tty => Vec::new(),
            None => vec![
                (Stream::Stdout, open_fifo(&run.join("stdout"))?),
                (Stream::Stderr, open_fifo(&run.join("stderr"))?),
            ],
        };
        let pidfd = open_process(&watch);
        Ok(Self { watch, pidfd, sources, log, retry_at: None })
    }

    /// What to wait for, with the stream each belongs to.
    pub(super) fn descriptors(&self, now: Instant) -> impl Iterator<Item = BorrowedFd<'_>> {
        let paused = self.retry_at.is_some_and(|at| at > now);
        self.sources.iter().filter(move |_| !paused).map(|(_, source)| source.as_fd())
    }

    /// When a paused log is tried again.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }

    /// Moves what has come into the log, one piece of each stream.
    pub(super) fn take(&mut self) -> usize {
        let generation = self.watch.generation;
        let mut moved = 0;
        for (stream, source) in &self.sources {
            let source = match self.watch.tty {
                true => Source::Terminal(source.as_fd()),
                false => Source::Pipe(source.as_fd()),
            };
            match self.log.take(source, *stream, generation) {
                Ok(length) => {
                    moved += length;
                    self.retry_at = None;
                }
                Err(error) => {
                    tracing::warn!(container = %self.watch.name, %error, "output waits");
                    self.retry_at = Some(Instant::now() + RETRY);
                    return 0;
                }
            }
        }
        moved
    }

    /// Takes what is left after the process has ended. Whatever its children still write is not waited for.
    pub(super) fn drain(&mut self) {
        // A FIFO holds 64 KiB unless somebody made it larger: this many pieces empty it.
        for _ in 0..64 {
            if self.take() == 0 {
                return;
            }
        }
    }
}

/// Opened for writing too: the keeper then never sees an end of file while nobody writes.
fn open_fifo(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

/// A descriptor of this very process: its start time is compared after the descriptor is held.
fn open_process(watch: &Watch) -> Option<OwnedFd> {
    let pidfd = pidfd_open(Pid::from_raw(watch.pid)?, PidfdFlags::empty()).ok()?;
    let stat = process::stat(watch.pid)?;
    (stat.start_time == watch.start_time).then_some(pidfd)
}
