//! From the tree to the typed project, and the rules about the project as a whole.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::de::DeserializeOwned;

use super::place::Place;
use super::request::{LoadRequest, Loaded, Past, State};
use super::template::{self, Template};
use super::{consistency, cycle, env_file, normalize, profiles, resources};
use crate::advice;
use crate::budget;
use crate::lint::{self, Silence, Subject};
use crate::path::Path;
use crate::problem::Problems;
use crate::project::Project;
use crate::report::Report;
use crate::source::Position;
use crate::tree::{Node, Value};

/// Where the project comes from.
#[derive(Debug)]
pub(super) struct Origin {
    pub(super) name: String,
    pub(super) directory: PathBuf,
    pub(super) files: Vec<PathBuf>,
    pub(super) environment: BTreeMap<String, String>,
    /// What gives the name, when no file and no directory does.
    pub(super) name_from: Option<&'static str>,
}

/// Makes the project out of the tree.
pub(super) fn finish(
    mut tree: Node,
    origin: Origin,
    request: &LoadRequest,
    mut state: State,
) -> Result<Loaded, Problems> {
    if !state.skip.normalization {
        normalize::normalize(&mut tree, &origin.name);
    }
    add_places(&tree, &mut state);
    let lost = lost_resources(&tree);
    let mut broken = remove_broken(&mut tree);
    let services = tree.as_map().and_then(|map| map.map("services")).map_or(0, |map| map.0.len());
    let State { budget, report, .. } = &mut state;
    if !budget.pay(services * budget::SERVICE, tree.at, &Path::ROOT.key("services"), report) {
        return Err(state.fail());
    }
    let said = tree.as_map().and_then(|map| map.text("name")).filter(|name| !name.is_empty());
    let said = said.filter(|_| state.skip.normalization && origin.name_from.is_none());
    let mut project = Project {
        name: said.map(str::to_owned).unwrap_or(origin.name),
        working_directory: origin.directory,
        compose_files: origin.files,
        compatibility: request.compatibility
            || is_yes(origin.environment.get("COMPOSE_COMPATIBILITY")),
        ..typed(&tree, &mut broken, &mut state.report)
    };
    let listed = origin.environment.get("COMPOSE_PROFILES").map(String::as_str);
    profiles::apply(&mut project, request, listed);
    for service in project.services.values_mut() {
        if let (Some(deploy), Some(scale), false) =
            (&mut service.deploy, service.scale, state.skip.consistency)
        {
            deploy.replicas.get_or_insert(scale);
        }
    }
    let place = Place(&tree);
    if !state.skip.consistency {
        let known = consistency::Known {
            named: &request.services,
            broken: &broken,
            lost: &lost,
            missing: state.incomplete,
        };
        consistency::check(&project, known, (place, &mut state.report));
        cycle::check(&project, place, &mut state.report);
    }
    let mut folded = Default::default();
    if !state.skip.environment {
        let State { sources, budget, report, .. } = &mut state;
        let files = (sources, budget, report);
        folded = env_file::fold(&mut project, &tree, &origin.environment, files);
    }
    if !request.all_resources {
        resources::drop_unused(&mut project);
    }
    if state.report.has_errors() {
        add_places(&tree, &mut state);
        return Err(state.fail());
    }
    fill_contents(&mut project, &origin.environment);
    let subject = Subject {
        project: &project,
        tree: &tree,
        scopes: &state.scopes,
        shell: &request.environment,
    };
    lint::check(&subject, (&mut state.sources, &mut state.report));
    let silence = Silence::new(&tree, &request.environment, &mut state.report);
    state.report.silence(&silence);
    let warnings = state.report.into_problems(&state.sources);
    let environment = origin.environment;
    let shell = if request.history { request.environment.clone() } else { BTreeMap::new() };
    let past =
        Past { shell, name: origin.name_from, scopes: state.scopes, taken: state.taken, folded };
    Ok(Loaded { project, warnings, environment, tree, sources: state.sources, past, silence })
}

/// Makes the template out of a tree whose variables are not replaced.
pub(super) fn template(
    mut tree: Node,
    origin: Origin,
    request: &LoadRequest,
    mut state: State,
) -> Result<Template, Problems> {
    let listed = origin.environment.get("COMPOSE_PROFILES").cloned();
    if !state.skip.normalization {
        normalize::normalize(&mut tree, &origin.name);
        if let Some(map) = tree.as_map_mut() {
            map.set("name", Node::text(Position::NOWHERE, origin.name));
        }
    }
    remove_broken(&mut tree);
    if state.report.has_errors() {
        return Err(state.fail());
    }
    let warnings = std::mem::take(&mut state.report).into_problems(&state.sources);
    let enabled = template::enabled(&tree, request, listed.as_deref());
    let compatibility =
        request.compatibility || is_yes(origin.environment.get("COMPOSE_COMPATIBILITY"));
    let all_resources = request.all_resources;
    Ok(Template { warnings, tree, enabled, all_resources, compatibility })
}

/// Whether the value of a variable switches something on.
fn is_yes(value: Option<&String>) -> bool {
    let value = value.map(|value| value.trim().to_ascii_lowercase());
    value.is_some_and(|value| matches!(value.as_str(), "1" | "t" | "true" | "y" | "yes" | "on"))
}

/// Tells what is known about the values that are wrong; before those are swept away, and at the end.
fn add_places(tree: &Node, state: &mut State) {
    advice::add_places(tree, &state.scopes, (&state.sources, &mut state.report));
}

/// Gives secrets and configs the content of their variables. That a variable is not set matters only
/// when something runs.
fn fill_contents(project: &mut Project, environment: &BTreeMap<String, String>) {
    for object in project.secrets.values_mut().chain(project.configs.values_mut()) {
        if let Some(value) = environment.get(&object.environment) {
            object.content.clone_from(value);
        }
    }
}

/// The resources of the top level that have a problem, as `kind` or `kind.name`: what refers to them is
/// not wrong.
fn lost_resources(tree: &Node) -> BTreeSet<String> {
    let mut lost = BTreeSet::new();
    for (kind, section) in tree.as_map().into_iter().flat_map(|map| map.iter()) {
        if section.is_broken() {
            lost.insert(kind.clone());
        }
        let broken = section.as_map().into_iter().flat_map(|map| map.iter());
        let broken = broken.filter(|(_, node)| node.is_broken());
        lost.extend(broken.map(|(name, _)| format!("{kind}.{name}")));
    }
    lost
}

/// Removes values with problems; gives the services that had one.
fn remove_broken(tree: &mut Node) -> BTreeSet<String> {
    let mut broken = BTreeSet::new();
    let services = tree.as_map_mut().and_then(|map| map.map_mut("services"));
    for (name, service) in services.into_iter().flat_map(|map| map.iter_mut()) {
        if sweep(service) {
            broken.insert(name.clone());
        }
        if service.is_broken() {
            *service = Node::empty_map(service.at);
        }
    }
    sweep(tree);
    broken
}

fn sweep(node: &mut Node) -> bool {
    let mut found = node.is_broken();
    match &mut node.value {
        Value::Map(map) => map.0.retain(|_, entry| {
            found |= sweep(&mut entry.node);
            !entry.node.is_broken()
        }),
        Value::List(entries) => entries.retain_mut(|entry| {
            found |= sweep(entry);
            !entry.is_broken()
        }),
        _ => {}
    }
    found
}

fn typed(tree: &Node, broken: &mut BTreeSet<String>, report: &mut Report) -> Project {
    let none = &mut BTreeSet::new();
    let extensions = tree.as_map().into_iter().flat_map(|map| map.iter());
    let extensions = extensions.filter(|(key, _)| key.starts_with("x-"));
    let extensions = extensions
        .filter_map(|(key, node)| Some((key.clone(), serde::Deserialize::deserialize(node).ok()?)));
    Project {
        services: section(tree, "services", broken, report),
        networks: section(tree, "networks", none, report),
        volumes: section(tree, "volumes", none, report),
        secrets: section(tree, "secrets", none, report),
        configs: section(tree, "configs", none, report),
        models: section(tree, "models", none, report),
        extensions: extensions.collect(),
        ..Project::default()
    }
}

/// The typed values of one section; one that is not what it should be is reported and left out.
fn section<T: DeserializeOwned + Default>(
    tree: &Node,
    key: &str,
    broken: &mut BTreeSet<String>,
    report: &mut Report,
) -> BTreeMap<String, T> {
    let mut values = BTreeMap::new();
    let map = tree.as_map().and_then(|map| map.map(key));
    for (name, node) in map.into_iter().flat_map(|map| map.iter()) {
        let value = match T::deserialize(node) {
            Ok(value) => value,
            Err(error) => {
                if !broken.contains(name) {
                    let (root, mut way) = (Path::ROOT, error.path.join("."));
                    way = way.replace(".[", "[");
                    let section = root.key(key);
                    let path = section.key(name);
                    let path = if way.is_empty() { path } else { path.key(&way) };
                    report.error(error.at.unwrap_or(node.at), &path, error.to_string());
                }
                broken.insert(name.clone());
                T::default()
            }
        };
        values.insert(name.clone(), value);
    }
    values
}
