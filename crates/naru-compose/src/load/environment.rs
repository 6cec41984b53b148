//! The variables that interpolation knows.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::dotenv;
use super::files::{join, read};
use super::request::LoadRequest;
use crate::problem::{Code, Problem, Problems, Severity};
use crate::source::Location;

/// The variable that holds the project's name.
pub(super) const PROJECT_NAME: &str = "COMPOSE_PROJECT_NAME";

/// Adds the variables of `--env-file`, of `COMPOSE_ENV_FILES`, or of `.env` in `directory`. What
/// is set already stays.
pub(super) fn add_env_files(
    request: &LoadRequest,
    directory: &Path,
    environment: &mut BTreeMap<String, String>,
) -> Result<(), Problems> {
    let named = environment.get("COMPOSE_ENV_FILES").filter(|names| !names.is_empty());
    let disabled = environment.get("COMPOSE_DISABLE_ENV_FILE");
    let disabled = disabled.is_some_and(|value| matches!(value.as_str(), "1" | "true" | "t"));
    let files: Vec<PathBuf> = if !request.env_files.is_empty() {
        request.env_files.clone()
    } else if let Some(names) = named {
        names.split(',').map(PathBuf::from).collect()
    } else if disabled || !directory.join(".env").is_file() {
        return Ok(());
    } else {
        vec![directory.join(".env")]
    };
    let files: Vec<_> = files.iter().map(|file| join(&request.working_directory, file)).collect();
    for (name, value) in read_env_files(&files, environment)? {
        environment.entry(name).or_insert(value);
    }
    Ok(())
}

/// The variables of files in Compose's format, later files winning.
pub(super) fn read_env_files(
    files: &[PathBuf],
    environment: &BTreeMap<String, String>,
) -> Result<dotenv::Variables, Problems> {
    let mut variables = dotenv::Variables::new();
    for file in files {
        let text = read(file).map_err(|error| {
            let hint = "every file given with --env-file or COMPOSE_ENV_FILES has to exist";
            let message = format!("cannot use the env file: {error}");
            Problems(vec![Problem::without_place(Code::FILE, message, Some(hint.to_owned()))])
        })?;
        let lookup = |name: &str| environment.get(name).cloned();
        dotenv::parse(&text, &mut variables, &lookup)
            .map_err(|wrong| Problems(vec![problem(file, &text, wrong)]))?;
    }
    Ok(variables)
}

/// A mistake in a file of variables, as the reader sees it.
pub(super) fn problem(file: &Path, text: &str, wrong: dotenv::Wrong) -> Problem {
    Problem {
        severity: Severity::Error,
        code: Code::ENV_FILE,
        location: Some(Location { file: file.to_owned(), line: wrong.line, column: 1 }),
        path: String::new(),
        message: wrong.message,
        hint: Some("each line is NAME=value; quote values that span lines".to_owned()),
        excerpt: text.lines().nth(wrong.line as usize - 1).map(str::to_owned),
        related: Vec::new(),
    }
}
