//! Stopping in reverse dependency order: the part that every plan with stops shares.

use std::collections::{BTreeMap, BTreeSet};

use naru_compose::project::Project;

use crate::observed::{Container, Observed};
use crate::{Action, Cause, Graph, Plan, StepId, Subject};

/// The stops of a plan so far. A container's stop waits for those of everything that depends on it, so
/// stops are asked for with dependents first.
#[derive(Debug)]
pub(crate) struct Stops<'a> {
    graph: &'a Graph,
    by_service: BTreeMap<String, Vec<StepId>>,
    by_container: BTreeMap<String, StepId>,
}

impl<'a> Stops<'a> {
    pub(crate) fn new(graph: &'a Graph) -> Self {
        Self { graph, by_service: BTreeMap::new(), by_container: BTreeMap::new() }
    }

    pub(crate) fn graph(&self) -> &'a Graph {
        self.graph
    }

    /// Adds the step that stops a container, unless there is nothing to stop or it is there already.
    pub(crate) fn stop(
        &mut self,
        plan: &mut Plan,
        container: &Container,
        cause: Cause,
        after: &[StepId],
    ) -> Option<StepId> {
        if let Some(&step) = self.by_container.get(&container.id) {
            return Some(step);
        }
        if !container.state.is_active() {
            return None;
        }
        let action = Action::StopContainer {
            service: container.service.clone(),
            container: subject(container),
        };
        let step =
            plan.push(action, cause, self.before(&container.service).chain(after.iter().copied()));
        self.by_service.entry(container.service.clone()).or_default().push(step);
        self.by_container.insert(container.id.clone(), step);
        Some(step)
    }

    /// The step that stops this container, if there is one.
    pub(crate) fn of(&self, container: &Container) -> Option<StepId> {
        self.by_container.get(&container.id).copied()
    }

    /// The stops of a service's dependents; through those that have nothing to stop, of theirs.
    fn before(&self, service: &str) -> impl Iterator<Item = StepId> {
        let mut steps = BTreeSet::new();
        let mut seen = BTreeSet::new();
        let mut queue: Vec<&str> = self.graph.dependents(service).collect();
        while let Some(dependent) = queue.pop() {
            if !seen.insert(dependent) {
                continue;
            }
            match self.by_service.get(dependent) {
                Some(stops) => steps.extend(stops),
                None => queue.extend(self.graph.dependents(dependent)),
            }
        }
        steps.into_iter()
    }
}

/// A container that exists, as a step's subject.
pub(crate) fn subject(container: &Container) -> Subject {
    Subject::Existing { id: container.id.clone(), name: container.name.clone() }
}

/// The dependencies among all services that have containers: as the file says, or as recorded with the
/// containers where the file is silent or absent. Records of several versions of a file may contradict
/// each other; then the order is given up rather than the command.
pub(crate) fn graph(project: Option<&Project>, observed: &Observed) -> Graph {
    let in_file = |name: &str| {
        project.and_then(|p| p.services.get(name).or_else(|| p.disabled_services.get(name)))
    };
    let mut names: BTreeSet<&str> =
        observed.containers.iter().map(|c| c.service.as_str()).collect();
    names.extend(project.into_iter().flat_map(|p| p.services.keys()).map(String::as_str));
    let mut edges = BTreeSet::new();
    for &name in &names {
        if let Some(service) = in_file(name) {
            edges.extend(service.depends_on.keys().map(|dependency| (name, dependency.as_str())));
        }
    }
    for container in &observed.containers {
        if in_file(&container.service).is_none() {
            let name = container.service.as_str();
            edges.extend(container.depends_on.keys().map(|dependency| (name, dependency.as_str())));
        }
    }
    Graph::new(names.iter().copied(), edges)
        .or_else(|_| Graph::new(names.iter().copied(), []))
        .unwrap_or_default()
}

/// Containers with dependents' first and replicas in descending order: the order to stop in.
pub(crate) fn in_stop_order<'a>(
    graph: &Graph,
    containers: impl IntoIterator<Item = &'a Container>,
) -> Vec<&'a Container> {
    let place: BTreeMap<&str, usize> =
        graph.order().enumerate().map(|(i, name)| (name, i)).collect();
    let mut sorted: Vec<&Container> = containers.into_iter().collect();
    sorted.sort_by_key(|c| {
        let place = place.get(c.service.as_str()).copied();
        std::cmp::Reverse((place, c.number, c.name.as_str()))
    });
    sorted
}
