//! Entries of lists that mean the same thing: the later one takes the place of the earlier one.

use std::collections::HashMap;

use super::rules::{IDENTITIES, Identity};
use crate::canonical::mount_target;
use crate::path::Cursor;
use crate::report::Report;
use crate::tree::{How, Map, Node, Value};

/// Removes earlier entries that a later one replaces, in the whole tree.
pub(crate) fn unify(root: &mut Node, report: &mut Report) {
    walk(root, IDENTITIES.root(), report);
}

fn walk(node: &mut Node, at: Cursor<'_, Identity>, report: &mut Report) {
    match &mut node.value {
        _ if at.is_off() => {}
        Value::Map(map) => {
            map.iter_mut().for_each(|(key, value)| walk(value, at.key(key), report));
        }
        Value::List(entries) if entries.len() > 1 => {
            if let Some(identity) = at.value() {
                let list = std::mem::take(entries);
                *entries = unique(list, identity, report);
            }
        }
        _ => {}
    }
}

fn unique(list: Vec<Node>, identity: Identity, report: &mut Report) -> Vec<Node> {
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut result: Vec<Node> = Vec::with_capacity(list.len());
    for entry in list {
        let key = key(&entry, identity);
        let Some(key) = key else {
            result.push(entry);
            continue;
        };
        match places.get(&key) {
            Some(place) => {
                let before = std::mem::replace(&mut result[*place], entry);
                if report.remembers() {
                    result[*place].remember(How::SameEntry, before);
                }
            }
            None => {
                places.insert(key, result.len());
                result.push(entry);
            }
        }
    }
    result
}

/// What the entry is the same by; `None` when it is no valid entry.
fn key(entry: &Node, identity: Identity) -> Option<String> {
    let Some(map) = entry.as_map() else {
        let text = entry.scalar_text()?;
        return Some(match identity {
            Identity::BeforeEquals => text.split('=').next().unwrap_or("").to_owned(),
            Identity::Target => mount_target(&text),
            Identity::FileTarget(directory) => format!("{directory}/{text}"),
            Identity::Device => {
                let mut parts = text.split(':');
                let source = parts.next().unwrap_or("");
                parts.next().unwrap_or(source).to_owned()
            }
            Identity::Port | Identity::Text | Identity::Path => text,
        });
    };
    let text = |key: &str| map.get(key).and_then(Node::scalar_text);
    match identity {
        Identity::Target | Identity::Device => text("target"),
        Identity::FileTarget(directory) => {
            text("target").or_else(|| Some(format!("{directory}/{}", text("source")?)))
        }
        Identity::Port => Some(port(map)),
        Identity::Path => text("path"),
        Identity::BeforeEquals | Identity::Text => None,
    }
}

fn port(map: &Map) -> String {
    let text = |key: &str| map.get(key).and_then(Node::scalar_text);
    let host = text("host_ip").unwrap_or_else(|| "0.0.0.0".to_owned());
    let protocol = text("protocol").unwrap_or_else(|| "tcp".to_owned());
    // To docker compose a port written as a number is never the same as one written as a text.
    let number = if map.text("published").is_some() { "" } else { "#" };
    let (published, target) = (text("published"), text("target").unwrap_or_default());
    format!("{host}:{number}{}:{target}/{protocol}", published.unwrap_or_default())
}
