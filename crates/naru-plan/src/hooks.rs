//! Containers of `pre_start` hooks: `up` and `create` prepare them with those of their service, a start uses them up.

use naru_compose::project::Project;

use crate::observed::{Container, Observed, State};
use crate::{Fingerprint, pre_start};

/// The name of the container for a service's hook.
pub(crate) fn name(project: &Project, service: &str, index: usize) -> String {
    let between = project.separator();
    format!("{}{between}{service}{between}pre_start{between}{index}", project.name)
}

/// The containers that wait for the start of a service to run its hooks, in their order; nothing unless there is one for
/// each hook, as the file has it.
pub(crate) fn prepared<'a>(
    project: &Project,
    observed: &'a Observed,
    service: &str,
) -> Option<Vec<&'a Container>> {
    let definition = project.services.get(service)?;
    let hooks = definition.pre_start.iter().enumerate();
    let all = hooks.map(|(index, hook)| {
        let name = name(project, service, index);
        let wanted = Fingerprint::of(project, &pre_start(definition, hook)).hash;
        observed.containers.iter().find(|container| {
            container.hook
                && container.name == name
                && container.state == State::Created
                && container.fingerprint.hash == wanted
        })
    });
    all.collect()
}
