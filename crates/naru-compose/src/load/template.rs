//! A project whose variables are not replaced.

use std::collections::{BTreeMap, BTreeSet};

use super::profiles::Active;
use super::request::LoadRequest;
use crate::interpolate::variables;
use crate::print::{self, Document, Mapping, Sort};
use crate::problem::Problem;
use crate::tree::{Map, Node, Value};

/// What a set of Compose files says with the variables still in it: merged, checked and with short
/// forms resolved as far as that is possible.
#[derive(Debug, Clone)]
pub struct Template {
    /// What is probably a mistake.
    pub warnings: Vec<Problem>,
    pub(crate) tree: Node,
    /// The services that an active profile includes.
    pub(super) enabled: BTreeSet<String>,
    /// Whether resources that no service uses are there as well.
    pub(super) all_resources: bool,
    /// See [`crate::Project::separator`].
    pub(super) compatibility: bool,
}

/// The services that an active profile includes.
pub(super) fn enabled(
    tree: &Node,
    request: &LoadRequest,
    from_environment: Option<&str>,
) -> BTreeSet<String> {
    let services = tree.as_map().and_then(|map| map.map("services"));
    let profiles = |service: &Node| {
        service.as_map().and_then(|map| map.get("profiles")).map(texts).unwrap_or_default()
    };
    let named = request.services.iter().filter_map(|name| services?.get(name));
    let active = Active::new(request, from_environment, named.flat_map(profiles));
    let services = services.into_iter().flat_map(|map| map.iter());
    let enabled = services.filter(|(_, service)| active.includes(&profiles(service)));
    enabled.map(|(name, _)| name.clone()).collect()
}

/// The texts of a list, or of one scalar.
fn texts(node: &Node) -> Vec<String> {
    match &node.value {
        Value::List(entries) => entries.iter().filter_map(Node::scalar_text).collect(),
        _ => node.scalar_text().into_iter().collect(),
    }
}

/// A variable that Compose files refer to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Variable {
    /// The `d` of `${V:-d}`; empty when there is none.
    pub default: String,
    /// The `a` of `${V:+a}`; empty when there is none.
    pub alternative: String,
    /// Whether some `${V:?}` demands a value.
    pub required: bool,
}

impl Template {
    /// The text of `config --no-interpolate --format json`.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut document = document(&self.tree);
        print::sort_all(&mut document, Sort::Bytes);
        print::to_json(document, 2)
    }

    /// The text of `config --no-interpolate`.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        let mut document = document(&self.tree);
        print::sort_all(&mut document, Sort::Natural);
        print::to_yaml(&document, 2)
    }

    /// The names in a section of the top level, such as `services`, sorted.
    #[must_use]
    pub fn names(&self, section: &str) -> Vec<String> {
        let mut names: Vec<String> =
            self.section(section).into_iter().flat_map(|map| map.0.keys()).cloned().collect();
        names.sort();
        names
    }

    /// Whether there is a service of this name.
    #[must_use]
    pub fn has_service(&self, name: &str) -> bool {
        self.section("services").is_some_and(|services| services.has(name))
    }

    /// The networks, volumes or models that an enabled service uses, sorted; all of them when resources
    /// without use are kept.
    #[must_use]
    pub fn used(&self, section: &str) -> Vec<String> {
        let mut names = self.names(section);
        if !self.all_resources {
            let services = self.section("services").into_iter().flat_map(Map::iter);
            let services = services.filter(|(name, _)| self.enabled.contains(*name));
            let used: BTreeSet<String> =
                services.flat_map(|(_, service)| uses(service, section)).collect();
            names.retain(|name| used.contains(name));
        }
        names
    }

    /// What the models are that are used: the text of their attribute `model`.
    #[must_use]
    pub fn models(&self) -> Vec<String> {
        let models = self.section("models");
        let text = |name: String| Some(models?.map(&name)?.text("model")?.to_owned());
        self.used("models").into_iter().filter_map(text).collect()
    }

    /// The profiles of all services.
    #[must_use]
    pub fn profiles(&self) -> Vec<String> {
        let all = self.section("services").into_iter().flat_map(Map::iter);
        let profiles = all.filter_map(|(_, service)| service.as_map()?.get("profiles"));
        let profiles: BTreeSet<String> = profiles.flat_map(texts).collect();
        profiles.into_iter().collect()
    }

    /// The image of each of these services and of those they depend on, of all enabled ones when none is
    /// named; nothing for a service that is only built.
    #[must_use]
    pub fn images(&self, services: &[String]) -> Vec<(String, String)> {
        let services = self.taking_part(services).into_iter();
        let image = |name: &String| {
            let service = self.section("services").and_then(|services| services.map(name));
            service.and_then(|service| service.text("image")).unwrap_or("").to_owned()
        };
        services
            .map(|name| {
                let image = image(&name);
                (name, image)
            })
            .collect()
    }

    fn section(&self, name: &str) -> Option<&Map> {
        self.tree.as_map().and_then(|map| map.map(name))
    }

    /// The enabled ones of these services and of those they depend on; all enabled ones when none is named.
    fn taking_part(&self, services: &[String]) -> BTreeSet<String> {
        if services.is_empty() {
            return self.enabled.clone();
        }
        let (mut found, mut open) = (BTreeSet::new(), services.to_vec());
        while let Some(name) = open.pop() {
            let Some(service) = self.section("services").and_then(|services| services.map(&name))
            else {
                continue;
            };
            if self.enabled.contains(&name) && found.insert(name) {
                let dependencies =
                    service.map("depends_on").into_iter().flat_map(|map| map.0.keys());
                open.extend(dependencies.cloned());
            }
        }
        found
    }

    /// The variables as `config --variables --format yaml` prints them.
    #[must_use]
    pub fn variables_to_yaml(&self) -> String {
        let row = |(name, variable): (String, Variable)| {
            let Variable { default, alternative, required } = variable;
            let fields = vec![
                ("name".into(), Document::Text(name.clone())),
                ("defaultvalue".into(), Document::Text(default)),
                ("presencevalue".into(), Document::Text(alternative)),
                ("required".into(), Document::Bool(required)),
            ];
            (name.into(), Document::Map(fields))
        };
        let mut rows: Mapping = self.variables().into_iter().map(row).collect();
        print::sort_keys(&mut rows);
        print::to_yaml(&Document::Map(rows), 4)
    }

    /// The variables as `config --variables --format json` prints them.
    #[must_use]
    pub fn variables_to_json(&self) -> String {
        let row = |(name, variable): (String, Variable)| {
            let Variable { default, alternative, required } = variable;
            let fields = vec![
                ("Name".into(), Document::Text(name.clone())),
                ("DefaultValue".into(), Document::Text(default)),
                ("PresenceValue".into(), Document::Text(alternative)),
                ("Required".into(), Document::Bool(required)),
            ];
            (name.into(), Document::Map(fields))
        };
        let rows = self.variables().into_iter().map(row).collect();
        print::to_json(Document::Map(rows), 4)
    }

    /// The project's name; empty without normalisation when no file says it.
    #[must_use]
    pub fn project_name(&self) -> &str {
        self.tree.as_map().and_then(|map| map.text("name")).unwrap_or("")
    }

    /// What stands between the parts of names, see [`crate::Project::separator`].
    #[must_use]
    pub const fn separator(&self) -> char {
        if self.compatibility { '_' } else { '-' }
    }

    /// Every variable that a value refers to, by name.
    #[must_use]
    pub fn variables(&self) -> BTreeMap<String, Variable> {
        let mut found = BTreeMap::new();
        collect(&self.tree, &mut found);
        found
    }
}

fn collect(node: &Node, found: &mut BTreeMap<String, Variable>) {
    match &node.value {
        Value::Text(text) => variables(text, &mut |name, variable| {
            let known = found.entry(name.to_owned()).or_default();
            known.required |= variable.required;
            if known.default.is_empty() {
                known.default = variable.default;
            }
            if known.alternative.is_empty() {
                known.alternative = variable.alternative;
            }
        }),
        Value::List(entries) => entries.iter().for_each(|entry| collect(entry, found)),
        Value::Map(map) => map.iter().for_each(|(_, value)| collect(value, found)),
        _ => {}
    }
}

/// The names of the networks, volumes or models that a service uses.
fn uses(service: &Node, section: &str) -> Vec<String> {
    let Some(service) = service.as_map() else { return Vec::new() };
    let keys = service.map(section).into_iter().flat_map(|map| map.0.keys()).cloned();
    let mounts = service.list(section).iter().filter_map(Node::as_map);
    let named = mounts.filter(|mount| mount.text("type") == Some("volume"));
    let sources = named.filter_map(|mount| mount.text("source")).map(str::to_owned);
    keys.chain(sources).collect()
}

/// The tree as it is printed.
fn document(node: &Node) -> Document {
    match &node.value {
        Value::Null | Value::Broken => Document::Null,
        Value::Bool(value) => Document::Bool(*value),
        Value::Int(value) => Document::Int(*value),
        Value::Float(value) => Document::Float(*value),
        Value::Text(text) | Value::Date(text) => Document::Text(text.clone()),
        Value::List(entries) => Document::List(entries.iter().map(document).collect()),
        Value::Map(map) => {
            let entry = |(key, node): (&String, &Node)| (key.clone().into(), document(node));
            Document::Map(map.iter().map(entry).collect())
        }
    }
}
