//! What is asked of the loader, and what it gives back.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::env_file::Folded;
use super::environment::{self, Scope};
use super::reset::Taken;
use super::template::Template;
use super::{discover, finish, model, name};
use crate::budget::Budget;
use crate::lint::Silence;
use crate::problem::{Problem, Problems};
use crate::project::Project;
use crate::report::Report;
use crate::source::Sources;
use crate::tree::Node;

/// Which project is to be loaded. The loader reads nothing from the process it runs in: directory
/// and environment are part of the request.
#[derive(Debug, Clone, Default)]
pub struct LoadRequest {
    /// Compose files (`-f`), relative to the working directory, `-` for standard input. When there
    /// are none, `COMPOSE_FILE` and then the usual names are looked for.
    pub files: Vec<PathBuf>,
    /// `--project-directory`, relative to the working directory.
    pub project_directory: Option<PathBuf>,
    /// `-p`.
    pub project_name: Option<String>,
    /// `--profile`; `COMPOSE_PROFILES` when empty, `*` for all.
    pub profiles: Vec<String>,
    /// `--env-file`, relative to the working directory; `.env` when empty.
    pub env_files: Vec<PathBuf>,
    /// Absolute directory the command was called in.
    pub working_directory: PathBuf,
    /// Environment of the command.
    pub environment: BTreeMap<String, String>,
    /// Services named on the command line; they and their profiles are enabled.
    pub services: Vec<String>,
    /// Whether networks, volumes, secrets and configs that no service uses are kept.
    pub all_resources: bool,
    /// `--compatibility`; `COMPOSE_COMPATIBILITY` says the same.
    pub compatibility: bool,
    /// Whether every value keeps its whole past, for [`Loaded::explain`].
    pub history: bool,
    /// Phases that are left out.
    pub skip: Skip,
}

/// Phases of loading that `config` can leave out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Skip {
    /// `--no-normalize`: nothing that is implied is made explicit.
    pub normalization: bool,
    /// `--no-path-resolution`: paths stay as the files say them; those of other files are
    /// relative to the project's directory.
    pub paths: bool,
    /// `--no-consistency`: attributes are not held against each other.
    pub consistency: bool,
    /// `--no-env-resolution`: `env_file` and `label_file` are not read.
    pub environment: bool,
}

/// A project, and what there is to say about its files.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The project.
    pub project: Project,
    /// What is probably a mistake.
    pub warnings: Vec<Problem>,
    /// Variables for interpolation: the environment, then `--env-file` or `.env`. Secrets and
    /// configs with `environment:` get their content from here.
    pub environment: BTreeMap<String, String>,
    pub(crate) tree: Node,
    pub(crate) sources: Sources,
    pub(crate) past: Past,
    pub(crate) silence: Silence,
}

/// What [`Loaded::explain`] knows about the way to the project.
#[derive(Debug, Clone, Default)]
pub(crate) struct Past {
    /// The environment of the command.
    pub(crate) shell: BTreeMap<String, String>,
    /// What gives the project its name, when no file and no directory does.
    pub(crate) name: Option<&'static str>,
    /// The scopes of variables, the project's own first.
    pub(crate) scopes: Vec<Scope>,
    /// What `!reset` and `!override` removed.
    pub(crate) taken: Vec<Taken>,
    /// The env files and label files of each service.
    pub(crate) folded: BTreeMap<String, Folded>,
}

/// Where a text is kept, what it costs, and what is wrong with it.
pub(crate) type Texts<'a> = (&'a mut Sources, &'a mut Budget, &'a mut Report);

/// The phases' common state: the texts and the problems.
#[derive(Debug)]
pub(crate) struct State {
    /// Every text that was read.
    pub(crate) sources: Sources,
    /// Every problem that was found.
    pub(crate) report: Report,
    /// Home directory, for `~`.
    pub(crate) home: Option<PathBuf>,
    /// What port ranges may still stand for.
    pub(crate) budget: Budget,
    /// The scopes of variables, the project's own first.
    pub(crate) scopes: Vec<Scope>,
    /// What `!reset` and `!override` removed.
    pub(crate) taken: Vec<Taken>,
    /// A file could not be used: what it would have said is missing, which is not worth a problem of
    /// its own.
    pub(crate) incomplete: bool,
    /// What is left out.
    pub(crate) skip: Skip,
    /// Whether variables stay as they are, for `--no-interpolate`.
    pub(crate) templates: bool,
}

impl State {
    /// Keeps a scope and gives its number.
    pub(crate) fn add_scope(&mut self, scope: Scope) -> u32 {
        self.scopes.push(scope);
        u32::try_from(self.scopes.len() - 1).unwrap_or(u32::MAX)
    }

    /// What reading a text needs.
    pub(crate) fn texts(&mut self) -> Texts<'_> {
        (&mut self.sources, &mut self.budget, &mut self.report)
    }

    /// Gives up: the problems found so far, as the reader sees them.
    pub(crate) fn fail(self) -> Problems {
        Problems(self.report.into_problems(&self.sources))
    }
}

/// The paths of texts by their numbers.
fn env_paths(groups: &[Vec<u32>], sources: &Sources) -> Vec<PathBuf> {
    groups.iter().flatten().map(|file| sources.path(*file).to_owned()).collect()
}

/// Loads a project.
///
/// # Errors
/// All problems of all its files when at least one of them is an error.
pub fn load(request: &LoadRequest) -> Result<Loaded, Problems> {
    let (tree, origin, state) = merged(request, false)?;
    finish::finish(tree, origin, request, state)
}

/// The environment, and the variables of `.env` (or of what takes its place) that configure Compose itself:
/// those whose names begin with `COMPOSE_`. What is wrong in these files is told when the project is loaded.
#[must_use]
pub fn configuration(request: &LoadRequest) -> BTreeMap<String, String> {
    let mut sources = Sources::new(&request.working_directory);
    let (mut budget, mut report) = (Budget::default(), Report::keeping_everything(false));
    let mut found = request.environment.clone();
    let texts = (&mut sources, &mut budget, &mut report);
    environment::add_env_files(request, &discover::first_directory(request), &mut found, texts);
    found.retain(|name, _| name.starts_with("COMPOSE_") || request.environment.contains_key(name));
    found
}

/// Loads a project without replacing variables, which therefore has no typed values: what
/// `config --no-interpolate` and `config --variables` look at.
///
/// # Errors
/// All problems of all its files when at least one of them is an error.
pub fn load_template(request: &LoadRequest) -> Result<Template, Problems> {
    let (tree, origin, state) = merged(request, true)?;
    finish::template(tree, origin, request, state)
}

/// The tree of all files, checked and in its long form.
fn merged(
    request: &LoadRequest,
    templates: bool,
) -> Result<(Node, finish::Origin, State), Problems> {
    let mut state = State {
        sources: Sources::new(&request.working_directory),
        report: Report::keeping_everything(request.history),
        home: request.environment.get("HOME").map(PathBuf::from),
        budget: Budget::default(),
        scopes: Vec::new(),
        taken: Vec::new(),
        incomplete: false,
        skip: request.skip,
        templates,
    };
    state.report.allow_templates(templates);
    let place = discover::place(request, state.texts())?;
    let files = model::read_all(&place.files, &mut state);
    if files.is_empty() {
        return Err(state.fail());
    }
    let project_name = name::project_name(request, &place, &files, &mut state);
    // A name that cannot be used is a problem of its own, and keeps no other from being found.
    let project_name = project_name.unwrap_or_else(|| "project".to_owned());
    let name_from = name::given(request, &place).map(|(_, source)| source);
    let mut environment = place.environment;
    environment.insert(environment::PROJECT_NAME.to_owned(), project_name.clone());
    let environment = Arc::new(environment);
    let groups = place.env_files;
    let scope = Scope {
        environment: Arc::clone(&environment),
        outer: None,
        files: env_paths(&groups, &state.sources),
        groups,
    };
    let context = model::Context {
        directory: place.directory.clone(),
        scope: state.add_scope(scope),
        environment: Arc::clone(&environment),
        included: Vec::new(),
        home: state.home.clone(),
        root: place.directory.clone(),
    };
    let tree = model::load(files, &context, &mut state);
    let origin = finish::Origin {
        name: project_name,
        directory: place.directory,
        files: place.files,
        environment: BTreeMap::clone(&environment),
        name_from,
    };
    Ok((tree, origin, state))
}
