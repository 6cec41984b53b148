//! `naru image …`.

mod import;
mod inspect;
mod list;
mod load;
mod remove;

use naru_image::{Event, Store};

use crate::error::{Blame, CommandError};
use crate::settings::Settings;
use crate::ui::Printer;

/// Commands on images.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Load(load::Args),
    Import(import::Args),
    #[command(visible_alias = "list")]
    Ls(list::Args),
    #[command(visible_alias = "remove")]
    Rm(remove::Args),
    Inspect(inspect::Args),
}

/// Runs a command.
pub(crate) fn run(
    command: &Command,
    settings: &Settings,
    printer: &Printer,
) -> Result<u8, CommandError> {
    settings.no_dry_run("image")?;
    let store = Store::open(&settings.directories.images()).host("open the image store")?;
    match command {
        Command::Load(args) => load::run(args, &store, printer),
        Command::Import(args) => import::run(args, &store, printer),
        Command::Ls(args) => list::run(args, &store, printer),
        Command::Rm(args) => remove::run(args, &store, settings, printer),
        Command::Inspect(args) => inspect::run(args, &store, printer),
    }
}

/// The archive named on the command line, or stdin.
fn open(file: Option<&std::path::Path>) -> Result<Box<dyn std::io::Read>, CommandError> {
    match file {
        Some(path) if path.as_os_str() != "-" => {
            let file = fs_err::File::open(path).asked(format!("read {}", path.display()))?;
            Ok(Box::new(file))
        }
        _ => {
            use std::io::IsTerminal;
            let stdin = std::io::stdin();
            if stdin.is_terminal() {
                return Err(CommandError::user("there is no archive on stdin")
                    .hint("name a file, or send the archive with `< FILE`"));
            }
            Ok(Box::new(stdin.lock()))
        }
    }
}

/// The archive in words.
fn name_of(file: Option<&std::path::Path>) -> String {
    match file {
        Some(path) if path.as_os_str() != "-" => path.display().to_string(),
        _ => "the archive on stdin".to_owned(),
    }
}

/// Shows the progress of taking in an archive.
fn tell(printer: &Printer, quiet: bool, event: &Event) {
    match event {
        _ if quiet => {}
        Event::Layer { number, of, .. } => printer.say(&format!("layer {number} of {of}")),
        Event::DevicesSkipped { count } => {
            printer.say(&format!("{count} device nodes were left out; containers have their own"));
        }
        _ => {}
    }
}
