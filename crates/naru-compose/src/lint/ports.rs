//! Traps of merging ports.

use super::Linter;
use crate::problem::Code;
use crate::project::Service;

impl Linter<'_> {
    /// Lists of ports are appended: a file that gives a container port another port of the machine
    /// publishes it twice.
    pub(super) fn ports(&mut self, name: &str, service: &Service) {
        for (index, port) in service.ports.iter().enumerate() {
            let at = self.place.of(&["services", name, "ports", &index.to_string()]);
            let earlier = service.ports[..index].iter().enumerate().find_map(|(other, earlier)| {
                let before = self.place.of(&["services", name, "ports", &other.to_string()]);
                let same = earlier.target == port.target && earlier.protocol == port.protocol;
                let published = earlier.published.is_some() && port.published.is_some();
                let differs = earlier.published != port.published;
                (same && published && differs && before.file != at.file)
                    .then_some((earlier, before))
            });
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
