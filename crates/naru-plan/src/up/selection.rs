//! Which services a command is about, and everything about them that does not depend on what exists.

use std::collections::BTreeSet;

use naru_compose::project::{
    Condition, Healthcheck, MountKind, NetworkMode, Project, READY, Service,
};

use crate::observed::{Container, State};
use crate::restart::{Policy, PolicyError, UnknownPolicy};
use crate::{Error, Graph, Observed, UpOptions};

/// The services of one command, checked.
#[derive(Debug)]
pub(crate) struct Selection<'a> {
    pub(crate) project: &'a Project,
    pub(crate) observed: &'a Observed,
    pub(crate) options: &'a UpOptions,
    /// The selected services in dependency order.
    pub(crate) services: Vec<&'a str>,
    selected: BTreeSet<String>,
    /// Those asked for by name; all selected ones when none was.
    targets: BTreeSet<String>,
}

/// More replicas than this are taken for a slip of the finger.
const MOST_REPLICAS: u32 = 10_000;

impl<'a> Selection<'a> {
    pub(crate) fn new(
        project: &'a Project,
        observed: &'a Observed,
        options: &'a UpOptions,
    ) -> Result<Self, Error> {
        let graph = dependencies(project)?;
        let asked = options.services.iter().chain(options.scale.keys());
        if let Some(name) = asked.into_iter().find(|name| !project.services.contains_key(*name)) {
            return Err(Error::NoSuchService { name: name.clone() });
        }
        let selected = match (options.services.is_empty(), options.no_deps) {
            (true, _) => project.services.keys().cloned().collect(),
            (false, true) => options.services.iter().cloned().collect(),
            (false, false) => graph.with_dependencies(&options.services),
        };
        let targets = if options.services.is_empty() {
            selected.clone()
        } else {
            options.services.iter().cloned().collect()
        };
        let services = graph
            .order()
            .filter_map(|name| project.services.get_key_value(name))
            .map(|(name, _)| name.as_str())
            .filter(|name| selected.contains(*name))
            .collect();
        let selection = Self { project, observed, options, services, selected, targets };
        selection.check()?;
        Ok(selection)
    }

    pub(crate) fn contains(&self, service: &str) -> bool {
        self.selected.contains(service)
    }

    /// A selected service's definition.
    pub(crate) fn service(&self, name: &str) -> &'a Service {
        &self.project.services[name]
    }

    /// Whether a service's replicas are this command's business.
    pub(crate) fn has_replicas(&self, service: &str) -> bool {
        self.contains(service) && self.options.one_off.as_ref().is_none_or(|o| o.service != service)
    }

    /// How many replicas it shall have.
    pub(crate) fn scale(&self, name: &str) -> u32 {
        self.options.scale.get(name).copied().unwrap_or_else(|| self.service(name).replicas())
    }

    /// Whether its containers are recreated without need.
    pub(crate) fn is_forced(&self, name: &str) -> bool {
        let options = self.options;
        if self.targets.contains(name) {
            options.force_recreate || options.renew_anon_volumes
        } else {
            options.always_recreate_deps
        }
    }

    /// The containers that exist of a service, one-offs left out, by number.
    pub(crate) fn containers(&self, service: &str) -> Vec<&'a Container> {
        let mut found: Vec<_> = self
            .observed
            .containers
            .iter()
            .filter(|c| c.service == service && !c.one_off)
            .collect();
        found.sort_by_key(|c| (c.number, &c.name));
        found
    }

    /// Containers of services that are no longer in the file, and one-offs that have exited.
    pub(crate) fn orphans(&self) -> Vec<&'a Container> {
        let known = |name: &str| {
            self.project.services.contains_key(name)
                || self.project.disabled_services.contains_key(name)
        };
        let is_orphan = |c: &&Container| {
            !known(&c.service) || (c.is_run() && matches!(c.state, State::Exited { .. }))
        };
        let mut found: Vec<_> = self.observed.containers.iter().filter(is_orphan).collect();
        found.sort_by_key(|c| &c.name);
        found
    }

    /// The keys of the networks a service is attached to.
    pub(crate) fn networks(&self, service: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        let service = self.service(service);
        let keys = service.network_mode.is_none().then(|| service.networks.keys());
        keys.into_iter().flatten().map(String::as_str)
    }

    /// The keys of the named volumes a service mounts.
    pub(crate) fn volumes(&self, name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        let mounts = self.service(name).volumes.iter();
        let one_off = self.options.one_off.as_ref().filter(|one_off| one_off.service == name);
        let further = one_off.into_iter().flat_map(|one_off| &one_off.volumes);
        mounts
            .filter(|mount| mount.kind == MountKind::Volume && !mount.source.is_empty())
            .map(|mount| mount.source.as_str())
            .chain(further.map(String::as_str))
    }

    /// The services whose namespaces or volumes a service uses: it cannot be made before them.
    pub(crate) fn shares_with(&self, service: &str) -> BTreeSet<&'a str> {
        let service = self.service(service);
        let mut found = BTreeSet::new();
        if let Some(NetworkMode::Service(name)) = &service.network_mode {
            found.insert(name.as_str());
        }
        found
            .extend([&service.ipc, &service.pid].iter().filter_map(|m| m.strip_prefix("service:")));
        let from = service.volumes_from.iter().filter(|from| !from.starts_with("container:"));
        found.extend(from.map(|from| from.split(':').next().unwrap_or(from)));
        found.retain(|name| self.contains(name));
        found
    }

    fn check(&self) -> Result<(), Error> {
        for &name in &self.services {
            let service = self.service(name);
            let scale = self.scale(name);
            if scale > MOST_REPLICAS {
                let service = name.to_owned();
                return Err(Error::TooManyReplicas { service, scale, most: MOST_REPLICAS });
            }
            if scale > 1 && self.has_replicas(name) && !service.container_name.is_empty() {
                let (service, name) = (name.to_owned(), service.container_name.clone());
                return Err(Error::ScaledFixedName { service, name, scale });
            }
            if let Err(error) = Policy::of(service) {
                let service = name.to_owned();
                return Err(match error {
                    PolicyError::Unknown(UnknownPolicy(policy)) => {
                        Error::RestartPolicy { service, policy }
                    }
                    PolicyError::Rules(source) => Error::RestartRules { service, source },
                });
            }
            for (dependency, wanted) in &service.depends_on {
                if wanted.condition == Condition::Healthy
                    && wanted.required
                    && self.contains(dependency)
                    && self.scale(dependency) > 0
                    && self.never_healthy(dependency)
                {
                    let (service, dependency) = (name.to_owned(), dependency.clone());
                    return Err(Error::NoHealthcheck { service, dependency });
                }
            }
        }
        Ok(())
    }

    /// Whether it is certain that a service has no health check.
    fn never_healthy(&self, service: &str) -> bool {
        if self.service(service).extensions.contains_key(READY) {
            return false;
        }
        let own = self.service(service).healthcheck.as_ref();
        let is_off = |check: &Healthcheck| {
            check.disable || check.test.first().is_some_and(|word| word == "NONE")
        };
        match own {
            Some(check) if is_off(check) => true,
            Some(check) if !check.test.is_empty() => false,
            _ => self.options.images.get(service).is_some_and(|image| !image.has_healthcheck),
        }
    }
}

fn dependencies(project: &Project) -> Result<Graph, Error> {
    let mut edges = Vec::new();
    for (name, service) in &project.services {
        for (dependency, wanted) in &service.depends_on {
            if project.services.contains_key(dependency) {
                edges.push((name.as_str(), dependency.as_str()));
            } else if wanted.required {
                let (service, dependency) = (name.clone(), dependency.clone());
                return Err(Error::UndefinedDependency { service, dependency });
            }
        }
    }
    Graph::new(project.services.keys().map(String::as_str), edges)
}
