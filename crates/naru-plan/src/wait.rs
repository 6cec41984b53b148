//! What `up --wait` waits for, and how that ends.

use std::collections::BTreeSet;

use naru_compose::project::{Condition, Project};

use crate::gate::{self, Member, Verdict};
use crate::observed::{Health, State};

/// What one service must have reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The service waited for.
    pub service: String,
    /// What for.
    pub goal: Goal,
}

/// What `--wait` asks of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// Running without a health check, healthy with one, or exited with 0: a one-shot is done, whether
    /// or not somebody depends on it.
    Up,
    /// Exited with 0, because a dependent asks for `service_completed_successfully`.
    Completed,
}

/// What `--wait` waits for when these services were brought up: each of them.
pub fn targets(project: &Project, services: &BTreeSet<String>) -> Vec<Target> {
    let selected = || project.services.iter().filter(|(name, _)| services.contains(*name));
    let is_wanted_completed = |name: &str| {
        selected().filter_map(|(_, service)| service.depends_on.get(name)).any(|dependency| {
            dependency.condition == Condition::CompletedSuccessfully && dependency.required
        })
    };
    selected()
        .map(|(name, _)| Target {
            service: name.clone(),
            goal: if is_wanted_completed(name) { Goal::Completed } else { Goal::Up },
        })
        .collect()
}

/// Asks whether a service's containers have reached the goal.
pub fn check(target: &Target, members: &[Member<'_>]) -> Verdict {
    match target.goal {
        Goal::Completed => gate::check(&target.service, Condition::CompletedSuccessfully, members),
        Goal::Up => up(members),
    }
}

fn up(members: &[Member<'_>]) -> Verdict {
    let mut waiting = false;
    for member in members {
        match member.state {
            State::Running { health: Health::None | Health::Healthy }
            | State::Exited { code: Some(0) } => {}
            State::Running { health: Health::Starting } | State::Created | State::Restarting => {
                waiting = true;
            }
            State::Running { health: Health::Unhealthy } => {
                return Verdict::Failed(format!("container {} is unhealthy", member.name));
            }
            State::Exited { code } => {
                let how = gate::exited(code);
                return Verdict::Failed(format!("container {} {how}", member.name));
            }
        }
    }
    if waiting { Verdict::Wait } else { Verdict::Open }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_one(goal: Goal, state: State) -> Verdict {
        let target = Target { service: "web".to_owned(), goal };
        check(&target, &[Member { name: "p-web-1", state }])
    }

    #[test]
    fn services_others_want_completed_have_another_goal() {
        let project = crate::fixture::project(serde_json::json!({
            "migrate": {},
            "web": {"depends_on": crate::fixture::needs(&[("migrate", "service_completed_successfully")])}
        }));
        let names = |names: &[&str]| names.iter().map(|&n| n.to_owned()).collect::<BTreeSet<_>>();
        let goals = |services: &[&str]| -> Vec<Goal> {
            targets(&project, &names(services)).into_iter().map(|target| target.goal).collect()
        };
        assert_eq!(goals(&["migrate", "web"]), [Goal::Completed, Goal::Up]);
        assert_eq!(goals(&["migrate"]), [Goal::Up]);
    }

    #[test]
    fn running_is_enough_without_a_health_check_only() {
        let running = |health| check_one(Goal::Up, State::Running { health });
        assert_eq!(running(Health::None), Verdict::Open);
        assert_eq!(running(Health::Starting), Verdict::Wait);
        assert_eq!(running(Health::Healthy), Verdict::Open);
        assert_eq!(
            running(Health::Unhealthy),
            Verdict::Failed("container p-web-1 is unhealthy".to_owned())
        );
    }

    #[test]
    fn a_one_shot_that_ended_well_is_fine_and_one_that_failed_is_named() {
        assert_eq!(check_one(Goal::Up, State::Exited { code: Some(0) }), Verdict::Open);
        assert_eq!(
            check_one(Goal::Up, State::Exited { code: Some(3) }),
            Verdict::Failed("container p-web-1 exited (3)".to_owned())
        );
    }

    #[test]
    fn a_service_others_want_completed_is_waited_for_until_it_has_exited() {
        let running = State::Running { health: Health::None };
        assert_eq!(check_one(Goal::Completed, running), Verdict::Wait);
        assert_eq!(check_one(Goal::Completed, State::Exited { code: Some(0) }), Verdict::Open);
    }
}
