//! Merging two trees: what the right one says wins over what the left one says.

use std::collections::HashSet;

use super::convert::{
    build_to_map, dependency, hosts_to_list, names_to_map, nothing, pairs_to_list, pairs_to_map,
    refuse_spaces, sort_pairs, text_to_list,
};
use super::rules::{RULES, Rule};
use crate::path::{Cursor, Path};
use crate::problem::Code;
use crate::report::Report;
use crate::schema::fingerprint;
use crate::tree::{How, Map, Node, Value};

/// Merges `right` into `left`, both being whole files.
pub(crate) fn merge(left: &mut Node, right: Node, report: &mut Report) {
    values(left, right, RULES.root(), (&Path::ROOT, report));
}

/// Merges the definition of a service into the one it extends.
pub(crate) fn merge_service(left: &mut Node, right: Node, name: &str, report: &mut Report) {
    let services = Path::ROOT.key("services");
    values(left, right, RULES.service(), (&services.key(name), report));
}

/// Merges the definition of a resource of the top level into another one of the same name.
pub(crate) fn merge_resource(
    left: &mut Node,
    right: Node,
    (kind, name): (&str, &str),
    report: &mut Report,
) {
    let kind_path = Path::ROOT.key(kind);
    values(left, right, RULES.root().key(kind).key(name), (&kind_path.key(name), report));
}

type Context<'a, 'p, 'r> = (&'a Path<'p>, &'r mut Report);

fn values(left: &mut Node, mut right: Node, at: Cursor<'_, Rule>, (path, report): Context) {
    if left.is_broken() || right.is_broken() {
        left.value = Value::Broken;
        return;
    }
    match at.value() {
        Some(Rule::Replace) => return replace(left, right, report),
        _ if right.is_null() => return,
        Some(rule) => {
            let listed = rule == Rule::Pairs && report.has_templates();
            if listed {
                sort_pairs(left);
                sort_pairs(&mut right);
            }
            align(left, rule);
            if rule == Rule::Pairs {
                refuse_spaces(&right, path, report);
            }
            align(&mut right, rule);
            match rule {
                Rule::Pairs if overlay(left, &mut right, report) => {
                    if listed {
                        pairs_to_list(left);
                    }
                    return;
                }
                Rule::Hosts => return hosts(left, right),
                Rule::Pools => return pools(left, right, at, (path, report)),
                Rule::Logging if drivers_differ(left, &right) => {
                    return replace(left, right, report);
                }
                _ => {}
            }
        }
        None => {}
    }
    match (&mut left.value, std::mem::take(&mut right.value)) {
        (Value::Map(map), Value::Map(other)) => maps(map, other, at, (path, report)),
        (Value::List(list), Value::List(other)) => list.extend(other),
        (Value::Map(_) | Value::List(_), other) => {
            let right = Node::new(right.at, other);
            let message = format!("this is {} and cannot override {}", right.kind(), left.kind());
            let finding = report.error(right.at, path, message).code(Code::MERGE);
            finding.related(left.at, "the earlier value is here").hint(format!(
                "write {} as well, or `!override` before the new value",
                left.kind()
            ));
            left.value = Value::Broken;
        }
        (_, value) => replace(left, Node { value, ..right }, report),
    }
}

/// Puts the right value in the place of the left one, which it remembers.
fn replace(left: &mut Node, right: Node, report: &mut Report) {
    let before = std::mem::replace(left, right);
    if report.remembers() {
        left.remember(How::Merged, before);
    }
}

fn maps(left: &mut Map, right: Map, at: Cursor<'_, Rule>, (path, report): Context) {
    for (key, entry) in *right.0 {
        match left.0.get_mut(&key) {
            None => {
                left.0.insert(key, entry);
            }
            Some(earlier) => {
                values(&mut earlier.node, entry.node, at.key(&key), (&path.key(&key), report));
                earlier.key_at = entry.key_at;
            }
        }
    }
}

/// Brings a value into the form in which the rule can merge it.
fn align(node: &mut Node, rule: Rule) {
    match rule {
        Rule::Pairs => pairs_to_map(node),
        Rule::Texts => text_to_list(node),
        Rule::Names => names_to_map(node, nothing),
        Rule::Dependencies => names_to_map(node, dependency),
        Rule::Build => build_to_map(node),
        Rule::Hosts => hosts_to_list(node),
        Rule::Replace | Rule::Logging | Rule::Pools => {}
    }
}

/// Sets the keys of the right mapping in the left one, also those without a value.
fn overlay(left: &mut Node, right: &mut Node, report: &mut Report) -> bool {
    let (Value::Map(left), Value::Map(right)) = (&mut left.value, &mut right.value) else {
        return false;
    };
    for (key, mut entry) in *std::mem::take(&mut right.0) {
        if let Some(before) = left.0.get_mut(&key) {
            std::mem::swap(before, &mut entry);
            if report.remembers() {
                before.node.remember(How::Merged, entry.node);
            }
        } else {
            left.0.insert(key, entry);
        }
    }
    true
}

fn hosts(left: &mut Node, right: Node) {
    match (&mut left.value, right.value) {
        (Value::List(list), Value::List(other)) => {
            let mut known: HashSet<String> = list.iter().map(fingerprint).collect();
            list.extend(other.into_iter().filter(|entry| known.insert(fingerprint(entry))));
        }
        (_, value) => *left = Node { value, ..right },
    }
}

fn drivers_differ(left: &Node, right: &Node) -> bool {
    let driver = |node: &Node| node.as_map().and_then(|map| map.text("driver")).map(str::to_owned);
    matches!((driver(left), driver(right)), (Some(left), Some(right)) if left != right)
}

/// Address pools are merged as docker compose does: a pool of another subnet takes the place of
/// the earlier one, pools of the same subnet are merged. The earlier pools change while later ones
/// are compared with them.
fn pools(left: &mut Node, right: Node, at: Cursor<'_, Rule>, (path, report): Context) {
    #[derive(Clone, Copy)]
    enum Pool {
        Earlier(usize),
        Later(usize),
    }
    fn subnet(node: &Node) -> Option<&str> {
        node.as_map().and_then(|map| map.text("subnet"))
    }
    let Value::List(earlier) = &mut left.value else { return *left = right };
    let later = right.as_list();
    if earlier.is_empty() || later.is_empty() {
        return *left = right;
    }
    let mut result: Vec<Pool> = Vec::new();
    for index in 0..earlier.len() {
        for (other, pool) in later.iter().enumerate() {
            let place = |result: &[Pool], earlier: &[Node], wanted: Option<&str>| {
                result.iter().position(|pool| match *pool {
                    Pool::Earlier(index) => subnet(&earlier[index]) == wanted,
                    Pool::Later(index) => subnet(&later[index]) == wanted,
                })
            };
            let differs = subnet(&earlier[index]) != subnet(pool);
            if differs && place(&result, earlier, subnet(pool)).is_none() {
                result.push(Pool::Later(other));
                continue;
            }
            values(&mut earlier[index], pool.clone(), at.entry(), (path, report));
            match place(&result, earlier, subnet(&earlier[index])) {
                Some(place) => result[place] = Pool::Earlier(index),
                None => result.push(Pool::Earlier(index)),
            }
        }
    }
    let pool = |pool: &Pool| match *pool {
        Pool::Earlier(index) => earlier[index].clone(),
        Pool::Later(index) => later[index].clone(),
    };
    left.value = Value::List(result.iter().map(pool).collect());
}
