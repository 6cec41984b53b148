//! `naru image import`.

use std::path::PathBuf;

use naru_image::{Changes, Import, Reference, Store};

use super::{open, tell};
use crate::error::{Blame, CommandError};
use crate::ui::Printer;

/// Make an image of a root file system in a tar archive
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The archive, or - for stdin
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The image's name
    #[arg(value_name = "NAME[:TAG]", value_parser = parse_name)]
    name: Option<Reference>,
    /// Apply a Dockerfile instruction, such as 'CMD ["/bin/sh"]'
    #[arg(short, long, value_name = "INSTRUCTION")]
    change: Vec<String>,
    /// Comment of the image
    #[arg(short, long, value_name = "TEXT")]
    message: Option<String>,
    /// Platform that the image is for (default: this machine's)
    #[arg(long, value_name = "OS/ARCH")]
    platform: Option<String>,
}

fn parse_name(text: &str) -> Result<Reference, String> {
    text.parse::<Reference>().map_err(|error| error.to_string())
}

/// Runs the command.
pub(super) fn run(args: &Args, store: &Store, printer: &Printer) -> Result<u8, CommandError> {
    let import = Import {
        name: args.name.clone(),
        changes: Changes::parse(&args.change).asked("use --change")?,
        message: args.message.clone(),
        platform: args.platform.clone(),
        created: None,
    };
    let archive = open(Some(&args.file))?;
    let loaded = store
        .import(archive, &import, &mut |event| tell(printer, false, &event))
        .asked(format!("import {}", super::name_of(Some(&args.file))))?;
    printer.data_line(&loaded.id.to_string())?;
    Ok(0)
}
