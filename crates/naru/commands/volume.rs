//! `naru volume …`.

use std::io;

use fs_err as fs;
use naru_state::{atomic, record};
use naru_supervisor::client::Client;
use naru_supervisor::observe;

use crate::error::{Blame, CommandError};
use crate::settings::Settings;
use crate::ui::{Printer, Table};

/// Commands on named volumes.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// List volumes
    #[command(visible_alias = "list")]
    Ls {
        /// Only names
        #[arg(short, long)]
        quiet: bool,
        /// Format the output: table or json (one object a line)
        #[arg(long, value_name = "FORMAT", default_value = "table", value_parser = ["table", "json"])]
        format: String,
    },
    /// Remove volumes with everything in them
    #[command(visible_alias = "remove")]
    Rm {
        /// Names
        #[arg(value_name = "VOLUME", required = true)]
        volumes: Vec<String>,
    },
}

/// Runs a command.
pub(crate) fn run(
    command: &Command,
    settings: &Settings,
    printer: &Printer,
) -> Result<u8, CommandError> {
    settings.no_dry_run("volume")?;
    match command {
        Command::Ls { quiet, format } => list(*quiet, format, settings, printer)?,
        Command::Rm { volumes } => {
            for name in volumes {
                remove(name, settings)?;
                printer.data_line(name)?;
            }
        }
    }
    Ok(0)
}

fn list(
    quiet: bool,
    format: &str,
    settings: &Settings,
    printer: &Printer,
) -> Result<(), CommandError> {
    let mut table = Table::new(&["DRIVER", "VOLUME NAME"]);
    for volume in volumes(settings)? {
        let record::Volume { name, labels, .. } = volume;
        if quiet {
            printer.data_line(&name)?;
        } else if format == "json" {
            let labels: Vec<_> =
                labels.iter().map(|(label, value)| format!("{label}={value}")).collect();
            let object = serde_json::json!({
                "Driver": "local",
                "Labels": labels.join(","),
                "Mountpoint": settings.directories.volume(&name).join("_data"),
                "Name": name,
                "Scope": "local",
            });
            printer.data_line(&object.to_string())?;
        } else {
            table.row(vec!["local".to_owned(), name]);
        }
    }
    if !quiet && format == "table" {
        printer.data(&table.to_string())?;
    }
    Ok(())
}

/// The records of all volumes, sorted by name.
fn volumes(settings: &Settings) -> Result<Vec<record::Volume>, CommandError> {
    let doing = "list the volumes";
    let directories = match fs::read_dir(settings.directories.volumes()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        directories => directories.host(doing)?,
    };
    let mut volumes = Vec::<record::Volume>::new();
    for directory in directories {
        let record = directory.host(doing)?.path().join("volume.json");
        volumes.extend(atomic::load::<record::Volume>(&record).host(doing)?);
    }
    volumes.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(volumes)
}

/// Removes a volume that no container has and no running project may be about to give one.
fn remove(name: &str, settings: &Settings) -> Result<(), CommandError> {
    let doing = format!("remove volume {name}");
    let volume = volumes(settings)?.into_iter().find(|volume| volume.name == name);
    let volume = volume.ok_or_else(|| CommandError::user(format!("no such volume: {name}")))?;
    for project in observe::projects(&settings.directories).host(&doing)? {
        let containers =
            observe::containers(&settings.directories.project(&project)).host(&doing)?;
        if let Some(user) =
            containers.iter().find(|seen| seen.record.volumes.values().any(|used| used == name))
        {
            let text = format!("cannot {doing}: container {} uses it", user.record.name);
            return Err(CommandError::user(text).hint(format!("`naru -p {project} down` first")));
        }
    }
    if let Some((project, _key)) = &volume.project
        && Client::connect(&settings.directories.project(project)).host(&doing)?.is_some()
    {
        let text = format!("cannot {doing}: its project {project} is up");
        return Err(CommandError::user(text).hint(format!("`naru -p {project} down` first")));
    }
    fs::remove_dir_all(settings.directories.volume(name)).host(&doing)
}
