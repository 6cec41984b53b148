//! A container in the supervisor's memory: its record, its state, and what goes on around it.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use naru_compose::project::Service;
use naru_plan::observed;
use naru_plan::{health, restart};
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
    /// Somebody did, since this supervisor took over.
    pub(super) was_attended: bool,
}

/// What there is while its process runs.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) process: Identity,
    pub(super) pidfd: Arc<OwnedFd>,
    pub(super) since: Instant,
    pub(super) probing: Option<Probing>,
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
    /// Since when it should be gone, whether its end was told or not.
    pub(super) killed: Option<Instant>,
    /// Its hooks are at work: it has not been told yet.
    pub(super) hooks: Option<Hooks>,
}

impl Stopping {
    /// A stop that a step has just asked for.
    pub(super) fn begun_by(step: StepOf) -> Self {
        Self { steps: vec![step], deadline: Instant::now(), killed: None, hooks: None }
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
            was_attended: false,
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
        let probing = self.running.as_ref().and_then(|running| running.probing.as_ref());
        probing.map_or(observed::Health::None, |probing| probing.probes.status())
    }

    /// The policy that decides after an end; a service that is gone from the file is not restarted.
    pub(super) fn policy(&self) -> restart::Policy {
        let never = restart::Policy {
            when: restart::When::Never,
            max_attempts: None,
            delay: None,
            window: None,
        };
        self.service.as_ref().and_then(|s| restart::Policy::of(s).ok()).unwrap_or(never)
    }

    /// How long it may take to stop.
    pub(super) fn grace(&self, asked: Option<Duration>) -> Duration {
        asked.unwrap_or(self.record.stop_grace)
    }

    /// Writes the verdict and the history of its health check into its state.
    pub(super) fn note_health(&mut self, started_ns: u64) {
        let probing = self.running.as_ref().and_then(|running| running.probing.as_ref());
        self.state.health = probing.map(|probing| health_record(&probing.probes, started_ns));
        let schedule = probing.map(|probing| probing.probes.schedule());
        self.state.probes = schedule.and_then(|schedule| serde_json::to_value(schedule).ok());
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

fn health_record(probes: &health::Probes, started_ns: u64) -> record::Health {
    let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    record::Health {
        status: match probes.status() {
            observed::Health::Healthy => record::HealthStatus::Healthy,
            observed::Health::Unhealthy => record::HealthStatus::Unhealthy,
            observed::Health::Starting | observed::Health::None => record::HealthStatus::Starting,
        },
        failing_streak: probes.failing_streak(),
        log: probes
            .history()
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
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restarts_before_a_change_of_supervisors_count_and_keep_their_deadline() {
        let policy = restart::Policy {
            when: restart::When::OnFailure,
            max_attempts: Some(3),
            delay: None,
            window: None,
        };
        let exit = restart::Exit { code: Some(1), ran_for: Duration::ZERO, stopped_by_user: false };
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
