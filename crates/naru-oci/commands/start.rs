//! `start`: runs the program of a created container.

use naru_runtime::store::Store;

use crate::ui::Ui;

/// Start a created container.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The container's name
    #[arg(value_name = "CONTAINER")]
    id: String,
}

pub(crate) fn run(args: &Args, store: &Store, _ui: &Ui) -> anyhow::Result<u8> {
    super::open(store, &args.id)?.start()?;
    Ok(0)
}
