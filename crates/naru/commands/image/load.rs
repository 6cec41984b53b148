//! `naru image load`.

use std::path::PathBuf;

use naru_image::Store;

use super::{open, tell};
use crate::error::{Blame, CommandError};
use crate::ui::{Printer, metadata};

/// Load images from an archive that docker save or an OCI tool wrote
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Read from a file instead of stdin
    #[arg(short, long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Don't show progress
    #[arg(short, long)]
    quiet: bool,
}

/// Runs the command.
pub(super) fn run(args: &Args, store: &Store, printer: &Printer) -> Result<u8, CommandError> {
    let archive = open(args.input.as_deref())?;
    let name = super::name_of(args.input.as_deref());
    let loaded = store
        .load(archive, &mut |event| tell(printer, args.quiet, &event))
        .asked(format!("load {name}"))?;
    for image in loaded {
        let line = match image.name {
            Some(name) => format!("Loaded image: {name}"),
            None => format!("Loaded image ID: {}", image.id),
        };
        printer.data_line(&metadata(&line))?;
    }
    Ok(0)
}
