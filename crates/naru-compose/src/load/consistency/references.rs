//! What services refer to has to exist.

use super::Checker;
use crate::problem::Code;
use crate::project::{MountKind, NetworkMode, Service};
use crate::schema::closest;

impl Checker<'_> {
    /// Checks everything that a service names.
    pub(super) fn references(&mut self, name: &str, service: &Service) {
        self.dependencies(name, service);
        let project = self.project;
        for key in service.networks.keys().filter(|key| !project.networks.contains_key(*key)) {
            self.undefined(name, &["networks", key], ("network", key), project.networks.keys());
        }
        for (index, mount) in service.volumes.iter().enumerate() {
            let source = &mount.source;
            let named = mount.kind == MountKind::Volume && !source.is_empty();
            if named && !project.volumes.contains_key(source) && self.has_type(name, index) {
                let index = index.to_string();
                let way = ["volumes", &index];
                self.undefined(name, &way, ("volume", source), project.volumes.keys());
            }
        }
        for key in service.models.keys().filter(|key| !project.models.contains_key(*key)) {
            self.undefined(name, &["models", key], ("model", key), project.models.keys());
        }
        for (index, config) in service.configs.iter().enumerate() {
            if !project.configs.contains_key(&config.source) {
                let index = index.to_string();
                let what = ("config", config.source.as_str());
                self.undefined(name, &["configs", &index], what, project.configs.keys());
            }
        }
        self.secrets(name, service);
        self.build_contexts(name, service);
    }

    /// Whether the type of a mount is known; it is taken out when it is wrong.
    fn has_type(&self, name: &str, index: usize) -> bool {
        let service = self.place.0.as_map().and_then(|map| map.map("services")?.map(name));
        let mount = service.and_then(|service| service.list("volumes").get(index)?.as_map());
        mount.is_some_and(|mount| mount.has("type"))
    }

    fn secrets(&mut self, name: &str, service: &Service) {
        let project = self.project;
        let build = service.build.iter().flat_map(|build| build.secrets.iter().enumerate());
        let build = build.map(|(index, secret)| (["build", "secrets"].as_slice(), index, secret));
        let own = service.secrets.iter().enumerate();
        let own = own.map(|(index, secret)| (["secrets"].as_slice(), index, secret));
        for (way, index, secret) in own.chain(build) {
            if !project.secrets.contains_key(&secret.source) {
                let index = index.to_string();
                let way: Vec<&str> = way.iter().copied().chain([index.as_str()]).collect();
                let what = ("secret", secret.source.as_str());
                self.undefined(name, &way, what, project.secrets.keys());
            }
        }
    }

    fn dependencies(&mut self, name: &str, service: &Service) {
        let project = self.project;
        for (other, dependency) in &service.depends_on {
            if project.services.contains_key(other) {
                continue;
            }
            let disabled = project.disabled_services.get(other);
            if disabled.is_some() && !dependency.required {
                continue;
            }
            let way = ["depends_on", other.as_str()];
            let Some(disabled) = disabled else {
                let way = self.implied_by(name, other);
                let way: Vec<&str> = way.iter().map(String::as_str).collect();
                self.undefined(name, &way, ("service", other), project.services.keys());
                continue;
            };
            let profiles = disabled.profiles.join("`, `");
            let message = format!(
                "service `{name}` depends on `{other}`, which only takes part in the profile `{profiles}`"
            );
            let hint = "enable the profile with --profile, or write `required: false`";
            self.error(name, &way, message).code(Code::PROFILE).hint(hint);
        }
        if let Some(NetworkMode::Service(other)) = &service.network_mode
            && !project.services.contains_key(other)
            && !project.disabled_services.contains_key(other)
            && !service.depends_on.contains_key(other)
        {
            self.undefined(name, &["network_mode"], ("service", other), project.services.keys());
        }
    }

    /// The attribute that a dependency follows from.
    fn implied_by(&self, name: &str, other: &str) -> Vec<String> {
        let tree = self.place.0.as_map().and_then(|map| map.map("services")?.map(name));
        let Some(service) = tree else { return vec!["depends_on".to_owned(), other.to_owned()] };
        let shared = format!("service:{other}");
        for key in ["network_mode", "ipc", "pid", "uts", "cgroup"] {
            if service.text(key) == Some(&shared) {
                return vec![key.to_owned()];
            }
        }
        for key in ["links", "volumes_from"] {
            let entries = service.list(key).iter().filter_map(|entry| entry.as_text());
            let named = |text: &str| text.split(':').next() == Some(other);
            let index = entries.enumerate().find(|(_, text)| named(text)).map(|(index, _)| index);
            let written = service.map("depends_on").and_then(|map| map.get(other));
            if let (Some(index), Some(made)) = (index, written.map(|node| node.made))
                && made.is_some()
            {
                return vec![key.to_owned(), index.to_string()];
            }
        }
        vec!["depends_on".to_owned(), other.to_owned()]
    }

    fn build_contexts(&mut self, name: &str, service: &Service) {
        let contexts = service.build.iter().flat_map(|build| &build.additional_contexts);
        let project = self.project;
        for (context, target) in contexts {
            let Some(other) = target.strip_prefix("service:") else { continue };
            let way = ["build", "additional_contexts", context.as_str()];
            match project.services.get(other) {
                None => self.undefined(name, &way, ("service", other), project.services.keys()),
                Some(other_service) if other_service.build.is_none() => {
                    let message = format!("service `{other}` is not built and cannot be a context");
                    self.error(name, &way, message)
                        .hint("add `build:` to it, or name another service");
                }
                Some(_) => {}
            }
        }
    }

    fn undefined<'k>(
        &mut self,
        service: &str,
        way: &[&str],
        (kind, key): (&str, &str),
        known: impl Iterator<Item = &'k String>,
    ) {
        let (section, name) = (format!("{kind}s"), format!("{kind}s.{key}"));
        if self.lost.contains(&section) || self.lost.contains(&name) {
            return;
        }
        let verb = if kind == "service" { "depends on" } else { "refers to" };
        let message = format!("service `{service}` {verb} undefined {kind} `{key}`");
        let hint = match closest(key, known.map(String::as_str)) {
            Some(similar) => format!("did you mean `{similar}`?"),
            None if kind == "service" => format!("there is no `{key}` below `services:`"),
            None => format!("declare it: put `{key}:` below `{kind}s:` at the top level"),
        };
        self.error(service, way, message).code(Code::UNDEFINED).hint(hint);
    }
}
