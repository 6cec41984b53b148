//! Rules about services as a whole, and about what they refer to.

mod references;
mod service;

use std::collections::{BTreeMap, BTreeSet};

use super::place::Place;
use crate::path::Path;
use crate::problem::Code;
use crate::project::Project;
use crate::report::{Finding, Report};

/// Reports what does not fit together. Of services with problems of their own only what they refer to is
/// looked at; what refers to `lost` resources, which have problems themselves, is passed over. Where a file
/// is `missing`, nothing is said about what it may declare.
pub(super) fn check(
    project: &Project,
    Known { named, broken, lost, missing }: Known<'_>,
    (place, report): (Place<'_>, &mut Report),
) {
    let mut checker = Checker { project, lost, missing, place, report };
    for (name, service) in &project.services {
        if !broken.contains(name) {
            checker.service(name, service);
        }
        if !missing {
            checker.references(name, service);
        }
    }
    checker.container_names(&taking_part(project, named));
}

/// What is known before services are held against each other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'a> {
    /// Services of the command line.
    pub(super) named: &'a [String],
    /// Services that have problems of their own.
    pub(super) broken: &'a BTreeSet<String>,
    /// Resources that have problems, as `kind` or `kind.name`.
    pub(super) lost: &'a BTreeSet<String>,
    /// Whether a file could not be used.
    pub(super) missing: bool,
}

/// The services that are named and those they depend on; all when none is named.
fn taking_part<'p>(project: &'p Project, named: &'p [String]) -> BTreeSet<&'p str> {
    if named.is_empty() {
        return project.services.keys().map(String::as_str).collect();
    }
    let (mut found, mut open) = (BTreeSet::new(), Vec::from_iter(named.iter().map(String::as_str)));
    while let Some(name) = open.pop() {
        let Some(service) = project.services.get(name) else { continue };
        if found.insert(name) {
            open.extend(service.depends_on.keys().map(String::as_str));
        }
    }
    found
}

struct Checker<'a> {
    project: &'a Project,
    lost: &'a BTreeSet<String>,
    missing: bool,
    place: Place<'a>,
    report: &'a mut Report,
}

impl Checker<'_> {
    /// Reports an error about an attribute of a service.
    fn error(&mut self, service: &str, way: &[&str], message: String) -> &mut Finding {
        let full: Vec<&str> = ["services", service].iter().chain(way).copied().collect();
        let at = self.place.of(&full);
        self.error_at(at, &full, message)
    }

    fn error_at(
        &mut self,
        at: crate::source::Position,
        way: &[&str],
        message: String,
    ) -> &mut Finding {
        let mut text = String::new();
        for segment in way {
            match segment.parse::<usize>() {
                Ok(index) => text += &format!("[{index}]"),
                Err(_) if text.is_empty() => text += segment,
                Err(_) => text += &format!(".{segment}"),
            }
        }
        let root = Path::ROOT;
        self.report.error(at, &root.key(&text), message)
    }

    /// Only services that may run at the same time are in each other's way.
    fn container_names(&mut self, taking_part: &BTreeSet<&str>) {
        let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
        let project = self.project;
        for (name, service) in &project.services {
            if service.container_name.is_empty() || !taking_part.contains(name.as_str()) {
                continue;
            }
            let Some(owner) = owners.insert(&service.container_name, name) else { continue };
            let earlier = self.place.of(&["services", owner, "container_name"]);
            let container = &service.container_name;
            let message =
                format!("the container name `{container}` is in use by service `{owner}`");
            let finding = self.error(name, &["container_name"], message).code(Code::CONFLICT);
            finding
                .related(earlier, "the first one is here")
                .hint("give each service its own name");
        }
    }
}
