//! After a restart of the machine: which containers come back, and the plan that brings them back in order.

use std::collections::BTreeSet;

use naru_compose::project::Project;

use crate::lifecycle::{Starts, replicas};
use crate::observed::{Container, Observed};
use crate::restart::{Attempts, Policy, When};
use crate::stops::graph;
use crate::{Cause, Plan};

/// What a restart of the machine has left of a container that does not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// It was started at least once.
    pub started: bool,
    /// It ran, or was about to be restarted, when the machine went down.
    pub was_active: bool,
    /// The user stopped it.
    pub stopped_by_user: bool,
    /// Its restarts so far.
    pub attempts: Attempts,
}

/// Whether a container's policy brings it back, as Docker's does when its daemon starts: `always` also what the user
/// stopped, `unless-stopped` everything else, `on-failure` what the restart interrupted.
pub fn comes_back(policy: &Policy, left: &Left) -> bool {
    let has_attempts = policy.max_attempts.is_none_or(|most| left.attempts.total < most);
    left.started
        && match policy.when {
            When::Never => false,
            When::Always => true,
            When::UnlessStopped => !left.stopped_by_user,
            When::OnFailure => left.was_active && !left.stopped_by_user && has_attempts,
        }
}

/// Plans to start the containers that come back (`returning`, by id), and of what they depend on, also through others,
/// that which ran when the machine went down (`lost`, by id): dependencies first, each behind its gates.
pub fn boot(
    project: Option<&Project>,
    observed: &Observed,
    returning: &BTreeSet<String>,
    lost: &BTreeSet<String>,
) -> Plan {
    let graph = graph(project, observed);
    let services = replicas(observed)
        .filter(|container| returning.contains(&container.id))
        .map(|container| container.service.clone());
    let services: BTreeSet<String> = services.collect();
    let services: Vec<String> = services.into_iter().collect();
    let needed =
        if services.is_empty() { BTreeSet::new() } else { graph.with_dependencies(&services) };
    let wanted = |container: &Container| {
        returning.contains(&container.id)
            || (lost.contains(&container.id) && needed.contains(&container.service))
    };
    let mut plan = Plan::default();
    Starts { project, observed, graph: &graph, hooks: Default::default() }.push(
        &mut plan,
        |container| {
            let is_wanted = wanted(container) && !container.state.is_active();
            is_wanted.then_some((Cause::MachineRestarted, None))
        },
    );
    plan
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(when: When) -> Policy {
        Policy { when, max_attempts: Some(3), ..Policy::never() }
    }

    const LOST: Left = Left {
        started: true,
        was_active: true,
        stopped_by_user: false,
        attempts: Attempts { total: 0, streak: 0 },
    };

    #[test]
    fn policies_decide_as_docker_does_after_a_restart_of_the_machine() {
        let stopped = Left { was_active: false, stopped_by_user: true, ..LOST };
        let ended = Left { was_active: false, ..LOST };
        let created = Left { started: false, was_active: false, ..LOST };
        let given_up = Left { attempts: Attempts { total: 3, streak: 0 }, ..LOST };
        let table = [
            (When::Never, [false, false, false, false, false]),
            (When::Always, [true, true, true, false, true]),
            (When::UnlessStopped, [true, false, true, false, true]),
            (When::OnFailure, [true, false, false, false, false]),
        ];
        for (when, expected) in table {
            let lefts = [LOST, stopped, ended, created, given_up];
            let found = lefts.map(|left| comes_back(&policy(when), &left));
            assert_eq!(found, expected, "{when:?}");
        }
    }

    #[test]
    fn what_comes_back_waits_for_what_it_needs_and_that_was_running_too() {
        let shop = crate::fixture::project(serde_json::json!({
            "db": {},
            "migrate": {"depends_on": crate::fixture::needs(&[("db", "service_healthy")])},
            "web": {
                "restart": "always",
                "depends_on": crate::fixture::needs(&[
                    ("db", "service_healthy"), ("migrate", "service_completed_successfully")
                ])
            },
            "tool": {}
        }));
        let mut seen = crate::fixture::running(&shop);
        for container in &mut seen.containers {
            let code = (container.service == "migrate").then_some(0);
            container.state = crate::observed::State::Exited { code };
        }
        let ids = |services: &[&str]| -> BTreeSet<String> {
            let has = |c: &&Container| services.contains(&c.service.as_str());
            seen.containers.iter().filter(has).map(|c| c.id.clone()).collect()
        };
        let plan = boot(Some(&shop), &seen, &ids(&["web"]), &ids(&["db", "web", "tool"]));
        crate::fixture::check(
            &plan.to_string(),
            "
                1 start container p-db-1: machine restarted
                2 start container p-web-1 [after 1; db healthy; migrate completed]: machine restarted
            ",
        );
        assert!(boot(Some(&shop), &seen, &BTreeSet::new(), &ids(&["db"])).steps.is_empty());
    }
}
