//! Interpolation of all values of a tree. Keys are left as they are.

use super::{Fault, Lookup, Unset, substitute};
use crate::budget::{self, Budget};
use crate::path::Path;
use crate::problem::Code;
use crate::report::{Report, unset};
use crate::source::{Position, Sources};
use crate::tree::{How, Node, Value};

/// Replaces the variables in every value below `node`.
pub(crate) fn interpolate(
    node: &mut Node,
    path: &Path,
    lookup: Lookup<'_>,
    (sources, budget, report): (&Sources, &mut Budget, &mut Report),
) {
    match &mut node.value {
        Value::Text(text) if text.contains('$') => {
            let mut unset = Unset::new();
            match substitute(text, lookup, (&mut unset, budget.left() / 2)) {
                Ok(value) if budget.spend(2 * value.len()) => {
                    let before = std::mem::replace(&mut node.value, Value::Text(value));
                    if report.remembers() {
                        let how = How::Template(report.scope());
                        node.remember(how, Node::new(node.at, before));
                    }
                }
                Ok(_) => {
                    refuse(&Fault::TooLong, node.at, path, (sources, report));
                    node.value = Value::Broken;
                }
                Err(fault) => {
                    refuse(&fault, node.at, path, (sources, report));
                    node.value = Value::Broken;
                }
            }
            for name in unset {
                warn(&name, node.at, path, (sources, report));
            }
        }
        Value::List(entries) => {
            for (index, entry) in entries.iter_mut().enumerate() {
                interpolate(entry, &path.index(index), lookup, (sources, budget, report));
            }
        }
        Value::Map(map) => {
            for (key, value) in map.iter_mut() {
                interpolate(value, &path.key(key), lookup, (sources, budget, report));
            }
        }
        _ => {}
    }
}

fn refuse(fault: &Fault, at: Position, path: &Path, (sources, report): (&Sources, &mut Report)) {
    match fault {
        Fault::TooLong => {
            let finding = report.error(at, path, budget::message());
            finding.code(Code::LIMIT).hint(budget::HINT);
        }
        Fault::Invalid(part) => {
            let at = find(sources, at, part.lines().next().unwrap_or(""));
            let message = format!("`{part}` is not a valid interpolation");
            let hint = if part.starts_with("${") && !part.contains('}') {
                "close it with `}`, or write `$$` for a dollar sign that is meant literally"
            } else {
                "write `$$` for a dollar sign that is meant literally"
            };
            report.error(at, path, message).code(Code::INTERPOLATION).hint(hint);
        }
        Fault::Required { name, message } => {
            let at = find(sources, at, &format!("${{{name}"));
            let reason = if message.is_empty() { String::new() } else { format!(": {message}") };
            let message = format!("the required variable `{name}` is missing a value{reason}");
            let hint = format!("set it in the environment or in `.env`: {name}=…");
            report.error(at, path, message).code(Code::REQUIRED_VARIABLE).hint(hint);
        }
    }
}

fn warn(name: &str, at: Position, path: &Path, (sources, report): (&Sources, &mut Report)) {
    let message = unset(name);
    if !report.is_news(name) {
        return;
    }
    let at = [format!("${{{name}"), format!("${name}")]
        .iter()
        .map(|text| find(sources, at, text))
        .find(|found| *found != at)
        .unwrap_or(at);
    let hint = format!("set {name}, give a default: ${{{name}:-…}}, or write `$$` for a dollar");
    report.warning(at, path, message).code(Code::UNSET_VARIABLE).hint(hint);
}

/// Where `text` stands in the scalar that starts at `at`; `at` itself when it is not found.
fn find(sources: &Sources, at: Position, text: &str) -> Position {
    const LINES: usize = 100;
    let first = (at.line as usize).saturating_sub(1);
    for (index, line) in sources.text(at.file).lines().enumerate().skip(first).take(LINES) {
        let before = if index == first { at.column as usize - 1 } else { 0 };
        let start = line.char_indices().nth(before).map_or(line.len(), |(start, _)| start);
        if let Some(found) = line[start..].find(text) {
            let column = line[..start + found].chars().count() + 1;
            let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
            return Position { file: at.file, line: number(index + 1), column: number(column) };
        }
    }
    at
}
