//! Finding what cannot be run yet, and what is ignored, in a project.

use std::collections::{BTreeMap, BTreeSet};

use super::table::{SUPPORT, Support};
use crate::load::{Loaded, Place};
use crate::path::{Cursor, Path};
use crate::problem::{Code, Problem, Severity};
use crate::project::MountKind;
use crate::report::Finding;
use crate::tree::{Entry, Node, Value};

impl Loaded {
    /// What naru cannot run yet about these services, their dependencies, and what they use; about
    /// all services when none is named. `build` is not among it, since a service whose image is in
    /// the store runs without being built: see [`Loaded::build_refusal`].
    #[must_use]
    pub fn refusals(&self, services: &[String]) -> Vec<Problem> {
        let mut walk = Walk { visit: refusal, findings: Vec::new() };
        let selected = self.selected(services);
        for (kind, names) in self.used(&selected) {
            for name in names {
                walk.resource(&self.tree, kind, name);
            }
        }
        self.missing_variables(&selected, &mut walk.findings);
        self.problems(walk.findings)
    }

    /// That a service has to be built, which naru cannot do yet. `None` for one without `build`.
    #[must_use]
    pub fn build_refusal(&self, service: &str) -> Option<Problem> {
        self.project.services.get(service)?.build.as_ref()?;
        let message =
            format!("service {service} has to be built, and naru cannot build images yet");
        let mut problem = self.problem_at(&format!("services.{service}.build"), &message)?;
        let ways = "load its image with `naru image load`, or make one with `naru image import`";
        problem.code = Code::UNSUPPORTED;
        problem.hint = Some(format!("building comes later; {ways}"));
        Some(problem)
    }

    /// What the project says and docker compose ignores as well, each attribute once.
    #[must_use]
    pub fn notes(&self) -> Vec<Problem> {
        let mut walk = Walk { visit: note, findings: Vec::new() };
        let all: BTreeSet<&str> = self.project.services.keys().map(String::as_str).collect();
        for (kind, names) in self.used(&all) {
            for name in names {
                walk.resource(&self.tree, kind, name);
            }
        }
        walk.findings.retain(|finding| !finding.is_silenced(&self.silence));
        let mut seen = BTreeSet::new();
        walk.findings.retain(|finding| seen.insert(finding.message().to_owned()));
        self.problems(walk.findings)
    }

    /// A problem with an attribute, given as `services.web.ports.0`, at its place in the files.
    /// `None` when nothing of it is in a file.
    #[must_use]
    pub fn problem_at(&self, key: &str, message: &str) -> Option<Problem> {
        let at = Place(&self.tree).of(&segments(&self.tree, key));
        let root = Path::ROOT;
        let finding = Finding::new(Severity::Error, at, &root.key(key), message.to_owned());
        (at.line > 0).then(|| finding.into_problem(&self.sources))
    }

    fn problems(&self, findings: Vec<Finding>) -> Vec<Problem> {
        findings.into_iter().map(|finding| finding.into_problem(&self.sources)).collect()
    }

    /// The services and everything they wait for.
    fn selected<'a>(&'a self, services: &'a [String]) -> BTreeSet<&'a str> {
        let known = &self.project.services;
        if services.is_empty() {
            return known.keys().map(String::as_str).collect();
        }
        let mut selected = BTreeSet::new();
        let mut open: Vec<&str> = services.iter().map(String::as_str).collect();
        while let Some(name) = open.pop() {
            let Some(service) = known.get(name) else { continue };
            if selected.insert(name) {
                open.extend(service.depends_on.keys().map(String::as_str));
            }
        }
        selected
    }

    /// The names of everything that takes part when these services run, by kind.
    fn used<'a>(
        &'a self,
        services: &BTreeSet<&'a str>,
    ) -> BTreeMap<&'static str, BTreeSet<&'a str>> {
        let mut used = BTreeMap::from([("services", services.clone())]);
        let mut add = |kind, name: &'a str| {
            used.entry(kind).or_insert_with(BTreeSet::new).insert(name);
        };
        for service in services.iter().filter_map(|name| self.project.services.get(*name)) {
            service.networks.keys().for_each(|name| add("networks", name));
            service.secrets.iter().for_each(|secret| add("secrets", &secret.source));
            service.configs.iter().for_each(|config| add("configs", &config.source));
            let volumes = service.volumes.iter().filter(|mount| mount.kind == MountKind::Volume);
            volumes.for_each(|mount| add("volumes", &mount.source));
        }
        used
    }

    /// Secrets and configs whose variable is not set.
    fn missing_variables(&self, services: &BTreeSet<&str>, findings: &mut Vec<Finding>) {
        let used = self.used(services);
        let kinds = [("secrets", &self.project.secrets), ("configs", &self.project.configs)];
        for (kind, objects) in kinds {
            for name in used.get(kind).into_iter().flatten() {
                let Some(object) = objects.get(*name) else { continue };
                let variable = &object.environment;
                if variable.is_empty() || self.environment.contains_key(variable) {
                    continue;
                }
                let at = Place(&self.tree).of(&[kind, name, "environment"]);
                let (root, message) = (Path::ROOT, format!("the variable `{variable}` is not set"));
                let kind = root.key(kind);
                let path = kind.key(name);
                let mut finding =
                    Finding::new(Severity::Error, at, &path.key("environment"), message);
                let hint = format!("set {variable} in the environment or in `.env`");
                finding.code(Code::REQUIRED_VARIABLE).hint(hint);
                findings.push(finding);
            }
        }
    }
}

/// The segments of a dotted key; names in the tree may contain dots themselves.
fn segments<'k>(tree: &Node, key: &'k str) -> Vec<&'k str> {
    let (mut segments, mut rest, mut node) = (Vec::new(), key, Some(tree));
    while !rest.is_empty() {
        let known = node.and_then(Node::as_map).and_then(|map| {
            let mut ends = rest.match_indices('.').map(|(index, _)| index).chain([rest.len()]);
            ends.rfind(|end| map.has(&rest[..*end]))
        });
        let end = known.or_else(|| rest.find('.')).unwrap_or(rest.len());
        let segment = &rest[..end];
        node = node.and_then(|node| match &node.value {
            Value::Map(map) => map.get(segment),
            Value::List(entries) => segment.parse::<usize>().ok().and_then(|i| entries.get(i)),
            _ => None,
        });
        segments.push(segment);
        rest = rest[end..].strip_prefix('.').unwrap_or("");
    }
    segments
}

/// What there is to say about an attribute with this support.
type Visit = fn(Support, &Node, key: &str) -> Option<(String, String, Severity)>;

struct Walk {
    visit: Visit,
    findings: Vec<Finding>,
}

impl Walk {
    fn resource(&mut self, tree: &Node, kind: &str, name: &str) {
        let Some(entry) = tree.as_map().and_then(|map| map.map(kind)?.0.get(name)) else { return };
        let root = Path::ROOT;
        let path = root.key(kind);
        self.entry(entry, SUPPORT.root().key(kind).key(name), (&path.key(name), name));
    }

    fn entry(&mut self, entry: &Entry, at: Cursor<'_, Support>, (path, key): (&Path, &str)) {
        let Entry { key_at, node } = entry;
        if at.is_off() || is_unset(node) {
            return;
        }
        if let Some((message, hint, severity)) =
            at.value().and_then(|support| (self.visit)(support, node, key))
        {
            let mut finding = Finding::new(severity, *key_at, path, message);
            finding.code(match severity {
                Severity::Error => Code::UNSUPPORTED,
                _ => Code::IGNORED_ATTRIBUTE,
            });
            if !hint.is_empty() {
                finding.hint(hint);
            }
            self.findings.push(finding);
        }
        if !matches!(at.value(), Some(Support::NotYet(_) | Support::Ignored(_))) {
            self.below(node, at, (path, key));
        }
    }

    fn below(&mut self, node: &Node, at: Cursor<'_, Support>, (path, key): (&Path, &str)) {
        match &node.value {
            Value::Map(map) => {
                for (key, entry) in map.0.iter() {
                    self.entry(entry, at.key(key), (&path.key(key), key));
                }
            }
            Value::List(entries) => {
                for (index, node) in entries.iter().enumerate() {
                    let entry = Entry { key_at: node.at, node: node.clone() };
                    self.entry(&entry, at.entry(), (&path.index(index), key));
                }
            }
            _ => {}
        }
    }
}

/// Whether a value says nothing.
fn is_unset(node: &Node) -> bool {
    match &node.value {
        Value::Null | Value::Bool(false) | Value::Int(0) => true,
        Value::Text(text) => text.is_empty(),
        Value::List(entries) => entries.is_empty(),
        Value::Map(map) => map.0.is_empty(),
        _ => false,
    }
}

fn refusal(support: Support, node: &Node, key: &str) -> Option<(String, String, Severity)> {
    match support {
        Support::NotYet(_) if key == "build" => None,
        Support::NotYet(hint) => {
            let message = format!("`{key}` is not possible yet");
            Some((message, hint.to_owned(), Severity::Error))
        }
        Support::Partly(check, possible) => {
            check(node).map(|message| (message, format!("possible: {possible}"), Severity::Error))
        }
        Support::Done | Support::Ignored(_) => None,
    }
}

fn note(support: Support, _node: &Node, key: &str) -> Option<(String, String, Severity)> {
    let Support::Ignored(reason) = support else { return None };
    let message = format!("`{key}` is ignored, as by docker compose: {reason}");
    Some((message, String::new(), Severity::Note))
}
