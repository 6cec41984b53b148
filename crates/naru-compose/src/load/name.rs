//! The name of the project.

use std::collections::BTreeMap;

use super::discover::Discovered;
use super::environment::PROJECT_NAME;
use super::model::File;
use super::request::{LoadRequest, State};
use crate::interpolate::interpolate;
use crate::path::Path;
use crate::problem::Code;
use crate::source::Position;
use crate::tree::Node;

/// The name: `-p`, then `COMPOSE_PROJECT_NAME`, then the last `name:` of the files, then the name
/// of the directory. The first two have to be valid as they are, the others are made valid.
pub(super) fn project_name(
    request: &LoadRequest,
    place: &Discovered,
    files: &[File],
    state: &mut State,
) -> Option<String> {
    let nowhere = Position::NOWHERE;
    if let Some((name, _)) = given(request, place) {
        if normalize(name) == *name {
            return Some(name.to_owned());
        }
        let message = format!("`{name}` is not a name for a project");
        let hint = "names consist of lower case letters, digits, `-` and `_`, and start with a letter or digit";
        state.report.error(nowhere, &Path::ROOT, message).code(Code::WRONG_NAME).hint(hint);
        return None;
    }
    let (name, at) = match name_in_files(files, &place.environment, state) {
        Some(node) => (node.as_text().map(str::to_owned)?, node.at),
        None => {
            let directory = place.directory.file_name();
            (directory.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(), nowhere)
        }
    };
    let normal = normalize(&name);
    if normal.is_empty() {
        let message =
            format!("the project name must not be empty: nothing of `{name}` can be used");
        let hint = "give one with `name:` or -p";
        let finding = state.report.error(at, &Path::ROOT.key("name"), message);
        finding.code(Code::WRONG_NAME).hint(hint);
        return None;
    }
    Some(normal)
}

/// The name that the command line or the environment gives, and which of them.
pub(super) fn given<'a>(
    request: &'a LoadRequest,
    place: &'a Discovered,
) -> Option<(&'a str, &'static str)> {
    let named = |name: Option<&'a String>| name.map(String::as_str).filter(|name| !name.is_empty());
    let from_environment = named(place.environment.get(PROJECT_NAME));
    let from_line = named(request.project_name.as_ref());
    from_line.map(|name| (name, "-p")).or_else(|| from_environment.map(|name| (name, PROJECT_NAME)))
}

/// The last `name:`, with its variables replaced.
fn name_in_files(
    files: &[File],
    environment: &BTreeMap<String, String>,
    state: &mut State,
) -> Option<Node> {
    let documents = files.iter().rev().flat_map(|file| file.documents.iter().rev());
    let mut names = documents.filter_map(|document| document.as_map()?.get("name"));
    let mut node = names.find(|node| node.as_text().is_some_and(|name| !name.is_empty()))?.clone();
    let lookup = |name: &str| environment.get(name).cloned();
    if state.templates {
        return Some(node);
    }
    let path = Path::ROOT;
    let State { sources, budget, report, .. } = state;
    interpolate(&mut node, &path.key("name"), &lookup, (sources, budget, report));
    Some(node)
}

/// Lower case, without the characters that a name cannot have.
pub(super) fn normalize(name: &str) -> String {
    let allowed = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-');
    let name: String = name.to_lowercase().chars().filter(allowed).collect();
    name.trim_start_matches(['_', '-']).to_owned()
}
