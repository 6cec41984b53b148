//! Which files make up the project, and in which directory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::environment;
use super::files::join;
use super::request::{LoadRequest, Texts};
use crate::problem::{Code, Problem, Problems};

/// Names of Compose files, the preferred one first.
const NAMES: [&str; 4] =
    ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];

/// Names of files that are merged over the one that was found.
const OVERRIDES: [&str; 4] = [
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
];

/// Where a project is.
#[derive(Debug)]
pub(super) struct Discovered {
    /// Absolute paths of its files; `-` for standard input.
    pub(super) files: Vec<PathBuf>,
    /// The directory that its paths are relative to.
    pub(super) directory: PathBuf,
    /// The environment, with `.env` or `--env-file`.
    pub(super) environment: BTreeMap<String, String>,
    /// The env files by their numbers, see [`environment::Scope`].
    pub(super) env_files: Vec<Vec<u32>>,
}

/// Finds the files and the directory. The environment comes in twice: `.env` of the working
/// directory may name the files, and they may be in another directory with its own `.env`.
pub(super) fn place(
    request: &LoadRequest,
    (sources, budget, report): Texts<'_>,
) -> Result<Discovered, Problems> {
    let working = &request.working_directory;
    let given = request.project_directory.as_ref().map(|directory| join(working, directory));
    let mut environment = request.environment.clone();
    let first = first_directory(request);
    let texts = (&mut *sources, &mut *budget, &mut *report);
    let mut env_files = vec![environment::add_env_files(request, &first, &mut environment, texts)];
    let files = files(request, &environment, given.as_deref())?;
    let directory = given
        .or_else(|| files.first().and_then(|file| parent(file, working)))
        .unwrap_or_else(|| working.clone());
    if first != directory {
        let texts = (sources, budget, report);
        env_files.push(environment::add_env_files(request, &directory, &mut environment, texts));
    }
    Ok(Discovered { files, directory, environment, env_files })
}

/// The directory whose `.env` is read before the files are known.
pub(super) fn first_directory(request: &LoadRequest) -> PathBuf {
    let working = &request.working_directory;
    let given = request.project_directory.as_ref().map(|directory| join(working, directory));
    let first = given.or_else(|| request.files.first().and_then(|file| parent(file, working)));
    first.unwrap_or_else(|| working.clone())
}

/// Whether a file is on another machine: git, https or a registry.
pub(super) fn is_remote(file: &Path) -> bool {
    let file = file.to_string_lossy();
    file.contains("://") || ["github.com/", "git@"].iter().any(|prefix| file.starts_with(prefix))
}

fn parent(file: &Path, working: &Path) -> Option<PathBuf> {
    if file == Path::new("-") || is_remote(file) {
        return None;
    }
    join(working, file).parent().map(Path::to_owned)
}

fn files(
    request: &LoadRequest,
    environment: &BTreeMap<String, String>,
    directory: Option<&Path>,
) -> Result<Vec<PathBuf>, Problems> {
    let working = &request.working_directory;
    let absolute = |file: &PathBuf| {
        if file == Path::new("-") || is_remote(file) { file.clone() } else { join(working, file) }
    };
    if !request.files.is_empty() {
        return Ok(request.files.iter().map(absolute).collect());
    }
    if let Some(names) = environment.get("COMPOSE_FILE").filter(|names| !names.is_empty()) {
        let separator = environment.get("COMPOSE_PATH_SEPARATOR").map_or(":", String::as_str);
        return Ok(names.split(separator).map(|name| absolute(&PathBuf::from(name))).collect());
    }
    for directory in directory.unwrap_or(working).ancestors() {
        if let Some(file) = exists(directory, &NAMES) {
            return Ok([Some(file), exists(directory, &OVERRIDES)].into_iter().flatten().collect());
        }
    }
    let message = "no configuration file provided: not found".to_owned();
    let hint = format!("naru looks for {} here and in the directories above", NAMES.join(", "));
    Err(Problems(vec![Problem::without_place(Code::FILE, message, Some(hint))]))
}

fn exists(directory: &Path, names: &[&str]) -> Option<PathBuf> {
    names.iter().map(|name| directory.join(name)).find(|path| path.is_file())
}
