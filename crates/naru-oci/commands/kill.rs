//! `kill`: a signal to the first process, or to all.

use naru_runtime::store::Store;

use crate::signals;

/// Send a signal to a container's first process.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Send it to all processes of the container
    #[arg(short, long)]
    all: bool,
    /// The container's name
    #[arg(value_name = "CONTAINER")]
    id: String,
    /// The signal's name or number
    #[arg(value_name = "SIGNAL", default_value = "SIGTERM", allow_hyphen_values = true)]
    signal: String,
}

pub(crate) fn run(args: &Args, store: &Store) -> anyhow::Result<u8> {
    let signal = signals::parse(&args.signal)?;
    let container = super::open(store, &args.id)?;
    match args.all {
        true => container.kill_all(signal)?,
        false => container.kill(signal)?,
    }
    Ok(0)
}
