//! What `up --wait` waits for, and how that ends.

use std::collections::BTreeSet;
use std::time::Duration;

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

/// A container of a service that is waited for, as it is at the moment of the question.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// Name and state.
    pub member: Member<'a>,
    /// How long it has been running.
    pub ran_for: Duration,
    /// How often in a row it has ended and was started again.
    pub restarts: u32,
    /// It becomes healthy only if something about its health check is changed: the check cannot be run at all.
    pub is_hopeless: bool,
    /// It is started again for being unhealthy.
    pub is_renewed: bool,
}

/// How much one who waits puts up with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// Nobody said how long: what fails by the rules of its health check has failed.
    Default,
    /// There is a time limit: until then what is unhealthy may still become healthy.
    Limited,
}

/// The answer, and when to ask again even if nothing happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Whether the goal is reached.
    pub verdict: Verdict,
    /// Ask again after this time.
    pub again: Option<Duration>,
}

/// A container without a health check has to run this long before it counts as up: docker compose's first look is not
/// earlier, and what cannot start at all has ended by then.
pub const SETTLED: Duration = Duration::from_millis(500);

/// So many restarts in a row are taken for a failure when nobody said how long to wait.
const HOPELESS: u32 = 10;

/// Asks whether a service's containers have reached the goal.
pub fn check(target: &Target, candidates: &[Candidate<'_>], patience: Patience) -> Answer {
    let mut again: Option<Duration> = None;
    let mut waiting = false;
    for candidate in candidates {
        let verdict = match target.goal {
            Goal::Completed => {
                let member = [candidate.member];
                gate::check(&target.service, Condition::CompletedSuccessfully, &member)
            }
            Goal::Up => up(candidate, patience),
        };
        match verdict {
            Verdict::Open => {}
            Verdict::Wait => {
                waiting = true;
                let left = SETTLED.saturating_sub(candidate.ran_for);
                let settles = candidate.member.state == State::Running { health: Health::None };
                if settles && target.goal == Goal::Up {
                    again = Some(again.map_or(left, |again| again.min(left)));
                }
            }
            verdict @ Verdict::Failed(_) => return Answer { verdict, again: None },
        }
    }
    Answer { verdict: if waiting { Verdict::Wait } else { Verdict::Open }, again }
}

fn up(candidate: &Candidate<'_>, patience: Patience) -> Verdict {
    let Member { name, state } = candidate.member;
    let failed = |what: &str| Verdict::Failed(format!("container {name} {what}"));
    match state {
        State::Running { health: Health::None } if candidate.ran_for < SETTLED => Verdict::Wait,
        State::Running { health: Health::None | Health::Healthy }
        | State::Exited { code: Some(0) } => Verdict::Open,
        State::Running { health: Health::Unhealthy } => {
            let is_over = patience == Patience::Default && !candidate.is_renewed;
            if is_over || candidate.is_hopeless { failed("is unhealthy") } else { Verdict::Wait }
        }
        State::Restarting if patience == Patience::Default && candidate.restarts >= HOPELESS => {
            failed(&format!("was restarted {HOPELESS} times in a row and ends again and again"))
        }
        State::Running { health: Health::Starting } | State::Created | State::Restarting => {
            Verdict::Wait
        }
        State::Exited { code } => failed(&gate::exited(code)),
    }
}

/// What a container that is still waited for is doing, for whoever has waited too long.
pub fn whereabouts(state: State) -> &'static str {
    match state {
        State::Created => "was not started",
        State::Running { health: Health::Starting } => "is still starting",
        State::Running { health: Health::Unhealthy } => "is unhealthy",
        State::Running { .. } => "is still running",
        State::Restarting => "ended and is about to be restarted",
        State::Exited { .. } => "has ended",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(state: State) -> Candidate<'static> {
        let member = Member { name: "p-web-1", state };
        let ran_for = Duration::from_secs(1);
        Candidate { member, ran_for, restarts: 0, is_hopeless: false, is_renewed: false }
    }

    fn answer(candidate: Candidate<'_>, patience: Patience) -> Answer {
        let target = Target { service: "web".to_owned(), goal: Goal::Up };
        check(&target, &[candidate], patience)
    }

    fn check_one(goal: Goal, state: State) -> Verdict {
        let target = Target { service: "web".to_owned(), goal };
        check(&target, &[candidate(state)], Patience::Default).verdict
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

    #[test]
    fn what_has_no_health_check_is_up_when_it_has_not_ended_at_once() {
        let state = State::Running { health: Health::None };
        let young = Candidate { ran_for: Duration::from_millis(120), ..candidate(state) };
        let again = Some(Duration::from_millis(380));
        let expected = Answer { verdict: Verdict::Wait, again };
        assert_eq!(answer(young, Patience::Default), expected);
        assert_eq!(answer(candidate(state), Patience::Default).verdict, Verdict::Open);
    }

    #[test]
    fn with_a_time_limit_what_is_unhealthy_may_recover_unless_its_check_cannot_be_run() {
        let sick = candidate(State::Running { health: Health::Unhealthy });
        let failed = Verdict::Failed("container p-web-1 is unhealthy".to_owned());
        assert_eq!(answer(sick, Patience::Default).verdict, failed);
        assert_eq!(answer(sick, Patience::Limited).verdict, Verdict::Wait);
        let hopeless = Candidate { is_hopeless: true, ..sick };
        assert_eq!(answer(hopeless, Patience::Limited).verdict, failed);
        let renewed = Candidate { is_renewed: true, ..sick };
        assert_eq!(answer(renewed, Patience::Default).verdict, Verdict::Wait);
    }

    #[test]
    fn a_crash_loop_is_a_failure_when_nobody_said_how_long_to_wait() {
        let crashed = |restarts| Candidate { restarts, ..candidate(State::Restarting) };
        assert_eq!(answer(crashed(9), Patience::Default).verdict, Verdict::Wait);
        let verdict = answer(crashed(10), Patience::Default).verdict;
        assert!(matches!(verdict, Verdict::Failed(why) if why.contains("10 times in a row")));
        assert_eq!(answer(crashed(10), Patience::Limited).verdict, Verdict::Wait);
    }
}
