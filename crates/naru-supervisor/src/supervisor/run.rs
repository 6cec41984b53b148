//! `run`: what a service depends on comes up, then one more container is made and started beside its replicas.
//!
//! A call is told by its slug: a client whose supervisor died under it asks again, and is answered about the container
//! that there is, never given a second one.

use std::sync::Arc;

use naru_compose::project::{MountKind, Project};
use naru_plan::{OneOff, Plan};
use naru_state::ContainerId;

use super::Supervisor;
use super::control::Client;
use super::operation::{Operation, Then};
use crate::protocol::{Failure, Run};

impl Supervisor {
    /// Begins a `run`, or goes on with it.
    pub(super) fn begin_run(&mut self, run: Run, client: &Client) -> Result<(), Box<Failure>> {
        if let Some(id) = self.made_by(&run) {
            let live = self.containers.get(&id);
            if live.is_some_and(|live| live.is_active() || live.state.started_ns.is_some()) {
                self.answer_run(&run, &id, client);
                return Ok(());
            }
            self.take_back_one(&id);
        }
        if run.is_known {
            let message = format!("container {} is gone, and nobody knows how it ended", run.name);
            return Err(Box::new(Failure { message, ..Failure::default() }));
        }
        self.check_name(&run.name)?;
        self.caller = run.up.caller.or(self.caller);
        let model = beside(&self.model, run.up.project.clone());
        let previous = std::mem::replace(&mut self.model, model);
        let begun = self.try_begin_run(run, client);
        if begun.is_err() {
            self.model = previous;
        }
        begun
    }

    fn try_begin_run(&mut self, run: Run, client: &Client) -> Result<(), Box<Failure>> {
        let (plan, options) = self.plan_up(&run.up, Some(one_off(&run)))?;
        let id = self.next_operation();
        let mut operation = Operation::new(id, plan, client.clone(), Then::Answer);
        operation.run = Some(Arc::new(run));
        self.begin_to_come_up(operation, &options, client)?;
        self.watch_client(client.clone(), None);
        Ok(())
    }

    /// The plan of a `run` that is not carried out.
    pub(super) fn dry_run(&mut self, run: &Run) -> Result<Plan, Box<Failure>> {
        let model = beside(&self.model, run.up.project.clone());
        let previous = std::mem::replace(&mut self.model, model);
        let planned = self.plan_up(&run.up, Some(one_off(run)));
        self.model = previous;
        planned.map(|(plan, _options)| plan)
    }

    /// Answers a `run` whose container was started.
    pub(super) fn answer_run(&mut self, run: &Run, id: &ContainerId, client: &Client) {
        self.attend(id, client.clone(), run.attended);
        self.remove_if_done(id);
        self.end_if_empty();
    }

    /// The container that this very call has made.
    pub(super) fn made_by(&self, run: &Run) -> Option<ContainerId> {
        let is_its = |live: &super::container::Live| {
            live.record.one_off.as_ref().is_some_and(|one_off| one_off.slug == run.slug)
        };
        self.containers.iter().find(|(_, live)| is_its(live)).map(|(id, _)| id.clone())
    }

    fn check_name(&self, name: &str) -> Result<(), Box<Failure>> {
        match self.containers.iter().find(|(_, live)| live.record.name == name) {
            None => Ok(()),
            Some((id, _)) => {
                let id = id.short();
                let message = format!("the name {name} is in use by container {id}");
                Err(Box::new(Failure { message, ..Failure::default() }))
            }
        }
    }
}

fn one_off(run: &Run) -> OneOff {
    let mounts = run.definition.volumes.iter();
    let named = mounts.filter(|mount| mount.kind == MountKind::Volume && !mount.source.is_empty());
    let declared = named.filter(|mount| run.up.project.volumes.contains_key(&mount.source));
    OneOff {
        service: run.service.clone(),
        name: run.name.clone(),
        volumes: declared.map(|mount| mount.source.clone()).collect(),
    }
}

/// The project as a `run` sees it, with what was there before and this file leaves out: a profile that is not asked for
/// now is no reason to forget the services that run because of it.
fn beside(previous: &Project, mut project: Project) -> Project {
    for (name, service) in &previous.services {
        if !project.services.contains_key(name) && project.disabled_services.remove(name).is_some()
        {
            project.services.insert(name.clone(), service.clone());
        }
    }
    let networks = previous.networks.iter().map(|(key, network)| (key.clone(), network.clone()));
    for (key, network) in networks {
        project.networks.entry(key).or_insert(network);
    }
    for (key, volume) in &previous.volumes {
        project.volumes.entry(key.clone()).or_insert_with(|| volume.clone());
    }
    for (key, secret) in &previous.secrets {
        project.secrets.entry(key.clone()).or_insert_with(|| secret.clone());
    }
    for (key, config) in &previous.configs {
        project.configs.entry(key.clone()).or_insert_with(|| config.clone());
    }
    project
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(text: serde_json::Value) -> Project {
        serde_json::from_value(text).unwrap()
    }

    #[test]
    fn services_of_another_profile_stay_what_they_were_and_removed_ones_are_forgotten() {
        let previous = project(serde_json::json!({
            "name": "p", "services": {"web": {"image": "old"}, "debug": {"image": "d"}, "gone": {}},
            "networks": {"tools": {"name": "p_tools"}}
        }));
        let now = project(serde_json::json!({
            "name": "p", "services": {"web": {"image": "new"}},
            "disabled_services": {"debug": {"image": "changed"}}
        }));
        let seen = beside(&previous, now);
        assert_eq!(seen.services.keys().collect::<Vec<_>>(), ["debug", "web"]);
        assert_eq!((&*seen.services["web"].image, &*seen.services["debug"].image), ("new", "d"));
        assert!(seen.disabled_services.is_empty() && seen.networks.contains_key("tools"));
    }
}
