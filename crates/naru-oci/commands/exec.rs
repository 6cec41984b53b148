//! `exec`: a further process in a container.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use naru_runtime::store::{Container, Further, Store};
use naru_runtime::{Binary, Parent};
use oci_spec::runtime::{Capabilities, Process, User};

use super::new::hand_over_process;
use crate::console::{self, Receiver};
use crate::descriptors::Inherited;
use crate::ui::Ui;
use crate::{bundle, descriptors, foreground, pid_file, signals};

/// Run a further process in a container.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A file with the process (OCI configuration, "process"), instead of the flags
    #[arg(short, long, value_name = "FILE")]
    process: Option<PathBuf>,
    /// Do not stay until it ends
    #[arg(short, long)]
    detach: bool,
    /// Give it a terminal
    #[arg(short, long)]
    tty: bool,
    /// A socket that takes the master of its terminal
    #[arg(long, value_name = "PATH")]
    console_socket: Option<PathBuf>,
    /// A socket that takes its descriptor (pidfd)
    #[arg(long, value_name = "PATH")]
    pidfd_socket: Option<PathBuf>,
    /// A file to write its number to
    #[arg(long, value_name = "FILE")]
    pid_file: Option<PathBuf>,
    /// User and group
    #[arg(short, long, value_name = "UID[:GID]")]
    user: Option<String>,
    /// Working directory
    #[arg(long, value_name = "DIRECTORY")]
    cwd: Option<PathBuf>,
    /// A further variable of its environment
    #[arg(short, long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// A further group
    #[arg(short = 'g', long, value_name = "GID")]
    additional_gids: Vec<u32>,
    /// A further capability
    #[arg(short, long, value_name = "NAME")]
    cap: Vec<String>,
    /// AppArmor profile
    #[arg(long, value_name = "PROFILE")]
    apparmor: Option<String>,
    /// SELinux label
    #[arg(long, value_name = "LABEL")]
    process_label: Option<String>,
    /// It gains no privileges by executing files; not said, it is as the container's own process
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    no_new_privs: Option<bool>,
    /// Pass so many further descriptors on, from 3 up
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(super) preserve_fds: u32,
    /// A control group below the container's to run in, for all controllers or for some
    #[arg(long, value_name = "PATH|CONTROLLER[,CONTROLLER]:PATH")]
    cgroup: Vec<String>,
    /// Also into a paused container
    #[arg(long)]
    ignore_paused: bool,
    /// Accepted: the process is this program's child in any case
    #[arg(long, hide = true)]
    no_subreaper: bool,
    /// The container's name
    #[arg(value_name = "CONTAINER")]
    id: String,
    /// The command and its arguments
    #[arg(value_name = "COMMAND", trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

pub(crate) fn run(args: &Args, inherited: Inherited, store: &Store, ui: &Ui) -> anyhow::Result<u8> {
    let container = super::open(store, &args.id)?;
    let mut process = match &args.process {
        Some(file) => bundle::load_process(file, ui)?,
        None => from_flags(args, &container, ui)?,
    };
    if process.args().as_ref().is_none_or(Vec::is_empty) {
        bail!("process args cannot be empty");
    }
    let terminal = process.terminal() == Some(true);
    let receiver = console::receiver(terminal, args.detach, args.console_socket.as_deref())?;
    let pidfd_receiver = args.pidfd_socket.as_deref().map(Receiver::connect).transpose()?;
    check_groups(&container, &args.cgroup)?;
    let stdio = descriptors::collect(&mut process, inherited, ui)?;
    // Before the process, so that no signal is lost in between.
    let signals = if args.detach { None } else { Some(signals::take()?) };
    let running = container.exec(Further {
        process: &process,
        stdio,
        parent: Parent::Own,
        binary: &Binary::open()?,
        groups: &args.cgroup,
        ignore_paused: args.ignore_paused,
    })?;
    ui.debug(&format!("nsexec container setup: {} has entered the container", running.pid));
    if let Some(mask) = affinity_mask(&process) {
        ui.debug(&format!("nsexec[{}]: affinity: {mask}", running.pid));
    }
    ui.debug("child process in init(): set up by the plan it was sent");
    ui.debug(&format!("setns_init: about to exec {}", command_name(&process)));
    if let Some(master) = &running.terminal
        && !args.detach
    {
        console::prepare(std::os::fd::AsFd::as_fd(master));
    }
    running.warnings.iter().for_each(|warning| ui.warning(warning));
    let told = hand_over_process(&running, receiver.as_ref(), pidfd_receiver.as_ref())
        .and_then(|()| pid_file::write(args.pid_file.as_deref(), running.pid));
    if let Err(error) = told {
        // One that has ended already is as good.
        let _ = naru_sys::process::send_signal(std::os::fd::AsFd::as_fd(&running.pidfd), 9);
        drop(running.wait());
        return Err(error);
    }
    match signals {
        Some(signals) => foreground::attend(&running, &signals),
        None => Ok(0),
    }
}

/// The groups have to exist: nobody makes groups for a further process.
fn check_groups(container: &Container, groups: &[String]) -> anyhow::Result<()> {
    if groups.is_empty() {
        return Ok(());
    }
    for (_, directory) in container.cgroup()?.below(groups)?.directories() {
        let file = directory.join("cgroup.procs");
        if !file.exists() {
            let file = file.display();
            bail!("error adding pid to cgroups: open {file}: no such file or directory");
        }
    }
    Ok(())
}

/// The processors that the process begins on, as a mask; for the log.
fn affinity_mask(process: &Process) -> Option<String> {
    let list = process.exec_cpu_affinity().as_ref()?.initial().clone()?;
    let mut mask = 0_u64;
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        for number in first.trim().parse::<u32>().ok()?..=last.trim().parse().ok()? {
            mask |= 1_u64.checked_shl(number)?;
        }
    }
    Some(format!("{mask:#x}"))
}

fn command_name(process: &Process) -> &str {
    process.args().as_ref().and_then(|args| args.first()).map_or("", String::as_str)
}

/// The container's own process, changed by the flags.
fn from_flags(args: &Args, container: &Container, ui: &Ui) -> anyhow::Result<Process> {
    let config = &container.record().config;
    let mut process = config.process().clone().context("the container has no process")?;
    process.set_args(Some(args.command.clone()));
    process.set_terminal(Some(args.tty));
    process.set_console_size(None);
    if let Some(cwd) = &args.cwd {
        process.set_cwd(cwd.clone());
    }
    let mut variables = process.env().clone().unwrap_or_default();
    variables.extend(args.env.iter().cloned());
    process.set_env(Some(variables));
    if args.apparmor.is_some() {
        process.set_apparmor_profile(args.apparmor.clone());
    }
    if args.process_label.is_some() {
        process.set_selinux_label(args.process_label.clone());
    }
    if let Some(asked) = args.no_new_privs {
        process.set_no_new_privileges(Some(asked));
    }
    process.set_user(user(args, process.user())?);
    add_capabilities(&mut process, &args.cap, ui);
    Ok(process)
}

fn user(args: &Args, of_container: &User) -> anyhow::Result<User> {
    let mut user = of_container.clone();
    if let Some(text) = &args.user {
        let (uid, gid) = match text.split_once(':') {
            Some((uid, gid)) => (uid, Some(gid)),
            None => (text.as_str(), None),
        };
        let number = |text: &str| {
            text.parse::<u32>().with_context(|| format!("cannot parse {text:?} as an id"))
        };
        user.set_uid(number(uid)?);
        if let Some(gid) = gid {
            user.set_gid(number(gid)?);
        }
    }
    if !args.additional_gids.is_empty() {
        let mut groups = user.additional_gids().clone().unwrap_or_default();
        groups.extend(&args.additional_gids);
        user.set_additional_gids(Some(groups));
    }
    Ok(user)
}

/// Adds them to all sets but the inheritable one, and to the ambient one of a container that inherits any.
fn add_capabilities(process: &mut Process, names: &[String], ui: &Ui) {
    let known: Capabilities = names
        .iter()
        .filter_map(|name| {
            let capability = bundle::capability(name);
            if capability.is_none() {
                ui.warning(&format!("ignoring unknown capability {name:?}"));
            }
            capability
        })
        .collect();
    if known.is_empty() {
        return;
    }
    let mut all = process.capabilities().clone().unwrap_or_default();
    let with = |set: &Option<Capabilities>| {
        let mut set = set.clone().unwrap_or_default();
        set.extend(known.iter().copied());
        Some(set)
    };
    let (bounding, effective, permitted) =
        (with(all.bounding()), with(all.effective()), with(all.permitted()));
    if all.inheritable().as_ref().is_some_and(|set| !set.is_empty()) {
        let ambient = with(all.ambient());
        all.set_ambient(ambient);
    }
    all.set_bounding(bounding).set_effective(effective).set_permitted(permitted);
    process.set_capabilities(Some(all));
}
