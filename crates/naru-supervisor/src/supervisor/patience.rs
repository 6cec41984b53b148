//! What `--wait` waits for, how that ends, and the end of the time that was given for it.

use std::time::Duration;

use naru_compose::project::Period;
use naru_plan::gate::{Member, Verdict};
use naru_plan::observed::{Health, State};
use naru_plan::wait::{self, Candidate, Patience, Target};
use tokio::time::Instant;

use super::Supervisor;
use super::container::Live;
use super::operation::Then;
use super::timers::Due;
use crate::protocol::{Cause, Failure};

impl Supervisor {
    /// How the command's wait has ended, if it has; one that waits for nothing is over at once.
    pub(super) fn is_wait_over(&mut self) -> Option<Result<(), Box<Failure>>> {
        let operation = self.operation.as_ref()?;
        let Then::Wait(targets) = &operation.then else { return Some(Ok(())) };
        let patience = match operation.patience {
            Some(_) => Patience::Limited,
            None => Patience::Default,
        };
        let mut again: Option<Duration> = None;
        let mut is_waiting = false;
        for target in targets {
            let answer = wait::check(target, &self.candidates(target), patience);
            match answer.verdict {
                Verdict::Open => {}
                Verdict::Wait => is_waiting = true,
                Verdict::Failed(message) => {
                    let failure = Failure { message, ..Failure::default() };
                    let key = format!("services.{}", target.service);
                    let cause = cause(self.states_of(&target.service));
                    return Some(Err(Box::new(failure.at(key).because(cause))));
                }
            }
            again = again.into_iter().chain(answer.again).min();
        }
        if let Some(after) = again {
            self.timers.add(Instant::now() + after, Due::Settled);
        }
        (!is_waiting).then_some(Ok(()))
    }

    /// What the containers of a service are doing.
    pub(super) fn states_of(&self, service: &str) -> impl Iterator<Item = State> {
        let own = self
            .containers
            .values()
            .filter(move |live| live.is_replica() && live.record.service == service);
        own.map(Live::observed)
    }

    fn candidates(&self, target: &Target) -> Vec<Candidate<'_>> {
        let of_service = self
            .containers
            .values()
            .filter(|l| l.is_replica() && l.record.service == target.service);
        of_service.map(candidate).collect()
    }

    /// Sets the end of a command's patience.
    pub(super) fn set_patience(&mut self, timeout: Duration) {
        if let Some(operation) = &mut self.operation {
            operation.patience = Some(timeout);
            self.timers.add(Instant::now() + timeout, Due::Patience(operation.id));
        }
    }

    /// A `--wait-timeout` has passed.
    pub(super) fn out_of_patience(&mut self, operation: u64) {
        let current = self.operation.as_ref().filter(|current| current.id == operation);
        let Some(patience) = current.and_then(|current| current.patience) else { return };
        let not_ready = self.not_ready();
        let words: Vec<String> = not_ready.iter().map(|live| whereabouts(live)).collect();
        let after = Period::from(patience);
        let message = match words.is_empty() {
            true => format!("application not healthy after {after}"),
            false => format!("application not healthy after {after}: {}", words.join(", ")),
        };
        let key = not_ready.first().map(|live| format!("services.{}", live.record.service));
        self.fail(Failure { message, key, cause: Cause::Timeout, ..Failure::default() });
        if let Some(operation) = &mut self.operation {
            operation.progress.abandon();
        }
    }

    /// The containers that `--wait` still waits for.
    fn not_ready(&self) -> Vec<&Live> {
        let Some(Then::Wait(targets)) = self.operation.as_ref().map(|o| &o.then) else {
            return Vec::new();
        };
        let is_waited_for = |live: &&Live| {
            let target = targets.iter().find(|target| target.service == live.record.service);
            let verdict =
                |target| wait::check(target, &[candidate(live)], Patience::Limited).verdict;
            target.is_some_and(|target| verdict(target) != Verdict::Open)
        };
        self.containers.values().filter(|live| live.is_replica()).filter(is_waited_for).collect()
    }
}

/// What kind of failure it is that containers in these states do not become what was asked for.
pub(super) fn cause(mut states: impl Iterator<Item = State>) -> Cause {
    let is_unhealthy = |state| matches!(state, State::Running { health: Health::Unhealthy });
    if states.any(is_unhealthy) { Cause::Unhealthy } else { Cause::Exited }
}

fn candidate(live: &Live) -> Candidate<'_> {
    Candidate {
        member: Member { name: &live.record.name, state: live.observed() },
        ran_for: live.running.as_ref().map(|running| running.since.elapsed()).unwrap_or_default(),
        restarts: live.attempts.streak,
        is_hopeless: live.is_hopeless(),
        is_renewed: live.policy().on_unhealthy,
    }
}

/// "container shop-db-1 is still starting (10.0.0.2:5432: connection refused)".
fn whereabouts(live: &Live) -> String {
    let why = live.state.not_ready.as_deref().filter(|why| !why.is_empty());
    let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
    format!("container {} {}{why}", live.record.name, wait::whereabouts(live.observed()))
}
