//! One container as the keeper sees it: where its output comes from, where it goes, and its process.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use naru_state::log::{Source, Stream, Writer};
use naru_state::{ProjectDirectories, process};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::link::{Handles, Layout, Watch};

/// How long a log that could not be written (a full disk) is left alone; the output waits in its FIFO.
const RETRY: Duration = Duration::from_millis(500);

/// How long output waits for somebody who must have all of it and is far behind.
const BREATH: Duration = Duration::from_millis(20);

/// A container that is looked after.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) watch: Watch,
    /// Ready for reading once the process has ended; `None` when it already has.
    pub(super) pidfd: Option<OwnedFd>,
    /// Open for as long as anybody may read them: what waits in a FIFO goes with its last descriptor.
    sources: Vec<(Stream, OwnedFd)>,
    resolver: Vec<OwnedFd>,
    /// `None` until it could be opened.
    log: Option<Writer>,
    directory: PathBuf,
    retry_at: Option<Instant>,
}

impl Output {
    /// Opens the container's FIFOs by name, or takes its terminal. Whatever fails: its end is waited for.
    pub(super) fn open(watch: Watch, handles: Handles, directories: &ProjectDirectories) -> Self {
        let Handles { pidfd, output, resolver } = handles;
        let sources = sources(&watch, output, directories).unwrap_or_else(|error| {
            tracing::error!(container = %watch.name, %error, "its output cannot be read");
            Vec::new()
        });
        let pidfd = pidfd.or_else(|| open_process(&watch));
        let directory = directories.log(&watch.name);
        Self { watch, pidfd, sources, resolver, log: None, directory, retry_at: None }
    }

    /// Takes what could not be had when it was opened.
    pub(super) fn complete(&mut self, handles: Handles) {
        if self.resolver.is_empty() {
            self.resolver = handles.resolver;
        }
    }

    /// All that another process needs to go on with it.
    pub(super) fn handles(&self) -> (Layout, Vec<BorrowedFd<'_>>) {
        let sources = self.sources.iter().map(|(_, source)| source);
        let all = self.pidfd.iter().chain(sources).chain(&self.resolver).map(AsFd::as_fd);
        let layout = Layout::of(self.pidfd.is_some(), self.sources.len(), self.resolver.len());
        (layout, all.collect())
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
        if self.log.as_ref().is_some_and(Writer::must_wait) {
            self.retry_at = Some(Instant::now() + BREATH);
            return 0;
        }
        self.take_all()
    }

    fn take_all(&mut self) -> usize {
        match self.try_take() {
            Ok(moved) => {
                self.retry_at = None;
                moved
            }
            Err(error) => {
                tracing::warn!(container = %self.watch.name, %error, "output waits");
                self.retry_at = Some(Instant::now() + RETRY);
                0
            }
        }
    }

    fn try_take(&mut self) -> io::Result<usize> {
        let generation = self.watch.generation;
        let log = match &mut self.log {
            Some(log) => log,
            none => none.insert(Writer::open(&self.directory, generation)?),
        };
        let mut moved = 0;
        for (stream, source) in &self.sources {
            let source = match self.watch.tty {
                true => Source::Terminal(source.as_fd()),
                false => Source::Pipe(source.as_fd()),
            };
            moved += log.take(source, *stream, generation)?;
        }
        Ok(moved)
    }

    /// Takes what is left after the process has ended. Whatever its children still write is not waited for.
    pub(super) fn drain(&mut self) {
        // A FIFO holds 64 KiB unless somebody made it larger: this many pieces empty it.
        for _ in 0..64 {
            if self.take_all() == 0 {
                return;
            }
        }
    }
}

fn sources(
    watch: &Watch,
    output: Vec<OwnedFd>,
    directories: &ProjectDirectories,
) -> io::Result<Vec<(Stream, OwnedFd)>> {
    if watch.tty {
        // Without one, keeper and supervisor died together, and the terminal with them.
        let terminal = output.into_iter().next();
        if let Some(master) = &terminal {
            rustix::io::ioctl_fionbio(master, true)?;
        }
        return Ok(terminal.map(|master| (Stream::Stdout, master)).into_iter().collect());
    }
    // By name, not what was handed over: that may be the container's own, on which it waits.
    let run = directories.container_run(&watch.id);
    Ok(vec![
        (Stream::Stdout, open_fifo(&run.join("stdout"))?),
        (Stream::Stderr, open_fifo(&run.join("stderr"))?),
    ])
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

#[cfg(test)]
mod tests {
    use naru_state::{ContainerId, Directories, ProjectName};

    use super::*;

    #[test]
    fn a_log_that_cannot_be_opened_keeps_nobody_from_seeing_the_end_and_is_tried_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name| directory.path().join(name);
        let directories =
            Directories::new(path("data"), path("run")).project(&ProjectName::new("shop").unwrap());
        let id = ContainerId::random().unwrap();
        fs_err::create_dir_all(directories.container_run(&id)).unwrap();
        fs_err::create_dir_all(directories.data()).unwrap();
        fs_err::write(directories.logs(), "in the way").unwrap();
        for name in ["stdout", "stderr"] {
            use rustix::fs::{CWD, FileType, mknodat};
            let fifo = directories.container_run(&id).join(name);
            mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        }
        let pid = std::process::id().cast_signed();
        let start_time = process::stat(pid).unwrap().start_time;
        let name = "shop-web-1".to_owned();
        let watch = Watch { id: id.clone(), pid, start_time, name, generation: 1, tty: false };
        let mut output = Output::open(watch, Handles::default(), &directories);
        assert!(output.pidfd.is_some());
        let fifo = directories.container_run(&id).join("stdout");
        fs_err::OpenOptions::new().write(true).open(fifo).unwrap();
        assert_eq!(output.take(), 0);
        assert!(output.retry_at().is_some());
        fs_err::remove_file(directories.logs()).unwrap();
        fs_err::write(directories.container_run(&id).join("stdout"), "late\n").unwrap();
        assert_eq!(output.take(), 5);
    }
}
