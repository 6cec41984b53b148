//! Whether a dependency has reached what its dependents wait for, in docker compose's words when it cannot.

use naru_compose::project::Condition;

use crate::observed::{Health, State};

/// A container of the dependency, as it is at the moment of the question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member<'a> {
    /// The name users see, such as `shop-db-1`.
    pub name: &'a str,
    /// What it is doing.
    pub state: State,
}

/// The answer to a gate's question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The dependents may start.
    Open,
    /// Not yet; ask again when a state changes.
    Wait,
    /// It will not happen any more; the reason, as docker compose puts it.
    Failed(String),
}

/// Asks whether all containers of `service` have reached `condition`. A service without containers
/// (scale 0) is not waited for.
pub fn check(service: &str, condition: Condition, members: &[Member<'_>]) -> Verdict {
    let mut waiting = false;
    for member in members {
        let verdict = match condition {
            Condition::Started => started(member.state),
            Condition::Healthy => healthy(*member),
            Condition::CompletedSuccessfully => completed(service, member.state),
        };
        match verdict {
            Verdict::Open => {}
            Verdict::Wait => waiting = true,
            failed @ Verdict::Failed(_) => return failed,
        }
    }
    if waiting { Verdict::Wait } else { Verdict::Open }
}

/// A container that has exited was started, and that is all this condition asks.
fn started(state: State) -> Verdict {
    match state {
        State::Created => Verdict::Wait,
        State::Running { .. } | State::Restarting | State::Exited { .. } => Verdict::Open,
    }
}

fn healthy(member: Member<'_>) -> Verdict {
    let name = member.name;
    let failed = |what: &str| {
        Verdict::Failed(format!("dependency failed to start: container {name} {what}"))
    };
    match member.state {
        State::Running { health: Health::Healthy } => Verdict::Open,
        State::Running { health: Health::None } => failed("has no healthcheck configured"),
        State::Running { health: Health::Unhealthy } => failed("is unhealthy"),
        State::Exited { code } => failed(&exited(code)),
        State::Running { health: Health::Starting } | State::Created | State::Restarting => {
            Verdict::Wait
        }
    }
}

fn completed(service: &str, state: State) -> Verdict {
    match state {
        State::Exited { code: Some(0) } => Verdict::Open,
        State::Exited { code } => Verdict::Failed(format!(
            "service \"{service}\" didn't complete successfully: exit {}",
            code_text(code)
        )),
        State::Created | State::Running { .. } | State::Restarting => Verdict::Wait,
    }
}

/// Whether a container that its restart policy brings back waits for a dependency in this state. It does while that is
/// on its way to what the file asks for, and no longer than that: a dependency that will not get there holds nobody
/// down, as in Docker.
pub fn holds_restart(condition: Condition, dependency: State) -> bool {
    match (condition, dependency) {
        (Condition::Started, _) => false,
        (Condition::Healthy, State::Restarting | State::Running { health: Health::Starting }) => {
            true
        }
        (Condition::CompletedSuccessfully, State::Restarting | State::Running { .. }) => true,
        (Condition::Healthy | Condition::CompletedSuccessfully, _) => false,
    }
}

/// `exited (3)`.
pub(crate) fn exited(code: Option<u8>) -> String {
    format!("exited ({})", code_text(code))
}

fn code_text(code: Option<u8>) -> String {
    code.map_or_else(|| "unknown".to_owned(), |code| code.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_one(condition: Condition, state: State) -> Verdict {
        check("db", condition, &[Member { name: "p-db-1", state }])
    }

    fn running(health: Health) -> State {
        State::Running { health }
    }

    fn failed(text: &str) -> Verdict {
        Verdict::Failed(text.to_owned())
    }

    #[test]
    fn started_opens_as_soon_as_the_container_was_started() {
        assert_eq!(check_one(Condition::Started, State::Created), Verdict::Wait);
        assert_eq!(check_one(Condition::Started, running(Health::Starting)), Verdict::Open);
        assert_eq!(check_one(Condition::Started, State::Exited { code: Some(1) }), Verdict::Open);
    }

    #[test]
    fn healthy_waits_for_the_first_success() {
        assert_eq!(check_one(Condition::Healthy, State::Created), Verdict::Wait);
        assert_eq!(check_one(Condition::Healthy, State::Restarting), Verdict::Wait);
        assert_eq!(check_one(Condition::Healthy, running(Health::Starting)), Verdict::Wait);
        assert_eq!(check_one(Condition::Healthy, running(Health::Healthy)), Verdict::Open);
    }

    #[test]
    fn healthy_fails_in_composes_words() {
        let prefix = "dependency failed to start: container p-db-1";
        for (state, end) in [
            (running(Health::Unhealthy), "is unhealthy"),
            (running(Health::None), "has no healthcheck configured"),
            (State::Exited { code: Some(3) }, "exited (3)"),
            (State::Exited { code: None }, "exited (unknown)"),
        ] {
            assert_eq!(check_one(Condition::Healthy, state), failed(&format!("{prefix} {end}")));
        }
    }

    #[test]
    fn completed_needs_exit_code_zero() {
        let condition = Condition::CompletedSuccessfully;
        assert_eq!(check_one(condition, running(Health::Healthy)), Verdict::Wait);
        assert_eq!(check_one(condition, State::Restarting), Verdict::Wait);
        assert_eq!(check_one(condition, State::Exited { code: Some(0) }), Verdict::Open);
        assert_eq!(
            check_one(condition, State::Exited { code: Some(2) }),
            failed("service \"db\" didn't complete successfully: exit 2")
        );
        assert_eq!(
            check_one(condition, State::Exited { code: None }),
            failed("service \"db\" didn't complete successfully: exit unknown")
        );
    }

    #[test]
    fn a_restart_waits_for_what_is_on_its_way_and_for_nothing_else() {
        let holds = |condition, state| holds_restart(condition, state);
        let (healthy, completed) = (Condition::Healthy, Condition::CompletedSuccessfully);
        assert!(holds(healthy, running(Health::Starting)) && holds(healthy, State::Restarting));
        assert!(holds(completed, running(Health::None)) && holds(completed, State::Restarting));
        for state in [
            running(Health::Healthy),
            running(Health::Unhealthy),
            running(Health::None),
            State::Created,
            State::Exited { code: Some(1) },
        ] {
            assert!(!holds(healthy, state), "{state:?}");
        }
        assert!(
            !holds(completed, State::Exited { code: None }) && !holds(completed, State::Created)
        );
        assert!(!holds(Condition::Started, State::Restarting));
    }

    #[test]
    fn every_replica_must_have_reached_it_and_one_failure_is_enough() {
        let member = |name, state| Member { name, state };
        let good = member("p-db-1", running(Health::Healthy));
        let slow = member("p-db-2", running(Health::Starting));
        let bad = member("p-db-3", running(Health::Unhealthy));
        assert_eq!(check("db", Condition::Healthy, &[good, slow]), Verdict::Wait);
        assert!(matches!(
            check("db", Condition::Healthy, &[good, slow, bad]),
            Verdict::Failed(text) if text.contains("p-db-3")
        ));
        assert_eq!(check("db", Condition::Healthy, &[]), Verdict::Open);
    }
}
