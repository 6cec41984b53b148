//! The supervisor as the keeper sees it: a process that comes and goes, and the link to it.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use serde::Serialize;

use super::link::Link;
use crate::role::{Role, SUPERVISOR};

/// A supervisor that ended by itself this soon after its start is not started again at once.
const SHORT_LIFE: Duration = Duration::from_secs(1);

/// The first pause before a supervisor that cannot live is tried again; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// And the longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// So many failures in a row are tried again at once.
const FREE_TRIES: u32 = 2;

/// How long a supervisor that has closed its link may take to end.
const LAST_BREATH: Duration = Duration::from_millis(10);

/// What a process is worth that SIGKILL has ended.
pub(super) const KILLED: Option<u8> = Some(137);

/// A supervisor, or what is left of one until the next is started.
#[derive(Debug)]
pub(super) struct Supervisor {
    pub(super) pid: i32,
    /// Otherwise an earlier keeper's, and only its end of the link tells of its own.
    pub(super) is_child: bool,
    pub(super) link: Link,
    /// Nothing will come from it any more, since then.
    pub(super) silent_since: Option<Instant>,
    /// It has the project in hand.
    pub(super) serves: bool,
    started: Instant,
    /// What it has not had room for: nobody is waited for here, least of all one that is stopped.
    unsent: VecDeque<(Vec<u8>, Vec<OwnedFd>)>,
}

impl Supervisor {
    /// Starts one, with its end of the link as standard input. It is greeted before it exists: should this process die
    /// from then on, the supervisor has what it held.
    ///
    /// # Errors
    /// When there can be no more processes or descriptors.
    pub(super) fn start(role: &Role, greet: impl FnOnce(&mut Self)) -> io::Result<Self> {
        use std::os::unix::process::CommandExt;
        let (link, theirs) = Link::pair()?;
        link.widen();
        let mut supervisor = Self::at(link, 0, true)?;
        greet(&mut supervisor);
        let process = Command::new("/proc/self/exe")
            .arg0("naru")
            .args(role.arguments(SUPERVISOR))
            .current_dir("/")
            .stdin(theirs.into_descriptor())
            .stdout(Stdio::null())
            .spawn()?;
        supervisor.pid = process.id().cast_signed();
        Ok(supervisor)
    }

    /// One that is there already.
    ///
    /// # Errors
    /// Never, for a socket.
    pub(super) fn at(link: Link, pid: i32, is_child: bool) -> io::Result<Self> {
        link.set_waiting(false)?;
        Ok(Self {
            pid,
            is_child,
            link,
            silent_since: None,
            serves: false,
            started: Instant::now(),
            unsent: VecDeque::new(),
        })
    }

    /// Tells it something, now or when it has room. One that is gone need not hear it.
    pub(super) fn tell(&mut self, message: &impl Serialize, beside: &[BorrowedFd<'_>]) {
        let Ok(bytes) = serde_json::to_vec(message) else { return };
        if self.unsent.is_empty() {
            match self.link.send_bytes(&bytes, beside) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                _ => return,
            }
        }
        let beside = beside.iter().map(BorrowedFd::try_clone_to_owned).collect::<Result<_, _>>();
        if let Ok(beside) = beside {
            self.unsent.push_back((bytes, beside));
        }
    }

    /// Sends what it had no room for.
    pub(super) fn flush(&mut self) {
        while let Some((bytes, beside)) = self.unsent.front() {
            let beside: Vec<_> = beside.iter().map(AsFd::as_fd).collect();
            match self.link.send_bytes(bytes, &beside) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                _ => drop(self.unsent.pop_front()),
            }
        }
    }

    /// Its end of the link is closed.
    pub(super) fn is_silent(&self) -> bool {
        self.silent_since.is_some()
    }

    /// When it counts as ended without anybody having heard so: it has closed everything, and a thread of it that waits
    /// for a disk keeps the kernel from saying that it has ended. A keeper that did not begin it hears of nothing else.
    pub(super) fn ends_unheard_at(&self) -> Option<Instant> {
        let patience = if self.is_child { LAST_BREATH } else { Duration::ZERO };
        self.silent_since.map(|since| since + patience)
    }

    /// Whether it is to be told more as soon as it has room.
    pub(super) fn is_behind(&self) -> bool {
        !self.unsent.is_empty()
    }
}

/// Whether a process is this one's child, ended or not.
pub(super) fn is_child(pid: i32) -> bool {
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    Pid::from_raw(pid).is_some_and(|pid| waitid(WaitId::Pid(pid), look).is_ok())
}

/// When a supervisor that ended unasked is started again: at once where somebody killed one that served, and more and
/// more slowly where it cannot live.
#[derive(Debug, Default)]
pub(super) struct Patience {
    failures: u32,
}

impl Patience {
    /// The pause before the next start; `code` is how this one ended.
    pub(super) fn after(&mut self, ended: &Supervisor, code: Option<u8>) -> Duration {
        self.pause(ended.serves, code, ended.started.elapsed())
    }

    fn pause(&mut self, served: bool, code: Option<u8>, lived: Duration) -> Duration {
        if served && (code == KILLED || lived >= SHORT_LIFE) {
            self.failures = 0;
            return Duration::ZERO;
        }
        self.failures = self.failures.saturating_add(1);
        match self.failures.checked_sub(FREE_TRIES + 1) {
            None => Duration::ZERO,
            Some(more) => FIRST_PAUSE.saturating_mul(1 << more.min(16)).min(LONGEST_PAUSE),
        }
    }

    /// How many could not live, in a row.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn one_that_was_killed_while_it_served_has_a_successor_at_once_however_often() {
        let mut patience = Patience::default();
        for _ in 0..1000 {
            assert_eq!(patience.pause(true, KILLED, Duration::from_millis(50)), Duration::ZERO);
        }
    }

    #[test]
    fn one_that_cannot_live_is_tried_more_and_more_slowly_until_one_has_lived() {
        let mut patience = Patience::default();
        let mut pause = || patience.pause(false, Some(1), Duration::from_millis(5));
        let pauses: Vec<_> = (0..5).map(|_| pause().as_millis()).collect();
        assert_eq!(pauses, [0, 0, 10, 20, 40]);
        let longest = (0..1000).map(|_| pause()).max();
        assert_eq!(longest, Some(LONGEST_PAUSE));
        assert_eq!(patience.pause(true, Some(101), LONG), Duration::ZERO);
        assert_eq!(patience.pause(false, Some(1), LONG), Duration::ZERO);
    }
}
