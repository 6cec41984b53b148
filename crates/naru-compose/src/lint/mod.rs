//! Traps that are known: files that mean something, only not what their author means. Each lint is a
//! warning with a name of its own; docs/diagnostics.md lists them and says how one is silenced.

mod databases;
mod dollars;
mod health;
mod image;
mod ports;
mod silence;
mod variables;

use std::collections::BTreeMap;

use crate::load::{Place, Scope};
use crate::path::Path;
use crate::problem::Code;
use crate::project::{Project, Service};
use crate::report::{Finding, Report};
use crate::source::Sources;
use crate::tree::Node;

pub(crate) use dollars::swallowed;
pub(crate) use silence::Silence;

/// What the lints look at.
#[derive(Debug)]
pub(crate) struct Subject<'a> {
    /// The finished project.
    pub(crate) project: &'a Project,
    /// The tree that it was made of.
    pub(crate) tree: &'a Node,
    /// The scopes of variables.
    pub(crate) scopes: &'a [Scope],
    /// The environment of the command.
    pub(crate) shell: &'a BTreeMap<String, String>,
}

/// Warns about traps in a project that has no errors.
pub(crate) fn check(subject: &Subject<'_>, (sources, report): (&mut Sources, &mut Report)) {
    dollars::env_files(subject.scopes, sources, report);
    variables::check(subject, (&mut *sources, &mut *report));
    let mut linter = Linter { project: subject.project, place: Place(subject.tree), report };
    for (name, service) in &subject.project.services {
        linter.health(name, service);
        linter.ports(name, service);
        linter.postgres(name, service);
        linter.mongo(name, service);
    }
}

/// Lints of single services.
struct Linter<'a> {
    project: &'a Project,
    place: Place<'a>,
    report: &'a mut Report,
}

impl Linter<'_> {
    /// Warns about an attribute of a service.
    fn warn(
        &mut self,
        code: Code,
        (service, way): (&str, &[&str]),
        message: String,
    ) -> &mut Finding {
        let full: Vec<&str> = ["services", service].iter().chain(way).copied().collect();
        let at = self.place.of(&full);
        let mut text = String::new();
        for segment in way {
            match segment.parse::<usize>() {
                Ok(index) => text += &format!("[{index}]"),
                Err(_) => text += &format!(".{segment}"),
            }
        }
        let (root, path) = (Path::ROOT, format!("services.{service}{text}"));
        self.report.warning(at, &root.key(&path), message).code(code)
    }

    /// The services that wait until this one is healthy.
    fn waiting_for(&self, name: &str) -> Vec<&str> {
        let healthy = |service: &Service| {
            let dependency = service.depends_on.get(name);
            dependency.is_some_and(|it| it.condition == crate::project::Condition::Healthy)
        };
        let services = self.project.services.iter();
        services.filter(|(_, service)| healthy(service)).map(|(name, _)| name.as_str()).collect()
    }
}
