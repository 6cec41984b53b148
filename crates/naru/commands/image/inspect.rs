//! `naru image inspect`.

use naru_image::Store;

use crate::error::{Blame, CommandError};
use crate::ui::Printer;

/// Show everything about images, as JSON
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Names or ids
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<String>,
}

/// Runs the command.
pub(super) fn run(args: &Args, store: &Store, printer: &Printer) -> Result<u8, CommandError> {
    let mut inspections = Vec::new();
    for name in &args.images {
        let doing = format!("inspect image {name}");
        let image = store.find(name).asked(&doing)?;
        let image = image.ok_or_else(|| CommandError::user(format!("no such image: {name}")))?;
        inspections.push(store.inspect(&image).host(&doing)?);
    }
    let text = serde_json::to_string_pretty(&inspections).fault("print the images")?;
    printer.data_line(&text)?;
    Ok(0)
}
