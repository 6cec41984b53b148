//! Starting a container: from its record to a running process.

mod failure;
mod output;
mod recipe;

use std::os::fd::OwnedFd;
use std::sync::Arc;

use fs_err as fs;
use naru_compose::project::{NetworkMode, Project, Service};
use naru_image::Store;
use naru_net::dns;
use naru_runtime::{Binary, Cgroup, Created};
use naru_state::record::{self, Phase};
use naru_state::{ContainerId, ProjectDirectories};
use tokio::time::Instant;

use super::Supervisor;
use super::container::{Running, Starting};
use super::event::Event;
use super::joined::Joined;
use super::operation::StepOf;
use super::timeline::Lap;
use crate::keeper::link::{Handles, Link, Watch};
use crate::logging::Keep;
use crate::protocol::{Caller, Failure};
use crate::spec;

/// What a successful start brings.
#[derive(Debug)]
pub(super) struct Started {
    start: record::Start,
    pidfd: OwnedFd,
    dns: Option<dns::Sockets>,
    check: Option<spec::Check>,
    /// What keeper and supervisor hold of it.
    handles: Handles,
    /// The link on which the keeper was told of it.
    link: Arc<Link>,
    laps: Vec<Lap>,
}

/// All that a start needs; a worker takes it along.
pub(super) struct Job {
    pub(super) directories: naru_state::Directories,
    pub(super) own: ProjectDirectories,
    pub(super) record: record::Container,
    generation: u16,
    /// None of its programs has run yet.
    is_first: bool,
    pub(super) service: Service,
    pub(super) model: Project,
    pub(super) caller: Option<Caller>,
    pub(super) networks: Vec<(naru_net::Network, record::Attachment)>,
    /// The network of another container, instead of any of its own.
    pub(super) joined: Option<Joined>,
    cgroup: Cgroup,
    store: Arc<Store>,
    binary: Arc<Binary>,
    link: Arc<Link>,
    kernel_id: String,
    /// What its input is read from, where that is not made here.
    input: Option<Arc<OwnedFd>>,
    /// Soft and hard limit of open files.
    files: (u64, u64),
}

impl Supervisor {
    /// Starts a container; the step, if a command waits for it, ends when it runs.
    pub(super) fn start(&mut self, id: &ContainerId, step: Option<StepOf>) {
        let Some(live) = self.containers.get_mut(id) else { return };
        if live.running.is_some() || live.starting.is_some() {
            if let Some(step) = step {
                self.end_step(step, Ok(()));
            }
            return;
        }
        if step.is_some() {
            live.attempts = naru_plan::restart::Attempts::default();
            live.state.attempts = record::Attempts::default();
            live.state.restarts = 0;
        }
        live.starting = Some(Starting { step, stops: Vec::new() });
        live.state.stopped_by_user = false;
        live.state.renewal = None;
        live.state.waits_for = None;
        live.is_held = false;
        live.state.generation = live.state.generation.saturating_add(1);
        live.state.health = None;
        live.state.probes = None;
        live.state.ready = None;
        live.state.not_ready = None;
        match step {
            Some(_) => self.must_last(id),
            None => self.may_last(),
        }
        // Before anything is made that is called after this start: another one must not use the names again.
        self.save_state(id);
        self.refresh_names();
        match self.job(id) {
            Ok(job) => {
                let (events, id) = (self.events.clone(), id.clone());
                tokio::task::spawn_blocking(move || {
                    let result = recipe::run(&job).map_err(|failure| *failure);
                    drop(events.send(Event::StartEnded(id, Box::new(result))));
                });
            }
            Err(failure) => self.start_ended(id, Err(*failure)),
        }
    }

    fn job(&mut self, id: &ContainerId) -> Result<Job, Box<Failure>> {
        self.rebind_ports(id)?;
        let kernel_id = self.kernel_id();
        let missing =
            || Box::new(Failure { message: "the container is gone".into(), ..Default::default() });
        let live = self.containers.get(id).ok_or_else(missing)?;
        let Some(service) = live.service.clone() else {
            let message = format!("service {} is no longer in the file", live.record.service);
            return Err(Box::new(Failure { message, ..Failure::default() }));
        };
        self.check_networks(live)?;
        let joined = self.joined(&service).map_err(|failure| {
            Box::new(failure.at(format!("services.{}.network_mode", live.record.service)))
        })?;
        let networks = live.record.attachments.iter().filter_map(|attachment| {
            Some((self.networks.get(&kernel_id, &attachment.network)?, attachment.clone()))
        });
        Ok(Job {
            directories: self.directories.clone(),
            own: self.own.clone(),
            record: live.record.clone(),
            generation: live.state.generation,
            is_first: live.state.ran().is_none(),
            service,
            model: definitions(&self.model),
            caller: self.caller,
            networks: networks.collect(),
            joined,
            cgroup: self.cgroup(id),
            store: Arc::clone(&self.store),
            binary: Arc::clone(&self.binary),
            link: Arc::clone(&self.link),
            kernel_id,
            input: live.input.clone(),
            files: self.role.files,
        })
    }

    /// An attempt to start a container has ended.
    pub(super) fn start_ended(&mut self, id: &ContainerId, result: Result<Started, Failure>) {
        let Some(live) = self.containers.get_mut(id) else { return };
        let Some(starting) = live.starting.take() else { return };
        live.input = None;
        let outcome = match result {
            Ok(started) => {
                if let (Some(step), Some(operation)) = (starting.step, &mut self.operation)
                    && step.operation == operation.id
                {
                    operation.times.laps(step.step, started.laps);
                }
                let process = started.start.process.clone();
                live.state.begin(started.start);
                let Handles { output, resolver, .. } = started.handles;
                live.running = Some(Running {
                    process,
                    pidfd: Arc::new(started.pidfd),
                    since: Instant::now(),
                    probing: None,
                    ready: None,
                    dns: None,
                    output,
                    resolver,
                });
                if !Arc::ptr_eq(&started.link, &self.link) {
                    // That keeper is gone, and the one after it has not heard.
                    self.watch(id);
                }
                if let Some(sockets) = started.dns {
                    self.serve_dns(id, sockets);
                }
                self.serve_ports(id);
                self.begin_probing(id, started.check);
                self.tell_start(id, starting.step.is_some());
                self.forward(id);
                self.begin_ready(id);
                self.was_restarted |= starting.step.is_none();
                Ok(())
            }
            Err(failure) => {
                live.state.phase =
                    if live.state.started_ns.is_some() { Phase::Exited } else { Phase::Created };
                live.state.error = Some(failure.message.clone());
                // Its program was not run. One that is left is not believed where the process ended as a set-up does.
                drop(fs::remove_file(self.own.start_file(id)));
                let ports = live.record.ports.clone();
                self.release_ports(&ports);
                self.refresh_names();
                Err(failure)
            }
        };
        self.changed(id);
        if outcome.is_ok() {
            self.begin_telling(id);
        }
        self.watch_for_early_exit(id);
        if let Some(step) = starting.step
            && !(outcome.is_ok() && self.begin_post_start(id, step))
        {
            self.end_step(step, outcome);
        }
        for (step, timeout) in starting.stops {
            self.stop(id, timeout, step);
        }
    }

    /// Its end may have been told before its start was.
    fn watch_for_early_exit(&mut self, id: &ContainerId) {
        let exit = naru_state::atomic::load::<record::Exit>(&self.own.exit_file(id)).ok().flatten();
        if let Some(exit) = exit {
            self.exited(id, exit);
        }
    }
}

/// What a start needs of the project: the definitions that services refer to.
fn definitions(model: &Project) -> Project {
    Project {
        name: model.name.clone(),
        working_directory: model.working_directory.clone(),
        secrets: model.secrets.clone(),
        configs: model.configs.clone(),
        volumes: model.volumes.clone(),
        ..Project::default()
    }
}

impl Job {
    pub(super) fn hostname(&self) -> String {
        if let Some(joined) = &self.joined {
            return joined.hostname.clone();
        }
        if !matches!(self.service.network_mode, Some(NetworkMode::Host))
            || !self.service.hostname.is_empty()
        {
            return self.record.hostname.clone();
        }
        let own = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        own.trim().to_owned()
    }

    fn watch(&self, created: &Created) -> Watch {
        Watch {
            id: self.record.id.clone(),
            pid: created.pid,
            start_time: created.start_time,
            name: self.record.name.clone(),
            generation: self.generation,
            tty: self.service.tty,
            keep: Keep::of(&self.record),
        }
    }
}
