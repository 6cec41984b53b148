//! What becomes of a container's output: what is kept of it, where, and what is added to it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use naru_compose::project::{LogDriver, LogSettings, Logging, Service, fill_tag};
use naru_state::ProjectDirectories;
use naru_state::log::Limits;
use naru_state::record::{self, Container};
use serde::{Deserialize, Serialize};

use crate::spec;

/// What is kept for those who watch a container of which nothing is kept.
const PASSING: Limits = Limits { step: 512 << 10, steps: 2, patience: 0 };

/// The same where something else reads it too.
const PASSING_ON: Limits = Limits { step: 8 << 20, steps: 2, patience: 0 };

/// What Docker's `local` driver keeps, and its cache for drivers that send their lines elsewhere.
const LOCAL: Limits = Limits { step: 20_000_000, steps: 5, patience: 80_000_000 };

/// Where systemd's journal takes messages.
pub const JOURNAL: &str = "/run/systemd/journal/socket";

/// What the keeper does with a container's output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Keep {
    /// It goes to the run directory, and away with the container.
    pub(crate) passing: bool,
    /// How much of it is kept.
    pub(crate) limits: Limits,
    /// What cannot be written is thrown away, rather than the container kept waiting.
    pub(crate) drops: bool,
}

impl Keep {
    /// As the container's record says.
    pub(crate) fn of(record: &Container) -> Self {
        let settings = settings(record);
        Self { passing: settings.passing, limits: limits(&settings), drops: settings.drops }
    }
}

/// The directory of a container's log.
pub fn directory(project: &ProjectDirectories, container: &Container) -> PathBuf {
    match is_passing(container) {
        true => project.passing_log(&container.id),
        false => project.log(&container.name),
    }
}

/// Whether nothing of a container's output is kept.
pub fn is_passing(container: &Container) -> bool {
    settings(container).passing
}

/// What a container's logging options add to each of its lines.
pub fn attributes(container: &Container) -> BTreeMap<String, String> {
    container.logging.attributes.clone()
}

/// What the record of a new container says of its output.
pub(crate) fn record(
    container: &Container,
    service: &Service,
    image: &spec::Image<'_>,
) -> record::Logging {
    let logging = service.logging.clone().unwrap_or_default();
    let settings = logging.settings().unwrap_or_else(|_| default());
    let tag = tag(&settings, container);
    let mut attributes = BTreeMap::new();
    for name in &settings.labels {
        attributes.extend(container.labels.get(name).map(|value| (name.clone(), value.clone())));
    }
    for name in &settings.env {
        let own = service.environment.get(name).cloned();
        let value = own.unwrap_or_else(|| image.variable(name));
        attributes.extend(value.map(|value| (name.clone(), value)));
    }
    if settings.tag.is_some() {
        attributes.insert("tag".to_owned(), tag.clone());
    }
    record::Logging { driver: logging.driver, options: logging.options, tag, attributes }
}

fn tag(settings: &LogSettings, container: &Container) -> String {
    let short = |id: &str| id.trim_start_matches("sha256:").chars().take(12).collect();
    let field = |name: &str| {
        Some(match name {
            "ID" => container.id.short().to_owned(),
            "FullID" => container.id.as_str().to_owned(),
            "Name" => container.name.clone(),
            "ImageID" => short(&container.image_id),
            "ImageFullID" => container.image_id.clone(),
            "ImageName" => container.image.clone(),
            "DaemonName" => "naru".to_owned(),
            "Hostname" => host_name(),
            _ => return None,
        })
    };
    let template = settings.tag.as_deref().unwrap_or("{{.ID}}");
    fill_tag(template, field).unwrap_or_else(|_| template.to_owned())
}

/// The machine's name.
pub(crate) fn host_name() -> String {
    let name = rustix::system::uname();
    name.nodename().to_string_lossy().into_owned()
}

/// What the record asks for; it was looked at before the container was made.
pub(crate) fn settings(container: &Container) -> LogSettings {
    let record::Logging { driver, options, .. } = container.logging.clone();
    let logging = Logging { driver, options, ..Logging::default() };
    logging.settings().unwrap_or_else(|error| {
        tracing::warn!(container = %container.name, %error, "its logging options are not understood");
        default()
    })
}

fn default() -> LogSettings {
    LogSettings {
        driver: LogDriver::JsonFile,
        max_size: None,
        max_file: None,
        drops: false,
        passing: false,
        tag: None,
        labels: Vec::new(),
        env: Vec::new(),
    }
}

/// Docker's defaults, but that its `json-file` keeps everything for ever; a size without a number of files means one.
fn limits(settings: &LogSettings) -> Limits {
    let usual = match settings.driver {
        LogDriver::None => return PASSING,
        _ if settings.passing => return PASSING_ON,
        LogDriver::JsonFile => Limits::default(),
        _ => LOCAL,
    };
    match (settings.max_size, settings.max_file) {
        (None, None) => usual,
        (None, Some(files)) => Limits::exactly(usual.step, files),
        (Some(size), None) if settings.driver == LogDriver::JsonFile => Limits::exactly(size, 1),
        (Some(size), None) => Limits::exactly(size, usual.steps),
        (Some(size), Some(files)) => Limits::exactly(size, files),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep(driver: &str, options: &[(&str, &str)]) -> Keep {
        let options = options.iter().map(|&(name, value)| (name.to_owned(), value.to_owned()));
        let logging = record::Logging {
            driver: driver.to_owned(),
            options: options.collect(),
            ..record::Logging::default()
        };
        Keep::of(&Container { logging, ..container() })
    }

    fn container() -> Container {
        serde_json::from_value(serde_json::json!({
            "version": 1, "id": "a".repeat(64), "name": "shop-web-1", "service": "web", "number": 1,
            "fingerprint": null, "image": "nginx", "image_id": "sha256:0123456789abcdef",
            "command": [], "hostname": "h", "created_ns": 0, "attachments": [], "ports": [],
            "volumes": {}, "anonymous_volumes": [], "depends_on": {}, "labels": {"tier": "front"},
            "stop_signal": 15, "stop_grace": {"secs": 1, "nanos": 0}, "tty": false
        }))
        .unwrap()
    }

    #[test]
    fn rotation_is_on_whatever_is_asked_for() {
        assert_eq!(keep("", &[]).limits, Limits::default());
        assert_eq!(
            keep("json-file", &[("max-size", "1m"), ("max-file", "3")]).limits.step,
            1_000_000
        );
        let one = keep("json-file", &[("max-size", "1m")]).limits;
        assert_eq!((one.step, one.steps, one.patience), (500_000, 2, 0));
        assert_eq!(keep("local", &[]).limits, LOCAL);
        assert_eq!(keep("local", &[("max-size", "1m")]).limits.steps, 5);
        assert_eq!(keep("syslog", &[("cache-max-file", "2")]).limits.steps, 2);
        assert!(
            keep("none", &[]).passing && keep("journald", &[("cache-disabled", "true")]).passing
        );
        assert!(keep("local", &[("mode", "non-blocking")]).drops);
    }

    #[test]
    fn labels_variables_and_tag_are_added_to_lines() {
        let options = [("labels", "tier,none"), ("env", "MODE"), ("tag", "{{.Name}}/{{.ImageID}}")];
        let options = options.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let logging = Logging { options: options.into(), ..Logging::default() };
        let service = Service {
            logging: Some(logging),
            environment: [("MODE".to_owned(), Some("test".to_owned()))].into_iter().collect(),
            ..Service::default()
        };
        let found = super::record(&container(), &service, &spec::Image::default());
        let expected = [("MODE", "test"), ("tag", "shop-web-1/0123456789ab"), ("tier", "front")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(found.attributes, expected.into());
        let plain = super::record(&container(), &Service::default(), &spec::Image::default());
        assert_eq!((plain.tag, plain.attributes.len()), ("a".repeat(12), 0));
    }
}
