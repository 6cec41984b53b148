//! Making a container: everything that it is, on disk, and nothing that runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use fs_err as fs;
use naru_compose::project::{MountKind, Service};
use naru_image::Image;
use naru_plan::Replaced;
use naru_state::{ContainerId, atomic, record};

use super::Supervisor;
use super::container::Live;
use super::operation::StepOf;
use crate::network::choose_alone;
use crate::protocol::{Failure, Run};
use crate::{logging, spec};

/// Which container to make.
#[derive(Debug, Clone, Copy)]
pub(super) struct New<'a> {
    pub(super) service: &'a str,
    pub(super) number: u32,
    pub(super) name: &'a str,
    pub(super) replaces: Option<&'a Replaced>,
    /// Which `pre_start` hook it runs, instead of being a replica.
    pub(super) hook: Option<u32>,
}

impl Supervisor {
    /// Makes a container: chooses its addresses and volumes, makes its directories, writes its record.
    pub(super) fn create_container(&mut self, of: StepOf, new: New<'_>) -> Result<(), Failure> {
        let New { service, number, name, replaces, hook } = new;
        let failed = |error: &dyn std::error::Error| {
            Failure::from_error(error).at(format!("services.{service}"))
        };
        let (model, run) = self.definition(&new);
        let image_name = self.image_name(service, &model);
        let image = self.store.find(&image_name).map_err(|error| failed(&error))?;
        let Some(image) = image else {
            let message =
                format!("image {image_name} of service {service} has gone from the store");
            return Err(
                Failure { message, ..Failure::default() }.at(format!("services.{service}.image"))
            );
        };
        image
            .check_platform()
            .map_err(|error| failed(&error).at(format!("services.{service}.image")))?;
        let facts = spec::Image::from(&image);
        let id = ContainerId::random().map_err(|error| failed(&error))?;
        let old: Option<ContainerId> = replaces.and_then(|old| old.id.clone().try_into().ok());
        let replaced = old.clone();
        let old = old.filter(|_| replaces.is_some_and(|old| old.inherit_anonymous_volumes));
        let (volumes, anonymous_volumes) = match hook {
            Some(_) => (self.volumes_of_first(service), Vec::new()),
            None => self.choose_volumes(service, &model, &image, old.as_ref())?,
        };
        // Until its record is written nobody else may choose an address.
        let choosing = choose_alone(&self.directories).map_err(|error| failed(&error))?;
        let ports = self
            .operation
            .as_ref()
            .and_then(|o| o.ports.get(&of.step))
            .cloned()
            .unwrap_or_default();
        let mut record = record::Container {
            version: record::VERSION,
            id: id.clone(),
            name: name.to_owned(),
            service: service.to_owned(),
            number,
            fingerprint: serde_json::to_value(naru_plan::Fingerprint::of(&self.model, &model))
                .unwrap_or_default(),
            image: image_name,
            image_id: image.id.to_string(),
            command: spec::command(&model, &facts),
            hostname: spec::hostname(&model, id.as_str()).to_owned(),
            created_ns: record::now_ns(),
            attachments: self.choose_attachments(service, &model, replaced.as_ref())?,
            ports,
            volumes,
            anonymous_volumes,
            depends_on: model.depends_on.iter().map(dependency).collect(),
            labels: model.labels.clone(),
            stop_signal: spec::stop_signal(&model, &facts).map_err(|error| failed(&error))?,
            stop_grace: spec::stop_grace(&model),
            tty: model.tty,
            one_off: match hook {
                Some(hook) => Some(hooks_own(hook, &model)),
                None => run.as_deref().map(one_off),
            },
            logging: record::Logging::default(),
        };
        record.logging = logging::record(&record, &model, &facts);
        if let Err(error) = self.write_container(&record) {
            // Half a container is none; what cannot be removed either is, when the next supervisor begins.
            drop(super::remove::remove_files(&self.own, &self.cgroup(&id), &id));
            return Err(failed(&error));
        }
        drop(choosing);
        if let Some(operation) = &mut self.operation {
            operation.created.insert(of.step, id.clone());
        }
        let created_ns = record.created_ns;
        let mut live = Live::new(record, model);
        live.input = run.and_then(|run| run.input.clone());
        self.containers.insert(id.clone(), live);
        self.tell_of(&id, "create", created_ns, &[]);
        self.must_last(&id);
        self.changed(&id);
        Ok(())
    }

    /// The service as it is for this container, and the `run` that it is for.
    fn definition(&self, new: &New<'_>) -> (Service, Option<Arc<Run>>) {
        let own = self.model.services.get(new.service);
        let hook = own.zip(new.hook).and_then(|(service, hook)| {
            let hook = service.pre_start.get(usize::try_from(hook).ok()?)?;
            Some(naru_plan::pre_start(service, hook))
        });
        if let Some(definition) = hook {
            return (definition, None);
        }
        let run = self.operation.as_ref().and_then(|operation| operation.run.clone());
        let run = run.filter(|run| new.number == 0 && run.name == new.name);
        let definition = run.as_ref().map(|run| &run.definition).or(own);
        (definition.cloned().unwrap_or_default(), run)
    }

    /// The volumes of a service's first replica, whose hooks see what it will see.
    fn volumes_of_first(&self, service: &str) -> BTreeMap<String, String> {
        let is_its = |live: &&Live| live.is_replica() && live.record.service == service;
        let new = self.operation.iter().flat_map(|operation| operation.created.values());
        let new = new.filter_map(|id| self.containers.get(id)).filter(is_its);
        let all = self.containers.values().filter(is_its);
        let first = new.min_by_key(|live| live.record.number);
        let first = first.or_else(|| all.min_by_key(|live| live.record.number));
        first.map(|live| live.record.volumes.clone()).unwrap_or_default()
    }

    fn write_container(&mut self, record: &record::Container) -> Result<(), atomic::Error> {
        let directory = self.own.container(&record.id);
        for path in [directory, self.own.container_run(&record.id)] {
            fs::create_dir_all(path).map_err(atomic::Error::File)?;
        }
        self.save(&self.own.container_file(&record.id), record)
    }

    /// Volume names by mount target, and which of them are the container's own.
    fn choose_volumes(
        &self,
        name: &str,
        model: &Service,
        image: &Image,
        old: Option<&ContainerId>,
    ) -> Result<(BTreeMap<String, String>, Vec<String>), Failure> {
        let inherited = old.and_then(|id| self.containers.get(id)).map(|live| &live.record);
        let mut volumes = BTreeMap::new();
        let mut anonymous = Vec::new();
        let mounts = model.volumes.iter().filter(|mount| mount.kind == MountKind::Volume);
        for mount in mounts.clone().filter(|mount| !mount.source.is_empty()) {
            let full = self.model.volumes.get(&mount.source).map(|volume| volume.name.clone());
            let full = full.unwrap_or_else(|| mount.source.clone());
            if !self.model.volumes.contains_key(&mount.source) {
                // Named on a command line only: it belongs to nobody.
                super::volumes::create_foreign(&self.directories, &full).map_err(|error| {
                    Failure::from_error(&error).at(format!("services.{name}.volumes"))
                })?;
            }
            volumes.insert(mount.target.clone(), full);
        }
        let unnamed =
            mounts.filter(|mount| mount.source.is_empty()).map(|mount| mount.target.clone());
        for target in unnamed.chain(spec::anonymous_volumes(model, &spec::Image::from(image))) {
            let kept = inherited.and_then(|old| {
                old.volumes.get(&target).filter(|name| old.anonymous_volumes.contains(name))
            });
            let volume = match kept {
                Some(kept) => Ok(kept.clone()),
                None => super::volumes::create_anonymous(&self.directories, &self.project, &target),
            };
            let volume = volume.map_err(|error| {
                Failure::from_error(&error).at(format!("services.{name}.volumes"))
            })?;
            anonymous.push(volume.clone());
            volumes.insert(target, volume);
        }
        Ok((volumes, anonymous))
    }
}

/// What is to be known of the container of a `pre_start` hook.
fn hooks_own(hook: u32, definition: &Service) -> record::OneOff {
    record::OneOff {
        slug: format!("{}{hook}", record::OneOff::HOOK),
        use_aliases: true,
        definition: serde_json::to_value(definition).unwrap_or_default(),
        ..record::OneOff::default()
    }
}

/// What is to be known of a container that `run` asks for.
fn one_off(run: &Run) -> record::OneOff {
    record::OneOff {
        slug: run.slug.clone(),
        auto_remove: run.auto_remove,
        attended: run.attended,
        use_aliases: run.use_aliases,
        size: run.size,
        definition: serde_json::to_value(&run.definition).unwrap_or_default(),
    }
}

fn dependency(
    (service, dependency): (&String, &naru_compose::project::Dependency),
) -> (String, record::Dependency) {
    let condition = serde_json::to_value(dependency.condition).unwrap_or_default();
    let recorded = record::Dependency {
        condition: condition.as_str().unwrap_or_default().to_owned(),
        restart: dependency.restart,
        required: dependency.required,
    };
    (service.clone(), recorded)
}
