//! The table of short forms, and the walk that applies it.

use std::sync::LazyLock;

use super::{files, mounts, ports, words};
use crate::budget::Budget;
use crate::merge::{
    build_to_map, dependency, hosts_to_list, names_to_map, nothing, pairs_to_map, refuse_spaces,
    text_to_list,
};
use crate::path::{Cursor, Path, Table};
use crate::report::Report;
use crate::tree::{Made, Node, Value};

/// What a value is turned into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// A mapping in which nothing stays nothing.
    Variables,
    /// A mapping in which nothing becomes an empty text.
    Labels,
    /// A mapping from names to places.
    Contexts,
    /// A list of texts, none of them empty.
    Servers,
    /// A list of texts.
    Texts,
    /// A mapping from names to nothing.
    Names,
    /// A mapping from services to conditions.
    Dependencies,
    /// A list of program and arguments.
    Command,
    /// A list that starts with the kind of test.
    Test,
    /// A mapping with the context.
    Build,
    /// A mapping from ids to paths.
    Ssh,
    /// A mapping with `path` and `required`.
    EnvFiles,
    /// A mapping with the service.
    Extends,
    /// A list of `name=address`.
    Hosts,
    /// A list of ports, each with one target.
    Ports,
    /// A mapping with type, source and target.
    Mount,
    /// A mapping with the source.
    FileReference,
    /// A mapping with source, target and permissions.
    Device,
    /// A list with a request for all.
    Gpus,
    /// A list with a request for `all`.
    AllGpus,
    /// A number, -1 for all.
    Count,
    /// A mapping whose `external` is a boolean.
    Resource,
}

static FORMS: LazyLock<Table<Form>> = LazyLock::new(|| {
    Table::new(&[
        ("networks.*", Form::Resource),
        ("networks.*.labels", Form::Labels),
        ("volumes.*", Form::Resource),
        ("volumes.*.labels", Form::Labels),
        ("secrets.*", Form::Resource),
        ("secrets.*.labels", Form::Labels),
        ("configs.*", Form::Resource),
        ("configs.*.labels", Form::Labels),
        ("services.*.annotations", Form::Labels),
        ("services.*.build", Form::Build),
        ("services.*.build.additional_contexts", Form::Contexts),
        ("services.*.build.args", Form::Variables),
        ("services.*.build.extra_hosts", Form::Hosts),
        ("services.*.build.labels", Form::Labels),
        ("services.*.build.no_cache_filter", Form::Texts),
        ("services.*.build.secrets.*", Form::FileReference),
        ("services.*.build.ssh", Form::Ssh),
        ("services.*.command", Form::Command),
        ("services.*.configs.*", Form::FileReference),
        ("services.*.depends_on", Form::Dependencies),
        ("services.*.deploy.labels", Form::Labels),
        ("services.*.deploy.resources.reservations.devices.*.count", Form::Count),
        ("services.*.deploy.resources.reservations.devices.*.options", Form::Labels),
        ("services.*.develop.watch.*.exec.command", Form::Command),
        ("services.*.develop.watch.*.exec.environment", Form::Variables),
        ("services.*.develop.watch.*.ignore", Form::Texts),
        ("services.*.develop.watch.*.include", Form::Texts),
        ("services.*.devices.*", Form::Device),
        ("services.*.dns", Form::Servers),
        ("services.*.dns_search", Form::Texts),
        ("services.*.entrypoint", Form::Command),
        ("services.*.env_file", Form::EnvFiles),
        ("services.*.environment", Form::Variables),
        ("services.*.extends", Form::Extends),
        ("services.*.extra_hosts", Form::Hosts),
        ("services.*.gpus", Form::Gpus),
        ("services.*.gpus.*.count", Form::Count),
        ("services.*.gpus.*.options", Form::Labels),
        ("services.*.healthcheck.test", Form::Test),
        ("services.*.label_file", Form::Texts),
        ("services.*.labels", Form::Labels),
        ("services.*.logging.options", Form::Labels),
        ("services.*.models", Form::Names),
        ("services.*.networks", Form::Names),
        ("services.*.ports", Form::Ports),
        ("services.*.post_start.*.command", Form::Command),
        ("services.*.post_start.*.environment", Form::Variables),
        ("services.*.pre_start.*.command", Form::Command),
        ("services.*.pre_start.*.environment", Form::Variables),
        ("services.*.pre_stop.*.command", Form::Command),
        ("services.*.pre_stop.*.environment", Form::Variables),
        ("services.*.secrets.*", Form::FileReference),
        ("services.*.storage_opt", Form::Labels),
        ("services.*.sysctls", Form::Labels),
        ("services.*.tmpfs", Form::Texts),
        ("services.*.volumes.*", Form::Mount),
        ("services.*.volumes.*.volume.labels", Form::Labels),
    ])
});

/// The forms that are resolved although values still have variables in them: those that docker
/// compose resolves on its way to a model, while others wait for typed values.
static TEMPLATE_FORMS: LazyLock<Table<Form>> = LazyLock::new(|| {
    Table::new(&[
        ("networks.*", Form::Resource),
        ("volumes.*", Form::Resource),
        ("secrets.*", Form::Resource),
        ("configs.*", Form::Resource),
        ("services.*.build", Form::Build),
        ("services.*.build.additional_contexts", Form::Variables),
        ("services.*.build.secrets.*", Form::FileReference),
        ("services.*.build.ssh", Form::Variables),
        ("services.*.configs.*", Form::FileReference),
        ("services.*.depends_on", Form::Dependencies),
        ("services.*.develop.watch.*.ignore", Form::Texts),
        ("services.*.develop.watch.*.include", Form::Texts),
        ("services.*.devices.*", Form::Device),
        ("services.*.dns", Form::Texts),
        ("services.*.env_file", Form::EnvFiles),
        ("services.*.extends", Form::Extends),
        ("services.*.gpus", Form::AllGpus),
        ("services.*.label_file", Form::Texts),
        ("services.*.models", Form::Names),
        ("services.*.networks", Form::Names),
        ("services.*.ports", Form::Ports),
        ("services.*.secrets.*", Form::FileReference),
        ("services.*.volumes.*", Form::Mount),
    ])
});

/// Turns every short form in a tree of a whole file into its long form.
pub(crate) fn canonicalize(root: &mut Node, budget: &mut Budget, report: &mut Report) {
    let forms = if report.has_templates() { &TEMPLATE_FORMS } else { &FORMS };
    walk(root, forms.root(), &Path::ROOT, (budget, report));
}

fn walk(
    node: &mut Node,
    at: Cursor<'_, Form>,
    path: &Path,
    (budget, report): (&mut Budget, &mut Report),
) {
    if at.is_off() || node.is_broken() {
        return;
    }
    if let Some(form) = at.value() {
        apply(node, form, path, (budget, report));
    }
    match &mut node.value {
        Value::Map(map) => {
            for (key, value) in map.iter_mut() {
                walk(value, at.key(key), &path.key(key), (budget, report));
            }
        }
        Value::List(entries) => {
            for (index, entry) in entries.iter_mut().enumerate() {
                walk(entry, at.entry(), &path.index(index), (budget, report));
            }
        }
        _ => {}
    }
}

fn apply(node: &mut Node, form: Form, path: &Path, (budget, report): (&mut Budget, &mut Report)) {
    match form {
        Form::Variables => variables(node, path, report),
        Form::Labels => {
            pairs_to_map(node);
            fill_empty(node);
        }
        Form::Contexts => contexts(node, path, report),
        Form::Servers => {
            text_to_list(node);
            if let Value::List(entries) = &mut node.value {
                entries.retain(|entry| entry.as_text() != Some(""));
            }
        }
        Form::Texts => text_to_list(node),
        Form::Names => names_to_map(node, nothing),
        Form::Dependencies => {
            names_to_map(node, dependency);
            if report.has_templates() {
                require(node);
            }
        }
        Form::Command => words::command(node, path, report),
        Form::Test => words::test(node),
        Form::Build => build_to_map(node),
        Form::Ssh => ssh(node, path, report),
        Form::EnvFiles => files::env_files(node),
        Form::Extends => files::text_to_key(node, "service"),
        Form::Hosts => {
            hosts_to_list(node);
        }
        Form::Ports => ports::expand(node, path, (budget, report)),
        Form::Mount => mounts::mount(node, path, report),
        Form::FileReference => files::text_to_key(node, "source"),
        Form::Device => mounts::device(node, path, report),
        Form::Gpus => gpus(node, Value::Int(-1)),
        Form::AllGpus => gpus(node, Value::Text("all".to_owned())),
        Form::Count => count(node, path, report),
        Form::Resource => files::resource(node, path, report),
    }
}

fn variables(node: &mut Node, path: &Path, report: &mut Report) {
    refuse_spaces(node, path, report);
    pairs_to_map(node);
}

/// Puts an empty text where there is nothing, and texts where there are other scalars.
fn fill_empty(node: &mut Node) {
    for (_, value) in node.as_map_mut().into_iter().flat_map(|map| map.iter_mut()) {
        if value.is_null() {
            value.value = Value::Text(String::new());
        } else if let Some(text) = value.scalar_text() {
            value.value = Value::Text(text);
        }
    }
}

/// Says of each dependency that it is required, when it does not say whether it is.
fn require(node: &mut Node) {
    for (_, dependency) in node.as_map_mut().into_iter().flat_map(|map| map.iter_mut()) {
        let at = dependency.at;
        if let Some(map) = dependency.as_map_mut().filter(|map| !map.has("required")) {
            map.set("required", Node::made(at, Value::Bool(true), Made::Dependency));
        }
    }
}

fn ssh(node: &mut Node, path: &Path, report: &mut Report) {
    for (index, entry) in node.as_list().iter().enumerate() {
        if entry.as_text().is_some_and(|text| text != "default" && !text.contains('=')) {
            let message = "a key is `default` or has a path";
            report.error(entry.at, &path.index(index), message).hint("write \"id=path\"");
        }
    }
    pairs_to_map(node);
}

/// Refuses names without a value.
fn contexts(node: &mut Node, path: &Path, report: &mut Report) {
    for (index, entry) in node.as_list().iter().enumerate() {
        if entry.as_text().is_some_and(|text| !text.contains('=')) {
            let message = "a context has a name and a place";
            report.error(entry.at, &path.index(index), message).hint("write \"name=place\"");
        }
    }
    pairs_to_map(node);
    fill_empty(node);
}

fn gpus(node: &mut Node, count: Value) {
    if matches!(node.value, Value::Text(_)) {
        let mut request = Node::empty_map(node.at);
        if let Some(map) = request.as_map_mut() {
            map.set("count", Node::new(node.at, count));
        }
        node.value = Value::List(vec![request]);
    }
}

fn count(node: &mut Node, path: &Path, report: &mut Report) {
    let Some(text) = node.scalar_text() else { return };
    node.value = match text.parse() {
        _ if text == "all" => Value::Int(-1),
        Ok(number) => Value::Int(number),
        Err(_) => {
            report.error(node.at, path, format!("`{text}` is neither a number nor `all`"));
            Value::Broken
        }
    };
}
