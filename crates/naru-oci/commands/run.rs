//! `run`: create, start, and stay until it ends.

use std::os::fd::AsFd;

use naru_runtime::store::{Container, Store};

use super::new;
use crate::descriptors::Inherited;
use crate::notify::{self, Waiting};
use crate::ui::Ui;
use crate::{console, foreground, signals};

/// Create and start a container.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Do not stay until it ends
    #[arg(short, long)]
    detach: bool,
    /// Do not delete it when it has ended
    #[arg(long)]
    keep: bool,
    /// Leave the container's orphans to whoever adopts them
    #[arg(long)]
    no_subreaper: bool,
    #[command(flatten)]
    pub(super) new: new::NewArgs,
}

pub(crate) fn run(args: &Args, inherited: Inherited, store: &Store, ui: &Ui) -> anyhow::Result<u8> {
    if args.detach {
        let (container, _) = new::create(&args.new, true, inherited, (store, ui))?;
        if let Some(waiting) = begin(&container)? {
            waiting.stay(ui);
        }
        return Ok(0);
    }
    if !args.no_subreaper {
        // Without it, orphans of a container without a pid namespace fall to process 1.
        let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
    }
    // Before the process, so that no signal is lost in between.
    let signals = signals::take()?;
    let (container, process) = new::create(&args.new, false, inherited, (store, ui))?;
    if let Some(master) = &process.terminal {
        // Before the program writes its first line.
        console::prepare(master.as_fd());
    }
    let waiting = begin(&container)?.map(Waiting::stay_beside);
    let code = foreground::attend(&process, &signals);
    if let (Some(waiting), Ok(_)) = (waiting, &code) {
        // The container has ended, and so does this.
        waiting.finish(ui);
    }
    if !args.keep {
        let deleted = container.delete(true);
        let code = code?;
        deleted?.iter().for_each(|warning| ui.warning(warning));
        return Ok(code);
    }
    code
}

/// Starts it, or deletes it when it cannot be started.
fn begin(container: &Container) -> anyhow::Result<Option<Waiting>> {
    // The first failure is the one to tell.
    notify::start(container).inspect_err(|_| drop(container.delete(true)))
}
