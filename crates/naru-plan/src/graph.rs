//! The dependency graph of services: its order, and the cycle when there is one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use petgraph::algo::{tarjan_scc, toposort};
use petgraph::graph::{DiGraph, NodeIndex};

use crate::Error;

/// Who depends on whom, free of cycles. The order of everything it returns depends on names only.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    dependencies: BTreeMap<String, BTreeSet<String>>,
    dependents: BTreeMap<String, BTreeSet<String>>,
    order: Vec<String>,
}

impl Graph {
    /// Builds the graph of `services` from (dependent, dependency) pairs; pairs that name another
    /// service are left out.
    ///
    /// # Errors
    /// [`Error::Cycle`] names the first cycle in alphabetical order.
    pub fn new<'a>(
        services: impl IntoIterator<Item = &'a str>,
        edges: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, Error> {
        let names: BTreeSet<&str> = services.into_iter().collect();
        let edges: BTreeSet<(&str, &str)> = edges.into_iter().collect();
        let mut graph = DiGraph::<&str, ()>::new();
        let nodes: BTreeMap<&str, NodeIndex> =
            names.iter().map(|&name| (name, graph.add_node(name))).collect();
        let mut result = Self::default();
        for name in &names {
            result.dependencies.entry((*name).to_owned()).or_default();
            result.dependents.entry((*name).to_owned()).or_default();
        }
        for (dependent, dependency) in edges {
            let (Some(&from), Some(&to)) = (nodes.get(dependent), nodes.get(dependency)) else {
                continue;
            };
            graph.add_edge(to, from, ());
            result.link(dependent, dependency);
        }
        let Ok(sorted) = toposort(&graph, None) else {
            return Err(Error::Cycle { path: result.cycle(&graph) });
        };
        let sorted: Vec<&str> = sorted.into_iter().map(|node| graph[node]).collect();
        result.order = result.by_level(&sorted);
        Ok(result)
    }

    /// All services, dependencies first, level by level, alphabetical inside a level.
    pub fn order(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.order.iter().map(String::as_str)
    }

    /// The services that `service` waits for.
    pub fn dependencies(&self, service: &str) -> impl Iterator<Item = &str> {
        self.dependencies.get(service).into_iter().flatten().map(String::as_str)
    }

    /// The services that wait for `service`.
    pub fn dependents(&self, service: &str) -> impl Iterator<Item = &str> {
        self.dependents.get(service).into_iter().flatten().map(String::as_str)
    }

    /// The given services and everything they need.
    pub fn with_dependencies(&self, services: &[String]) -> BTreeSet<String> {
        closure(services, &self.dependencies)
    }

    /// The given services and everything that needs them.
    pub fn with_dependents(&self, services: &[String]) -> BTreeSet<String> {
        closure(services, &self.dependents)
    }

    fn link(&mut self, dependent: &str, dependency: &str) {
        self.dependencies.entry(dependent.to_owned()).or_default().insert(dependency.to_owned());
        self.dependents.entry(dependency.to_owned()).or_default().insert(dependent.to_owned());
    }

    fn by_level(&self, sorted: &[&str]) -> Vec<String> {
        let mut levels: BTreeMap<&str, usize> = BTreeMap::new();
        for &name in sorted {
            let below = self.dependencies(name).filter_map(|d| levels.get(d)).max();
            levels.insert(name, below.map_or(0, |level| level + 1));
        }
        let mut order: Vec<(usize, &str)> = levels.iter().map(|(n, l)| (*l, *n)).collect();
        order.sort_unstable();
        order.into_iter().map(|(_, name)| name.to_owned()).collect()
    }

    /// The shortest way from the alphabetically first service on a cycle back to itself.
    fn cycle(&self, graph: &DiGraph<&str, ()>) -> Vec<String> {
        let start = tarjan_scc(graph)
            .into_iter()
            .filter(|part| part.len() > 1 || graph.contains_edge(part[0], part[0]))
            .flatten()
            .map(|node| graph[node])
            .min()
            .unwrap_or_default();
        let mut came_from: BTreeMap<&str, &str> = BTreeMap::new();
        let mut queue = VecDeque::from([start]);
        while let Some(at) = queue.pop_front() {
            for next in self.dependencies(at) {
                if next == start {
                    return path(start, at, &came_from);
                }
                if !came_from.contains_key(next) {
                    came_from.insert(next, at);
                    queue.push_back(next);
                }
            }
        }
        vec![start.to_owned()]
    }
}

/// From `start` along `came_from` to `end`, and back to `start`.
fn path(start: &str, end: &str, came_from: &BTreeMap<&str, &str>) -> Vec<String> {
    let mut path = vec![start.to_owned()];
    let mut at = end;
    while at != start {
        path.push(at.to_owned());
        at = came_from.get(at).copied().unwrap_or(start);
    }
    path.push(start.to_owned());
    path.reverse();
    path
}

fn closure(from: &[String], edges: &BTreeMap<String, BTreeSet<String>>) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let mut queue: Vec<&String> = from.iter().collect();
    while let Some(name) = queue.pop() {
        if seen.insert(name.clone()) {
            queue.extend(edges.get(name).into_iter().flatten());
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(services: &str, edges: &[(&str, &str)]) -> Result<Graph, Error> {
        Graph::new(services.split(' '), edges.iter().copied())
    }

    #[test]
    fn dependencies_come_first_and_names_break_ties() {
        let graph = graph("web db cache api", &[("web", "api"), ("api", "db"), ("api", "cache")]);
        let order: Vec<String> = graph.unwrap().order().map(str::to_owned).collect();
        assert_eq!(order, ["cache", "db", "api", "web"]);
    }

    #[test]
    fn a_cycle_is_named_from_its_first_service_whatever_the_order_of_input() {
        let edges = [("b", "c"), ("c", "a"), ("a", "b"), ("z", "a"), ("y", "x"), ("x", "y")];
        for rotation in 0..edges.len() {
            let mut edges = edges;
            edges.rotate_left(rotation);
            let error = graph("a b c x y z", &edges).unwrap_err();
            assert_eq!(error.to_string(), "dependency cycle detected: a -> b -> c -> a");
        }
    }

    #[test]
    fn a_service_that_needs_itself_is_a_cycle() {
        let error = graph("a b", &[("b", "b")]).unwrap_err();
        assert_eq!(error.to_string(), "dependency cycle detected: b -> b");
    }

    #[test]
    fn closures_follow_every_level() {
        let graph = graph("a b c d", &[("a", "b"), ("b", "c")]).unwrap();
        let set = |names: &[&str]| names.iter().map(|&n| n.to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(graph.with_dependencies(&["a".to_owned()]), set(&["a", "b", "c"]));
        assert_eq!(graph.with_dependents(&["c".to_owned()]), set(&["a", "b", "c"]));
    }
}
