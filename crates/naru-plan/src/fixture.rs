//! Projects and observations for tests, and a simulation that carries out plans on plain data.

use std::collections::BTreeMap;

use naru_compose::project::{MountKind, Project};
use serde_json::{Value, json};

use crate::observed::{Container, Health, Network, Observed, State, Volume};
use crate::{Action, Fingerprint, Plan, StepId, Subject, UpOptions, hash};

pub(crate) const RUNNING: State = State::Running { health: Health::None };

/// Compares plans as text, whatever the indentation.
#[track_caller]
pub(crate) fn check(got: &str, want: &str) {
    let trim = |text: &str| -> String {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        lines.map(|line| line.to_owned() + "\n").collect()
    };
    let (got, want) = (trim(got), trim(want));
    assert!(got == want, "got:\n{got}\nwant:\n{want}");
}

/// A project `p` with these services, each with an image and the default network unless it says otherwise.
pub(crate) fn project(services: Value) -> Project {
    project_with(json!({"services": services}))
}

/// The same with further top-level keys; networks and volumes get their full names.
pub(crate) fn project_with(mut top: Value) -> Project {
    top["name"] = json!("p");
    for service in top["services"].as_object_mut().unwrap().values_mut() {
        let map = service.as_object_mut().unwrap();
        map.entry("image").or_insert(json!("busybox"));
        if !map.contains_key("network_mode") {
            map.entry("networks").or_insert(json!({"default": null}));
        }
    }
    let mut project: Project = serde_json::from_value(top).unwrap();
    project.networks.entry("default".to_owned()).or_default();
    for (key, network) in &mut project.networks {
        if network.name.is_empty() {
            network.name = format!("p_{key}");
        }
    }
    for (key, volume) in &mut project.volumes {
        if volume.name.is_empty() {
            volume.name = format!("p_{key}");
        }
    }
    project
}

pub(crate) fn needs(conditions: &[(&str, &str)]) -> Value {
    let entry = |&(name, condition): &(&str, &str)| {
        (name.to_owned(), json!({"condition": condition, "required": true}))
    };
    Value::Object(conditions.iter().map(entry).collect())
}

pub(crate) fn up_options() -> UpOptions {
    UpOptions { start: true, ..UpOptions::default() }
}

/// Plans `up` on `observed`, checks the order of the steps, and prints.
pub(crate) fn up_text(project: &Project, observed: &Observed, options: &UpOptions) -> String {
    let plan = crate::up(project, observed, options).unwrap();
    check_order(&plan);
    plan.to_string()
}

/// What is there after a first `up`, everything running.
pub(crate) fn running(project: &Project) -> Observed {
    let options = up_options();
    let plan = crate::up(project, &Observed::default(), &options).unwrap();
    let mut observed = Observed { project: project.name.clone(), ..Observed::default() };
    apply(&plan, project, &options, &mut observed);
    observed
}

/// Changes one container, found by its name.
pub(crate) fn with(
    mut observed: Observed,
    name: &str,
    change: impl Fn(&mut Container),
) -> Observed {
    change(observed.containers.iter_mut().find(|c| c.name == name).unwrap());
    observed
}

/// Steps refer to earlier steps only.
pub(crate) fn check_order(plan: &Plan) {
    for (index, step) in plan.steps.iter().enumerate() {
        assert_eq!(usize::try_from(step.id.0).unwrap(), index + 1);
        let gates = step.gates.iter().flat_map(|gate| &gate.started_by);
        assert!(step.after.iter().chain(gates).all(|before| *before < step.id), "{step}");
    }
}

/// Carries out a plan, as an executor would, and insists that every step is possible.
pub(crate) fn apply(plan: &Plan, project: &Project, options: &UpOptions, seen: &mut Observed) {
    let mut ids = BTreeMap::new();
    for step in &plan.steps {
        carry_out(&step.action, step.id, project, options, seen, &mut ids);
    }
}

#[expect(clippy::too_many_arguments, reason = "a simulation for tests")]
fn carry_out(
    action: &Action,
    step: StepId,
    project: &Project,
    options: &UpOptions,
    seen: &mut Observed,
    ids: &mut BTreeMap<StepId, String>,
) {
    let id = |subject: &Subject, ids: &BTreeMap<StepId, String>| match subject {
        Subject::Existing { id, .. } => id.clone(),
        Subject::New { created_by, .. } => ids[created_by].clone(),
    };
    match action {
        Action::CreateNetwork { key, name } => {
            assert!(!seen.networks.iter().any(|n| n.name == *name), "{name} exists");
            let config_hash = hash::network(&project.networks[key]);
            seen.networks.push(Network {
                key: key.clone(),
                name: name.clone(),
                config_hash,
                is_used_by_others: false,
            });
        }
        Action::RemoveNetwork { name } => {
            let busy = |c: &Container| c.networks.contains(name) && c.state.is_active();
            assert!(!seen.containers.iter().any(busy), "{name} is in use");
            seen.networks.retain(|n| n.name != *name);
        }
        Action::CreateVolume { key, name } => {
            assert!(!seen.volumes.iter().any(|v| v.name == *name), "{name} exists");
            let config_hash = hash::volume(&project.volumes[key]);
            seen.volumes.push(Volume { key: key.clone(), name: name.clone(), config_hash });
        }
        Action::RemoveVolume { name } => {
            let used = |c: &Container| c.volumes.values().any(|v| v == name);
            assert!(!seen.containers.iter().any(used), "{name} is in use");
            seen.volumes.retain(|v| v.name != *name);
        }
        Action::CreateContainer { service, number, name, hook, .. } => {
            assert!(!seen.containers.iter().any(|c| c.name == *name), "{name} is taken");
            let mut container = new_container(project, options, service, *number, name);
            container.hook = hook.is_some();
            container.one_off = *number == 0;
            let highest = seen.containers.iter().map(|c| &c.id).max();
            let highest: u64 = highest.map_or(0, |id| id.parse().unwrap());
            container.id = format!("{:012}", highest + 1);
            for network in &container.networks {
                assert!(seen.networks.iter().any(|n| n.name == *network), "{network} is missing");
            }
            ids.insert(step, container.id.clone());
            seen.containers.push(container);
        }
        Action::StartContainer { container, .. } => {
            let container = find(seen, &id(container, ids));
            // Whoever follows a hook waits for its end.
            let hook = State::Exited { code: Some(0) };
            container.state = if container.hook { hook } else { RUNNING };
        }
        Action::StopContainer { container, .. } => {
            let container = find(seen, &id(container, ids));
            assert!(container.state.is_active(), "{} does not run", container.name);
            container.state = State::Exited { code: Some(137) };
        }
        Action::RemoveContainer { container, .. } => {
            let id = id(container, ids);
            assert!(!find(seen, &id).state.is_active(), "{} still runs", container.name());
            seen.containers.retain(|c| c.id != id);
        }
        Action::RenameContainer { container, to, .. } => {
            assert!(!seen.containers.iter().any(|c| c.name == *to), "{to} is taken");
            let container = find(seen, &id(container, ids));
            container.name.clone_from(to);
        }
    }
}

fn find<'o>(seen: &'o mut Observed, id: &str) -> &'o mut Container {
    seen.containers.iter_mut().find(|c| c.id == id).unwrap()
}

fn new_container(
    project: &Project,
    options: &UpOptions,
    service: &str,
    number: u32,
    name: &str,
) -> Container {
    let definition = &project.services[service];
    let volumes = definition.volumes.iter().filter(|m| m.kind == MountKind::Volume);
    let fingerprint = Fingerprint::of(project, definition);
    Container {
        id: String::new(),
        name: name.to_owned(),
        service: service.to_owned(),
        number,
        one_off: false,
        hook: false,
        fingerprint,
        image_id: options.images.get(service).map(|image| image.id.clone()).unwrap_or_default(),
        depends_on: definition.depends_on.clone(),
        networks: definition
            .networks
            .keys()
            .map(|key| project.networks[key].name.clone())
            .collect(),
        volumes: volumes
            .filter(|mount| !mount.source.is_empty())
            .map(|m| (m.target.clone(), project.volumes[&m.source].name.clone()))
            .collect(),
        state: State::Created,
    }
}
