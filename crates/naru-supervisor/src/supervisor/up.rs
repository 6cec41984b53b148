//! `up`: everything that can be refused is refused before anything is made.

use std::collections::{BTreeMap, BTreeSet};

use naru_compose::project::{Network, Service};
use naru_image::Image;
use naru_plan::wait::Target;
use naru_plan::{Action, ImageFacts, OneOff, Plan, Subject, UpOptions};

use super::Supervisor;
use super::control::Client;
use super::operation::{Operation, Then};
use super::ports::Publishing;
use crate::protocol::{Cause, Failure, Kind, Reply, Step, Up};

impl Supervisor {
    /// Plans an `up`, checks images, binds ports, and begins.
    pub(super) fn begin_up(&mut self, up: Up, client: &Client) -> Result<(), Box<Failure>> {
        self.caller = up.caller.or(self.caller);
        let previous = std::mem::replace(&mut self.model, up.project.clone());
        let begun = self.try_begin_up(&up, client);
        if begun.is_err() {
            self.model = previous;
            self.adopt_model();
        }
        begun
    }

    fn try_begin_up(&mut self, up: &Up, client: &Client) -> Result<(), Box<Failure>> {
        let times = super::timeline::Times::new();
        let (plan, options) = self.plan_up(up, None)?;
        let then = match up.wait {
            true => Then::Wait(self.wait_targets(&options.services, options.no_deps)?),
            false => Then::Answer,
        };
        let mut operation = Operation::new(self.next_operation(), plan, client.clone(), then);
        operation.times = times;
        operation.stop_timeout = up.stop_timeout;
        operation.auto_ports = up.auto_ports;
        self.begin_to_come_up(operation, &options, client)?;
        if let Some(timeout) = up.wait_timeout {
            self.set_patience(timeout);
        }
        Ok(())
    }

    /// Binds the ports of an `up` or a `run`, and begins: from here on its model is the project's.
    pub(super) fn begin_to_come_up(
        &mut self,
        mut operation: Operation,
        options: &UpOptions,
        client: &Client,
    ) -> Result<(), Box<Failure>> {
        operation.comes_up = true;
        let run = operation.run.as_deref();
        let publishing = Publishing { run, auto: operation.auto_ports, client: Some(client) };
        self.enter_networks(operation.progress.plan())?;
        self.check_places(operation.progress.plan(), publishing.run)?;
        operation.ports = self.bind_all(operation.progress.plan(), &publishing)?;
        self.adopt_model();
        if let Err(error) = self.save_model() {
            let ports: Vec<_> = operation.ports.into_values().flatten().collect();
            self.release_unused_ports(&ports);
            return Err(Box::new(Failure::from_error(&error)));
        }
        for notice in &operation.progress.plan().notices {
            drop(client.send(Reply::Notice(notice.to_string())));
        }
        self.tell_up_to_date(&operation, options);
        self.operation = Some(operation);
        Ok(())
    }

    /// What an `up` of the model would do; every image that it needs is there.
    pub(super) fn plan_up(
        &self,
        up: &Up,
        one_off: Option<OneOff>,
    ) -> Result<(Plan, UpOptions), Box<Failure>> {
        let images = self.images()?;
        let facts = images.iter().map(|(service, image)| (service.clone(), facts(image))).collect();
        let options = UpOptions { one_off, ..options(up, facts) };
        let plan = naru_plan::up(&self.model, &self.observed(), &options)
            .map_err(|error| Box::new(self.missing_network(&error, plan_failure(&error))))?;
        self.check_images(&plan, &images)?;
        Ok((plan, options))
    }

    /// Says where a network is asked for that is not there.
    fn missing_network(&self, error: &naru_plan::Error, failure: Failure) -> Failure {
        let naru_plan::Error::ExternalNetworkMissing { name } = error else { return failure };
        let is_it = |network: &Network| network.external && network.name == *name;
        let mut networks = self.model.networks.iter();
        let Some((key, _)) = networks.find(|(_, network)| is_it(network)) else { return failure };
        let is_user = |service: &Service| service.networks.contains_key(key);
        let mut services = self.model.services.iter();
        match services.find(|(_, service)| key.starts_with(':') && is_user(service)) {
            // It is no network of the file's.
            Some((service, _)) => failure.at(format!("services.{service}.network_mode")),
            None => failure.at(format!("networks.{key}")),
        }
    }

    /// The plan of an `up` that is not carried out.
    pub(super) fn dry_up(&mut self, up: &Up) -> Result<Plan, Box<Failure>> {
        let previous = std::mem::replace(&mut self.model, up.project.clone());
        let planned = self.plan_up(up, None);
        self.model = previous;
        planned.map(|(plan, _options)| plan)
    }

    /// Tells of the containers that run already and stay as they are.
    fn tell_up_to_date(&self, operation: &Operation, options: &UpOptions) {
        let services = naru_plan::selected_services(&self.model, options).unwrap_or_default();
        let actions = operation.progress.plan().steps.iter().map(|step| &step.action);
        let touched: BTreeSet<_> = actions.filter_map(existing).collect();
        for (id, live) in &self.containers {
            let is_up =
                live.is_replica() && live.running.is_some() && !touched.contains(id.as_str());
            if is_up && services.contains(&live.record.service) {
                operation.tell(Kind::Container, &live.record.name, Step::Running, None);
            }
        }
    }

    /// The images of all services that have theirs in the store.
    fn images(&self) -> Result<BTreeMap<String, Image>, Box<Failure>> {
        let mut images = BTreeMap::new();
        for (name, service) in &self.model.services {
            let found = self.store.find(&self.image_name(name, service));
            let found = found.map_err(|error| {
                Box::new(Failure::from_error(&error).at(format!("services.{name}.image")))
            })?;
            images.extend(found.map(|image| (name.clone(), image)));
        }
        Ok(images)
    }

    /// The name that a service's image goes by: a service that is only built has `<project>-<service>`.
    pub(super) fn image_name(&self, name: &str, service: &Service) -> String {
        match service.image.as_str() {
            "" => format!("{}-{name}", self.project),
            image => image.to_owned(),
        }
    }

    /// Every container that is to be made needs its image.
    fn check_images(
        &self,
        plan: &Plan,
        images: &BTreeMap<String, Image>,
    ) -> Result<(), Box<Failure>> {
        for step in &plan.steps {
            let Action::CreateContainer { service, hook, .. } = &step.action else { continue };
            self.check_hook_image(service, *hook)?;
            if images.contains_key(service) {
                continue;
            }
            let Some(model) = self.model.services.get(service) else { continue };
            return Err(Box::new(missing_image(service, model)));
        }
        Ok(())
    }

    /// A hook may have an image of its own.
    fn check_hook_image(&self, service: &str, hook: Option<u32>) -> Result<(), Box<Failure>> {
        let hooks = self.model.services.get(service).map(|service| &service.pre_start);
        let index = hook.and_then(|hook| usize::try_from(hook).ok());
        let Some((hook, index)) = hooks.zip(index).and_then(|(h, i)| Some((h.get(i)?, i))) else {
            return Ok(());
        };
        let key = format!("services.{service}.pre_start.{index}.image");
        let found = if hook.image.is_empty() { Ok(true) } else { self.has_image(&hook.image) };
        match found.map_err(|error| Failure::from_error(&error).at(key.clone()))? {
            true => Ok(()),
            false => {
                let model = Service { image: hook.image.clone(), ..Service::default() };
                Err(Box::new(Failure { key: Some(key), ..missing_image(service, &model) }))
            }
        }
    }

    fn has_image(&self, name: &str) -> Result<bool, naru_image::Error> {
        self.store.find(name).map(|image| image.is_some())
    }

    /// What `--wait` waits for: the services asked for, and what they depend on.
    pub(super) fn wait_targets(
        &self,
        services: &[String],
        no_deps: bool,
    ) -> Result<Vec<Target>, Box<Failure>> {
        let options = UpOptions { services: services.to_vec(), no_deps, ..UpOptions::default() };
        let services = naru_plan::selected_services(&self.model, &options)
            .map_err(|error| Box::new(plan_failure(&error)))?;
        Ok(naru_plan::wait::targets(&self.model, &services))
    }

    /// Gives the containers that exist their services of the new file.
    pub(super) fn adopt_model(&mut self) {
        for live in self.containers.values_mut().filter(|live| live.is_replica()) {
            live.service = self.model.services.get(&live.record.service).cloned();
        }
    }
}

/// The id of the container that an action changes.
fn existing(action: &Action) -> Option<&str> {
    match action {
        Action::StartContainer { container, .. }
        | Action::StopContainer { container, .. }
        | Action::RemoveContainer { container, .. }
        | Action::RenameContainer { container, .. } => match container {
            Subject::Existing { id, .. } => Some(id),
            Subject::New { .. } => None,
        },
        _ => None,
    }
}

fn options(up: &Up, images: BTreeMap<String, ImageFacts>) -> UpOptions {
    UpOptions {
        services: up.services.clone(),
        force_recreate: up.force_recreate,
        no_recreate: up.no_recreate,
        no_deps: up.no_deps,
        always_recreate_deps: up.always_recreate_deps,
        renew_anon_volumes: up.renew_anon_volumes,
        remove_orphans: up.remove_orphans,
        ignore_orphans: up.ignore_orphans,
        scale: up.scale.clone(),
        start: !up.no_start,
        images,
        recreate_volumes: Default::default(),
        one_off: None,
    }
}

fn facts(image: &Image) -> ImageFacts {
    ImageFacts { id: image.id.to_string(), has_healthcheck: image.healthcheck.is_some() }
}

fn missing_image(name: &str, service: &Service) -> Failure {
    let ways = "load one with `naru image load -i FILE` or `naru image import FILE NAME`";
    let failed = |message, attribute: &str| {
        let failure = Failure { message, ..Failure::default() }.because(Cause::Image);
        failure.at(format!("services.{name}.{attribute}"))
    };
    if service.image.is_empty() {
        let message =
            format!("service {name} has only `build`, and this naru cannot build images yet");
        return failed(message, "build").hint(format!("name an image with `image:` and {ways}"));
    }
    let message = format!("image {} of service {name} is not in the store", service.image);
    failed(message, "image").hint(format!("this naru cannot pull images yet; {ways}"))
}

/// A planner's refusal, with its place in the file where it has one.
pub(super) fn plan_failure(error: &naru_plan::Error) -> Failure {
    use naru_plan::Error::{
        Cycle, ExternalNetworkMissing, ExternalVolumeMissing, HooksBefore, NoContainer,
        NoHealthcheck, NoSuchService, RestartPolicy, RestartRules, ScaledFixedName,
        TooManyReplicas, UndefinedDependency,
    };
    let failure = Failure::from_error(error).because(Cause::Config);
    match error {
        Cycle { path } => match path.first() {
            Some(service) => failure.at(format!("services.{service}.depends_on")),
            None => failure,
        },
        UndefinedDependency { service, dependency } | NoHealthcheck { service, dependency } => {
            failure.at(format!("services.{service}.depends_on.{dependency}"))
        }
        RestartRules { service, .. } => failure.at(format!("services.{service}.x-naru-restart")),
        ScaledFixedName { service, .. } => failure.at(format!("services.{service}.container_name")),
        TooManyReplicas { service, .. } => failure.at(format!("services.{service}.scale")),
        RestartPolicy { service, .. } => failure.at(format!("services.{service}.restart")),
        NoContainer { name } => failure.hint(format!("`naru up -d {name}` makes one")),
        HooksBefore { service } => {
            let hint = format!("`naru up -d {service}` runs the hooks and starts it");
            failure.at(format!("services.{service}.pre_start")).hint(hint)
        }
        NoSuchService { .. } | ExternalNetworkMissing { .. } | ExternalVolumeMissing { .. } => {
            failure
        }
    }
}
