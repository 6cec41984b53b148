//! Traps of merging ports.

use std::collections::BTreeMap;

use super::Linter;
use crate::problem::Code;
use crate::project::{Port, Protocol, Service};
use crate::source::Position;

impl Linter<'_> {
    /// Lists of ports are appended: a file that gives a container port another port of the machine
    /// publishes it twice.
    pub(super) fn ports(&mut self, name: &str, service: &Service) {
        // For each port of the container, and each file, the first two that are published differently: one of
        // them differs from any other.
        let mut known: BTreeMap<(u16, Protocol), Vec<(&Port, Position)>> = BTreeMap::new();
        for (index, port) in service.ports.iter().enumerate() {
            if port.published.is_none() {
                continue;
            }
            let at = self.place.of(&["services", name, "ports", &index.to_string()]);
            let same = known.entry((port.target, port.protocol)).or_default();
            let differs = |(earlier, _): &&(&Port, Position)| earlier.published != port.published;
            let earlier = same.iter().filter(differs).find(|(_, before)| before.file != at.file);
            let earlier = earlier.copied();
            let mut of_file = same.iter().filter(|(_, before)| before.file == at.file);
            if of_file.clone().count() < 2 && of_file.all(|earlier| differs(&earlier)) {
                same.push((port, at));
            }
            let Some((earlier, before)) = earlier else { continue };
            let (old, new) = (earlier.published.as_deref(), port.published.as_deref());
            let (old, new, target) =
                (old.unwrap_or_default(), new.unwrap_or_default(), port.target);
            let message = format!(
                "port {target} of the container is published twice, at {old} and {new}: lists of ports are appended"
            );
            let written = if port.host_ip.is_empty() {
                format!("{new}:{target}")
            } else {
                format!("{}:{new}:{target}", port.host_ip)
            };
            let hint =
                format!("to replace the earlier ports write `ports: !override [\"{written}\"]`");
            let index = index.to_string();
            self.warn(Code::SECOND_HOST_PORT, (name, &["ports", &index]), message)
                .related(before, "the earlier file says this")
                .hint(hint);
        }
    }
}
