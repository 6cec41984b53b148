//! Freezing and thawing all processes of a group: `cgroup.freeze` of v2 (Linux 5.2), on hybrid hosts too, since it
//! needs no controller; else the freezer of v1 (Documentation/admin-guide/cgroup-v1/freezer-subsystem.rst).

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::{Cgroup, cgroup_error, files, is_gone};
use crate::Error;

/// How long the kernel may take to freeze: a process in the middle of a slow system call is waited for.
const DEADLINE: Duration = Duration::from_secs(10);
/// How long v1 is left alone before it is asked again.
const AGAIN: Duration = Duration::from_millis(1);

/// Whether a group is frozen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freezer {
    /// Its processes run.
    Thawed,
    /// Some of its processes are not frozen yet.
    Freezing,
    /// Its processes are frozen.
    Frozen,
}

/// Who freezes.
enum Place {
    V1(PathBuf),
    V2(PathBuf),
}

impl Cgroup {
    /// Freezes every process in the group and below and returns when they are frozen.
    ///
    /// # Errors
    /// When the host has no freezer, and `ETIMEDOUT` when not all were frozen within ten seconds; then they are
    /// thawed again.
    pub fn freeze(&self) -> Result<(), Error> {
        let place = self.freezer_place()?;
        place.request(true)?;
        let result = place.wait(Freezer::Frozen);
        if result.is_err() {
            place.request(false)?;
        }
        result
    }

    /// Lets every process in the group and below run on.
    ///
    /// # Errors
    /// When the host has no freezer or the kernel refuses.
    pub fn thaw(&self) -> Result<(), Error> {
        let place = self.freezer_place()?;
        place.request(false)?;
        place.wait(Freezer::Thawed)
    }

    /// Whether the group is frozen; one that does not exist is not.
    ///
    /// # Errors
    /// When the kernel's file cannot be read.
    pub fn freezer(&self) -> Result<Freezer, Error> {
        match self.freezer_place() {
            Ok(place) => place.state(),
            Err(_) => Ok(Freezer::Thawed),
        }
    }

    /// Whether any hierarchy has the group frozen, whoever froze it: a process that joins it would stand still.
    pub(crate) fn has_frozen(&self) -> bool {
        let places = [self.unified().map(Place::V2), self.v1("freezer").map(Place::V1)];
        let frozen = |place: Place| place.state().is_ok_and(|state| state != Freezer::Thawed);
        places.into_iter().flatten().any(frozen)
    }

    /// Freezes or thaws without waiting; false when there is no freezer.
    pub(super) fn try_freeze(&self, freeze: bool) -> bool {
        self.freezer_place().is_ok_and(|place| place.request(freeze).is_ok())
    }

    fn freezer_place(&self) -> Result<Place, Error> {
        let unified = self.unified().filter(|group| group.join("cgroup.freeze").exists());
        match (unified, self.v1("freezer")) {
            (Some(directory), _) => Ok(Place::V2(directory)),
            (None, Some(directory)) => Ok(Place::V1(directory)),
            (None, None) => {
                let source = io::Error::from(io::ErrorKind::NotFound);
                Err(cgroup_error("find a freezer for", &self.path(), source))
            }
        }
    }
}

impl Place {
    fn request(&self, freeze: bool) -> Result<(), Error> {
        let (file, value) = match (self, freeze) {
            (Self::V1(directory), true) => (directory.join("freezer.state"), "FROZEN"),
            (Self::V1(directory), false) => (directory.join("freezer.state"), "THAWED"),
            (Self::V2(directory), true) => (directory.join("cgroup.freeze"), "1"),
            (Self::V2(directory), false) => (directory.join("cgroup.freeze"), "0"),
        };
        let action = if freeze { "freeze" } else { "thaw" };
        files::write(&file, value).map_err(|source| cgroup_error(action, &file, source))
    }

    fn state(&self) -> Result<Freezer, Error> {
        let read = |file: &Path| match files::read(file) {
            Ok(text) => Ok(text),
            Err(error) if is_gone(&error) => Ok(String::new()),
            Err(source) => Err(cgroup_error("read", file, source)),
        };
        match self {
            Self::V1(directory) => Ok(match read(&directory.join("freezer.state"))?.trim() {
                "FROZEN" => Freezer::Frozen,
                "FREEZING" => Freezer::Freezing,
                _ => Freezer::Thawed,
            }),
            Self::V2(directory) => {
                if read(&directory.join("cgroup.freeze"))?.trim() != "1" {
                    return Ok(Freezer::Thawed);
                }
                let events = read(&directory.join("cgroup.events"))?;
                let frozen = events.lines().any(|line| line == "frozen 1");
                Ok(if frozen { Freezer::Frozen } else { Freezer::Freezing })
            }
        }
    }

    fn wait(&self, wanted: Freezer) -> Result<(), Error> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let change = self.next_change();
            if self.state()? == wanted {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let (Self::V1(directory) | Self::V2(directory)) = self;
                let source = io::Error::from(Errno::TIMEDOUT);
                return Err(cgroup_error("freeze all processes of", directory, source));
            }
            change.wait();
            // A process that forks while v1 freezes can keep the group in between; asking again helps.
            if let (Self::V1(_), Freezer::Frozen) = (self, wanted) {
                self.request(true)?;
            }
        }
    }

    /// v2 tells when `cgroup.events` changes (POLLPRI); v1 has to be asked.
    fn next_change(&self) -> Change {
        let Self::V2(directory) = self else { return Change(None) };
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let events = rustix::fs::open(directory.join("cgroup.events"), flags, Mode::empty()).ok();
        let read = |events: &rustix::fd::OwnedFd| rustix::io::read(events, &mut [0_u8; 128]).ok();
        // What was read before is no news.
        Change(events.filter(|events| read(events).is_some()))
    }
}

/// The kernel's word that a group has changed since this was made.
struct Change(Option<rustix::fd::OwnedFd>);

impl Change {
    fn wait(&self) {
        match &self.0 {
            Some(events) => {
                let mut poll = [PollFd::new(events, PollFlags::PRI)];
                let patience = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
                // Whatever it says, the state is looked at again.
                let _ = rustix::event::poll(&mut poll, Some(&patience));
            }
            None => std::thread::sleep(AGAIN),
        }
    }
}
