//! What a reboot leaves of the containers' states. They lie in the run directory, which goes with the machine; a copy
//! of all of them lies beside the records: brought to disk before a command is answered that changed what the user
//! wants, and within a second after everything else.

use std::time::Duration;

use naru_state::record::{self, Phase};
use naru_state::{ContainerId, atomic, process};
use tokio::time::Instant;

use super::Supervisor;
use super::container::Live;
use super::control::Client;
use super::timers::Due;
use crate::protocol::{Failure, Reply};

/// How long what happens by itself may take to be on disk: a container that restarts all the time must not keep the
/// disk busy.
const DELAY: Duration = Duration::from_secs(1);

/// Whether the copy is out of date.
#[derive(Debug, Default)]
pub(super) struct Lasting {
    /// The command under way waits for it.
    urgent: bool,
    /// It will be looked at within [`DELAY`].
    planned: bool,
    written: Option<record::States>,
}

impl Supervisor {
    /// The states are to be on disk before the command under way is answered.
    pub(super) fn must_last(&mut self, id: &ContainerId) {
        let is_going = |operation: &super::operation::Operation| operation.removes(id);
        // What is about to be removed leaves nothing to remember.
        if !self.operation.as_ref().is_some_and(is_going) {
            self.lasting.urgent = true;
        }
    }

    /// The states are to be on disk soon.
    pub(super) fn may_last(&mut self) {
        if !self.lasting.planned {
            self.lasting.planned = true;
            self.timers.add(Instant::now() + DELAY, Due::Lasting);
        }
    }

    /// The delay has passed.
    pub(super) fn lasting_due(&mut self) {
        self.lasting.planned = false;
        self.save_states();
        self.commit();
    }

    /// Writes the states when the command under way waits for that.
    pub(super) fn save_urgent_states(&mut self) {
        if std::mem::take(&mut self.lasting.urgent) {
            self.save_states();
        }
    }

    /// Writes every record again: one that somebody has changed, damaged or removed is as it was.
    pub(super) fn rewrite(&mut self, client: &Client) -> Result<(), Box<Failure>> {
        let failed = |error: &dyn std::error::Error| Box::new(Failure::from_error(error));
        let records: Vec<_> = self.containers.values().map(|live| live.record.clone()).collect();
        for record in records {
            self.save(&self.own.container_file(&record.id), &record).map_err(|e| failed(&e))?;
            self.save_state(&record.id);
            self.forget_damaged_exit(&record.id);
        }
        if self.known_model().is_some() {
            self.save_model().map_err(|error| failed(&error))?;
        }
        self.save_networks().map_err(|error| failed(&error))?;
        self.lasting.written = None;
        self.save_states();
        self.commit();
        drop(client.send(Reply::Done));
        Ok(())
    }

    /// How its last run ended is in its state: the keeper's file only told of it.
    fn forget_damaged_exit(&self, id: &ContainerId) {
        let path = self.own.exit_file(id);
        if let Err(atomic::Error::Damaged { .. }) = atomic::load::<record::Exit>(&path) {
            drop(fs_err::remove_file(path));
        }
    }

    pub(super) fn save_states(&mut self) {
        if self.containers.is_empty() || self.finished {
            return;
        }
        let states = self.containers.iter().map(|(id, live)| (id.clone(), lasting(live)));
        let record = record::States {
            version: record::VERSION,
            boot_id: process::boot_id().unwrap_or_default(),
            states: states.collect(),
        };
        if self.lasting.written.as_ref() == Some(&record) {
            return;
        }
        match self.save(&self.own.states_file(), &record) {
            Ok(()) => self.lasting.written = Some(record),
            Err(error) => {
                let cause = std::error::Error::source(&error);
                let cause = cause.map(|cause| format!(": {cause}")).unwrap_or_default();
                self.note(&format!("Warning: a reboot would forget what runs: {error}{cause}"));
            }
        }
    }
}

/// One that is being started is meant to run, whatever becomes of the attempt.
fn lasting(live: &Live) -> record::State {
    let mut state = live.state.lasting();
    if live.starting.is_some() {
        state.phase = Phase::Running;
        state.process = None;
        state.started_at = Some(record::Moment::after(Duration::ZERO));
    }
    state
}
