//! Short forms that name a file, a resource or another service.

use crate::path::Path;
use crate::problem::Code;
use crate::report::Report;
use crate::tree::{Map, Node, Value};

/// Turns a text into a mapping with this key.
pub(super) fn text_to_key(node: &mut Node, key: &str) {
    if let Value::Text(text) = &node.value {
        let mut map = Map::default();
        map.set(key, Node::text(node.at, text.clone()));
        node.value = Value::Map(map);
    }
}

/// Turns `env_file` into a list of mappings.
pub(super) fn env_files(node: &mut Node) {
    crate::merge::text_to_list(node);
    let Value::List(entries) = &mut node.value else { return };
    for entry in entries {
        text_to_key(entry, "path");
        let at = entry.at;
        if let Some(map) = entry.as_map_mut().filter(|map| !map.has("required")) {
            map.set("required", Node::new(at, Value::Bool(true)));
        }
    }
}

/// Turns `external: {name: …}` into a name and a boolean, and nothing into an empty mapping.
pub(super) fn resource(node: &mut Node, path: &Path, report: &mut Report) {
    if node.is_null() && !report.has_templates() {
        *node = Node::empty_map(node.at);
    }
    let Some(map) = node.as_map_mut() else { return };
    let Some(external) = map.get("external").filter(|external| external.as_map().is_some()) else {
        return;
    };
    let at = external.at;
    let name = external.as_map().and_then(|map| map.get("name")).cloned();
    if let Some(name) = name {
        if map.text("name").is_some_and(|other| Some(other) != name.as_text()) {
            let message = "`name` and `external.name` say different things";
            let finding = report.error(at, path, message).code(Code::CONFLICT);
            finding.hint("keep `name` and write `external: true`");
        } else {
            let message = "`external.name` is an old form";
            let finding = report.warning(at, path, message).code(Code::OBSOLETE);
            finding.hint("write `name: …` and `external: true`");
        }
        map.set("name", name);
    }
    map.set("external", Node::new(at, Value::Bool(true)));
}
