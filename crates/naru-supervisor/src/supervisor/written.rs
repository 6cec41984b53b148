//! The files that say what the containers do now, which `ps` reads: one that could not be written, since the disk was full
//! for a moment, is written as soon as it can be, and before the next request is answered.

use std::collections::BTreeSet;
use std::time::Duration;

use naru_state::{ContainerId, atomic};
use tokio::time::Instant;

use super::Supervisor;
use super::timers::Due;

/// How long until another try.
const AGAIN: Duration = Duration::from_millis(100);

/// The containers whose file is out of date.
pub(super) type Unwritten = BTreeSet<ContainerId>;

impl Supervisor {
    /// Writes a container's state down.
    pub(super) fn save_state(&mut self, id: &ContainerId) {
        let Some(live) = self.containers.get(id) else { return };
        match atomic::save_volatile(&self.own.state_file(id), &live.state) {
            Ok(()) => drop(self.unwritten.remove(id)),
            Err(error) => {
                if self.unwritten.is_empty() {
                    tracing::error!(container = %live.record.name, %error, "a state could not be written");
                    self.timers.add(Instant::now() + AGAIN, Due::Unwritten);
                }
                self.unwritten.insert(id.clone());
            }
        }
    }

    /// Tries again what could not be written.
    pub(super) fn save_unwritten(&mut self) {
        let unwritten = self.unwritten.clone();
        self.unwritten.retain(|id| self.containers.contains_key(id));
        unwritten.iter().for_each(|id| self.save_state(id));
    }

    /// The time for another try has come.
    pub(super) fn unwritten_due(&mut self) {
        self.save_unwritten();
        if !self.unwritten.is_empty() {
            self.timers.add(Instant::now() + AGAIN, Due::Unwritten);
        }
    }
}
