//! The commands, one file each.

mod checkpoint;
mod create;
mod delete;
mod events;
mod exec;
mod features;
mod kill;
mod list;
mod new;
mod pause;
mod ps;
mod run;
mod spec;
mod start;
mod state;
mod stats;
mod update;

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Subcommand;
use naru_runtime::store::{Container, ContainerId, Store};

use crate::arguments::{Cli, Global};
use crate::descriptors::Inherited;
use crate::ui::Ui;

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create a container that waits for its start
    Create(create::Args),
    /// Start a created container
    Start(start::Args),
    /// Print the state of a container
    State(state::Args),
    /// Send a signal to a container's first process
    Kill(kill::Args),
    /// Delete what is left of a container
    Delete(delete::Args),
    /// Create and start a container
    Run(run::Args),
    /// Run a further process in a container
    Exec(exec::Args),
    /// Freeze all processes of a container
    Pause(pause::Args),
    /// Let the processes of a paused container run on
    Resume(pause::Args),
    /// Print the processes of a container
    Ps(ps::Args),
    /// Print what a container uses
    Events(events::Args),
    /// Change the limits of a container
    Update(update::Args),
    /// List containers
    List(list::Args),
    /// Write a configuration to start from
    Spec(spec::Args),
    /// Print what this runtime can do
    Features,
    /// Not supported
    #[command(hide = true)]
    Checkpoint(checkpoint::Args),
    /// Not supported
    #[command(hide = true)]
    Restore(checkpoint::Args),
}

impl Command {
    /// How many descriptors above the standard ones are handed over.
    pub(crate) fn preserved_descriptors(&self) -> u32 {
        match self {
            Self::Create(args) => args.new.preserve_fds,
            Self::Run(args) => args.new.preserve_fds,
            Self::Exec(args) => args.preserve_fds,
            _ => 0,
        }
    }

    /// The exit code when naru-oci itself fails: runc's is 255 for exec, whose other codes are the command's.
    pub(crate) fn failure_code(&self) -> u8 {
        match self {
            Self::Exec(_) => 255,
            _ => 1,
        }
    }
}

/// Runs a command; its exit code.
pub(crate) fn run(cli: Cli, inherited: Inherited, ui: &Ui) -> anyhow::Result<u8> {
    let Cli { global, command } = cli;
    check(&global)?;
    let store = store(&global)?;
    ui.debug(&format!("{command:?}"));
    match command {
        Command::Create(args) => create::run(&args, inherited, &store, ui),
        Command::Start(args) => start::run(&args, &store, ui),
        Command::State(args) => state::run(&args, &store),
        Command::Kill(args) => kill::run(&args, &store),
        Command::Delete(args) => delete::run(&args, &store, ui),
        Command::Run(args) => run::run(&args, inherited, &store, ui),
        Command::Exec(args) => exec::run(&args, inherited, &store, ui),
        Command::Pause(args) => pause::pause(&args, &store),
        Command::Resume(args) => pause::resume(&args, &store),
        Command::Ps(args) => ps::run(&args, &store),
        Command::Events(args) => events::run(&args, &store),
        Command::Update(args) => update::run(&args, &store, ui),
        Command::List(args) => list::run(&args, &store, ui),
        Command::Spec(args) => spec::run(&args),
        Command::Features => features::run(),
        Command::Checkpoint(_) => bail!("checkpoint is not supported"),
        Command::Restore(_) => bail!("restore is not supported"),
    }
}

/// Global flags that ask for something else than what is done.
fn check(global: &Global) -> anyhow::Result<()> {
    let manager = global.cgroup_manager.as_deref().unwrap_or("cgroupfs");
    if global.systemd_cgroup || manager == "systemd" {
        bail!(
            "systemd cgroup flag passed, but systemd support for managing cgroups is not available"
        );
    }
    if manager != "cgroupfs" {
        bail!("the cgroup manager {manager:?} is not supported: cgroupfs is");
    }
    Ok(())
}

/// `--root`, or a directory that ends with the boot.
fn store(global: &Global) -> anyhow::Result<Store> {
    let root = match &global.root {
        Some(root) => std::path::absolute(root).context("cannot resolve --root")?,
        None => default_root(),
    };
    Ok(Store::new(root))
}

fn default_root() -> PathBuf {
    let runtime = std::env::vars_os().find(|(name, _)| name == "XDG_RUNTIME_DIR");
    match runtime {
        Some((_, directory)) if !rustix::process::geteuid().is_root() => {
            PathBuf::from(directory).join("naru-oci")
        }
        _ => PathBuf::from("/run/naru-oci"),
    }
}

/// The container of this id.
fn open(store: &Store, id: &str) -> anyhow::Result<Container> {
    Ok(store.open(&ContainerId::new(id)?)?)
}
