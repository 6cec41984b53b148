//! `x-naru-ready` in one run of a container: when to look, and what was found.
//!
//! A container is ready once its sign was seen, and stays so until it is started anew: whether it stays healthy is its
//! health check's matter. Where it has both, it is healthy when both say so.
//!
//! As in [`crate::health`], times are counted from the container's start and the caller has the clock.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::observed::Health;
use crate::pace;

/// The longest pause between two looks.
const LONGEST: Duration = Duration::from_secs(1);

/// How far a container is on its way to being ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Readiness {
    /// From when on it counts as unhealthy.
    timeout: Option<Duration>,
    /// When the next look is due.
    due: Duration,
    state: State,
    /// What the last look has found.
    last: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Waiting,
    Late,
    Reached,
}

impl Readiness {
    /// Of a container that has just been started.
    pub fn new(timeout: Option<Duration>) -> Self {
        let (due, last) = (Duration::ZERO, String::new());
        Self { timeout, due, state: State::Waiting, last }
    }

    /// When to look next; nothing once it is ready.
    pub fn next(&self) -> Option<Duration> {
        (self.state != State::Reached).then_some(self.due)
    }

    /// When it counts as unhealthy if it is not ready before.
    pub fn deadline(&self) -> Option<Duration> {
        self.timeout.filter(|_| self.state == State::Waiting)
    }

    /// Takes what a look has found: that it is ready, or why it is not.
    pub fn record(&mut self, began: Duration, ended: Duration, found: Result<(), String>) {
        match found {
            Ok(()) => self.state = State::Reached,
            Err(why) => {
                self.last = why;
                self.due = ended + pace::pause(began, ended).min(LONGEST);
                self.pass(ended);
            }
        }
    }

    /// Takes that so much time has passed without a sign.
    pub fn pass(&mut self, now: Duration) {
        if self.deadline().is_some_and(|deadline| now >= deadline) {
            self.state = State::Late;
        }
    }

    /// What it is together with what the health check says ([`Health::None`] without one).
    pub fn with(&self, checked: Health) -> Health {
        match (self.state, checked) {
            (State::Reached, Health::None) => Health::Healthy,
            (State::Reached, checked) => checked,
            (_, Health::Unhealthy) | (State::Late, _) => Health::Unhealthy,
            (State::Waiting, _) => Health::Starting,
        }
    }

    /// What the last look has found instead of the sign.
    pub fn last(&self) -> &str {
        &self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn missed(readiness: &mut Readiness) -> u128 {
        let at = readiness.next().unwrap();
        readiness.record(at, at, Err("refused".to_owned()));
        at.as_millis()
    }

    #[test]
    fn it_is_looked_at_once_and_then_after_pauses_that_grow_to_a_second() {
        let mut readiness = Readiness::new(None);
        let first: Vec<_> = (0..5).map(|_| missed(&mut readiness)).collect();
        assert_eq!(first, [0, 50, 100, 150, 200]);
        for _ in 0..200 {
            missed(&mut readiness);
        }
        let (one, two) = (missed(&mut readiness), missed(&mut readiness));
        assert_eq!(two - one, 1000);
        assert_eq!(readiness.last(), "refused");
    }

    #[test]
    fn once_ready_it_stays_so_and_the_health_check_has_the_word() {
        let mut readiness = Readiness::new(Some(ms(100)));
        assert_eq!(readiness.with(Health::None), Health::Starting);
        assert_eq!(readiness.with(Health::Healthy), Health::Starting, "both have to say so");
        assert_eq!(readiness.with(Health::Unhealthy), Health::Unhealthy);
        readiness.record(ms(50), ms(51), Ok(()));
        assert_eq!((readiness.next(), readiness.deadline()), (None, None));
        readiness.pass(ms(1000));
        for checked in [Health::Starting, Health::Healthy, Health::Unhealthy] {
            assert_eq!(readiness.with(checked), checked);
        }
        assert_eq!(readiness.with(Health::None), Health::Healthy);
    }

    #[test]
    fn after_its_time_it_is_unhealthy_until_it_is_ready_all_the_same() {
        let mut readiness = Readiness::new(Some(ms(100)));
        readiness.pass(ms(99));
        assert_eq!(readiness.with(Health::None), Health::Starting);
        readiness.pass(ms(100));
        assert_eq!(readiness.with(Health::Healthy), Health::Unhealthy);
        assert!(readiness.next().is_some(), "it is still looked for");
        readiness.record(ms(150), ms(150), Ok(()));
        assert_eq!(readiness.with(Health::Healthy), Health::Healthy);
    }

    #[test]
    fn another_supervisor_goes_on_where_it_was() {
        let mut readiness = Readiness::new(Some(ms(100)));
        missed(&mut readiness);
        let text = serde_json::to_string(&readiness).unwrap();
        assert_eq!(serde_json::from_str::<Readiness>(&text).unwrap(), readiness);
    }
}
