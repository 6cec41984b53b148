//! Restarts that follow from something else than a container's own end: it is unhealthy, or its dependency was restarted.
//! And restarts by policy in the order of dependencies.

use naru_plan::gate::{self, Member, Verdict};
use naru_plan::observed::{Health, State};
use naru_state::ContainerId;
use naru_state::record::{Phase, Renewal};
use tokio::time::Instant;

use super::Supervisor;
use super::container::{Live, Stopping};
use super::timers::Due;

impl Supervisor {
    /// The containers of a service, but for those of `run`.
    fn of_service<'a>(&'a self, service: &'a str) -> impl Iterator<Item = &'a Live> {
        let is_own = move |live: &&Live| live.is_replica() && live.record.service == service;
        self.containers.values().filter(is_own)
    }

    /// What a change of a container's health leads to.
    pub(super) fn health_changed(&mut self, id: &ContainerId, before: State) {
        let Some(live) = self.containers.get(id) else { return };
        let now = live.observed();
        if now == before {
            return;
        }
        tracing::info!(container = %live.record.name, state = ?now, "changed");
        let State::Running { health } = now else { return };
        let (service, on_unhealthy) = (live.record.service.clone(), live.policy().on_unhealthy);
        if health == Health::Healthy {
            self.tell(id, "health_status: healthy");
            self.hasten_dependents(&service);
        }
        if health == Health::Unhealthy {
            self.tell(id, "health_status: unhealthy");
        }
        if health == Health::Unhealthy && on_unhealthy {
            self.renew(id, Renewal::Unhealthy);
        }
    }

    /// Ends a container as `stop` does; it is started again when it has ended.
    pub(super) fn renew(&mut self, id: &ContainerId, why: Renewal) {
        let Some(live) = self.containers.get_mut(id) else { return };
        if live.running.is_none() || live.stopping.is_some() || live.starting.is_some() {
            return;
        }
        tracing::info!(container = %live.record.name, ?why, "is restarted");
        live.state.renewal = Some(why);
        live.stopping = Some(Stopping::of_its_own());
        // The next supervisor, should this one die, is to know why it ends.
        self.save_state(id);
        self.signal_stop(id, None);
    }

    /// What crashed because a service was not there need not wait any longer when it is.
    fn hasten_dependents(&mut self, service: &str) {
        for (id, live) in &self.containers {
            let waits = live.state.phase == Phase::Restarting && !live.is_held;
            let depends = |live: &Live| {
                live.service.as_ref().is_some_and(|own| own.depends_on.contains_key(service))
            };
            if waits && depends(live) {
                let due = Due::Restart(id.clone(), live.state.generation);
                self.timers.add(Instant::now(), due);
            }
        }
    }

    /// The service that a container's restart has to wait for, if there is one.
    pub(super) fn held_by(&self, id: &ContainerId) -> Option<String> {
        let live = self.containers.get(id)?;
        let depends_on = &live.service.as_ref()?.depends_on;
        let holds = |(name, wanted): &(&String, &naru_compose::project::Dependency)| {
            self.of_service(name)
                .any(|dependency| gate::holds_restart(wanted.condition, dependency.observed()))
        };
        depends_on.iter().find(holds).map(|(name, _)| name.clone())
    }

    /// Starts what had to wait and need not any longer.
    pub(super) fn release_held(&mut self) {
        let held = self.containers.iter().filter(|(_, live)| live.is_held);
        let held: Vec<_> = held.map(|(id, live)| (id.clone(), live.state.generation)).collect();
        for (id, generation) in held {
            if self.held_by(&id).is_none() {
                self.restart_due(&id, generation);
            }
        }
    }

    /// Restarts what is to be restarted with a dependency that its policy has restarted, once that is as the file
    /// asks for. A command under way has its own plans: it is waited for.
    pub(super) fn renew_dependents(&mut self) {
        if !self.was_restarted || self.operation.is_some() {
            return;
        }
        let mut stale = Vec::new();
        let mut is_waiting = false;
        for (id, live) in &self.containers {
            match self.staleness(live) {
                Some(Verdict::Open) => stale.push(id.clone()),
                Some(Verdict::Wait) => is_waiting = true,
                Some(Verdict::Failed(_)) | None => {}
            }
        }
        self.was_restarted = is_waiting;
        for id in stale {
            self.renew(&id, Renewal::Dependency);
        }
    }

    /// Whether a container runs since before a dependency was restarted that it is to be restarted with: then whether
    /// that dependency is as it should be.
    fn staleness(&self, live: &Live) -> Option<Verdict> {
        let since = live.running.as_ref().filter(|_| live.is_replica())?.since;
        let followed =
            live.service.as_ref()?.depends_on.iter().filter(|(_, wanted)| wanted.restart);
        for (name, wanted) in followed {
            let is_newer = |dependency: &Live| {
                let running = dependency.running.as_ref();
                dependency.state.restarts > 0 && running.is_some_and(|own| own.since > since)
            };
            if self.of_service(name).any(is_newer) {
                let members: Vec<_> = self
                    .of_service(name)
                    .map(|own| Member { name: &own.record.name, state: own.observed() })
                    .collect();
                return Some(gate::check(name, wanted.condition, &members));
            }
        }
        None
    }
}
