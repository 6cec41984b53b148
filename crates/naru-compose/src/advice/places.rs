//! Other places that have to do with a problem: where a variable of the text is set, and every other
//! file that says something about the value.

use std::collections::BTreeSet;

use crate::interpolate::{Outcome, uses};
use crate::load::{Scope, definitions};
use crate::report::{Finding, Report};
use crate::source::{Position, Sources};
use crate::tree::{How, Node, Value};

/// The most other files that are named.
const FILES: usize = 8;

/// Adds to every error what is known about the value it is about, once.
pub(crate) fn add_places(
    tree: &Node,
    scopes: &[Scope],
    (sources, report): (&Sources, &mut Report),
) {
    for finding in report.unplaced_mut() {
        let Some(node) = find(tree, finding.path()) else { continue };
        variables(finding, node, scopes, sources);
        files(finding, node);
    }
}

/// The node at a path; keys may have dots in them.
fn find<'n>(root: &'n Node, path: &str) -> Option<&'n Node> {
    let (mut node, mut rest) = (root, path);
    while !rest.is_empty() {
        rest = rest.strip_prefix('.').unwrap_or(rest);
        match &node.value {
            Value::Map(map) => {
                let ends: Vec<usize> = rest
                    .match_indices(['.', '['])
                    .map(|(end, _)| end)
                    .chain([rest.len()])
                    .collect();
                let end = ends.into_iter().rfind(|end| map.has(&rest[..*end]))?;
                node = map.get(&rest[..end])?;
                rest = &rest[end..];
            }
            Value::List(entries) => {
                let (index, after) = rest.strip_prefix('[')?.split_once(']')?;
                node = entries.get(index.parse::<usize>().ok()?)?;
                rest = after;
            }
            _ => return None,
        }
    }
    Some(node)
}

/// Says what the variables of the text were replaced by.
fn variables(finding: &mut Finding, node: &Node, scopes: &[Scope], sources: &Sources) {
    if node.at != finding.at() {
        return;
    }
    for step in node.steps() {
        let (How::Template(number), Value::Text(template)) = (step.how, &step.node.value) else {
            continue;
        };
        let Some(scope) = scopes.get(number as usize) else { continue };
        let lookup = |name: &str| scope.environment.get(name).cloned();
        for one in uses(template, &lookup) {
            let name = &one.name;
            let place = definition(name, scope, scopes, sources);
            match (one.outcome, lookup(name), place) {
                (Outcome::Value, Some(value), Some(at)) => {
                    finding.related(at, format!("`{name}` is set to `{value}` here"));
                }
                (Outcome::Value, Some(value), None) => {
                    finding.add_hint(&format!("`{name}` is `{value}` in the environment"));
                }
                (Outcome::Default(default), ..) => {
                    finding.add_hint(&format!(
                        "`{name}` has no value, so that its default `{default}` is used"
                    ));
                }
                (Outcome::Nothing, ..) => {
                    finding
                        .add_hint(&format!("`{name}` has no value: set it, or give it a default"));
                }
                _ => {}
            }
        }
    }
}

/// Where a file sets the variable; `None` when the environment of the command does.
fn definition(name: &str, scope: &Scope, scopes: &[Scope], sources: &Sources) -> Option<Position> {
    let outer = scope.outer.and_then(|outer| scopes.get(outer as usize));
    if let Some(outer) = outer
        && outer.environment.contains_key(name)
    {
        return definition(name, outer, scopes, sources);
    }
    let value = scope.environment.get(name)?;
    let mut files = scope.groups.iter().flat_map(|group| group.iter().rev());
    files.find_map(|file| {
        let found = definitions(sources.text(*file), false);
        let last = found.into_iter().rfind(|definition| definition.name == name)?;
        // The environment of the command wins, and may say something else.
        let says = last.template.as_deref().unwrap_or(value).trim_matches(['"', '\'']);
        (says == value || says.contains('$')).then_some(Position {
            file: *file,
            line: last.line,
            column: last.column,
        })
    })
}

/// Names the other files that say something about the value.
fn files(finding: &mut Finding, node: &Node) {
    let mut seen: BTreeSet<u32> = finding.files().collect();
    let mut places = Vec::new();
    losers(node, &mut places);
    let lost = places.len();
    if finding.path().is_empty() || finding.path() == "services" {
        return;
    }
    contributions(node, &mut places);
    for (index, at) in places.into_iter().enumerate() {
        if at.line == 0 || !seen.insert(at.file) || seen.len() > FILES {
            continue;
        }
        let label = if index < lost {
            "it takes the place of the value here"
        } else {
            "this file says something about it too"
        };
        finding.related(at, label);
    }
}

/// Where the values are that a node took the place of.
fn losers(node: &Node, places: &mut Vec<Position>) {
    for step in node.steps().filter(|step| step.how.is_loss()) {
        places.push(step.node.at);
        losers(&step.node, places);
    }
}

/// The places of everything below a node.
fn contributions(node: &Node, places: &mut Vec<Position>) {
    match &node.value {
        Value::Map(map) => {
            for entry in map.0.values() {
                places.push(entry.key_at);
                contributions(&entry.node, places);
            }
        }
        Value::List(entries) => entries.iter().for_each(|node| contributions(node, places)),
        _ => places.push(node.at),
    }
}
