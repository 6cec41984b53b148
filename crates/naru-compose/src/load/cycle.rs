//! Services that wait for each other.

use std::collections::BTreeMap;

use super::place::Place;
use crate::path::Path;
use crate::problem::Code;
use crate::project::Project;
use crate::report::Report;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    Open,
    Done,
}

/// Reports the first cycle of `depends_on`, starting with the service whose name sorts first.
pub(super) fn check(project: &Project, place: Place<'_>, report: &mut Report) {
    let mut marks = BTreeMap::new();
    for start in project.services.keys() {
        if let Some(cycle) = find(project, start, &mut marks) {
            return refuse(&cycle, place, report);
        }
    }
}

/// Walks from `start` without recursion, since a chain of services may be long.
fn find<'p>(
    project: &'p Project,
    start: &'p str,
    marks: &mut BTreeMap<&'p str, Mark>,
) -> Option<Vec<&'p str>> {
    let dependencies = |name: &str| {
        let service = project.services.get(name);
        let names = service.into_iter().flat_map(|service| service.depends_on.keys());
        let known = names.filter(|name| project.services.contains_key(*name));
        known.map(String::as_str).collect::<Vec<_>>().into_iter()
    };
    if marks.contains_key(start) {
        return None;
    }
    marks.insert(start, Mark::Open);
    let mut stack = vec![(start, dependencies(start))];
    while let Some((name, rest)) = stack.last_mut() {
        let Some(next) = rest.next() else {
            marks.insert(name, Mark::Done);
            stack.pop();
            continue;
        };
        match marks.get(next) {
            Some(Mark::Done) => {}
            Some(Mark::Open) => {
                let names = stack.iter().map(|(name, _)| *name).skip_while(|name| *name != next);
                return Some(names.chain([next]).collect());
            }
            None => {
                marks.insert(next, Mark::Open);
                stack.push((next, dependencies(next)));
            }
        }
    }
    None
}

fn refuse(cycle: &[&str], place: Place<'_>, report: &mut Report) {
    let steps: Vec<_> = cycle
        .windows(2)
        .map(|pair| (pair[0], pair[1], place.of(&["services", pair[0], "depends_on", pair[1]])))
        .collect();
    let Some((first, second, at)) = steps.first() else { return };
    let (services, depends_on) = (Path::ROOT.key("services"), "depends_on");
    let service = services.key(first);
    let depends_on = service.key(depends_on);
    let message = format!("dependency cycle detected: {}", cycle.join(" -> "));
    let finding = report.error(*at, &depends_on.key(second), message).code(Code::CYCLE);
    for (from, to, at) in &steps[1..] {
        finding.related(*at, format!("{from} waits for {to}"));
    }
    finding.hint("remove one of these dependencies");
}
