//! Tells of a command in a container, for `naru events`.

use std::path::PathBuf;

use naru_state::ContainerId;
use naru_state::events::{self, Event};
use naru_state::record::now_ns;
use naru_supervisor::observe::Seen;

/// A command that is told of: when it begins and how it ends.
#[derive(Debug)]
pub(super) struct Told {
    path: PathBuf,
    begin: Event,
}

impl Told {
    /// The command `words` in `container`.
    pub(super) fn new(path: PathBuf, container: &Seen, words: &[String]) -> Self {
        let Seen { record, .. } = container;
        let mut attributes = record.labels.clone();
        attributes.insert("image".to_owned(), record.image.clone());
        attributes.insert("name".to_owned(), record.name.clone());
        let id = ContainerId::random().map_or_else(|_| String::new(), |id| id.to_string());
        attributes.insert("execID".to_owned(), id);
        let begin = Event {
            time_ns: now_ns(),
            action: words.join(" "),
            service: record.service.clone(),
            id: record.id.clone(),
            generation: 0,
            attributes,
        };
        Self { path, begin }
    }

    /// It has been started.
    pub(super) fn begun(&self) {
        for action in ["exec_create", "exec_start"] {
            let action = format!("{action}: {}", self.begin.action);
            self.write(Event { action, time_ns: now_ns(), ..self.begin.clone() });
        }
    }

    /// It has ended.
    pub(super) fn ended(&self, code: u8) {
        let mut event =
            Event { action: "exec_die".to_owned(), time_ns: now_ns(), ..self.begin.clone() };
        event.attributes.insert("exitCode".to_owned(), code.to_string());
        self.write(event);
    }

    /// Without the event the command is as good: nobody is told of a full disk here.
    fn write(&self, event: Event) {
        if let Err(error) = events::append(&self.path, &event) {
            tracing::warn!(%error, action = event.action, "an event could not be written down");
        }
    }
}
