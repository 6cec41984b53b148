//! Sending containers' lines elsewhere: to a syslog server or to systemd's journal.
//!
//! Lines are read from the container's log, like any viewer does, by a thread of their own: a server that is slow or
//! dead keeps nobody waiting, and what it misses when the log has moved on is told in its place. How far a container's
//! lines have been sent is written beside its log ([`Mark`]), so the next supervisor goes on there. Each line is sent at
//! least once: those of the last batch again when the supervisor was killed before it could write that down.

mod journald;
mod syslog;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use naru_compose::project::LogDriver;
use naru_state::log::{Item, Line, Mark, Reader};
use naru_state::record::Container;
use naru_state::{ProjectDirectories, atomic};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::fs::inotify;

use crate::logging;

/// How long what is left may take when the container is gone.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// How long at most until the log is looked at again where nobody tells of a change.
const LOOK: Duration = Duration::from_millis(250);

/// So often is written down how far the lines have been sent.
const BATCH: u32 = 256;

/// The pause after the first failure; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// And the longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Who takes lines.
trait Sink: Send {
    /// Sends a line.
    fn send(&mut self, line: &Line) -> io::Result<()>;

    /// Says that so many bytes are missing.
    fn lost(&mut self, bytes: u64, time_ns: u64) -> io::Result<()>;
}

/// Sends one container's lines; dropped, it stops where it is.
#[derive(Debug)]
pub(crate) struct Forwarder {
    stop: Arc<Stop>,
    thread: Option<JoinHandle<()>>,
}

/// Tells the thread what to do.
#[derive(Debug)]
struct Stop {
    event: OwnedFd,
    order: Mutex<Order>,
}

#[derive(Debug, Clone, Copy, Default)]
enum Order {
    /// Send what comes.
    #[default]
    Go,
    /// The container is gone: send what is left, until then.
    Finish(Instant),
    /// Stop where it is: somebody else goes on.
    Halt,
}

impl Stop {
    fn order(&self) -> Order {
        *self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self, order: Order) {
        *self.order.lock().unwrap_or_else(PoisonError::into_inner) = order;
        // Fails only when it has been rung very often already.
        let _rung = rustix::io::write(&self.event, &1_u64.to_ne_bytes());
    }
}

impl Forwarder {
    /// Begins to send a container's lines; nothing for those whose lines stay here. `before` is whoever sent those of
    /// the last container with this log.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub(crate) fn start(
        project: &ProjectDirectories,
        container: &Container,
        before: Option<Self>,
    ) -> io::Result<Option<Self>> {
        let sink: Box<dyn Sink> = match logging::settings(container).driver {
            LogDriver::Syslog(settings) => Box::new(syslog::Sender::new(settings, container)),
            LogDriver::Journald => {
                Box::new(journald::Sender::new(Path::new(logging::JOURNAL), container))
            }
            _ => return Ok(None),
        };
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let stop = Arc::new(Stop { event, order: Mutex::default() });
        let directory = logging::directory(project, container);
        let name = container.name.clone();
        let work = Work { directory, sink, stop: Arc::clone(&stop), pause: FIRST_PAUSE, sent: 0 };
        let thread = std::thread::Builder::new().spawn(move || {
            // It is at its end or has a deadline: two must not send the same.
            before.into_iter().for_each(Self::join);
            if let Err(error) = work.run() {
                tracing::error!(container = %name, %error, "its lines are not sent on");
            }
        })?;
        Ok(Some(Self { stop, thread: Some(thread) }))
    }

    /// The container is gone: what is left of its lines is sent, for a moment at most.
    pub(crate) fn finish(&self) {
        if matches!(self.stop.order(), Order::Go) {
            self.stop.ring(Order::Finish(Instant::now() + LAST_WORDS));
        }
    }

    /// Waits for that, and for no server that hangs.
    pub(crate) fn join(mut self) {
        self.finish();
        let Some(thread) = self.thread.take() else { return };
        let deadline = Instant::now() + LAST_WORDS;
        while !thread.is_finished() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Whether it has ended, for whatever reason.
    pub(crate) fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.stop.ring(Order::Halt);
        }
    }
}

/// What the thread has.
struct Work {
    directory: PathBuf,
    sink: Box<dyn Sink>,
    stop: Arc<Stop>,
    pause: Duration,
    /// Lines since it was written down how far that is.
    sent: u32,
}

impl Work {
    fn run(mut self) -> io::Result<()> {
        let watch = watch(&self.directory);
        let mark = atomic::load::<Mark>(&self.mark_file()).unwrap_or_else(|error| {
            tracing::warn!(%error, "lines may be sent again");
            None
        });
        let reader = Reader::new(&self.directory);
        let mut reader = mark.map_or(Ok(Reader::new(&self.directory)), |mark| reader.at(mark))?;
        loop {
            let is_last = matches!(self.stop.order(), Order::Finish(_));
            while let Some(item) = reader.next_item()? {
                if !self.deliver(&item) {
                    return Ok(());
                }
                if self.sent >= BATCH {
                    self.write_down(&reader);
                }
            }
            if is_last {
                reader.finish().into_iter().all(|line| self.deliver(&Item::Line(line)));
            }
            self.write_down(&reader);
            if is_last || matches!(self.stop.order(), Order::Halt) {
                return Ok(());
            }
            self.wait(watch.as_ref().ok(), LOOK);
        }
    }

    /// Sends until that succeeds. False when it is not to be sent any more.
    fn deliver(&mut self, item: &Item) -> bool {
        loop {
            let is_late = match self.stop.order() {
                Order::Go => false,
                Order::Finish(deadline) => deadline <= Instant::now(),
                Order::Halt => true,
            };
            if is_late {
                return false;
            }
            let sent = match item {
                Item::Line(line) => self.sink.send(line),
                Item::Lost(lost) => self.sink.lost(lost.bytes, lost.time_ns),
            };
            let Err(error) = sent else {
                self.pause = FIRST_PAUSE;
                self.sent += 1;
                return true;
            };
            tracing::debug!(log = %self.directory.display(), %error, "a line waits");
            match self.stop.order() {
                Order::Go => self.wait(None, self.pause),
                // It has been rung already.
                Order::Finish(_) | Order::Halt => std::thread::sleep(FIRST_PAUSE),
            }
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Until the log has grown, it is told to end, or the time has passed.
    fn wait(&self, watch: Option<&OwnedFd>, time: Duration) {
        let mut all = vec![PollFd::from_borrowed_fd(self.stop.event.as_fd(), PollFlags::IN)];
        all.extend(watch.map(|watch| PollFd::from_borrowed_fd(watch.as_fd(), PollFlags::IN)));
        let time = time.try_into().ok();
        // Whatever happened: it looks.
        let _woken = poll(&mut all, time.as_ref());
        if let Some(watch) = watch {
            let mut buffer = [0_u8; 4096];
            while rustix::io::read(watch, &mut buffer[..]).is_ok_and(|length| length > 0) {}
        }
    }

    fn write_down(&mut self, reader: &Reader) {
        if self.sent == 0 {
            return;
        }
        self.sent = 0;
        let saved = reader.mark().map(|mark| atomic::save_volatile(&self.mark_file(), &mark));
        if let Some(Err(error)) = saved {
            tracing::debug!(%error, "lines may be sent again");
        }
    }

    fn mark_file(&self) -> PathBuf {
        self.directory.join("sent.json")
    }
}

fn watch(directory: &Path) -> io::Result<OwnedFd> {
    use inotify::{CreateFlags, WatchFlags};
    let watch = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
    inotify::add_watch(&watch, directory, WatchFlags::MODIFY | WatchFlags::CREATE)?;
    Ok(watch)
}
