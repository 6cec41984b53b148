//! `delete`: what is left of a container.

use anyhow::Context as _;
use naru_runtime::store::{ContainerId, Error, Store};
use regex_lite::Regex;

use crate::ui::Ui;

/// Delete what is left of a container.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Kill it first, if it still runs; one that does not exist is no failure
    #[arg(short, long)]
    force: bool,
    /// The name is a regular expression: delete every container with a match in its name
    #[arg(long, hide = true)]
    regex: bool,
    /// The container's name
    #[arg(value_name = "CONTAINER")]
    id: String,
}

pub(crate) fn run(args: &Args, store: &Store, ui: &Ui) -> anyhow::Result<u8> {
    if !args.regex {
        delete(&ContainerId::new(args.id.as_str())?, args.force, (store, ui))?;
        return Ok(0);
    }
    let wanted = Regex::new(&args.id).context("cannot parse the regular expression")?;
    // One whose record cannot be read cannot be deleted with it.
    let (containers, _) = store.list()?;
    let matching = containers.iter().filter(|one| wanted.is_match(one.id().as_str()));
    // One that cannot be deleted keeps none of the others.
    let results: Vec<_> = matching.map(|one| delete(one.id(), args.force, (store, ui))).collect();
    results.into_iter().collect::<anyhow::Result<()>>()?;
    Ok(0)
}

fn delete(id: &ContainerId, force: bool, (store, ui): (&Store, &Ui)) -> anyhow::Result<()> {
    let container = match store.open(id) {
        Err(Error::Missing(_)) if store.clear(id)? || force => return Ok(()),
        result => result?,
    };
    container.delete(force)?.iter().for_each(|warning| ui.warning(warning));
    Ok(())
}
