//! The variables that interpolation knows.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::dotenv;
use super::files::{join, read};
use super::request::{LoadRequest, Texts};
use crate::path;
use crate::problem::Code;
use crate::report::Report;
use crate::source::Position;

/// The variable that holds the project's name.
pub(crate) const PROJECT_NAME: &str = "COMPOSE_PROJECT_NAME";

/// The variables that a set of Compose files knows, and where they come from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scope {
    /// All of them.
    pub(crate) environment: Arc<BTreeMap<String, String>>,
    /// The scope of the including file, whose variables win.
    pub(crate) outer: Option<u32>,
    /// The env files by their numbers, in groups: an earlier group wins, and in it a later file.
    pub(crate) groups: Vec<Vec<u32>>,
    /// The paths of these files.
    pub(crate) files: Vec<PathBuf>,
}

/// Adds the variables of `--env-file`, of `COMPOSE_ENV_FILES`, or of `.env` in `directory`. What
/// is set already stays. Gives the numbers of the files.
pub(super) fn add_env_files(
    request: &LoadRequest,
    directory: &Path,
    environment: &mut BTreeMap<String, String>,
    texts: Texts<'_>,
) -> Vec<u32> {
    let named = environment.get("COMPOSE_ENV_FILES").filter(|names| !names.is_empty());
    let disabled = environment.get("COMPOSE_DISABLE_ENV_FILE");
    let disabled = disabled.is_some_and(|value| matches!(value.as_str(), "1" | "true" | "t"));
    let files: Vec<PathBuf> = if !request.env_files.is_empty() {
        request.env_files.clone()
    } else if let Some(names) = named {
        names.split(',').map(PathBuf::from).collect()
    } else if disabled || !directory.join(".env").is_file() {
        return Vec::new();
    } else {
        vec![directory.join(".env")]
    };
    let files: Vec<_> = files.iter().map(|file| join(&request.working_directory, file)).collect();
    let (variables, numbers) = read_env_files(&files, environment, Position::NOWHERE, texts);
    for (name, value) in variables {
        environment.entry(name).or_insert(value);
    }
    numbers
}

/// The variables of files in Compose's format, later files winning, and the files' numbers. `at` is the
/// place that names the files, when it is in one.
pub(super) fn read_env_files(
    files: &[PathBuf],
    environment: &BTreeMap<String, String>,
    at: Position,
    (sources, budget, report): Texts<'_>,
) -> (dotenv::Variables, Vec<u32>) {
    let (mut variables, mut numbers) = (dotenv::Variables::new(), Vec::new());
    let root = path::Path::ROOT;
    for file in files {
        let text = match read(file) {
            Ok(text) => text,
            Err(error) => {
                let message = format!("cannot use the env file: {error}");
                let finding = report.error(at, &root, message).code(Code::FILE);
                if at == Position::NOWHERE {
                    finding
                        .hint("every file given with --env-file or COMPOSE_ENV_FILES has to exist");
                }
                continue;
            }
        };
        let lookup = |name: &str| environment.get(name).cloned();
        let wrong = dotenv::parse(&text, &mut variables, &lookup);
        if !budget.pay(text.len(), at, &root, report) {
            break;
        }
        let number = sources.add(file, text);
        numbers.push(number);
        if at != Position::NOWHERE {
            sources.name_reader(at);
        }
        refuse(&wrong, number, (&root, at), report);
    }
    (variables, numbers)
}

/// Reports what is wrong in a file of variables.
pub(super) fn refuse(
    wrong: &[dotenv::Wrong],
    file: u32,
    (path, named): (&path::Path, Position),
    report: &mut Report,
) {
    for dotenv::Wrong { line, column, message } in wrong {
        let at = Position { file, line: *line, column: *column };
        let finding = report.error(at, path, message.as_str()).code(Code::ENV_FILE);
        if named != Position::NOWHERE {
            finding.related(named, "the file is named here");
        }
        finding.hint("each line is NAME=value; quote values that span lines");
    }
}
