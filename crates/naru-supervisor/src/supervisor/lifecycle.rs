//! The commands on containers that exist: `stop`, `start`, `restart` and `rm`; and every command's plan for
//! who wants to see it first.

use std::collections::BTreeSet;

use naru_plan::{Action, Plan, RemoveOptions};

use super::Supervisor;
use super::control::Client;
use super::operation::{Operation, Then};
use super::ports::Publishing;
use super::up::plan_failure;
use crate::protocol::{Failure, Remove, Reply, Request, Restart, Start, Stop};

impl Supervisor {
    /// Begins a `stop`.
    pub(super) fn begin_stop(&mut self, stop: &Stop, client: &Client) -> Result<(), Box<Failure>> {
        let plan = self.plan_stop(stop)?;
        let operation = self.begin_plan(plan, client, Then::Answer);
        operation.stop_timeout = stop.timeout;
        Ok(())
    }

    /// Begins a `start`: what is in the way of a port is told before anything starts.
    pub(super) fn begin_start(
        &mut self,
        start: &Start,
        client: &Client,
    ) -> Result<(), Box<Failure>> {
        let plan = self.plan_start(start)?;
        let then = match start.wait {
            true => Then::Wait(self.wait_targets(&start.services, false)?),
            false => Then::Answer,
        };
        self.bind_all(&plan, &Publishing::default())?;
        self.begin_plan(plan, client, then).comes_up = true;
        if let Some(timeout) = start.wait_timeout {
            self.set_patience(timeout);
        }
        Ok(())
    }

    /// Begins a `restart`. It does not apply the file, so it says what the file would change.
    pub(super) fn begin_restart(
        &mut self,
        restart: &Restart,
        client: &Client,
    ) -> Result<(), Box<Failure>> {
        let plan = self.plan_restart(restart)?;
        for notice in self.not_applied(restart) {
            drop(client.send(Reply::Notice(notice)));
        }
        if !restart.services.is_empty() {
            drop(client.send(Reply::Restarts(services_of(&plan))));
        }
        let operation = self.begin_plan(plan, client, Then::Answer);
        operation.stop_timeout = restart.timeout;
        operation.restarts = true;
        Ok(())
    }

    /// Begins an `rm`.
    pub(super) fn begin_remove(
        &mut self,
        remove: &Remove,
        client: &Client,
    ) -> Result<(), Box<Failure>> {
        let plan = self.plan_remove(remove)?;
        self.begin_plan(plan, client, Then::Answer);
        Ok(())
    }

    /// Tells what a request would do.
    pub(super) fn tell_plan(
        &mut self,
        request: &Request,
        client: &Client,
    ) -> Result<(), Box<Failure>> {
        let plan = match request {
            Request::Up(up) => self.dry_up(up)?,
            Request::Down(down) => self.plan_down(down)?,
            Request::Stop(stop) => self.plan_stop(stop)?,
            Request::Start(start) => self.plan_start(start)?,
            Request::Restart(restart) => self.plan_restart(restart)?,
            Request::Remove(remove) => self.plan_remove(remove)?,
            Request::Run(run) => self.dry_run(run)?,
            Request::Boot => self.plan_boot(),
            Request::Kill { .. }
            | Request::Signal { .. }
            | Request::Attach { .. }
            | Request::Leave { .. }
            | Request::Watch
            | Request::Upgrade
            | Request::Names
            | Request::Connect(_)
            | Request::Disconnect { .. }
            | Request::RemoveNetwork { .. }
            | Request::Rewrite
            | Request::DryRun(_) => Plan::default(),
        };
        self.end_if_empty();
        drop(client.send(Reply::Plan(plan.to_string())));
        drop(client.send(Reply::Done));
        Ok(())
    }

    pub(super) fn begin_plan(&mut self, plan: Plan, client: &Client, then: Then) -> &mut Operation {
        let id = self.next_operation();
        self.operation.insert(Operation::new(id, plan, client.clone(), then))
    }

    fn plan_stop(&self, stop: &Stop) -> Result<Plan, Box<Failure>> {
        naru_plan::stop(self.known_model(), &self.observed(), &stop.services).map_err(boxed)
    }

    fn plan_start(&self, start: &Start) -> Result<Plan, Box<Failure>> {
        naru_plan::start(self.known_model(), &self.observed(), &start.services).map_err(boxed)
    }

    fn plan_restart(&self, restart: &Restart) -> Result<Plan, Box<Failure>> {
        let observed = self.observed();
        let (services, no_deps) = (&restart.services, restart.no_deps);
        naru_plan::restart_services(self.known_model(), &observed, services, no_deps).map_err(boxed)
    }

    fn plan_remove(&self, remove: &Remove) -> Result<Plan, Box<Failure>> {
        let Remove { services, stop, volumes } = remove.clone();
        let options = RemoveOptions { services, stop, volumes };
        naru_plan::remove(self.known_model(), &self.observed(), &options).map_err(boxed)
    }

    /// What has changed in the file since the containers were made, a sentence a service.
    fn not_applied(&self, restart: &Restart) -> Vec<String> {
        let Some(project) = &restart.project else { return Vec::new() };
        let outdated = naru_plan::outdated(project, &self.observed(), &restart.services);
        let sentence = |(service, keys): (String, Vec<String>)| {
            let what = if keys.is_empty() { "its definition".to_owned() } else { keys.join(", ") };
            format!(
                "{service}: {what} has changed in the Compose file; a restart does not apply that, \
                 `naru up -d {service}` does"
            )
        };
        outdated.into_iter().map(sentence).collect()
    }
}

/// The services that a plan starts containers of.
fn services_of(plan: &Plan) -> Vec<String> {
    let services = plan.steps.iter().filter_map(|step| match &step.action {
        Action::StartContainer { service, .. } => Some(service.clone()),
        _ => None,
    });
    services.collect::<BTreeSet<_>>().into_iter().collect()
}

fn boxed(error: naru_plan::Error) -> Box<Failure> {
    Box::new(plan_failure(&error))
}
