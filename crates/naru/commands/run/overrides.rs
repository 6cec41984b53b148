//! What the command line says about the container over the file.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::Path;

use fs_err as fs;
use naru_compose::{Loaded, short};
use naru_plan::Overrides;

use super::Args;
use crate::error::{Blame, CommandError};
use crate::settings::Settings;
use crate::ui::Printer;

/// The overrides that `args` ask for.
pub(super) fn of(
    args: &Args,
    tty: bool,
    loaded: &Loaded,
    settings: &Settings,
) -> Result<Overrides, CommandError> {
    Ok(Overrides {
        command: args.command.clone(),
        entrypoint: args.entrypoint.as_deref().map(entrypoint).transpose()?,
        environment: environment(args, loaded)?,
        labels: labels(&args.label)?,
        user: args.user.clone(),
        directory: args.workdir.clone(),
        volumes: volumes(&args.volume, loaded, settings)?,
        ports: ports(args)?,
        cap_add: args.cap_add.clone(),
        cap_drop: args.cap_drop.clone(),
        tty,
        stdin_open: args.interactive,
    })
}

/// Whether the container gets a terminal: where the user has one, unless told otherwise.
pub(super) fn wants_terminal(args: &Args, printer: &Printer) -> Result<bool, CommandError> {
    let stdin = std::io::stdin().is_terminal();
    match (args.tty, args.no_tty || args.detach) {
        (true, _) if !stdin && args.interactive && !args.detach => {
            Err(CommandError::user("the input device is not a TTY").hint("`-T` runs without one"))
        }
        (true, _) => Ok(true),
        (false, true) => Ok(false),
        (false, false) => Ok(stdin && printer.stdout_terminal),
    }
}

/// A container's name: letters, digits and `_.-`, two at least, as Docker has them.
pub(super) fn parse_name(text: &str) -> Result<String, String> {
    let mut characters = text.chars();
    let is_first = characters.next().is_some_and(|first| first.is_ascii_alphanumeric());
    let is_next = |next: char| next.is_ascii_alphanumeric() || "_.-".contains(next);
    let has_more = text.len() > 1 && text.len() <= 128;
    match is_first && has_more && characters.all(is_next) {
        true => Ok(text.to_owned()),
        false => {
            Err("it must begin with a letter or digit, and be of letters, digits and _.-".into())
        }
    }
}

/// An empty one takes the image's away.
fn entrypoint(text: &str) -> Result<Vec<String>, CommandError> {
    short::words(text).ok_or_else(|| {
        CommandError::user(format!(
            "--entrypoint {text:?} has a quote or bracket that is not closed"
        ))
    })
}

/// The files' variables, and over them those of the command line.
fn environment(
    args: &Args,
    loaded: &Loaded,
) -> Result<BTreeMap<String, Option<String>>, CommandError> {
    let known = |name: &str| loaded.environment.get(name).cloned();
    let mut environment = BTreeMap::new();
    for path in &args.env_from_file {
        let text = fs::read_to_string(path).asked("use --env-from-file")?;
        let variables = short::variables(&text, &known)
            .map_err(|wrong| CommandError::user(format!("{}: {wrong}", path.display())))?;
        environment.extend(variables.into_iter().map(|(name, value)| (name, Some(value))));
    }
    for variable in &args.env {
        match variable.split_once('=') {
            Some((name, value)) => {
                environment.insert(name.to_owned(), Some(value.to_owned()));
            }
            // Taken along from here; one that is not set here changes nothing.
            None => {
                environment.extend(known(variable).map(|value| (variable.clone(), Some(value))))
            }
        }
    }
    Ok(environment)
}

fn labels(labels: &[String]) -> Result<BTreeMap<String, String>, CommandError> {
    let split = |label: &String| {
        let parts = label.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
        parts.ok_or_else(|| CommandError::user(format!("label {label:?} must be KEY=VALUE")))
    };
    labels.iter().map(split).collect()
}

fn volumes(
    volumes: &[String],
    loaded: &Loaded,
    settings: &Settings,
) -> Result<Vec<naru_compose::project::Mount>, CommandError> {
    let home = settings.environment.get("HOME").map(Path::new);
    let directory = &loaded.project.working_directory;
    let mount = |text: &String| short::mount(text, directory, home).map_err(CommandError::user);
    volumes.iter().map(mount).collect()
}

/// None unless they are asked for.
fn ports(args: &Args) -> Result<Option<Vec<naru_compose::project::Port>>, CommandError> {
    if args.service_ports {
        return Ok(None);
    }
    let mut ports = Vec::new();
    for text in &args.publish {
        let found = short::ports(text);
        ports.extend(
            found.map_err(|why| CommandError::user(format!("`{text}` is not a port: {why}")))?,
        );
    }
    Ok(Some(ports))
}
