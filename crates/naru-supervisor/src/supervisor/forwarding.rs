//! Containers whose lines are sent elsewhere: begun with their first start, ended when they are removed.

use naru_state::ContainerId;

use super::Supervisor;
use crate::forward::Forwarder;

impl Supervisor {
    /// Begins to send a container's lines, unless they stay here or are sent already.
    pub(super) fn forward(&mut self, id: &ContainerId) {
        let Some(live) = self.containers.get(id) else { return };
        let name = &live.record.name;
        let known = self.forwarders.get(name);
        if known.is_some_and(|(of, forwarder)| of == id && !forwarder.has_ended()) {
            return;
        }
        let before = self.forwarders.remove(name).map(|(_, forwarder)| forwarder);
        match Forwarder::start(&self.own, &live.record, before) {
            Ok(Some(forwarder)) => {
                self.forwarders.insert(name.clone(), (id.clone(), forwarder));
            }
            Ok(None) => {}
            Err(error) => tracing::error!(container = %name, %error, "its lines are not sent on"),
        }
    }

    /// Begins to send the lines of all containers that there are.
    pub(super) fn resume_forwarding(&mut self) {
        let all: Vec<_> = self.containers.keys().cloned().collect();
        all.iter().for_each(|id| self.forward(id));
    }

    /// A container is removed: its last lines are on their way.
    pub(super) fn end_forwarding(&self, id: &ContainerId) {
        let of_it = self.forwarders.values().filter(|(of, _)| of == id);
        of_it.for_each(|(_, forwarder)| forwarder.finish());
    }

    /// The project is down: waits for the last lines, but for no server that hangs.
    pub(super) fn finish_forwarding(&mut self) {
        let all = std::mem::take(&mut self.forwarders);
        all.values().for_each(|(_, forwarder)| forwarder.finish());
        all.into_values().for_each(|(_, forwarder)| forwarder.join());
    }
}
