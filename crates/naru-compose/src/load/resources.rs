//! Leaving out what no service uses.

use std::collections::BTreeSet;

use super::request::Loaded;
use crate::project::{MountKind, Project};

impl Loaded {
    /// Leaves only these services, all when none is named, and what they depend on; networks and
    /// other resources that none of them uses go as well unless `all_resources`.
    pub fn select(&mut self, services: &[String], all_resources: bool) {
        let project = &mut self.project;
        if services.is_empty() {
            return;
        }
        let mut wanted = BTreeSet::new();
        let mut open: Vec<String> = services.to_vec();
        while let Some(name) = open.pop() {
            let Some(service) = project.services.get(&name) else { continue };
            if wanted.insert(name) {
                open.extend(service.depends_on.keys().cloned());
            }
        }
        project.services.retain(|name, _| wanted.contains(name));
        if !all_resources {
            drop_unused(project);
        }
    }
}

/// Removes networks, volumes, secrets, configs and models that no enabled service uses.
pub(super) fn drop_unused(project: &mut Project) {
    let mut networks = BTreeSet::new();
    let mut volumes = BTreeSet::new();
    let mut secrets = BTreeSet::new();
    let mut configs = BTreeSet::new();
    let mut models = BTreeSet::new();
    for service in project.services.values() {
        networks.extend(service.networks.keys());
        models.extend(service.models.keys());
        configs.extend(service.configs.iter().map(|config| &config.source));
        secrets.extend(service.secrets.iter().map(|secret| &secret.source));
        let build = service.build.iter().flat_map(|build| &build.secrets);
        secrets.extend(build.map(|secret| &secret.source));
        let named = service.volumes.iter().filter(|mount| mount.kind == MountKind::Volume);
        volumes.extend(named.map(|mount| &mount.source));
    }
    project.networks.retain(|key, _| networks.contains(key));
    project.volumes.retain(|key, _| volumes.contains(key));
    project.secrets.retain(|key, _| secrets.contains(key));
    project.configs.retain(|key, _| configs.contains(key));
    project.models.retain(|key, _| models.contains(key));
}
