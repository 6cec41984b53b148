//! `down`, and the end of the project: when nothing is left, so are the files and the two processes.

use fs_err as fs;
use naru_compose::project::Project;
use naru_plan::observed::{self, Observed};
use naru_plan::{DownOptions, Plan};
use naru_state::{ContainerId, atomic, record};

use super::Supervisor;
use super::control::Client;
use super::operation::{Operation, Then};
use super::up::plan_failure;
use crate::keeper::link::ToKeeper;
use crate::protocol::{Down, Failure, Reply};

impl Supervisor {
    /// Plans a `down` and begins.
    pub(super) fn begin_down(&mut self, down: &Down, client: &Client) -> Result<(), Box<Failure>> {
        let plan = self.plan_down(down)?;
        for notice in &plan.notices {
            drop(client.send(Reply::Notice(notice.to_string())));
        }
        let mut operation =
            Operation::new(self.next_operation(), plan, client.clone(), Then::Answer);
        operation.stop_timeout = down.timeout;
        self.operation = Some(operation);
        Ok(())
    }

    /// What a `down` does.
    pub(super) fn plan_down(&self, down: &Down) -> Result<Plan, Box<Failure>> {
        let options = DownOptions {
            services: down.services.clone(),
            volumes: down.volumes,
            // Without services the whole project goes; what has left the file is part of it.
            remove_orphans: down.remove_orphans || self.model.services.is_empty(),
        };
        naru_plan::down(self.known_model(), &self.observed(), &options)
            .map_err(|error| Box::new(plan_failure(&error)))
    }

    /// The model, unless nobody has told it yet.
    pub(super) fn known_model(&self) -> Option<&Project> {
        (!self.model.services.is_empty()).then_some(&self.model)
    }

    /// What the planner is to know.
    pub(super) fn observed(&self) -> Observed {
        let own = &self.project;
        let volumes = super::volumes::all(&self.directories).unwrap_or_default();
        let (ours, foreign): (Vec<_>, Vec<_>) = volumes
            .into_iter()
            .filter(|volume| !volume.anonymous)
            .partition(|volume| volume.project.as_ref().is_some_and(|(project, _)| project == own));
        let (foreign_networks, replaced_networks) = self.foreign_networks();
        let networks = self.networks.record.networks.iter();
        let networks = networks.filter(|(_, network)| !network.external);
        Observed {
            project: own.as_str().to_owned(),
            containers: self
                .containers
                .iter()
                .map(|(id, live)| observed_container(self, id, live))
                .collect(),
            networks: networks
                .map(|(key, network)| observed::Network {
                    key: key.clone(),
                    name: network.name.clone(),
                    config_hash: network.config_hash.clone(),
                    is_used_by_others: self.is_used_by_others(network),
                })
                .collect(),
            volumes: ours
                .into_iter()
                .map(|volume| observed::Volume {
                    key: volume.project.map(|(_, key)| key).unwrap_or_default(),
                    name: volume.name,
                    config_hash: volume.config_hash,
                })
                .collect(),
            foreign_networks,
            replaced_networks,
            foreign_volumes: foreign.into_iter().map(|volume| volume.name).collect(),
        }
    }

    /// Removes what a failed or interrupted command made and never ran.
    pub(super) fn take_back(&mut self, operation: &Operation) {
        for id in operation.created.values() {
            let never_ran = self
                .containers
                .get(id)
                .is_some_and(|live| live.running.is_none() && live.state.started_ns.is_none());
            if !never_ran {
                continue;
            }
            self.take_back_one(id);
        }
    }

    /// Ends the supervisor when the project has no container any more but such that `run` has left and that have ended;
    /// networks that are left go too.
    pub(super) fn end_if_empty(&mut self) {
        let stays = |live: &super::container::Live| {
            live.record.one_off.as_ref().is_some_and(|one_off| !one_off.auto_remove)
        };
        let is_done = |live: &super::container::Live| stays(live) && !live.is_active();
        let is_busy = self.operation.is_some() || self.removing > 0 || self.finished;
        if is_busy || !self.containers.values().all(is_done) {
            return;
        }
        self.remove_left_networks();
        self.finished = self.queue.is_empty();
        if !self.finished || !self.containers.is_empty() {
            return;
        }
        // Before its lock goes: a keeper that started another supervisor afterwards would be a second one beside that of
        // the next command.
        let _told = self.link.send(&ToKeeper::Finish, &[]);
        let has_networks = !self.networks.record.networks.is_empty();
        if let Err(error) = remove_project_files(&self.own, has_networks) {
            tracing::warn!(%error, "files of the project are left");
        }
    }

    /// Takes all networks away but those that containers of other projects are in.
    fn remove_left_networks(&mut self) {
        let mut kept = self.networks.record.networks.clone();
        kept.retain(|_, network| !network.external && self.is_used_by_others(network));
        self.leave_networks(&kept);
        let keys: Vec<_> = self.networks.record.networks.keys().cloned().collect();
        for key in keys.into_iter().filter(|key| !kept.contains_key(key)) {
            let network = self.networks.get(&self.kernel_id(), &key);
            let removed = network.map_or(Ok(()), |network| naru_net::network::remove(&network));
            if let Err(error) = removed {
                tracing::warn!(%error, key, "a network is left");
            }
        }
        self.networks.record.networks = kept;
        if let Err(error) = self.save_networks() {
            tracing::warn!(%error, "the networks that others use could not be recorded");
        }
        if let Err(failure) = self.remove_firewall() {
            tracing::warn!(message = failure.message, "firewall rules are left");
        }
    }
}

fn observed_container(
    supervisor: &Supervisor,
    id: &ContainerId,
    live: &super::container::Live,
) -> observed::Container {
    let record = &live.record;
    let network_name = |key: &String| {
        let network = supervisor.networks.record.networks.get(key);
        network.map_or_else(|| key.clone(), |network| network.name.clone())
    };
    let anonymous = |name: &&String| !record.anonymous_volumes.contains(name);
    observed::Container {
        id: id.as_str().to_owned(),
        name: record.name.clone(),
        service: record.service.clone(),
        number: record.number,
        one_off: record.is_one_off(),
        hook: record.one_off.as_ref().is_some_and(record::OneOff::is_hook),
        fingerprint: serde_json::from_value(record.fingerprint.clone()).unwrap_or_default(),
        image_id: record.image_id.clone(),
        depends_on: record.depends_on.iter().filter_map(dependency).collect(),
        networks: record.attachments.iter().map(|a| network_name(&a.network)).collect(),
        volumes: record
            .volumes
            .iter()
            .filter(|(_, name)| anonymous(name))
            .map(|(target, name)| (target.clone(), name.clone()))
            .collect(),
        state: live.observed(),
    }
}

fn dependency(
    (service, recorded): (&String, &naru_state::record::Dependency),
) -> Option<(String, naru_compose::project::Dependency)> {
    let condition = serde_json::Value::String(recorded.condition.clone());
    let dependency = naru_compose::project::Dependency {
        condition: serde_json::from_value(condition).ok()?,
        restart: recorded.restart,
        required: recorded.required,
        ..Default::default()
    };
    Some((service.clone(), dependency))
}

/// Everything of a project that is down but its logs, and its networks where others use them.
fn remove_project_files(
    own: &naru_state::ProjectDirectories,
    has_networks: bool,
) -> std::io::Result<()> {
    for file in [own.project_file(), own.states_file(), own.timeline_file()] {
        ignore_missing(fs::remove_file(file))?;
    }
    if !has_networks {
        ignore_missing(fs::remove_file(own.networks_file()))?;
    }
    ignore_missing(fs::remove_dir_all(own.containers()))?;
    atomic::remove_half_written(own.data(), |_| true)?;
    // Only when there are no logs either.
    drop(fs::remove_dir(own.data()));
    ignore_missing(fs::remove_dir_all(own.run()))?;
    // Only when no other project runs.
    drop(own.run().parent().map(fs::remove_dir));
    Ok(())
}

fn ignore_missing(result: std::io::Result<()>) -> std::io::Result<()> {
    match result {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
