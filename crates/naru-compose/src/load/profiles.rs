//! Which services take part.

use std::collections::BTreeSet;

use super::request::LoadRequest;
use crate::project::Project;

/// Moves services that no active profile includes to the disabled ones.
pub(super) fn apply(project: &mut Project, request: &LoadRequest, from_environment: Option<&str>) {
    let listed = from_environment.unwrap_or("").split(',').map(str::trim);
    let mut active: BTreeSet<&str> = if request.profiles.is_empty() {
        listed.collect()
    } else {
        request.profiles.iter().map(String::as_str).collect()
    };
    let named = request.services.iter().filter_map(|name| project.services.get(name));
    let named: Vec<String> = named.flat_map(|service| service.profiles.clone()).collect();
    active.extend(named.iter().map(String::as_str));
    if active.contains("*") {
        return;
    }
    let services = std::mem::take(&mut project.services);
    let (enabled, disabled) = services.into_iter().partition(|(_, service)| {
        service.profiles.is_empty()
            || service.profiles.iter().any(|profile| active.contains(profile.as_str()))
    });
    project.services = enabled;
    project.disabled_services = disabled;
}
