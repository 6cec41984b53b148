//! What the arguments and the environment mean. Commands ask here and never read the environment.

use std::collections::BTreeMap;
use std::path::PathBuf;

use naru_compose::{LoadRequest, Loaded, Problems, Skip, Template};
use naru_state::{Directories, ProjectDirectories, ProjectName};
use naru_supervisor::protocol::{Caller, Request};

use crate::arguments::Globals;
use crate::error::{Blame, CommandError};
use crate::ui::Printer;

/// The environment as text; a variable that is not UTF-8 is left out.
pub(crate) fn environment() -> BTreeMap<String, String> {
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    std::env::vars_os().filter_map(text).collect()
}

/// Everything that all commands share.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Where naru's files are.
    pub(crate) directories: Directories,
    /// Runs as root.
    pub(crate) is_root: bool,
    /// The environment naru was called with.
    pub(crate) environment: BTreeMap<String, String>,
    /// The same, with what `.env` says about Compose itself.
    configuration: BTreeMap<String, String>,
    globals: Globals,
    working_directory: PathBuf,
}

/// A project that a command is about, with its model when that was read.
#[derive(Debug)]
pub(crate) struct Target {
    /// Its name.
    pub(crate) name: ProjectName,
    /// Its directories.
    pub(crate) directories: ProjectDirectories,
    /// The Compose files' content; absent when only the name was given.
    pub(crate) loaded: Option<Loaded>,
}

impl Settings {
    /// Works out the settings.
    ///
    /// # Errors
    /// When there is no working directory.
    pub(crate) fn resolve(
        globals: Globals,
        environment: BTreeMap<String, String>,
    ) -> Result<Self, CommandError> {
        let is_root = rustix::process::geteuid().is_root();
        let working_directory = std::env::current_dir().host("find the working directory")?;
        let variable = |name: &str| environment.get(name).cloned();
        let directories = Directories::from_environment(variable, is_root);
        let configuration = BTreeMap::new();
        let mut settings =
            Self { directories, is_root, environment, configuration, globals, working_directory };
        settings.configuration = naru_compose::configuration(&settings.request(&[]));
        Ok(settings)
    }

    /// The environment, and the variables of `.env` whose names begin with `COMPOSE_`.
    pub(crate) fn configuration(&self) -> &BTreeMap<String, String> {
        &self.configuration
    }

    /// How to print.
    pub(crate) fn printer(&self) -> Printer {
        self.globals.printer(&self.configuration)
    }

    /// Whether `--parallel` gives a limit.
    pub(crate) fn has_parallel_limit(&self) -> bool {
        self.globals.parallel.is_some_and(|limit| limit > 0)
    }

    /// The request as the user wants it: carried out, or only its plan.
    pub(crate) fn wanted(&self, request: Request) -> Request {
        if self.globals.dry_run { Request::DryRun(Box::new(request)) } else { request }
    }

    /// Whether only plans are asked for.
    pub(crate) fn is_dry_run(&self) -> bool {
        self.globals.dry_run
    }

    /// Refuses `--dry-run` for a command that has none.
    ///
    /// # Errors
    /// When it was given.
    pub(crate) fn no_dry_run(&self, command: &str) -> Result<(), CommandError> {
        match self.globals.dry_run {
            true => Err(CommandError::user(format!("`{command}` has no dry run"))),
            false => Ok(()),
        }
    }

    /// The user behind `sudo`, where there is one.
    pub(crate) fn caller(&self) -> Option<Caller> {
        let number = |name| self.environment.get(name)?.parse().ok();
        let caller = Caller { uid: number("SUDO_UID")?, gid: number("SUDO_GID")? };
        self.is_root.then_some(caller)
    }

    /// What to load: the files of the command line, else of COMPOSE_FILE, else those that are found.
    fn request(&self, services: &[String]) -> LoadRequest {
        LoadRequest {
            files: self.globals.files.clone(),
            project_directory: self.globals.project_directory.clone(),
            project_name: self.globals.project_name.clone(),
            profiles: self.globals.profiles.clone(),
            env_files: self.globals.env_files.clone(),
            working_directory: self.working_directory.clone(),
            environment: self.environment.clone(),
            services: services.to_vec(),
            all_resources: self.globals.all_resources,
            compatibility: self.globals.compatibility,
            history: false,
            skip: Skip::default(),
        }
    }

    /// Loads the project; `services` enable their profiles.
    ///
    /// # Errors
    /// With everything that is wrong in the files.
    pub(crate) fn load(&self, services: &[String]) -> Result<Loaded, CommandError> {
        self.read(services).map_err(|problems| CommandError::problems(&problems.0))
    }

    /// [`Settings::load`], with the problems as they are.
    ///
    /// # Errors
    /// With everything that is wrong in the files.
    pub(crate) fn read(&self, services: &[String]) -> Result<Loaded, Problems> {
        naru_compose::load(&self.request(services))
    }

    /// [`Settings::read`], and every value remembers where it comes from.
    ///
    /// # Errors
    /// With everything that is wrong in the files.
    pub(crate) fn read_with_history(&self) -> Result<Loaded, Problems> {
        naru_compose::load(&LoadRequest { history: true, ..self.request(&[]) })
    }

    /// The project of `-p NAME`, for commands that else are about all of them.
    ///
    /// # Errors
    /// When that is no project's name.
    pub(crate) fn named_project(&self) -> Result<Option<ProjectName>, CommandError> {
        let name = self.globals.project_name.as_deref();
        name.map(|name| self.named(name, None).map(|target| target.name)).transpose()
    }

    /// The project as `config` wants it: some phases of loading left out.
    ///
    /// # Errors
    /// With everything that is wrong in the files.
    pub(crate) fn read_without(&self, services: &[String], skip: Skip) -> Result<Loaded, Problems> {
        naru_compose::load(&LoadRequest { skip, ..self.request(services) })
    }

    /// The project with its variables not replaced.
    ///
    /// # Errors
    /// With everything that is wrong in the files.
    pub(crate) fn read_template(
        &self,
        services: &[String],
        skip: Skip,
    ) -> Result<Template, Problems> {
        naru_compose::load_template(&LoadRequest { skip, ..self.request(services) })
    }

    /// Whether networks, volumes, secrets and configs that no service uses are kept.
    pub(crate) fn keeps_all_resources(&self) -> bool {
        self.globals.all_resources
    }

    /// The project that a command without need of the model is about: `-p NAME` (or COMPOSE_PROJECT_NAME
    /// where there is no file) is enough.
    ///
    /// # Errors
    /// When there is neither a name nor a file that can be read.
    pub(crate) fn target(&self, services: &[String]) -> Result<Target, CommandError> {
        if let (Some(name), true) = (&self.globals.project_name, self.globals.files.is_empty()) {
            return self.named(name, None);
        }
        match (self.load(services), self.configuration.get("COMPOSE_PROJECT_NAME")) {
            (Ok(loaded), _) => {
                let name = loaded.project.name.clone();
                self.named(&name, Some(loaded))
            }
            (Err(_), Some(name)) if !name.is_empty() => self.named(name, None),
            (Err(error), _) => Err(error),
        }
    }

    /// A project with its directories.
    ///
    /// # Errors
    /// When the name is not a project's.
    pub(crate) fn named(&self, name: &str, loaded: Option<Loaded>) -> Result<Target, CommandError> {
        let name = ProjectName::new(name).asked("use this project name")?;
        let directories = self.directories.project(&name);
        Ok(Target { name, directories, loaded })
    }
}
