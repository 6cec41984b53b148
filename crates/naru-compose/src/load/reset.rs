//! `!reset` and `!override`: taking back what earlier files say.

use crate::tree::{Mark, Node, Value};

/// The ways to the values that are taken back, and whether the new value is one of a service.
pub(super) type Paths = Vec<Vec<String>>;

/// Finds the marks in a file. What is marked with `!reset` is removed from it.
pub(super) fn collect(document: &mut Node) -> Paths {
    let mut paths = Paths::new();
    walk(document, &mut Vec::new(), &mut paths);
    paths
}

fn walk(node: &mut Node, way: &mut Vec<String>, paths: &mut Paths) {
    match &mut node.value {
        Value::Map(map) => {
            map.0.retain(|key, entry| keep(&mut entry.node, key.clone(), way, paths))
        }
        Value::List(entries) => {
            // What is marked inside a list is taken out of this list, and of no other.
            entries.retain_mut(|entry| keep(entry, String::new(), way, &mut Paths::new()));
        }
        _ => {}
    }
}

fn keep(node: &mut Node, segment: String, way: &mut Vec<String>, paths: &mut Paths) -> bool {
    way.push(segment);
    let mark = std::mem::take(&mut node.mark);
    if mark != Mark::Plain {
        paths.push(way.clone());
    }
    if mark == Mark::Plain {
        walk(node, way, paths);
    }
    way.pop();
    mark != Mark::Reset
}

/// Removes what is at these places.
pub(super) fn apply(tree: &mut Node, paths: &Paths) {
    for path in paths {
        remove(tree, path);
    }
}

/// Removes what is at these places below one service, whatever the service is called there.
pub(super) fn apply_to_service(service: &mut Node, name: &str, paths: &Paths) {
    for path in paths {
        if let [services, service_name, rest @ ..] = path.as_slice()
            && services == "services"
            && service_name == name
        {
            remove(service, rest);
        }
    }
}

fn remove(node: &mut Node, path: &[String]) {
    let Some((segment, rest)) = path.split_first() else { return };
    match &mut node.value {
        Value::Map(map) if rest.is_empty() => {
            map.remove(segment);
        }
        Value::Map(map) => {
            if let Some(child) = map.get_mut(segment) {
                remove(child, rest);
            }
        }
        _ => {}
    }
}
