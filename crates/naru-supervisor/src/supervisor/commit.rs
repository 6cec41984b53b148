//! Records on disk for good: written by rename at once, brought to disk together, and before the command that
//! made them is answered. That is one wait for the disk per command instead of one per container, and it
//! passes while containers start.
//!
//! Nobody but that command waits: not a supervisor that makes room for another one, nor who takes over from one that was
//! killed. A thread that waits for the disk cannot be killed before the disk has answered, so it shares no descriptor, no
//! socket and no lock with the others.

use std::io;
use std::path::{Path, PathBuf};

use naru_state::atomic;
use serde::Serialize;

use super::Supervisor;
use super::event::Event;
use crate::protocol::Failure;

/// Enough to wait with.
const STACK: usize = 64 << 10;

/// Records that a power cut would still take.
#[derive(Debug, Default)]
pub(super) struct Unsaved {
    paths: Vec<PathBuf>,
    under_way: bool,
}

impl Supervisor {
    /// Writes a record that is to be brought to disk with the command's others.
    pub(super) fn save(
        &mut self,
        path: &Path,
        record: &impl Serialize,
    ) -> Result<(), atomic::Error> {
        atomic::save_volatile(path, record)?;
        self.unsaved.paths.push(path.to_owned());
        Ok(())
    }

    /// Brings to disk what has been written; true when nothing is left to wait for.
    pub(super) fn commit(&mut self) -> bool {
        if self.unsaved.under_way {
            return false;
        }
        self.save_urgent_states();
        let paths = std::mem::take(&mut self.unsaved.paths);
        if paths.is_empty() {
            return true;
        }
        self.unsaved.under_way = true;
        let events = self.events.clone();
        let waiting = std::thread::Builder::new().name("naru".into()).stack_size(STACK);
        let begun = waiting.spawn(move || {
            // Telling needs the loop's own descriptor.
            let committing = naru_sys::process::spawn_apart(move || atomic::commit(&paths));
            let result = committing.and_then(|thread| {
                thread.join().unwrap_or_else(|_panic| Err(io::ErrorKind::Other.into()))
            });
            drop(events.send(Event::Committed(result)));
        });
        match begun {
            Ok(_waiting) => false,
            Err(error) => {
                self.committed(Err(error));
                true
            }
        }
    }

    /// Records were brought to disk, or could not be, which fails the command that made them.
    pub(super) fn committed(&mut self, result: io::Result<()>) {
        self.unsaved.under_way = false;
        if let Err(error) = result {
            tracing::error!(%error, "records could not be brought to disk");
            self.fail(Failure::from_error(&error));
        }
    }
}
