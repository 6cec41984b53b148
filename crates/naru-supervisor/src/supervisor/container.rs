//! A container in the supervisor's memory: its record, its state, and what goes on around it.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use naru_compose::project::{Service, Sign};
use naru_plan::observed;
use naru_plan::{health, ready, restart};
use naru_state::process::Identity;
use naru_state::record::{self, Phase};
use tokio::time::Instant;

use super::control::Client;
use super::operation::StepOf;

/// A container.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) record: record::Container,
    pub(super) state: record::State,
    /// What the file says of it; `None` when its service is no longer in the file.
    pub(super) service: Option<Service>,
    pub(super) running: Option<Running>,
    pub(super) attempts: restart::Attempts,
    /// An attempt to start it is under way.
    pub(super) starting: Option<Starting>,
    pub(super) stopping: Option<Stopping>,
    /// Its input, until it is started.
    pub(super) input: Option<Arc<OwnedFd>>,
    /// Who wants to know how it ends.
    pub(super) attending: Vec<Client>,
    /// Its output on the way to who waits for it, while it runs a `pre_start` hook.
    pub(super) told: Option<super::hooks::Told>,
    /// Somebody did, since this supervisor took over.
    pub(super) was_attended: bool,
    /// Its policy's delay has passed, and it waits for a dependency now.
    pub(super) is_held: bool,
}

/// What there is while its process runs.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) process: Identity,
    pub(super) pidfd: Arc<OwnedFd>,
    pub(super) since: Instant,
    pub(super) probing: Option<Probing>,
    /// Its sign of being ready.
    pub(super) ready: Option<Awaiting>,
    /// Its resolver; dropping it ends it.
    pub(super) dns: Option<naru_net::dns::Server>,
    /// Its FIFOs or its terminal's master: the keeper's to read, held here for the keeper's death.
    pub(super) output: Vec<OwnedFd>,
    /// Duplicates of its resolver's sockets, for the same.
    pub(super) resolver: Vec<OwnedFd>,
}

/// The health check of this run.
#[derive(Debug)]
pub(super) struct Probing {
    pub(super) probes: health::Probes,
    pub(super) command: Vec<String>,
    pub(super) under_way: bool,
}

/// The sign that this run is ready, by `x-naru-ready`.
#[derive(Debug)]
pub(super) struct Awaiting {
    pub(super) readiness: ready::Readiness,
    pub(super) sign: Sign,
    pub(super) under_way: bool,
}

/// An attempt to start it.
#[derive(Debug, Default)]
pub(super) struct Starting {
    /// The command's step that waits for it; a policy's restart has none.
    pub(super) step: Option<StepOf>,
    /// Steps that want it stopped, each with its time limit: they have their turn when the attempt has ended.
    pub(super) stops: Vec<(StepOf, Option<Duration>)>,
}

/// It was asked to stop.
#[derive(Debug)]
pub(super) struct Stopping {
    pub(super) steps: Vec<StepOf>,
    /// The end of its grace period, once it has been told.
    pub(super) deadline: Instant,
    /// How long that is.
    pub(super) grace: Duration,
    /// How long it had taken when that was last said to whoever waits.
    pub(super) said: Duration,
    /// Since when it should be gone, whether its end was told or not.
    pub(super) killed: Option<Instant>,
    /// Its hooks are at work: it has not been told yet.
    pub(super) hooks: Option<Hooks>,
    /// Its first process could not receive the stop signal: should it come to handle it, it has to be told again.
    pub(super) is_deaf: bool,
    /// Until when it may react to the end of others, which were told in its place.
    pub(super) reacts_until: Instant,
}

impl Stopping {
    /// A stop that a step has just asked for.
    pub(super) fn begun_by(step: StepOf) -> Self {
        Self { steps: vec![step], ..Self::of_its_own() }
    }

    /// A stop that nobody waits for.
    pub(super) fn of_its_own() -> Self {
        Self {
            steps: Vec::new(),
            deadline: Instant::now(),
            grace: Duration::ZERO,
            said: Duration::ZERO,
            killed: None,
            hooks: None,
            is_deaf: false,
            reacts_until: Instant::now(),
        }
    }
}

/// `pre_stop` hooks at work.
#[derive(Debug)]
pub(super) struct Hooks {
    /// What the command asked for in place of the grace period.
    pub(super) timeout: Option<Duration>,
}

impl Live {
    /// A container that was just created.
    pub(super) fn new(record: record::Container, service: Service) -> Self {
        Self::adopted(record, record::State::created(), Some(service))
    }

    /// A container found on disk.
    pub(super) fn adopted(
        record: record::Container,
        state: record::State,
        service: Option<Service>,
    ) -> Self {
        let record::Attempts { total, streak } = state.attempts;
        let attempts = restart::Attempts { total, streak };
        let state = record::State { id: Some(record.id.clone()), ..state };
        Self {
            record,
            state,
            service,
            running: None,
            attempts,
            starting: None,
            stopping: None,
            input: None,
            attending: Vec::new(),
            told: None,
            was_attended: false,
            is_held: false,
        }
    }

    /// Whether it is one of its service's, not one that `run` made.
    pub(super) fn is_replica(&self) -> bool {
        !self.record.is_one_off()
    }

    /// Whether it runs or is about to.
    pub(super) fn is_active(&self) -> bool {
        self.running.is_some() || self.starting.is_some() || self.state.phase == Phase::Restarting
    }

    /// What the planner sees of it.
    pub(super) fn observed(&self) -> observed::State {
        match self.state.phase {
            Phase::Created => observed::State::Created,
            Phase::Restarting => observed::State::Restarting,
            Phase::Exited => observed::State::Exited {
                code: self.state.exit.as_ref().and_then(|exit| exit.code),
            },
            Phase::Running => observed::State::Running { health: self.health() },
        }
    }

    fn health(&self) -> observed::Health {
        let Some(running) = &self.running else { return observed::Health::None };
        let probing = running.probing.as_ref();
        let checked = probing.map_or(observed::Health::None, |probing| probing.probes.status());
        running.ready.as_ref().map_or(checked, |awaiting| awaiting.readiness.with(checked))
    }

    /// Whether its health check cannot be run at all.
    pub(super) fn is_hopeless(&self) -> bool {
        let probing = self.running.as_ref().and_then(|running| running.probing.as_ref());
        let last = probing.and_then(|probing| probing.probes.history().last());
        last.is_some_and(|entry| match entry.outcome {
            health::Outcome::NotRun => true,
            // What shells say of a command that is not there or is no program.
            health::Outcome::Exited(code) => matches!(code, 126 | 127),
            health::Outcome::TimedOut => false,
        })
    }

    /// Who has ended the process that has just ended; asked once.
    pub(super) fn ended_by(&mut self) -> restart::EndedBy {
        match (self.state.renewal.take(), self.state.stopped_by_user) {
            (_, true) => restart::EndedBy::User,
            (Some(record::Renewal::Unhealthy), _) => restart::EndedBy::Unhealthy,
            (Some(record::Renewal::Dependency), _) => restart::EndedBy::Dependency,
            (None, _) => restart::EndedBy::Itself,
        }
    }

    /// The policy that decides after an end; a service that is gone from the file is not restarted.
    pub(super) fn policy(&self) -> restart::Policy {
        let policy = self.service.as_ref().and_then(|s| restart::Policy::of(s).ok());
        policy.unwrap_or_else(restart::Policy::never)
    }

    /// How long it may take to stop.
    pub(super) fn grace(&self, asked: Option<Duration>) -> Duration {
        asked.unwrap_or(self.record.stop_grace)
    }

    /// Writes what is known of its health into its state.
    pub(super) fn note_health(&mut self) {
        let Some(running) = &self.running else { return };
        let started_ns = self.state.started_ns.unwrap_or_default();
        let probes = running.probing.as_ref().map(|probing| &probing.probes);
        let health = health_record(self.health(), probes, started_ns);
        let schedule = probes.and_then(|probes| serde_json::to_value(probes.schedule()).ok());
        let awaiting = running.ready.as_ref();
        let ready = awaiting.and_then(|ready| serde_json::to_value(&ready.readiness).ok());
        let not_ready = awaiting.filter(|awaiting| awaiting.readiness.next().is_some());
        let not_ready = not_ready.map(|awaiting| awaiting.readiness.last().to_owned());
        self.state.health = health;
        self.state.probes = schedule;
        self.state.ready = ready;
        self.state.not_ready = not_ready;
    }

    /// How far it was on its way to being ready under the supervisor before this one.
    pub(super) fn resumed_readiness(&self) -> Option<ready::Readiness> {
        serde_json::from_value(self.state.ready.clone()?).ok()
    }

    /// Its health check as the supervisor before this one left it; a new one where that left nothing.
    pub(super) fn resumed_probes(&self, settings: health::Settings) -> health::Probes {
        let schedule = self.state.probes.clone();
        let schedule = schedule.and_then(|schedule| serde_json::from_value(schedule).ok());
        let (Some(schedule), Some(health)) = (schedule, &self.state.health) else {
            return health::Probes::new(settings);
        };
        let started_ns = self.state.started_ns.unwrap_or_default();
        let history = health.log.iter().map(|probe| entry(probe, started_ns));
        health::Probes::resume(settings, schedule, history)
    }

    /// What a policy's decision means for it; gives the delay where it is to be started again.
    pub(super) fn follow(&mut self, decision: restart::Decision) -> Option<Duration> {
        match decision {
            restart::Decision::Restart { after, attempts } => {
                self.attempts = attempts;
                let restart::Attempts { total, streak } = attempts;
                self.state.attempts = record::Attempts { total, streak };
                self.state.restart_at = Some(record::Moment::after(after));
                self.state.phase = Phase::Restarting;
                Some(after)
            }
            restart::Decision::Stay => {
                self.state.phase = Phase::Exited;
                self.state.restart_at = None;
                None
            }
        }
    }
}

fn entry(probe: &record::Probe, started_ns: u64) -> health::Entry {
    let began = Duration::from_nanos(probe.started_ns.saturating_sub(started_ns));
    health::Entry {
        began,
        ended: began + probe.took,
        outcome: probe.code.map_or(health::Outcome::TimedOut, health::Outcome::Exited),
        output: probe.output.clone(),
        early: false,
    }
}

fn health_record(
    health: observed::Health,
    probes: Option<&health::Probes>,
    started_ns: u64,
) -> Option<record::Health> {
    let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let status = match health {
        observed::Health::None => return None,
        observed::Health::Healthy => record::HealthStatus::Healthy,
        observed::Health::Unhealthy => record::HealthStatus::Unhealthy,
        observed::Health::Starting => record::HealthStatus::Starting,
    };
    Some(record::Health {
        status,
        failing_streak: probes.map_or(0, health::Probes::failing_streak),
        log: probes
            .into_iter()
            .flat_map(health::Probes::history)
            .map(|entry| record::Probe {
                started_ns: started_ns.saturating_add(nanoseconds(entry.began)),
                took: entry.ended.saturating_sub(entry.began),
                code: match entry.outcome {
                    health::Outcome::Exited(code) => Some(code),
                    health::Outcome::TimedOut | health::Outcome::NotRun => None,
                },
                output: entry.output.clone(),
            })
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restarts_before_a_change_of_supervisors_count_and_keep_their_deadline() {
        let policy = restart::Policy {
            when: restart::When::OnFailure,
            max_attempts: Some(3),
            ..restart::Policy::never()
        };
        let ended_by = restart::EndedBy::Itself;
        let exit = restart::Exit { code: Some(1), ran_for: Duration::ZERO, ended_by };
        let mut live = Live::adopted(record(), record::State::created(), None);
        for delay_ms in [100, 200, 400] {
            let decision = restart::decide(&policy, &exit, live.attempts);
            assert_eq!(live.follow(decision), Some(Duration::from_millis(delay_ms)));
            let left = live.state.restart_at.as_ref().unwrap().remaining().unwrap();
            assert!(left <= Duration::from_millis(delay_ms));
            // The next supervisor knows what is on disk.
            let text = serde_json::to_string(&live.state).unwrap();
            live = Live::adopted(record(), serde_json::from_str(&text).unwrap(), None);
        }
        let decision = restart::decide(&policy, &exit, live.attempts);
        assert_eq!(live.follow(decision), None);
        assert_eq!((live.state.phase, live.state.restart_at), (Phase::Exited, None));
    }

    fn record() -> record::Container {
        serde_json::from_value(serde_json::json!({
            "version": 1, "id": "a".repeat(64), "name": "shop-web-1", "service": "web", "number": 1,
            "fingerprint": null, "image": "i", "image_id": "i", "command": [], "hostname": "h",
            "created_ns": 0, "attachments": [], "ports": [], "volumes": {}, "anonymous_volumes": [],
            "depends_on": {}, "labels": {}, "stop_signal": 15, "stop_grace": {"secs": 1, "nanos": 0},
            "tty": false
        }))
        .unwrap()
    }
}
