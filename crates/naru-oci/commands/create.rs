//! `create`: a container that waits for its start.

use naru_runtime::store::Store;

use super::new;
use crate::descriptors::Inherited;
use crate::ui::Ui;

/// Create a container that waits for its start.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(super) new: new::NewArgs,
}

pub(crate) fn run(args: &Args, inherited: Inherited, store: &Store, ui: &Ui) -> anyhow::Result<u8> {
    new::create(&args.new, true, inherited, (store, ui))?;
    Ok(0)
}
