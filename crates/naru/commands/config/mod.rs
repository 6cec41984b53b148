//! `naru config`: the project as naru understands it.

mod digests;
mod listing;
mod variables;

use std::collections::BTreeMap;
use std::path::PathBuf;

use fs_err as fs;
use naru_compose::project::Dollar;
use naru_compose::{Loaded, Problem, Problems, Skip, Template};

use super::{diagnostics, explain};
use crate::error::{Blame, CommandError};
use crate::settings::Settings;
use crate::ui::Printer;

/// Parse, resolve and render the Compose file in canonical form
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Services (default: all)
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// Format the output: yaml or json (--variables: table, json or yaml)
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    #[command(flatten)]
    listing: listing::Lists,
    /// Print the variables of the files with their default values
    #[arg(long)]
    variables: bool,
    /// The environment used for interpolation
    #[arg(long)]
    environment: bool,
    /// Print a JSON Schema of Compose files, for editors
    #[arg(long)]
    schema: bool,
    #[command(flatten)]
    phases: Phases,
    /// Pin the tags of images to digests
    #[arg(long)]
    resolve_image_digests: bool,
    /// Print an override file that pins images to digests
    #[arg(long)]
    lock_image_digests: bool,
    /// Tell problems, warnings included, as text or json; json takes the place of the output
    #[arg(long, value_name = "FORM", value_enum, default_value = "text")]
    diagnostics: diagnostics::Form,
    /// Where a value comes from: which file and line won, and what lost; json with --format json
    #[arg(long, value_name = "PATH")]
    explain: Option<String>,
    /// Only check, and print nothing but lists
    #[arg(short, long)]
    quiet: bool,
    /// Save to a file instead of stdout
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Args {
    /// Whether the whole model is asked for, and not a list of something in it.
    fn is_whole_model(&self) -> bool {
        !(self.listing.is_asked() || self.variables || self.environment || self.schema)
    }
}

/// Phases of loading to leave out.
#[derive(Debug, clap::Args)]
struct Phases {
    /// Do not replace variables
    #[arg(long)]
    no_interpolate: bool,
    /// Do not make explicit what is implied
    #[arg(long)]
    no_normalize: bool,
    /// Do not make paths absolute
    #[arg(long)]
    no_path_resolution: bool,
    /// Do not hold attributes against each other; what is printed may not work
    #[arg(long)]
    no_consistency: bool,
    /// Do not read the env files of services
    #[arg(long)]
    no_env_resolution: bool,
}

/// What was loaded, with or without its variables replaced.
#[derive(Debug)]
enum Model {
    Project(Box<Loaded>),
    Template(Template),
}

impl Model {
    fn warnings(&self) -> &[Problem] {
        match self {
            Self::Project(loaded) => &loaded.warnings,
            Self::Template(template) => &template.warnings,
        }
    }
}

/// Runs the command.
pub(crate) fn run(args: &Args, settings: &Settings, printer: &Printer) -> Result<u8, CommandError> {
    if let Some(path) = &args.explain {
        return explain::run(path, args.format.as_deref() == Some("json"), settings, printer);
    }
    if args.diagnostics == diagnostics::Form::Json {
        return diagnostics::run(&args.services, settings, printer);
    }
    let text = if args.schema { naru_compose::schema() } else { text(args, settings, printer)? };
    match &args.output {
        _ if args.quiet && args.is_whole_model() => {}
        Some(path) => fs::write(path, text).host("save the configuration")?,
        None => printer.data(&text)?,
    }
    Ok(0)
}

fn text(args: &Args, settings: &Settings, printer: &Printer) -> Result<String, CommandError> {
    let in_json = args.format.as_deref() == Some("json") && !args.quiet;
    let model = match load(args, settings) {
        Err(problems) if in_json => return Err(diagnostics::on_stdout(problems, printer)?),
        result => result.map_err(CommandError::config)?,
    };
    if !args.listing.is_about_all_services() {
        let is_unknown = |name: &&String| match &model {
            Model::Project(loaded) => !loaded.project.services.contains_key(*name),
            Model::Template(template) => args.listing.is_asked() && !template.has_service(name),
        };
        if let Some(name) = args.services.iter().find(is_unknown) {
            return Err(CommandError::user(format!("no such service: {name}")));
        }
    }
    model.warnings().iter().for_each(|problem| printer.problem(&problem.to_string()));
    if let Some(lines) = listing::lines(&args.listing, &args.services, &model)? {
        return Ok(lines);
    }
    match model {
        Model::Template(template) if args.variables => {
            variables::text(&template, args.format.as_deref())
        }
        Model::Project(loaded) if args.environment => Ok(environment(&loaded.environment)),
        model => rendered(args, settings, model),
    }
}

/// Loads what the flags ask for; a template where variables are not replaced.
fn load(args: &Args, settings: &Settings) -> Result<Model, Problems> {
    let Phases { no_interpolate, no_normalize, no_path_resolution, .. } = args.phases;
    // A list does not need the files that `env_file` names.
    let lists = args.listing.is_asked() || args.variables;
    let skip = Skip {
        normalization: no_normalize,
        paths: no_path_resolution,
        consistency: args.phases.no_consistency,
        environment: args.phases.no_env_resolution || lists,
    };
    let all = args.listing.is_about_all_services();
    let services = if all { [].as_slice() } else { &args.services };
    if (args.variables && !args.listing.is_asked()) || no_interpolate {
        return settings.read_template(services, skip).map(Model::Template);
    }
    let mut loaded = settings.read_without(services, skip)?;
    if !args.listing.is_about_profiles() {
        loaded.select(services, settings.keeps_all_resources());
    }
    Ok(Model::Project(Box::new(loaded)))
}

fn rendered(args: &Args, settings: &Settings, model: Model) -> Result<String, CommandError> {
    let json = match args.format.as_deref() {
        None | Some("" | "yaml") => false,
        Some("json") => true,
        Some(other) => return Err(CommandError::user(format!("unsupported format \"{other}\""))),
    };
    let pins = args.lock_image_digests || args.resolve_image_digests;
    match model {
        Model::Template(_) if pins => Err(CommandError::user(
            "--no-interpolate and the digests of images exclude each other: \
             the name of an image may depend on variables",
        )),
        Model::Template(template) if json => Ok(template.to_json() + "\n"),
        Model::Template(template) => Ok(template.to_yaml()),
        Model::Project(loaded) => {
            // The process ends when this is printed: taking thousands of services apart would only
            // cost time.
            let loaded = Box::leak(loaded);
            if pins {
                digests::pin(&mut loaded.project, settings)?;
            }
            if args.lock_image_digests {
                digests::keep_images(&mut loaded.project);
            }
            Ok(if json {
                loaded.project.to_json(Dollar::Doubled) + "\n"
            } else {
                loaded.project.to_yaml(Dollar::Doubled)
            })
        }
    }
}

fn environment(variables: &BTreeMap<String, String>) -> String {
    variables.iter().map(|(name, value)| format!("{name}={value}\n")).collect()
}
