//! What happens when a container's process has ended.

use naru_plan::restart;
use naru_state::ContainerId;
use naru_state::record::{self, Phase};
use tokio::time::Instant;

use super::Supervisor;
use super::timers::Due;

impl Supervisor {
    /// The keeper says that a container's first process has ended.
    pub(super) fn exited(&mut self, id: &ContainerId, mut exit: record::Exit) {
        let cgroup = self.cgroup(id);
        let Some(live) = self.containers.get_mut(id) else { return };
        let is_this = |process: &naru_state::process::Identity| *process == exit.process;
        let Some(running) = live.running.take_if(|running| is_this(&running.process)) else {
            return;
        };
        exit.out_of_memory =
            exit.code == Some(137) && cgroup.oom_kills().is_ok_and(|kills| kills > 0);
        let ended = restart::Exit {
            code: exit.code,
            ran_for: running.since.elapsed(),
            ended_by: live.ended_by(),
        };
        live.state.finished_ns = Some(exit.time_ns);
        live.state.exit = Some(exit);
        live.state.process = None;
        if let Some(after) = live.follow(restart::decide(&live.policy(), &ended, live.attempts)) {
            let due = Due::Restart(id.clone(), live.state.generation);
            self.timers.add(Instant::now() + after, due);
        }
        let stopped = live.stopping.take();
        self.tell_died(id);
        if stopped.is_some() {
            self.tell(id, "stop");
            self.must_last(id);
        }
        // Its network namespace goes with the last process and socket in it.
        drop(running);
        self.clean_up_run(id);
        self.changed(id);
        self.tell_output(id);
        self.tell_end(id);
        for step in stopped.into_iter().flat_map(|stopping| stopping.steps) {
            self.end_step(step, Ok(()));
        }
    }

    /// What a run leaves: processes that outlived the first one, ports nobody serves, names.
    fn clean_up_run(&mut self, id: &ContainerId) {
        let cgroup = self.cgroup(id);
        if let Err(error) = cgroup.kill_all() {
            tracing::warn!(container = %id, %error, "what a container left behind could not be ended");
        }
        let Some(live) = self.containers.get(id) else { return };
        match live.state.phase {
            Phase::Exited => {
                let ports = live.record.ports.clone();
                self.release_ports(&ports);
            }
            _ => self.suspend_ports(id),
        }
        self.refresh_names();
    }

    /// A policy's delay has passed.
    pub(super) fn restart_due(&mut self, id: &ContainerId, generation: u16) {
        let Some(live) = self.containers.get(id) else { return };
        let waits = live.state.phase == Phase::Restarting && live.state.generation == generation;
        if !waits || live.starting.is_some() {
            return;
        }
        let waits_for = self.held_by(id);
        let Some(live) = self.containers.get_mut(id) else { return };
        live.is_held = waits_for.is_some();
        if live.is_held {
            live.state.waits_for = waits_for;
            return self.changed(id);
        }
        live.state.restarts = live.state.restarts.saturating_add(1);
        self.start(id, None);
    }
}
