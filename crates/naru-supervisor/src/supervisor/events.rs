//! Telling what happens to containers, for `naru events`: in Docker's words and order.
//!
//! What can be told once in a run (`start`, `die`) or once at all (`create`, `destroy`) is told by whichever supervisor
//! comes first: one that takes over reads what has been told and adds what the one before it did not live to tell.

use std::collections::BTreeMap;

use naru_state::record::{self, Phase};
use naru_state::{ContainerId, events};

use super::Supervisor;

/// What has been told, for those events that must not be told twice: the newest run of each.
#[derive(Debug, Default)]
pub(super) struct Told {
    newest: BTreeMap<(ContainerId, &'static str), u16>,
    /// Older events than this were told, and are gone from the file.
    since_ns: u64,
}

/// Events that happen once in a run.
const ONCE: [&str; 4] = ["create", "start", "die", "destroy"];

impl Told {
    /// What the file of events tells.
    pub(super) fn load(own: &naru_state::ProjectDirectories) -> Self {
        let path = own.events_file();
        let history = events::history(&path).unwrap_or_else(|error| {
            tracing::warn!(%error, "the events so far cannot be read");
            Vec::new()
        });
        let first = history.first().filter(|_| events::is_cut(&path));
        let mut told = Self { since_ns: first.map_or(0, |event| event.time_ns), ..Self::default() };
        for event in history {
            told.note(&event.id, &event.action, event.generation);
        }
        told
    }

    /// Notes an event; false when it was told before.
    fn note(&mut self, id: &ContainerId, action: &str, generation: u16) -> bool {
        let Some(once) = ONCE.into_iter().find(|once| *once == action) else { return true };
        let newest = self.newest.entry((id.clone(), once)).or_insert(0);
        // Runs count from 1; what happens once at all is given 1 here.
        let generation = generation.max(1);
        let is_new = *newest < generation;
        *newest = generation.max(*newest);
        is_new
    }
}

impl Supervisor {
    /// Tells that something has happened to a container now.
    pub(super) fn tell(&mut self, id: &ContainerId, action: &str) {
        self.tell_of(id, action, record::now_ns(), &[]);
    }

    /// Tells that something happened to a container, with what belongs to it.
    pub(super) fn tell_of(
        &mut self,
        id: &ContainerId,
        action: &str,
        time_ns: u64,
        more: &[(&str, String)],
    ) {
        // As docker compose has it, one-off containers are not told of.
        let live = self.containers.get(id).filter(|live| live.is_replica());
        let Some(live) = live else { return };
        let generation = match action {
            "start" | "die" => live.state.ran().unwrap_or(0),
            _ => 0,
        };
        if !self.told.note(id, action, generation) {
            return;
        }
        let record = &live.record;
        let mut attributes = record.labels.clone();
        attributes.insert("image".to_owned(), record.image.clone());
        attributes.insert("name".to_owned(), record.name.clone());
        attributes.extend(more.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        let event = events::Event {
            time_ns,
            action: action.to_owned(),
            service: record.service.clone(),
            id: id.clone(),
            generation,
            attributes,
        };
        if let Err(error) = events::append(&self.own.events_file(), &event) {
            tracing::warn!(%error, action, "an event could not be written down");
        }
    }

    /// Tells that a container runs.
    pub(super) fn tell_start(&mut self, id: &ContainerId, by_command: bool) {
        let started_ns = self.containers.get(id).and_then(|live| live.state.started_ns);
        self.tell_of(id, "start", started_ns.unwrap_or_else(record::now_ns), &[]);
        if by_command && self.operation.as_ref().is_some_and(|operation| operation.restarts) {
            self.tell(id, "restart");
        }
    }

    /// Tells that a container was sent a signal.
    pub(super) fn tell_signal(&mut self, id: &ContainerId, signal: i32) {
        self.tell_of(id, "kill", record::now_ns(), &[("signal", signal.to_string())]);
    }

    /// Tells how a container's process ended.
    pub(super) fn tell_died(&mut self, id: &ContainerId) {
        let Some(live) = self.containers.get(id) else { return };
        let Some(exit) = live.state.exit.clone() else { return };
        let ran_ns = exit.time_ns.saturating_sub(live.state.started_ns.unwrap_or(exit.time_ns));
        if exit.out_of_memory {
            self.tell_of(id, "oom", exit.time_ns, &[]);
        }
        let code = exit.code.map_or_else(|| "unknown".to_owned(), |code| code.to_string());
        let seconds = ran_ns / 1_000_000_000;
        let more = [("execDuration", seconds.to_string()), ("exitCode", code)];
        self.tell_of(id, "die", exit.time_ns, &more);
    }

    /// Tells of a container that was found on disk what nobody has told yet.
    pub(super) fn tell_what_was_missed(&mut self, id: &ContainerId) {
        let Some(live) = self.containers.get(id) else { return };
        let (created_ns, state) = (live.record.created_ns, live.state.clone());
        if created_ns >= self.told.since_ns {
            self.tell_of(id, "create", created_ns, &[]);
        }
        if let Some(started_ns) = state.started_ns.filter(|ns| *ns >= self.told.since_ns) {
            self.tell_of(id, "start", started_ns, &[]);
        }
        let ended = matches!(state.phase, Phase::Exited | Phase::Restarting);
        if ended && state.exit.as_ref().is_some_and(|exit| exit.time_ns >= self.told.since_ns) {
            self.tell_died(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_told_once_in_a_run_and_a_signal_each_time() {
        let id = ContainerId::try_from("a".repeat(64)).unwrap();
        let mut told = Told::default();
        assert!(told.note(&id, "create", 0) && !told.note(&id, "create", 0));
        assert!(told.note(&id, "start", 1) && !told.note(&id, "start", 1));
        assert!(told.note(&id, "start", 2) && !told.note(&id, "start", 1));
        assert!(told.note(&id, "kill", 0) && told.note(&id, "kill", 0));
    }
}
