//! Short forms that merging has to see through.

use crate::path::Path;
use crate::report::Report;
use crate::source::Position;
use crate::tree::{Entry, Made, Map, Node, Value};

/// Turns a list of `KEY=VALUE` into a mapping; a bare `KEY` gets nothing as its value. Anything
/// else is left for the check to complain about.
pub(crate) fn pairs_to_map(node: &mut Node) {
    let Value::List(entries) = &node.value else { return };
    if entries.iter().any(|entry| entry.as_text().is_none()) {
        return;
    }
    let mut map = Map::default();
    for entry in entries {
        let (key, value) = match entry.as_text().unwrap_or("").split_once('=') {
            Some((key, value)) => (key, Value::Text(value.to_owned())),
            None => (entry.as_text().unwrap_or(""), Value::Null),
        };
        map.set(key, Node { past: entry.past.clone(), ..Node::new(entry.at, value) });
    }
    node.value = Value::Map(map);
}

/// Turns a mapping into a list of `KEY=VALUE`; a key without a value stands alone. One with a value that
/// is no scalar stays as it is.
pub(crate) fn pairs_to_list(node: &mut Node) {
    let Some(map) = node.as_map() else { return };
    let pair = |(key, value): (&String, &Node)| {
        if value.is_null() {
            return Some(Node::text(value.at, key.clone()));
        }
        Some(Node::text(value.at, format!("{key}={}", value.scalar_text()?)))
    };
    if let Some(pairs) = map.iter().map(pair).collect() {
        node.value = Value::List(pairs);
    }
}

/// Sorts a mapping as the list of its `KEY=VALUE` is sorted.
pub(crate) fn sort_pairs(node: &mut Node) {
    let Some(map) = node.as_map_mut() else { return };
    let pair = |key: &String, entry: &Entry| match entry.node.scalar_text() {
        Some(text) => format!("{key}={text}"),
        None => key.clone(),
    };
    map.0.sort_by(|key, entry, other, other_entry| pair(key, entry).cmp(&pair(other, other_entry)));
}

/// Reports entries of a list of `KEY=VALUE` that have a space before the `=`.
pub(crate) fn refuse_spaces(node: &Node, path: &Path, report: &mut Report) {
    for (index, entry) in node.as_list().iter().enumerate() {
        let name = entry.as_text().and_then(|text| text.split_once('=')).map(|(name, _)| name);
        let Some(name) = name.filter(|name| name.ends_with(' ')) else { continue };
        let message = format!("the name `{name}` ends with a space");
        let hint = "remove the space before `=`";
        report.error(entry.at, &path.index(index), message).hint(hint);
    }
}

/// Turns a list of names into a mapping whose values `value` makes.
pub(crate) fn names_to_map(node: &mut Node, value: fn(Position) -> Node) {
    let Value::List(entries) = &node.value else { return };
    if entries.iter().any(|entry| entry.as_text().is_none()) {
        return;
    }
    let mut map = Map::default();
    for entry in entries {
        map.set(entry.as_text().unwrap_or(""), value(entry.at));
    }
    node.value = Value::Map(map);
}

/// Nothing, at a place.
pub(crate) fn nothing(at: Position) -> Node {
    Node::new(at, Value::Null)
}

/// What a bare name in `depends_on` means.
pub(crate) fn dependency(at: Position) -> Node {
    let mut map = Map::default();
    map.set("condition", Node::made_text(at, "service_started", Made::Dependency));
    map.set("required", Node::made(at, Value::Bool(true), Made::Dependency));
    Node::new(at, Value::Map(map))
}

/// Turns one text into a list of one.
pub(crate) fn text_to_list(node: &mut Node) {
    if let Value::Text(text) = &node.value {
        node.value = Value::List(vec![Node::text(node.at, text.clone())]);
    }
}

/// Turns the short form of `build` into the long one.
pub(crate) fn build_to_map(node: &mut Node) {
    if let Value::Text(context) = &node.value {
        let mut map = Map::default();
        map.set("context", Node::text(node.at, context.clone()));
        node.value = Value::Map(map);
    }
}

/// Turns a mapping of hosts into a list of `name=address`.
pub(crate) fn hosts_to_list(node: &mut Node) {
    let Value::Map(map) = &node.value else { return };
    let mut list = Vec::new();
    for (name, Entry { node, .. }) in map.0.iter() {
        let addresses =
            if node.as_list().is_empty() { std::slice::from_ref(node) } else { node.as_list() };
        for address in addresses {
            let text = address.scalar_text().map(|text| {
                let text = Node::text(address.at, format!("{name}={text}"));
                Node { past: address.past.clone(), ..text }
            });
            list.push(text.unwrap_or_else(|| address.clone()));
        }
    }
    node.value = Value::List(list);
}
