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
use crate::project::{Condition, Project};
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
    let place = Place(subject.tree);
    let waiting = first_waiting(subject.project);
    let mut linter = Linter { project: subject.project, place, waiting, report };
    for (name, service) in &subject.project.services {
        linter.health(name, service);
        linter.ports(name, service);
        linter.postgres(name, service);
        linter.mongo(name, service);
    }
}

/// Of each service that others wait for the first one that waits until it is healthy.
fn first_waiting(project: &Project) -> BTreeMap<&str, &str> {
    let mut first = BTreeMap::new();
    for (waiting, service) in &project.services {
        for (name, dependency) in &service.depends_on {
            if dependency.condition == Condition::Healthy {
                first.entry(name.as_str()).or_insert(waiting.as_str());
            }
        }
    }
    first
}

/// Lints of single services.
struct Linter<'a> {
    project: &'a Project,
    place: Place<'a>,
    /// Of each service the first one that waits until it is healthy.
    waiting: BTreeMap<&'a str, &'a str>,
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
}
