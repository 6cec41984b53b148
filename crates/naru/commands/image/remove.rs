//! `naru image rm`.

use naru_image::{Digest, Store};
use naru_supervisor::observe;

use crate::error::{Blame, CommandError};
use crate::settings::Settings;
use crate::ui::{Printer, metadata};

/// Remove images
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Names or ids
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<String>,
}

/// Runs the command.
pub(super) fn run(
    args: &Args,
    store: &Store,
    settings: &Settings,
    printer: &Printer,
) -> Result<u8, CommandError> {
    let in_use = in_use(settings)?;
    for image in &args.images {
        let removed = store.remove(image, &in_use).asked(format!("remove image {image}"))?;
        for name in removed.untagged {
            printer.data_line(&metadata(&format!("Untagged: {name}")))?;
        }
        for digest in removed.deleted.iter().chain(&removed.layers) {
            printer.data_line(&format!("Deleted: {digest}"))?;
        }
    }
    Ok(0)
}

/// The images that containers of any project are made of.
fn in_use(settings: &Settings) -> Result<Vec<Digest>, CommandError> {
    let mut images = Vec::<Digest>::new();
    for project in observe::projects(&settings.directories).host("list the projects")? {
        let containers = observe::containers(&settings.directories.project(&project))
            .host(format!("look at project {project}"))?;
        images.extend(
            containers.iter().filter_map(|seen| seen.record.image_id.parse::<Digest>().ok()),
        );
    }
    Ok(images)
}
