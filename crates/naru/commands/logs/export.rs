//! Lines as JSON: the form of Docker's json-file driver, with whose they are.

use std::collections::BTreeMap;
use std::io::{self, Write};

use naru_state::log::{Item, Stream};
use naru_supervisor::{logging, observe};
use serde_json::{Map, Value, json};

use crate::follow::{Entry, shown_name};
use crate::settings::Target;
use crate::time;

/// Writes objects, one per line, to stdout.
#[derive(Debug)]
pub(super) struct Json {
    /// What the options `labels`, `env` and `tag` add, by shown name.
    attributes: BTreeMap<String, Map<String, Value>>,
    pending: Vec<u8>,
}

impl Json {
    /// With the attributes that the containers' logging options ask for.
    pub(super) fn new(target: &Target) -> Self {
        let containers = observe::containers(&target.directories).unwrap_or_default();
        let attributes = containers.into_iter().map(|seen| {
            let name = shown_name(&seen.record.name, target.name.as_str()).to_owned();
            let attributes = logging::attributes(&seen.record);
            (name, attributes.into_iter().map(|(name, value)| (name, value.into())).collect())
        });
        Self { attributes: attributes.collect(), pending: Vec::new() }
    }

    /// Adds an entry to the batch.
    ///
    /// # Errors
    /// When nobody takes what the batch held before.
    pub(super) fn write(&mut self, entry: &Entry<'_>) -> io::Result<()> {
        let object = self.object(entry);
        serde_json::to_writer(&mut self.pending, &object)?;
        self.pending.push(b'\n');
        if self.pending.len() > 1 << 16 { self.flush() } else { Ok(()) }
    }

    /// Writes what the batch holds.
    ///
    /// # Errors
    /// When nobody takes it.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        let written = stdout.write_all(&self.pending).and_then(|()| stdout.flush());
        self.pending.clear();
        written
    }

    fn object(&self, entry: &Entry<'_>) -> Value {
        let time = time::rfc3339_nano(entry.item.time_ns());
        let (container, service) = (entry.name, entry.service);
        let line = match &entry.item {
            Item::Lost(lost) => {
                return json!({
                    "container": container, "service": service, "lost": lost.bytes, "time": time,
                });
            }
            Item::Line(line) => line,
        };
        let mut text = String::from_utf8_lossy(&line.bytes).into_owned();
        text.extend(line.complete.then_some('\n'));
        let stream = if line.stream == Stream::Stdout { "stdout" } else { "stderr" };
        let mut object = json!({
            "container": container, "service": service, "run": line.generation,
            "log": text, "stream": stream, "time": time,
        });
        if let Some(attributes) = self.attributes.get(container).filter(|all| !all.is_empty()) {
            object["attrs"] = Value::Object(attributes.clone());
        }
        object
    }
}
