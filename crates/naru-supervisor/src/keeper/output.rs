//! One container as the keeper sees it: where its output comes from, where it goes, and its process.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use naru_state::log::{self, Left, Stream, Writer};
use naru_state::{ProjectDirectories, process};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::link::{Handles, Layout, Watch};

/// How long a log that could not be written (a full disk) is left alone; the output waits in its FIFO.
const RETRY: Duration = Duration::from_millis(500);

/// How long output waits for somebody who must have all of it and is far behind.
const BREATH: Duration = Duration::from_millis(20);

/// How many pieces at most are taken aside of one stream, kept or not: somebody may still be writing.
const PIECES: u32 = 4096;

/// One stream of a container.
#[derive(Debug)]
struct Source {
    stream: Stream,
    descriptor: OwnedFd,
    /// It may have something.
    is_ready: bool,
}

/// A container that is looked after.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) watch: Watch,
    /// Ready for reading once the process has ended; `None` when it already has.
    pub(super) pidfd: Option<OwnedFd>,
    /// Open for as long as anybody may read them: what waits in a FIFO goes with its last descriptor.
    sources: Vec<Source>,
    resolver: Vec<OwnedFd>,
    /// `None` until it could be opened.
    log: Option<Writer>,
    directory: PathBuf,
    /// Where what finds no room in the log waits for it when the container has ended.
    aside: PathBuf,
    /// What was taken and is not in the log.
    left: Left,
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
        let directory = match watch.keep.passing {
            true => directories.passing_log(&watch.id),
            false => directories.log(&watch.name),
        };
        let aside = directories.aside(&watch.id);
        let (log, left, retry_at) = (None, Left::default(), None);
        Self { watch, pidfd, sources, resolver, log, directory, aside, left, retry_at }
    }

    /// One that ended before this keeper began, of whose output something waits for room.
    pub(super) fn ended(watch: Watch, directories: &ProjectDirectories) -> Self {
        let handles = Handles::default();
        let watch = Watch { tty: true, ..watch };
        Self { retry_at: Some(Instant::now()), ..Self::open(watch, handles, directories) }
    }

    /// Goes on with what an earlier run has left.
    pub(super) fn follow(&mut self, mut earlier: Self) {
        let left = earlier.log.as_mut().map(Writer::leave).transpose();
        self.left = left.ok().flatten().unwrap_or(earlier.left);
    }

    /// Takes what could not be had when it was opened.
    pub(super) fn complete(&mut self, handles: Handles) {
        if self.resolver.is_empty() {
            self.resolver = handles.resolver;
        }
    }

    /// All that another process needs to go on with it.
    pub(super) fn handles(&self) -> (Layout, Vec<BorrowedFd<'_>>) {
        let sources = self.sources.iter().map(|source| &source.descriptor);
        let all = self.pidfd.iter().chain(sources).chain(&self.resolver).map(AsFd::as_fd);
        let layout = Layout::of(self.pidfd.is_some(), self.sources.len(), self.resolver.len());
        (layout, all.collect())
    }

    /// What to wait for: its streams, and its process.
    pub(super) fn descriptors(&self, now: Instant) -> impl Iterator<Item = BorrowedFd<'_>> {
        let sources = self.sources.iter().filter(move |_| !self.is_paused(now));
        let sources = sources.map(|source| source.descriptor.as_fd());
        sources.chain(self.pidfd.as_ref().map(AsFd::as_fd))
    }

    /// Takes note of which of them have something, in the same order.
    pub(super) fn mark(&mut self, now: Instant, ready: &mut impl Iterator<Item = bool>) {
        let is_paused = self.is_paused(now);
        // What could not be written last time is tried again, whether more has come or not.
        let is_due = !is_paused && self.retry_at.take().is_some();
        for source in &mut self.sources {
            source.is_ready = !is_paused && (ready.next().unwrap_or(true) || is_due);
        }
        if self.pidfd.is_some() {
            // Its end is asked for in any case.
            let _ended = ready.next();
        }
    }

    fn is_paused(&self, now: Instant) -> bool {
        self.retry_at.is_some_and(|at| at > now)
    }

    /// When a paused log is tried again.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }

    /// Whether what could not be written is to be tried again now.
    pub(super) fn is_due(&self) -> bool {
        self.retry_at.is_some_and(|at| at <= Instant::now())
    }

    /// Moves what has come into the log, one piece of each stream that has something.
    pub(super) fn take(&mut self) -> usize {
        if !self.sources.iter().any(|source| source.is_ready) {
            return 0;
        }
        if self.log.as_mut().is_some_and(Writer::must_wait) {
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
            Err(error) if self.watch.keep.drops => {
                tracing::debug!(container = %self.watch.name, %error, "output is thrown away");
                self.throw_away()
            }
            Err(error) => {
                tracing::warn!(container = %self.watch.name, %error, "output waits");
                self.retry_at = Some(Instant::now() + RETRY);
                0
            }
        }
    }

    /// Takes what has come to nowhere: this container must not wait for a log that cannot be written.
    fn throw_away(&mut self) -> usize {
        let is_tty = self.watch.tty;
        let thrown = self.sources.iter().map(|source| match &mut self.log {
            Some(log) => log.throw_away(source.at(is_tty)),
            None => self.left.throw_away(source.at(is_tty)),
        });
        thrown.map(Result::unwrap_or_default).sum()
    }

    fn try_take(&mut self) -> io::Result<usize> {
        let (generation, limits) = (self.watch.generation, self.watch.keep.limits);
        let log = match &mut self.log {
            Some(log) => log,
            none => {
                log::bring_back(&self.aside, &self.directory, limits, generation)?;
                let mut log = Writer::open(&self.directory, limits, generation)?;
                log.resume(std::mem::take(&mut self.left));
                none.insert(log)
            }
        };
        let mut moved = 0;
        for source in self.sources.iter().filter(|source| source.is_ready) {
            moved += log.take(source.at(self.watch.tty), source.stream, generation)?;
        }
        Ok(moved)
    }

    /// Takes what is left after the process has ended. False when something of it waits until the log has room; it is
    /// to be called again then. Whatever the container's children still write is not waited for.
    pub(super) fn finish(&mut self) -> bool {
        // They keep namespaces.
        (self.pidfd, self.resolver) = (None, Vec::new());
        let Err(error) = self.drain() else { return true };
        tracing::warn!(container = %self.watch.name, %error, "the end of its output waits");
        if let Err(error) = self.set_aside() {
            tracing::warn!(container = %self.watch.name, %error, "it cannot be set aside");
        }
        self.retry_at = Some(Instant::now() + RETRY);
        false
    }

    fn drain(&mut self) -> io::Result<()> {
        // A FIFO holds 64 KiB unless somebody made it larger: this many pieces empty it.
        for _ in 0..64 {
            self.sources.iter_mut().for_each(|source| source.is_ready = true);
            if self.try_take()? == 0 {
                break;
            }
        }
        self.log.as_mut().map_or(Ok(()), |log| log.finish(self.watch.generation))
    }

    /// Sets what is left aside, where whoever comes finds it. It is as good as in the log then, and only late.
    fn set_aside(&mut self) -> io::Result<()> {
        let generation = self.watch.generation;
        if let Some(log) = &mut self.log {
            self.left = log.leave()?;
            self.log = None;
        }
        let (aside, directory) = (&self.aside, &self.directory);
        let mut aside = Writer::aside(aside, directory, generation, &mut self.left)?;
        let mut moved = Ok(());
        for source in &self.sources {
            let at = source.at(self.watch.tty);
            moved = moved.and_then(|()| set_aside(&mut aside, at, source.stream, generation));
        }
        let written = moved.and_then(|()| aside.finish(generation));
        self.left = aside.leave()?;
        written?;
        self.sources.clear();
        Ok(())
    }
}

fn set_aside(
    aside: &mut Writer,
    source: log::Source<'_>,
    stream: Stream,
    generation: u16,
) -> io::Result<()> {
    for _ in 0..PIECES {
        let moved = match aside.has_most() {
            true => aside.throw_away(source)?,
            false => aside.take(source, stream, generation)?,
        };
        if moved == 0 {
            break;
        }
    }
    Ok(())
}

impl Source {
    fn new(stream: Stream, descriptor: OwnedFd) -> Self {
        Self { stream, descriptor, is_ready: true }
    }

    fn at(&self, is_tty: bool) -> log::Source<'_> {
        match is_tty {
            true => log::Source::Terminal(self.descriptor.as_fd()),
            false => log::Source::Pipe(self.descriptor.as_fd()),
        }
    }
}

fn sources(
    watch: &Watch,
    output: Vec<OwnedFd>,
    directories: &ProjectDirectories,
) -> io::Result<Vec<Source>> {
    if watch.tty {
        // Without one, keeper and supervisor died together, and the terminal with them.
        let terminal = output.into_iter().next();
        if let Some(master) = &terminal {
            rustix::io::ioctl_fionbio(master, true)?;
        }
        let source = |master| Source::new(Stream::Stdout, master);
        return Ok(terminal.map(source).into_iter().collect());
    }
    // By name, not what was handed over: that may be the container's own, on which it waits.
    let run = directories.container_run(&watch.id);
    Ok(vec![
        Source::new(Stream::Stdout, open_fifo(&run.join("stdout"))?),
        Source::new(Stream::Stderr, open_fifo(&run.join("stderr"))?),
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
    use crate::logging::Keep;

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
        let keep = Keep::default();
        let watch =
            Watch { id: id.clone(), pid, start_time, name, generation: 1, tty: false, keep };
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
