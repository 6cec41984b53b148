//! Dollar signs that are meant literally and read as variables, in files of variables.

use crate::interpolate::{Outcome, uses};
use crate::load::{Scope, definitions};
use crate::path::Path;
use crate::problem::Code;
use crate::report::{Report, unset};
use crate::source::{Position, Sources};

/// Warns about the files that interpolation has its variables from.
pub(super) fn env_files(scopes: &[Scope], sources: &Sources, report: &mut Report) {
    for scope in scopes {
        let lookup = |name: &str| scope.environment.get(name).cloned();
        for file in scope.groups.iter().flatten() {
            swallowed(*file, &lookup, (sources, report));
        }
    }
}

/// So many uses of variables without a value in one file are looked at.
const LIMIT: usize = 200;

/// Warns about names in values that stand for nothing. `lookup` knows everything that is set.
pub(crate) fn swallowed(
    file: u32,
    lookup: &dyn Fn(&str) -> Option<String>,
    (sources, report): (&Sources, &mut Report),
) {
    let text = sources.text(file);
    if !text.contains('$') {
        return;
    }
    let mut left = LIMIT;
    for definition in definitions(text, false) {
        let Some(template) = definition.template.filter(|template| template.contains('$')) else {
            continue;
        };
        for one in uses(&template, lookup) {
            let bare = format!("${}", one.name);
            if one.outcome != Outcome::Nothing || lookup(&one.name).is_some() {
                continue;
            }
            if left == 0 {
                return;
            }
            left -= 1;
            let at = place(text, Position { file, line: definition.line, column: 1 }, &one.name);
            if is_glued(&template, &bare) {
                let message = format!(
                    "`{bare}` in the value of {} is read as a variable, which is not set: the value is cut",
                    definition.name
                );
                let value = template.trim_matches('"');
                let hint = format!("quote it with single quotes: {}='{value}'", definition.name);
                report.warning(at, &Path::ROOT, message).code(Code::SWALLOWED_DOLLAR).hint(hint);
            } else {
                let message = unset(&one.name);
                let hint = format!("set {}, or give a default: ${{{}:-…}}", one.name, one.name);
                report.warning(at, &Path::ROOT, message).code(Code::UNSET_VARIABLE).hint(hint);
            }
        }
    }
}

/// Whether a dollar stands in the middle of a word, as in a password.
pub(super) fn is_glued(text: &str, bare: &str) -> bool {
    let Some(start) = text.find(bare) else { return false };
    text[..start].chars().next_back().is_some_and(|c| c.is_alphanumeric() || "!#%&*^".contains(c))
}

/// Where the variable stands, at or after a line.
fn place(text: &str, at: Position, name: &str) -> Position {
    for (line, number) in text.lines().zip(1_u32..).skip(at.line as usize - 1) {
        let found = [format!("${{{name}"), format!("${name}")].iter().find_map(|it| line.find(it));
        if let Some(found) = found {
            let column = u32::try_from(line[..found].chars().count()).unwrap_or(0) + 1;
            return Position { line: number, column, ..at };
        }
    }
    at
}
