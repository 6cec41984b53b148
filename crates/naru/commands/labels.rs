//! The labels that Compose tools know a container by. naru finds its containers by their records; whoever reads `ps` finds
//! them by these.

use std::collections::BTreeMap;

use naru_state::{atomic, record};

use crate::settings::Target;

/// What the labels tell of the project.
#[derive(Debug)]
pub(super) struct Project {
    name: String,
    /// As it was last brought up; a project without it was damaged.
    record: Option<record::Project>,
}

impl Project {
    /// The project of a command.
    pub(super) fn of(target: &Target) -> Self {
        // Labels are not worth an error: `ps` tells of damage in its own words.
        let record = atomic::load(&target.directories.project_file()).ok().flatten();
        Self { name: target.name.to_string(), record }
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// All labels of a container: those of the file, and Compose's own over them.
    pub(super) fn labels(&self, container: &record::Container) -> BTreeMap<String, String> {
        let mut labels = container.labels.clone();
        let mut set = |name: &str, value: String| {
            labels.insert(format!("com.docker.compose.{name}"), value);
        };
        set("project", self.name.clone());
        set("service", container.service.clone());
        set("version", env!("CARGO_PKG_VERSION").to_owned());
        set("image", container.image_id.clone());
        set("depends_on", depends_on(container));
        if let Some(hash) = container.fingerprint["hash"].as_str() {
            set("config-hash", hash.to_owned());
        }
        match &container.one_off {
            None => {
                set("oneoff", "False".to_owned());
                set("container-number", container.number.to_string());
            }
            Some(one_off) => {
                set("oneoff", "True".to_owned());
                set("slug", one_off.slug.clone());
            }
        }
        if let Some(record) = &self.record {
            set("project.working_dir", record.working_directory.clone());
            set("project.config_files", record.compose_files.join(","));
        }
        labels
    }
}

/// `db:service_healthy:true,…`: the last word is whether it is restarted along.
fn depends_on(container: &record::Container) -> String {
    let all = container.depends_on.iter();
    let words: Vec<_> = all
        .map(|(name, wanted)| format!("{name}:{}:{}", wanted.condition, wanted.restart))
        .collect();
    words.join(",")
}
