//! Which services take part.

use std::collections::BTreeSet;

use super::request::LoadRequest;
use crate::project::Project;

/// Moves services that no active profile includes to the disabled ones.
pub(super) fn apply(project: &mut Project, request: &LoadRequest, from_environment: Option<&str>) {
    let named = request.services.iter().filter_map(|name| project.services.get(name));
    let named = named.flat_map(|service| service.profiles.clone());
    let active = Active::new(request, from_environment, named);
    if project.services.values().all(|service| active.includes(&service.profiles)) {
        return;
    }
    let services = std::mem::take(&mut project.services);
    let (enabled, disabled) =
        services.into_iter().partition(|(_, service)| active.includes(&service.profiles));
    project.services = enabled;
    project.disabled_services = disabled;
}

/// The profiles that are active.
#[derive(Debug)]
pub(super) struct Active(BTreeSet<String>);

impl Active {
    /// Those of the command line, else those of `COMPOSE_PROFILES`; and those of the services that are
    /// named.
    pub(super) fn new(
        request: &LoadRequest,
        from_environment: Option<&str>,
        of_named: impl Iterator<Item = String>,
    ) -> Self {
        let listed =
            from_environment.unwrap_or("").split(',').map(|profile| profile.trim().to_owned());
        let mut active: BTreeSet<String> = if request.profiles.is_empty() {
            listed.collect()
        } else {
            request.profiles.iter().cloned().collect()
        };
        active.extend(of_named);
        Self(active)
    }

    /// Whether all services take part.
    pub(super) fn all(&self) -> bool {
        self.0.contains("*")
    }

    /// Whether a service with these profiles takes part.
    pub(super) fn includes(&self, profiles: &[String]) -> bool {
        profiles.is_empty() || self.all() || profiles.iter().any(|profile| self.0.contains(profile))
    }
}
