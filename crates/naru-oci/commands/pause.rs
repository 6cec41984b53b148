//! `pause` and `resume`: all processes of a container stand still.

use naru_runtime::store::Store;

/// Freeze all processes of a container, or let them run on.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The container's name
    #[arg(value_name = "CONTAINER")]
    id: String,
}

pub(crate) fn pause(args: &Args, store: &Store) -> anyhow::Result<u8> {
    super::open(store, &args.id)?.pause()?;
    Ok(0)
}

pub(crate) fn resume(args: &Args, store: &Store) -> anyhow::Result<u8> {
    super::open(store, &args.id)?.resume()?;
    Ok(0)
}
