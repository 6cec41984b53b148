//! What `create` and `run` have in common: a new container from a bundle.

use std::path::PathBuf;

use anyhow::bail;
use naru_runtime::store::{Container, ContainerId, GROUP, NewContainer, Store};
use naru_runtime::{Binary, Cgroup, Parent, Process};
use oci_spec::runtime::Spec;

use crate::bundle::Bundle;
use crate::console::{self, Receiver};
use crate::descriptors::Inherited;
use crate::ui::Ui;
use crate::{descriptors, notify, pid_file};

/// The annotation by which crun is told a socket for the pidfd.
const PIDFD_RECEIVER: &str = "run.oci.pidfd_receiver";

/// The container and its files.
#[derive(Debug, clap::Args)]
pub(crate) struct NewArgs {
    /// The bundle's directory
    #[arg(short, long, value_name = "DIRECTORY", default_value = ".")]
    bundle: PathBuf,
    /// The configuration's file in the bundle
    #[arg(short = 'f', long, value_name = "FILE", hide = true)]
    config: Option<PathBuf>,
    /// A socket that takes the master of the container's terminal
    #[arg(long, value_name = "PATH")]
    console_socket: Option<PathBuf>,
    /// A socket that takes a descriptor of the container's first process (pidfd)
    #[arg(long, value_name = "PATH")]
    pidfd_socket: Option<PathBuf>,
    /// A file to write the number of the container's first process to
    #[arg(long, value_name = "FILE")]
    pub(crate) pid_file: Option<PathBuf>,
    /// Accepted: where pivot_root(2) is not possible, something else is done anyway
    #[arg(long)]
    no_pivot: bool,
    /// Refused: a container never shares its caller's keys
    #[arg(long, hide = true)]
    no_new_keyring: bool,
    /// Pass so many further descriptors on, from 3 up
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(super) preserve_fds: u32,
    /// The container's name
    #[arg(value_name = "CONTAINER")]
    pub(crate) id: String,
}

/// Creates the container; `detached` means that this program does not stay with it.
pub(crate) fn create(
    args: &NewArgs,
    detached: bool,
    inherited: Inherited,
    (store, ui): (&Store, &Ui),
) -> anyhow::Result<(Container, Process)> {
    if args.no_new_keyring {
        bail!("--no-new-keyring is not supported: a container never shares its caller's keys");
    }
    let id = ContainerId::new(args.id.as_str())?;
    let mut bundle = Bundle::load(&args.bundle, args.config.as_deref(), ui)?;
    // Without a process there is nothing to start, but the container can be made.
    let is_missing = bundle.spec.process().is_none();
    let mut process = bundle.spec.process().clone().unwrap_or_default();
    let terminal = process.terminal() == Some(true);
    let receiver = console::receiver(terminal, detached, args.console_socket.as_deref())?;
    let pidfd_receiver =
        pidfd_socket(args, &bundle.spec).map(|path| Receiver::connect(&path)).transpose()?;
    let notify = notify::Address::from_environment()?.is_some();
    let stdio = descriptors::collect(&mut process, inherited, ui)?;
    bundle.spec.set_process((!is_missing).then_some(process));
    let (container, process) = store.create(NewContainer {
        id: &id,
        bundle: &bundle.directory,
        spec: &bundle.spec,
        stdio,
        cgroup: &cgroup(&bundle.spec, &id)?,
        parent: Parent::Own,
        binary: &Binary::open()?,
        notify,
    })?;
    // In runc's words, which those who read its debug log look for.
    ui.debug(&format!("nsexec container setup: {} is in the container's namespaces", process.pid));
    ui.debug("child process in init(): set up by the plan it was sent");
    ui.debug("init: closing the pipe to signal completion");
    process.warnings.iter().for_each(|warning| ui.warning(warning));
    match hand_over(args, &process, receiver.as_ref(), pidfd_receiver.as_ref()) {
        Ok(()) => Ok((container, process)),
        Err(error) => {
            // The first failure is the one to tell.
            drop(container.delete(true));
            Err(error)
        }
    }
}

/// Where the pidfd goes: the flag says it, or crun's annotation.
fn pidfd_socket(args: &NewArgs, spec: &Spec) -> Option<PathBuf> {
    let annotated = spec.annotations().as_ref().and_then(|all| all.get(PIDFD_RECEIVER));
    args.pidfd_socket.clone().or_else(|| annotated.map(PathBuf::from))
}

fn hand_over(
    args: &NewArgs,
    process: &Process,
    console: Option<&Receiver>,
    pidfd: Option<&Receiver>,
) -> anyhow::Result<()> {
    hand_over_process(process, console, pidfd)?;
    pid_file::write(args.pid_file.as_deref(), process.pid)
}

/// Sends the terminal and the pidfd to whom they are for.
pub(super) fn hand_over_process(
    process: &Process,
    console: Option<&Receiver>,
    pidfd: Option<&Receiver>,
) -> anyhow::Result<()> {
    use std::os::fd::AsFd;
    if let (Some(receiver), Some(master)) = (console, &process.terminal) {
        receiver.send(master.as_fd(), "/dev/ptmx")?;
    }
    if let Some(receiver) = pidfd {
        receiver.send(process.pidfd.as_fd(), "pidfd")?;
    }
    Ok(())
}

/// The container's control groups: `linux.cgroupsPath`, or one of its own below naru-oci's.
fn cgroup(spec: &Spec, id: &ContainerId) -> anyhow::Result<Cgroup> {
    let linux = spec.linux().as_ref();
    let path = linux.and_then(|linux| linux.cgroups_path().clone()).unwrap_or_default();
    let path = match path.as_os_str().is_empty() {
        true => PathBuf::from(GROUP).join(id.as_str()),
        false => PathBuf::from("/").join(path),
    };
    Ok(Cgroup::new(path)?)
}
