//! `start`: runs the program of a created container. With a service manager to tell, it stays until the
//! container says that it is ready.

use naru_runtime::store::Store;

use crate::notify;
use crate::ui::Ui;

/// Start a created container.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The container's name
    #[arg(value_name = "CONTAINER")]
    id: String,
}

pub(crate) fn run(args: &Args, store: &Store, ui: &Ui) -> anyhow::Result<u8> {
    let container = super::open(store, &args.id)?;
    if let Some(waiting) = notify::start(&container)? {
        waiting.stay(ui);
    }
    Ok(0)
}
