//! Whether and when a container that has exited starts again: Docker's policies and back-off.

use std::time::Duration;

use naru_compose::project::{ExtensionError, Period, RestartPolicy, Service};
use serde::{Deserialize, Serialize};

/// So many restarts in a row are a crash loop.
pub const LOOP: u32 = 3;

/// When a container is started again.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// Which exits lead to a restart.
    pub when: When,
    /// How many restarts there are at most; `None` is no limit.
    pub max_attempts: Option<u64>,
    /// A fixed delay in place of back-off (`deploy.restart_policy.delay`).
    pub delay: Option<Duration>,
    /// Running this long makes an earlier restart a success that no longer counts (`window`).
    pub window: Option<Duration>,
    /// How the delay grows (`x-naru-restart`).
    pub backoff: Backoff,
    /// How many restarts in a row there are at most (`x-naru-restart.max_attempts`); `None` is no limit.
    pub max_streak: Option<u64>,
    /// Whether it is ended and started again when it becomes unhealthy.
    pub on_unhealthy: bool,
}

/// How the delay before a restart grows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Backoff {
    /// Before the first restart of a row.
    pub first: Duration,
    /// What it grows to.
    pub longest: Duration,
    /// What it is multiplied with for each restart in a row.
    pub factor: f64,
    /// A container that ran this long starts over with the first delay.
    pub settled: Duration,
}

/// Docker's.
impl Default for Backoff {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(100),
            longest: Duration::from_secs(60),
            factor: 2.0,
            settled: Duration::from_secs(10),
        }
    }
}

impl Backoff {
    /// The delay after so many restarts in a row.
    fn delay(&self, streak: u32) -> Duration {
        let factor = self.factor.powf(f64::from(streak));
        let delay = Duration::try_from_secs_f64(self.first.as_secs_f64() * factor);
        delay.unwrap_or(self.longest).min(self.longest)
    }
}

/// Why a service's restart policy cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// The policy's word means nothing.
    #[error(transparent)]
    Unknown(UnknownPolicy),
    /// `x-naru-restart` makes no sense.
    #[error("invalid x-naru-restart")]
    Rules(#[source] ExtensionError),
}

/// A restart policy that Compose does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "invalid restart policy: unknown policy '{0}'; use one of 'no', 'on-failure', 'always' or 'unless-stopped'"
)]
pub struct UnknownPolicy(pub String);

impl Policy {
    /// The policy of a service; `deploy.restart_policy` wins over `restart`.
    ///
    /// # Errors
    /// When the policy's word means nothing, or `x-naru-restart` makes no sense.
    pub fn of(service: &Service) -> Result<Self, PolicyError> {
        let deployed = service.deploy.as_ref().and_then(|deploy| deploy.restart_policy.as_ref());
        let (when, tries) = match service.restart_policy() {
            RestartPolicy::No => (When::Never, None),
            RestartPolicy::Always => (When::Always, None),
            RestartPolicy::UnlessStopped => (When::UnlessStopped, None),
            RestartPolicy::OnFailure(tries) => (When::OnFailure, tries.map(u64::from)),
            RestartPolicy::Other(text) => return Err(PolicyError::Unknown(UnknownPolicy(text))),
        };
        let max_attempts = deployed.map_or(tries, |policy| policy.max_attempts);
        let rules = service.restart_rules().map_err(PolicyError::Rules)?;
        let docker = Backoff::default();
        let backoff = Backoff {
            first: rules.first_delay.unwrap_or(docker.first),
            longest: rules.longest_delay.unwrap_or(docker.longest),
            factor: rules.factor.unwrap_or(docker.factor),
            settled: rules.reset_after.unwrap_or(docker.settled),
        };
        Ok(Self {
            when,
            max_attempts: max_attempts.filter(|&most| most > 0),
            delay: deployed.and_then(|policy| policy.delay).map(Period::duration),
            window: deployed.and_then(|policy| policy.window).map(Period::duration),
            backoff,
            max_streak: rules.max_attempts.filter(|&most| most > 0),
            on_unhealthy: rules.on_unhealthy,
        })
    }

    /// Never, whatever happens: of a service that nobody knows any more.
    pub fn never() -> Self {
        Self {
            when: When::Never,
            max_attempts: None,
            delay: None,
            window: None,
            backoff: Backoff::default(),
            max_streak: None,
            on_unhealthy: false,
        }
    }
}

/// Which exits lead to a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// None (`no`).
    Never,
    /// Those with another code than 0.
    OnFailure,
    /// All.
    Always,
    /// All; differs from `Always` only after a reboot.
    UnlessStopped,
}

/// How often a container has been restarted, kept in its record from one decision to the next.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempts {
    /// Restarts since the user last started it (or, with a window, since it last ran that long).
    pub total: u64,
    /// Restarts in a row without having settled; back-off grows with it.
    pub streak: u32,
}

/// How a container's main process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// The exit code, or `None` when nobody saw it; that counts as a failure.
    pub code: Option<u8>,
    /// How long it had been running.
    pub ran_for: Duration,
    /// Who has ended it.
    pub ended_by: EndedBy,
}

/// Who has ended a container's main process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndedBy {
    /// Itself, or somebody in it.
    Itself,
    /// The user (`stop`, `down`, `kill`, Ctrl-C).
    User,
    /// naru, because it was unhealthy and is to be restarted then.
    Unhealthy,
    /// naru, because a dependency was restarted that it is to be restarted with.
    Dependency,
}

/// What to do with a container that has exited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Start it again.
    Restart {
        /// Once this much time has passed.
        after: Duration,
        /// The count to record, and to hand in next time.
        attempts: Attempts,
    },
    /// Leave it exited.
    Stay,
}

/// Decides about an exit, given how often the container has been restarted before.
pub fn decide(policy: &Policy, exit: &Exit, attempts: Attempts) -> Decision {
    let wanted = match (exit.ended_by, policy.when) {
        (EndedBy::User, _) => false,
        // That is no failure of its own: nothing is counted.
        (EndedBy::Dependency, _) => return Decision::Restart { after: Duration::ZERO, attempts },
        (EndedBy::Unhealthy, _) => true,
        (EndedBy::Itself, When::Never) => false,
        (EndedBy::Itself, When::OnFailure) => exit.code != Some(0),
        (EndedBy::Itself, When::Always | When::UnlessStopped) => true,
    };
    if !wanted {
        return Decision::Stay;
    }
    let settled = exit.ran_for >= policy.backoff.settled;
    let survived = policy.window.is_some_and(|w| !w.is_zero() && exit.ran_for >= w);
    let streak = if settled { 0 } else { attempts.streak };
    let total = if survived { 0 } else { attempts.total };
    let is_enough = |most: Option<u64>, count| most.is_some_and(|most| count >= most);
    if is_enough(policy.max_attempts, total) || is_enough(policy.max_streak, streak.into()) {
        return Decision::Stay;
    }
    Decision::Restart {
        after: policy.delay.unwrap_or_else(|| policy.backoff.delay(streak)),
        attempts: Attempts { total: total.saturating_add(1), streak: streak.saturating_add(1) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(when: When) -> Policy {
        Policy { when, ..Policy::never() }
    }

    fn exit(code: u8, ran_for_ms: u64) -> Exit {
        Exit {
            code: Some(code),
            ran_for: Duration::from_millis(ran_for_ms),
            ended_by: EndedBy::Itself,
        }
    }

    fn delays(policy: &Policy, exits: &[Exit]) -> Vec<Option<u64>> {
        let mut attempts = Attempts::default();
        exits
            .iter()
            .map(|exit| match decide(policy, exit, attempts) {
                Decision::Restart { after, attempts: next } => {
                    attempts = next;
                    u64::try_from(after.as_millis()).ok()
                }
                Decision::Stay => None,
            })
            .collect()
    }

    #[test]
    fn delays_double_from_100_ms_to_a_minute() {
        let got = delays(&policy(When::Always), &[exit(1, 0); 12]);
        let want = [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 51_200, 60_000, 60_000];
        assert_eq!(got, want.map(Some));
    }

    #[test]
    fn a_long_crash_loop_never_overflows() {
        let attempts = Attempts { total: u64::MAX, streak: u32::MAX };
        let Decision::Restart { after, .. } = decide(&policy(When::Always), &exit(1, 0), attempts)
        else {
            panic!("always restarts")
        };
        assert_eq!(after, Duration::from_secs(60));
    }

    #[test]
    fn ten_seconds_of_running_reset_the_delay() {
        let exits = [exit(1, 0), exit(1, 0), exit(1, 10_000), exit(1, 9_999)];
        assert_eq!(delays(&policy(When::Always), &exits), [100, 200, 100, 200].map(Some));
    }

    #[test]
    fn the_policy_no_stays_down() {
        assert_eq!(delays(&policy(When::Never), &[exit(1, 0), exit(0, 0)]), [None, None]);
    }

    #[test]
    fn on_failure_restarts_failures_only_and_an_unknown_code_is_one() {
        let policy = policy(When::OnFailure);
        assert_eq!(delays(&policy, &[exit(0, 0), exit(3, 0)]), [None, Some(100)]);
        let unknown = Exit { code: None, ..exit(0, 0) };
        assert_eq!(delays(&policy, &[unknown]), [Some(100)]);
    }

    #[test]
    fn on_failure_with_a_limit_gives_up_even_when_the_delay_was_reset() {
        let policy = Policy { max_attempts: Some(2), ..policy(When::OnFailure) };
        let exits = [exit(1, 0), exit(1, 20_000), exit(1, 20_000)];
        assert_eq!(delays(&policy, &exits), [Some(100), Some(100), None]);
    }

    #[test]
    fn a_stop_by_the_user_is_never_undone() {
        for when in [When::OnFailure, When::Always, When::UnlessStopped] {
            let stopped = Exit { ended_by: EndedBy::User, ..exit(137, 0) };
            assert_eq!(delays(&policy(when), &[stopped]), [None]);
        }
    }

    #[test]
    fn the_deploy_section_wins_over_restart() {
        let service =
            |yaml: serde_json::Value| -> Service { serde_json::from_value(yaml).unwrap() };
        let plain = service(serde_json::json!({"restart": "on-failure:3"}));
        let want = Policy { max_attempts: Some(3), ..policy(When::OnFailure) };
        assert_eq!(Policy::of(&plain), Ok(want));
        let deployed = service(serde_json::json!({
            "restart": "no",
            "deploy": {"restart_policy": {"condition": "any", "delay": "2s", "max_attempts": 4, "window": "1m"}}
        }));
        let want = Policy {
            when: When::Always,
            max_attempts: Some(4),
            delay: Some(Duration::from_secs(2)),
            window: Some(Duration::from_secs(60)),
            ..Policy::never()
        };
        assert_eq!(Policy::of(&deployed), Ok(want));
        let wrong = service(serde_json::json!({"restart": "sometimes"}));
        let unknown = UnknownPolicy("sometimes".to_owned());
        assert_eq!(Policy::of(&wrong), Err(PolicyError::Unknown(unknown)));
    }

    #[test]
    fn naru_s_own_rules_shape_the_delay_and_limit_a_row() {
        let service: Service = serde_json::from_value(serde_json::json!({
            "restart": "always",
            "#extensions": {"x-naru-restart": {
                "backoff": {"min": "10ms", "max": "25ms", "factor": 1.5}, "reset_after": "1s", "max_attempts": 4
            }}
        }))
        .unwrap();
        let policy = Policy::of(&service).unwrap();
        let exits = [exit(1, 0), exit(1, 0), exit(1, 0), exit(1, 0), exit(1, 0)];
        let mut attempts = Attempts::default();
        let mut micros = Vec::new();
        for exit in &exits {
            if let Decision::Restart { after, attempts: next } = decide(&policy, exit, attempts) {
                attempts = next;
                micros.push(after.as_micros());
            }
        }
        assert_eq!(micros, [10_000, 15_000, 22_500, 25_000], "and then it stays down");
        assert_eq!(delays(&policy, &[exit(1, 0), exit(1, 1000), exit(1, 1000)]), [Some(10); 3]);
    }

    #[test]
    fn what_is_ended_for_being_unhealthy_comes_back_whatever_the_policy() {
        let unhealthy = Exit { ended_by: EndedBy::Unhealthy, ..exit(137, 20_000) };
        assert_eq!(delays(&policy(When::Never), &[unhealthy]), [Some(100)]);
    }

    #[test]
    fn what_is_restarted_with_a_dependency_comes_back_at_once_and_is_not_counted() {
        let followed = Exit { ended_by: EndedBy::Dependency, ..exit(143, 0) };
        let attempts = Attempts { total: 2, streak: 2 };
        let back = Decision::Restart { after: Duration::ZERO, attempts };
        let policy = Policy { max_attempts: Some(2), ..policy(When::OnFailure) };
        assert_eq!(decide(&policy, &followed, attempts), back);
    }

    #[test]
    fn a_fixed_delay_does_not_grow() {
        let policy = Policy { delay: Some(Duration::from_secs(5)), ..policy(When::Always) };
        assert_eq!(delays(&policy, &[exit(1, 0); 3]), [Some(5000); 3]);
    }

    #[test]
    fn attempts_before_a_window_of_running_do_not_count() {
        let policy = Policy {
            max_attempts: Some(1),
            window: Some(Duration::from_secs(30)),
            ..policy(When::OnFailure)
        };
        let exits = [exit(1, 0), exit(1, 30_000), exit(1, 29_999)];
        assert_eq!(delays(&policy, &exits), [Some(100), Some(100), None]);
    }
}
