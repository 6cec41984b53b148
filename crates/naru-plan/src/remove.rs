//! `rm`: take stopped containers away; networks, volumes with names and what runs stay.

use naru_compose::project::Project;

use crate::observed::{Container, Observed};
use crate::stops::{Stops, in_stop_order, subject};
use crate::{Action, Cause, Error, Plan};

/// What `rm` was asked to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RemoveOptions {
    /// The services; all when empty.
    pub services: Vec<String>,
    /// Stop what runs first, instead of leaving it alone.
    pub stop: bool,
    /// Remove anonymous volumes too.
    pub volumes: bool,
}

/// Plans to remove the containers of services that do not run, dependents first. One-offs stay.
///
/// # Errors
/// When a service is asked for that neither the file nor a container knows.
pub fn remove(
    project: Option<&Project>,
    observed: &Observed,
    options: &RemoveOptions,
) -> Result<Plan, Error> {
    crate::lifecycle::check_names(project, observed, &options.services)?;
    let graph = crate::stops::graph(project, observed);
    let is_asked =
        |c: &&Container| options.services.is_empty() || options.services.contains(&c.service);
    let goes = |c: &&Container| !c.is_run() && (options.stop || !c.state.is_active());
    let going = observed.containers.iter().filter(is_asked).filter(goes);
    let going = in_stop_order(&graph, going);
    let mut plan = Plan::default();
    let mut stops = Stops::new(&graph);
    for container in &going {
        stops.stop(&mut plan, container, Cause::Requested, &[]);
    }
    for container in going {
        let action = Action::RemoveContainer {
            service: container.service.clone(),
            container: subject(container),
            anonymous_volumes: options.volumes,
        };
        plan.push(action, Cause::Requested, stops.of(container));
    }
    Ok(plan)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fixture::{check, needs, project, running};
    use crate::observed::State;

    fn plan(stop: bool, volumes: bool) -> String {
        let two = project(json!({
            "db": {}, "web": {"depends_on": needs(&[("db", "service_started")])}
        }));
        let mut seen = running(&two);
        let web = seen.containers.iter_mut().find(|c| c.service == "web").unwrap();
        web.state = State::Exited { code: Some(0) };
        let options = RemoveOptions { stop, volumes, ..RemoveOptions::default() };
        remove(Some(&two), &seen, &options).unwrap().to_string()
    }

    #[test]
    fn what_runs_stays_unless_it_is_to_be_stopped() {
        check(&plan(false, false), "1 remove container p-web-1: requested\n");
        check(
            &plan(true, true),
            "
            1 stop container p-db-1: requested
            2 remove container p-web-1 and its anonymous volumes: requested
            3 remove container p-db-1 and its anonymous volumes [after 1]: requested
            ",
        );
    }
}
