//! Warnings that someone does not want to see: `x-naru-lint: {allow: [name, …]}` at the top level or in
//! a service, and NARU_LINT_ALLOW in the environment.

use std::collections::BTreeMap;

use crate::path::Path;
use crate::problem::Code;
use crate::report::Report;
use crate::schema::closest;
use crate::source::Position;
use crate::tree::{Map, Node};

/// The attribute.
const ATTRIBUTE: &str = "x-naru-lint";

/// The variable: names separated by commas, or `all`.
const VARIABLE: &str = "NARU_LINT_ALLOW";

/// Which warnings and notes are not told.
#[derive(Debug, Clone, Default)]
pub(crate) struct Silence {
    everywhere: Vec<String>,
    /// By `services.NAME`.
    services: BTreeMap<String, Vec<String>>,
}

impl Silence {
    /// What the files and the environment say.
    pub(crate) fn new(tree: &Node, shell: &BTreeMap<String, String>, report: &mut Report) -> Self {
        let mut silence = Self::default();
        let listed = shell.get(VARIABLE).map(String::as_str).unwrap_or_default();
        for name in listed.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            check(name, Position::NOWHERE, VARIABLE, report);
            silence.everywhere.push(name.to_owned());
        }
        let Some(top) = tree.as_map() else { return silence };
        silence.everywhere.extend(allowed(top, "", report));
        for (name, service) in top.map("services").into_iter().flat_map(Map::iter) {
            let path = format!("services.{name}");
            let names = service.as_map().map(|map| allowed(map, &path, report)).unwrap_or_default();
            if !names.is_empty() {
                silence.services.insert(path, names);
            }
        }
        silence
    }

    /// Whether a warning of this kind about this path is not wanted.
    pub(crate) fn covers(&self, code: Code, path: &str) -> bool {
        let names = |list: &[String]| list.iter().any(|name| name == code.name() || name == "all");
        let service = || {
            self.services.iter().any(|(prefix, list)| {
                let rest = path.strip_prefix(prefix.as_str());
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.')) && names(list)
            })
        };
        code.can_be_silenced() && (names(&self.everywhere) || service())
    }
}

/// The names that an object allows.
fn allowed(map: &Map, path: &str, report: &mut Report) -> Vec<String> {
    let Some(lint) = map.get(ATTRIBUTE) else { return Vec::new() };
    let path = if path.is_empty() { ATTRIBUTE.to_owned() } else { format!("{path}.{ATTRIBUTE}") };
    let list = lint.as_map().and_then(|map| map.get("allow"));
    let Some(list) = list.filter(|list| !list.as_list().is_empty()) else {
        let root = Path::ROOT;
        report
            .warning(lint.at, &root.key(&path), format!("`{ATTRIBUTE}` allows nothing"))
            .code(Code::UNKNOWN_LINT)
            .hint("write `x-naru-lint: {allow: [name]}`");
        return Vec::new();
    };
    let names = list.as_list().iter().filter_map(|entry| Some((entry.as_text()?, entry.at)));
    names
        .map(|(name, at)| {
            check(name, at, &path, report);
            name.to_owned()
        })
        .collect()
}

/// Warns about a name that is not one of a warning.
fn check(name: &str, at: Position, path: &str, report: &mut Report) {
    if name == "all" || Code::named(name).is_some_and(Code::can_be_silenced) {
        return;
    }
    let message = match Code::named(name) {
        Some(_) => format!("`{name}` is an error, which cannot be silenced"),
        None => format!("there is no warning called `{name}`"),
    };
    let root = Path::ROOT;
    let finding = report.warning(at, &root.key(path), message).code(Code::UNKNOWN_LINT);
    let names = Code::all().filter(|code| code.can_be_silenced()).map(Code::name);
    match closest(name, names) {
        Some(similar) => finding.hint(format!("did you mean `{similar}`?")),
        None => finding.hint("the name of a warning stands in brackets behind it"),
    };
}
