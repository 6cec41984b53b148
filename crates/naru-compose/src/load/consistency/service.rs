//! Attributes of one service that exclude or contradict each other.

use std::collections::BTreeMap;

use super::Checker;
use crate::problem::Code;
use crate::project::{Build, Cpus, Deploy, READY, Service};

impl Checker<'_> {
    /// Checks one service.
    pub(super) fn service(&mut self, name: &str, service: &Service) {
        let nothing =
            service.build.is_none() && service.image.is_empty() && service.provider.is_none();
        if nothing && !self.missing {
            let message =
                format!("service `{name}` has neither an image nor a build context specified");
            let finding = self.error(name, &[], message).code(Code::MISSING_ATTRIBUTE);
            finding.hint("add `image:` or `build:`");
        }
        if let Some(build) = &service.build {
            self.build(name, service, build);
        }
        if service.network_mode.is_some() && !service.networks.is_empty() {
            let message = "`network_mode` and `networks` exclude each other".to_owned();
            let other = self.place.of(&["services", name, "networks"]);
            let finding = self.error(name, &["network_mode"], message).code(Code::CONFLICT);
            finding.related(other, "`networks` is here").hint("keep one of them");
        }
        self.health(name, service);
        self.extensions(name, service);
        self.scale(name, service);
        if let Some(deploy) = service.deploy.as_ref().filter(|_| !self.missing) {
            self.limits(name, service, deploy);
        }
        self.watch(name, service);
        self.mounts(name, service);
    }

    fn build(&mut self, name: &str, service: &Service, build: &Build) {
        if !build.dockerfile.is_empty() && !build.dockerfile_inline.is_empty() {
            let message = "`dockerfile` and `dockerfile_inline` exclude each other".to_owned();
            let finding = self.error(name, &["build", "dockerfile_inline"], message);
            finding.code(Code::CONFLICT).hint("keep one of them");
        }
        let platform = &service.platform;
        if !platform.is_empty()
            && !build.platforms.is_empty()
            && !build.platforms.contains(platform)
        {
            let message = format!("`build.platforms` does not contain the platform `{platform}`");
            let finding = self.error(name, &["build", "platforms"], message).code(Code::CONFLICT);
            finding.hint(format!("add \"{platform}\" to the list, or remove `platform`"));
        }
    }

    fn health(&mut self, name: &str, service: &Service) {
        let test = service.healthcheck.as_ref().and_then(|check| check.test.first());
        if let Some(head) =
            test.filter(|head| !["CMD", "CMD-SHELL", "NONE"].contains(&head.as_str()))
        {
            let message = format!("a test starts with CMD, CMD-SHELL or NONE, not with `{head}`");
            let hint = "write [\"CMD\", \"program\", …], or the command as one text";
            self.error(name, &["healthcheck", "test"], message).hint(hint);
        }
        for (other, dependency) in &service.depends_on {
            let healthy = dependency.condition == crate::project::Condition::Healthy;
            let check = self.project.services.get(other).and_then(|it| it.healthcheck.as_ref());
            let disabled = check.is_some_and(|check| {
                check.disable || check.test.first().is_some_and(|head| head == "NONE")
            });
            let has_sign = self
                .project
                .services
                .get(other)
                .is_some_and(|it| it.extensions.contains_key(READY));
            if healthy && disabled && !has_sign {
                let message =
                    format!("`{other}` never becomes healthy: its health check is disabled");
                self.error(name, &["depends_on", other], message)
                    .code(Code::NEVER_HEALTHY)
                    .hint("remove `disable`, or wait for `service_started`");
            }
        }
    }

    /// naru's own attributes.
    fn extensions(&mut self, name: &str, service: &Service) {
        let found = [service.ready().err(), service.restart_rules().err()];
        for error in found.into_iter().flatten() {
            let way = [error.attribute, error.key];
            let way = if error.key.is_empty() { &way[..1] } else { &way };
            self.error(name, way, error.message).hint(error.hint);
        }
    }

    fn scale(&mut self, name: &str, service: &Service) {
        let replicas = service.deploy.as_ref().and_then(|deploy| deploy.replicas);
        if let (Some(scale), Some(replicas)) = (service.scale, replicas)
            && scale != replicas
        {
            self.distinct(name, &["scale"], &["deploy", "replicas"]);
        }
        if service.replicas() > 1 && !service.container_name.is_empty() {
            let count = service.replicas();
            let message = format!("`container_name` is one name for {count} containers");
            let finding = self.error(name, &["container_name"], message).code(Code::CONFLICT);
            finding.hint("remove it, or scale to 1");
        }
    }

    /// As in docker compose, an attribute of its own contradicts a section that leaves it out.
    fn limits(&mut self, name: &str, service: &Service, deploy: &Deploy) {
        let differs = |a: i64, b: i64| a != 0 && a != b;
        if let Some(limits) = &deploy.resources.limits {
            if service.cpus != Cpus::default() && service.cpus != limits.cpus {
                self.distinct(name, &["cpus"], &["deploy", "resources", "limits", "cpus"]);
            }
            if differs(service.mem_limit.0, limits.memory.0) {
                self.distinct(name, &["mem_limit"], &["deploy", "resources", "limits", "memory"]);
            }
            if differs(service.pids_limit, limits.pids) {
                self.distinct(name, &["pids_limit"], &["deploy", "resources", "limits", "pids"]);
            }
        }
        let kept = deploy.resources.reservations.as_ref();
        if kept.is_some_and(|kept| differs(service.mem_reservation.0, kept.memory.0)) {
            let other = ["deploy", "resources", "reservations", "memory"];
            self.distinct(name, &["mem_reservation"], &other);
        }
    }

    fn distinct(&mut self, name: &str, way: &[&str], other: &[&str]) {
        let (this, that) = (way.join("."), other.join("."));
        let message = format!("can't set distinct values on `{this}` and `{that}`");
        let full: Vec<&str> = ["services", name].iter().chain(other).copied().collect();
        let at = self.place.of(&full);
        let finding = self.error(name, way, message).code(Code::CONFLICT);
        finding
            .related(at, format!("`{that}` is here"))
            .hint("keep one of them, or make them equal");
    }

    fn watch(&mut self, name: &str, service: &Service) {
        let triggers = service.develop.iter().flat_map(|develop| &develop.watch);
        for (index, trigger) in triggers.enumerate() {
            let needed = !["rebuild", "restart"].contains(&trigger.action.as_str());
            if needed && trigger.target.is_empty() {
                let message = format!("the action `{}` needs a `target`", trigger.action);
                let finding = self.error(name, &["develop", "watch", &index.to_string()], message);
                finding
                    .code(Code::MISSING_ATTRIBUTE)
                    .hint("add `target: …` with the path in the container");
            }
        }
    }

    fn mounts(&mut self, name: &str, service: &Service) {
        let tmpfs = service.tmpfs.iter().enumerate().map(|(index, text)| {
            (text.split(':').next().unwrap_or(""), ["tmpfs".to_owned(), index.to_string()])
        });
        let volumes = service.volumes.iter().enumerate();
        let volumes = volumes.map(|(index, mount)| {
            (mount.target.as_str(), ["volumes".to_owned(), index.to_string()])
        });
        let mut taken: BTreeMap<&str, [String; 2]> = BTreeMap::new();
        for (target, way) in tmpfs.chain(volumes) {
            if let Some([kind, index]) = taken.insert(target, way.clone()) {
                let earlier = self.place.of(&["services", name, &kind, &index]);
                let message = format!("something is mounted at `{target}` already");
                let way: Vec<&str> = way.iter().map(String::as_str).collect();
                let finding = self.error(name, &way, message).code(Code::CONFLICT);
                finding.related(earlier, "the other mount is here").hint("keep one of them");
            }
        }
    }
}
