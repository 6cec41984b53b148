//! `delete`: what is left of a container.

use naru_runtime::store::{ContainerId, Error, Store};

use crate::ui::Ui;

/// Delete what is left of a container.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Kill it first, if it still runs; one that does not exist is no failure
    #[arg(short, long)]
    force: bool,
    /// The container's name
    #[arg(value_name = "CONTAINER")]
    id: String,
}

pub(crate) fn run(args: &Args, store: &Store, _ui: &Ui) -> anyhow::Result<u8> {
    let id = ContainerId::new(args.id.as_str())?;
    let container = match store.open(&id) {
        Err(Error::Missing(_)) if store.clear(&id)? || args.force => return Ok(0),
        result => result?,
    };
    container.delete(args.force)?;
    Ok(0)
}
