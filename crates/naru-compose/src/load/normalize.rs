//! What a project means although no file says it: the default network, names on the host, and
//! dependencies that follow from other attributes.

use super::files::clean;
use crate::merge::dependency;
use crate::source::Position;
use crate::tree::{Made, Map, Node, Value};

/// Makes explicit what is implied.
pub(super) fn normalize(tree: &mut Node, project: &str) {
    let Some(top) = tree.as_map_mut() else { return };
    let mut uses_default = false;
    for (_, service) in top.map_mut("services").into_iter().flat_map(|map| map.iter_mut()) {
        let at = service.at;
        let Some(service) = service.as_map_mut() else { continue };
        attributes(service);
        depend(service);
        uses_default |= attach(service, at);
        for key in ["network_mode", "restart", "pull_policy"] {
            if service.text(key) == Some("") {
                service.remove(key);
            }
        }
    }
    if uses_default {
        if top.map("networks").is_none() {
            top.set("networks", default_network());
        }
        let networks = top.map_mut("networks").filter(|networks| !networks.has("default"));
        if let Some(networks) = networks {
            networks.set("default", default_network());
        }
    }
    for kind in ["networks", "volumes", "secrets", "configs"] {
        for (key, node) in top.map_mut(kind).into_iter().flat_map(|map| map.iter_mut()) {
            name(node, key, project);
        }
    }
}

fn default_network() -> Node {
    Node::made(Position::NOWHERE, Value::Map(Map::default()), Made::DefaultNetwork)
}

/// Gives a resource its name on the host.
fn name(node: &mut Node, key: &str, project: &str) {
    let at = node.at;
    if node.is_null() {
        *node = Node::empty_map(at);
    }
    let Some(map) = node.as_map_mut() else { return };
    if map.text("name").is_some_and(|name| !name.is_empty()) {
        return;
    }
    let external = matches!(map.get("external").map(|node| &node.value), Some(Value::Bool(true)));
    let name = if external { key.to_owned() } else { format!("{project}_{key}") };
    let made = if external { Made::ExternalName } else { Made::ResourceName };
    map.set("name", Node::made_text(at, name, made));
}

fn attributes(service: &mut Map) {
    if let Some(policy) = service.get_mut("pull_policy")
        && policy.as_text() == Some("if_not_present")
    {
        policy.value = Value::Text("missing".to_owned());
    }
    if let Some(build) = service.get_mut("build") {
        let at = build.at;
        if let Some(map) = build.as_map_mut() {
            if !map.has("dockerfile") && !map.has("dockerfile_inline") {
                map.set("dockerfile", Node::made_text(at, "Dockerfile", Made::Dockerfile));
            }
            without_values(map.get_mut("args"));
        }
    }
    let Some(Value::List(mounts)) = service.get_mut("volumes").map(|node| &mut node.value) else {
        return;
    };
    for target in mounts.iter_mut().filter_map(|mount| mount.as_map_mut()?.get_mut("target")) {
        if let Value::Text(path) = &mut target.value {
            let cleaned = clean(std::path::Path::new(path.as_str()));
            *path = cleaned.to_string_lossy().into_owned();
        }
    }
}

/// Takes out build arguments that have no value anywhere.
fn without_values(args: Option<&mut Node>) {
    match args.map(|args| &mut args.value) {
        Some(Value::Map(map)) => map.0.retain(|_, entry| !entry.node.is_null()),
        Some(Value::List(entries)) => {
            entries.retain(|entry| entry.as_text().is_none_or(|text| text.contains('=')));
        }
        _ => {}
    }
}

/// Adds the dependencies that follow from sharing namespaces, links and volumes.
fn depend(service: &mut Map) {
    let mut implied: Vec<(String, Position, bool)> = Vec::new();
    for key in ["network_mode", "ipc", "pid", "uts", "cgroup"] {
        let Some(node) = service.get(key) else { continue };
        if let Some(name) = node.as_text().and_then(|text| text.strip_prefix("service:")) {
            implied.push((name.to_owned(), node.at, true));
        }
    }
    for node in service.list("links") {
        let name = node.as_text().and_then(|text| text.split(':').next());
        implied.extend(name.map(|name| (name.to_owned(), node.at, true)));
    }
    for node in service.list("volumes_from") {
        let text = node.as_text().filter(|text| !text.starts_with("container:"));
        let name = text.and_then(|text| text.split(':').next());
        implied.extend(name.map(|name| (name.to_owned(), node.at, false)));
    }
    if implied.is_empty() {
        return;
    }
    if service.map("depends_on").is_none() {
        service.set("depends_on", Node::empty_map(implied[0].1));
    }
    let Some(dependencies) = service.map_mut("depends_on") else { return };
    for (name, at, restart) in implied {
        if dependencies.has(&name) {
            continue;
        }
        let mut node = dependency(at);
        if let Some(map) = node.as_map_mut() {
            map.set("restart", Node::new(at, Value::Bool(restart)));
            for (_, part) in map.iter_mut() {
                part.made = Some(Made::ImpliedDependency);
            }
        }
        node.made = Some(Made::ImpliedDependency);
        dependencies.set(&name, node);
    }
}

/// Puts a service on the default network when it names none. True when it did.
fn attach(service: &mut Map, at: Position) -> bool {
    let elsewhere = service.has("network_mode") || service.has("provider");
    if !elsewhere && service.map("networks").is_none_or(|networks| networks.0.is_empty()) {
        let mut networks = Map::default();
        networks.set("default", Node::made(at, Value::Null, Made::DefaultNetwork));
        service.set("networks", Node::new(at, Value::Map(networks)));
    }
    service.map("networks").is_some_and(|networks| networks.has("default"))
}
