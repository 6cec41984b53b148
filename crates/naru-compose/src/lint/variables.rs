//! Variables that have no value for interpolation although they have one elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path as FilePath, PathBuf};

use super::Subject;
use super::dollars::is_glued;
use crate::interpolate::{Outcome, uses};
use crate::load::{definitions, read};
use crate::path::Path;
use crate::problem::Code;
use crate::report::Report;
use crate::source::{Position, Sources};
use crate::tree::{How, Map, Node, Value};

/// A text with variables, where it is, and the scope it belongs to.
struct Text<'a> {
    template: &'a str,
    at: Position,
    path: String,
    scope: u32,
    command: bool,
}

/// Of so many uses of variables without a value in one service the cause is looked for.
const LIMIT: usize = 200;

/// Warns about variables without a value that something else defines: an `env_file`, the environment
/// of the container, or a `.env` that is not read.
pub(super) fn check(subject: &Subject<'_>, (sources, report): (&mut Sources, &mut Report)) {
    let mut unread = None;
    let services = subject.tree.as_map().and_then(|map| map.map("services"));
    let (root, section) = (Path::ROOT, "services");
    let services_path = root.key(section);
    for (name, node) in services.into_iter().flat_map(|map| map.iter()) {
        let Some(service) = node.as_map().filter(|_| subject.project.services.contains_key(name))
        else {
            continue;
        };
        let mut texts = Vec::new();
        collect(node, &services_path.key(name), false, &mut texts);
        let (mut files, mut told, mut looked_up) = (None, BTreeSet::new(), 0);
        for text in texts {
            let Some(scope) = subject.scopes.get(text.scope as usize) else { continue };
            let lookup = |name: &str| scope.environment.get(name).cloned();
            for one in uses(text.template, &lookup) {
                if lookup(&one.name).is_some()
                    || matches!(one.outcome, Outcome::Value | Outcome::Alternative(_))
                {
                    continue;
                }
                let unread = unread.get_or_insert_with(|| unread_file(subject));
                let files = files.get_or_insert_with(|| env_files(service, sources));
                let unset = one.outcome == Outcome::Nothing;
                let here = (&text, one.name.as_str(), unset);
                if told.contains(&one.name) || looked_up == LIMIT {
                    continue;
                }
                looked_up += 1;
                let found = in_env_file(here, files, (sources, report))
                    || in_container(here, service, report)
                    || in_unread_file(here, unread, subject, report)
                    || glued(here, report);
                if found {
                    told.insert(one.name);
                }
            }
        }
    }
}

/// Every text below a node that had variables in it.
fn collect<'a>(node: &'a Node, path: &Path, command: bool, texts: &mut Vec<Text<'a>>) {
    for step in node.steps() {
        if let (How::Template(scope), Value::Text(template)) = (step.how, &step.node.value) {
            let path = path.to_string();
            texts.push(Text { template, at: step.node.at, path, scope, command });
        }
    }
    match &node.value {
        Value::Map(map) => {
            for (key, node) in map.iter() {
                let command = command || matches!(key.as_str(), "command" | "entrypoint" | "test");
                collect(node, &path.key(key), command, texts);
            }
        }
        Value::List(entries) => {
            for (index, node) in entries.iter().enumerate() {
                collect(node, &path.index(index), command, texts);
            }
        }
        _ => {}
    }
}

/// A definition in an env file.
struct Defined {
    name: String,
    value: Option<String>,
    at: Position,
}

/// The names that the env files of a service define, with their places.
fn env_files(service: &Map, sources: &mut Sources) -> Vec<Defined> {
    let mut found = Vec::new();
    for entry in service.list("env_file") {
        let Some(map) = entry.as_map() else { continue };
        let Some(path) = map.text("path").map(FilePath::new) else { continue };
        let Ok(text) = read(path) else { continue };
        let raw = map.text("format") == Some("raw");
        let named = definitions(&text, raw);
        if named.is_empty() {
            continue;
        }
        let file = sources.add(path, text);
        found.extend(named.into_iter().map(|it| {
            let at = Position { file, line: it.line, column: it.column };
            Defined { name: it.name, value: it.template, at }
        }));
    }
    found
}

type Here<'a> = (&'a Text<'a>, &'a str, bool);

fn in_env_file(
    (text, name, unset): Here<'_>,
    files: &[Defined],
    (sources, report): (&Sources, &mut Report),
) -> bool {
    let Some(Defined { value, at: defined, .. }) = files.iter().rfind(|it| it.name == name) else {
        return false;
    };
    // A default that is the same does no harm.
    let harmless = value.as_ref().is_some_and(|value| {
        let value = value.trim_matches(['"', '\'']);
        text.template.contains(&format!("-{value}}}"))
    });
    if harmless && !unset {
        return false;
    }
    let file = sources.location(*defined).map_or_else(PathBuf::new, |location| location.file);
    let instead = if unset { "an empty text" } else { "its default" };
    let message = format!(
        "`{name}` is only defined in an env_file, which `${{}}` does not look into: {instead} is used"
    );
    let hint = format!(
        "an env_file is for the container alone; put {name} into `.env`, or call naru with --env-file {}",
        file.display()
    );
    warn(text, name, (Code::ENV_FILE_VARIABLE, message), report)
        .related(*defined, "the env_file defines it here")
        .hint(hint);
    true
}

fn in_container((text, name, unset): Here<'_>, service: &Map, report: &mut Report) -> bool {
    let defined = service.map("environment").and_then(|map| map.0.get(name));
    let Some(defined) = defined.filter(|_| unset && text.command) else { return false };
    let message = format!(
        "`${name}` is replaced before the container starts, where it would be set: an empty text is used"
    );
    warn(text, name, (Code::CONTAINER_VARIABLE, message), report)
        .related(defined.key_at, "the container's environment sets it here")
        .hint(format!("write `$${name}` to leave it to the container's shell"));
    true
}

/// The names that a `.env` sets which is not read, with their lines.
fn unread_file(subject: &Subject<'_>) -> BTreeMap<String, u32> {
    let path = subject.project.working_directory.join(".env");
    let read_already =
        subject.scopes.iter().flat_map(|scope| &scope.files).any(|file| *file == path);
    let text = if read_already { None } else { read(&path).ok() };
    let found = definitions(&text.unwrap_or_default(), false);
    found.into_iter().map(|definition| (definition.name, definition.line)).collect()
}

/// `.env` is not read when --env-file is given.
fn in_unread_file(
    (text, name, unset): Here<'_>,
    unread: &BTreeMap<String, u32>,
    subject: &Subject<'_>,
    report: &mut Report,
) -> bool {
    let Some(line) = unread.get(name).filter(|_| unset) else { return false };
    let why = if subject.shell.contains_key("COMPOSE_DISABLE_ENV_FILE") {
        "COMPOSE_DISABLE_ENV_FILE is set"
    } else {
        "another env file is given"
    };
    let message = format!("`{name}` is set in `.env`, line {line}, which is not read since {why}");
    warn(text, name, (Code::UNREAD_ENV_FILE, message), report)
        .hint("give both: --env-file .env --env-file OTHER");
    true
}

fn glued((text, name, unset): Here<'_>, report: &mut Report) -> bool {
    let bare = format!("${name}");
    if !unset || !is_glued(text.template, &bare) {
        return false;
    }
    let message = format!("`{bare}` is read as a variable, which is not set: the text is cut");
    warn(text, name, (Code::SWALLOWED_DOLLAR, message), report)
        .hint(format!("write `${bare}` for a dollar sign that is meant literally"));
    true
}

/// Warns at the place of the variable, instead of the general warning that it is not set.
fn warn<'r>(
    text: &Text<'_>,
    name: &str,
    (code, message): (Code, String),
    report: &'r mut Report,
) -> &'r mut crate::report::Finding {
    let at = report.withdraw_unset(name, text.at).unwrap_or(text.at);
    let root = Path::ROOT;
    report.warning(at, &root.key(&text.path), message).code(code)
}
