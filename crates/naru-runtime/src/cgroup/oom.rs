//! When the kernel runs out of a group's memory.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::event::EventfdFlags;
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::fs::{Mode, OFlags};

use super::{Cgroup, cgroup_error, files};
use crate::Error;

/// Tells when a group has run out of memory: its descriptor becomes readable, then [`count`](Self::count) says what
/// happened since.
///
/// v2: inotify on `memory.events`. v1: an eventfd registered for `memory.oom_control`
/// (Documentation/admin-guide/cgroup-v1/memory.rst, "OOM Control"), which also becomes readable when the group is
/// removed.
#[derive(Debug)]
pub struct OomWatch {
    descriptor: OwnedFd,
    counter: PathBuf,
    /// Only v1 before Linux 4.13 has no counter; there the wake-ups are counted.
    wakes: u64,
    last: u64,
}

impl Cgroup {
    /// How many processes of the group the kernel has killed for want of memory.
    ///
    /// # Errors
    /// When the group's counter cannot be read.
    pub fn oom_kills(&self) -> Result<u64, Error> {
        let Some(path) = self.oom_file() else { return Ok(0) };
        match files::read(&path) {
            Ok(text) => Ok(counter(&text, "oom_kill").unwrap_or(0)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(source) => Err(cgroup_error("read", &path, source)),
        }
    }

    /// Watches for processes of the group being killed for want of memory, from now on.
    ///
    /// # Errors
    /// When there is no memory controller, and for failures of the kernel's files.
    pub fn watch_oom(&self) -> Result<OomWatch, Error> {
        let counter = self.oom_file().filter(|file| file.exists()).ok_or_else(|| {
            let source = io::Error::from(io::ErrorKind::NotFound);
            cgroup_error("find a memory controller for", &self.path(), source)
        })?;
        let failed = |source| cgroup_error("watch", &counter, source);
        let descriptor = if self.has_v1("memory") {
            v1_event(&counter).map_err(failed)?
        } else {
            v2_event(&counter).map_err(failed)?
        };
        let mut watch = OomWatch { descriptor, counter, wakes: 0, last: 0 };
        watch.last = watch.total()?;
        Ok(watch)
    }

    /// The file that counts.
    fn oom_file(&self) -> Option<PathBuf> {
        match self.v1("memory") {
            Some(directory) => Some(directory.join("memory.oom_control")),
            None => self.unified().map(|directory| directory.join("memory.events")),
        }
    }
}

impl OomWatch {
    /// How many processes were killed since the last call, or since the watch began; it does not wait.
    ///
    /// # Errors
    /// `ENOENT` when the group was removed.
    pub fn count(&mut self) -> Result<u64, Error> {
        // A wake-up of v1 is a number, one of v2 a list of events; only that they came is of interest.
        let mut buffer = [0_u8; 4096];
        while let Ok(read) = rustix::io::read(&self.descriptor, &mut buffer) {
            self.wakes += 1;
            if read == 0 {
                break;
            }
        }
        let total = self.total()?;
        let new = total.saturating_sub(self.last);
        self.last = total;
        Ok(new)
    }

    fn total(&self) -> Result<u64, Error> {
        let text = files::read(&self.counter)
            .map_err(|source| cgroup_error("read", &self.counter, source))?;
        Ok(counter(&text, "oom_kill").unwrap_or(self.wakes))
    }
}

impl AsFd for OomWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

fn v2_event(file: &Path) -> io::Result<OwnedFd> {
    let events = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
    inotify::add_watch(&events, file, WatchFlags::MODIFY)?;
    Ok(events)
}

fn v1_event(file: &Path) -> io::Result<OwnedFd> {
    let event = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
    let control = rustix::fs::open(file, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let line = format!("{} {}", event.as_raw_fd(), control.as_raw_fd());
    files::write(file.with_file_name("cgroup.event_control"), &line)?;
    Ok(event)
}

/// A line `name NUMBER` of a file of such lines.
fn counter(text: &str, name: &str) -> Option<u64> {
    let line = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok();
    text.lines().find_map(line)
}

#[cfg(test)]
mod tests {
    use super::counter;

    #[test]
    fn a_counter_is_found_by_its_whole_name() {
        let text = "low 1\noom_kill_disable 0\noom 2\noom_kill 3\noom_group_kill 4\n";
        assert_eq!(counter(text, "oom_kill"), Some(3));
        assert_eq!(counter(text, "oom"), Some(2));
        assert_eq!(counter("under_oom 0\n", "oom_kill"), None);
    }
}
