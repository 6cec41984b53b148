//! The recipe of a new container.

use std::os::fd::OwnedFd;

use rustix::io::Errno;

use super::command::{self, Command};
use super::files::{self, Proc};
use super::masks::{self, Mask};
use super::tree::Tree;
use super::{
    Session, cgroups, devices, hooks, identity, kernel, mounts, namespaces, reaper, root, start,
    terminal,
};
use crate::error::{At, Failure, Stage};
use crate::plan::{ContainerPlan, Propagation};

/// Sets up this process's namespaces and becomes the program. In this order, because
///
/// 1. control groups are joined while the host's mounts can be seen, and before their namespace is
///    made; then namespaces that exist are joined before anything is made in them;
/// 2. what the host has to give (sources of mounts, devices, the root file system) is opened with
///    the rights of the host, before the process becomes the root of its user namespace;
/// 3. mounts come in the order of the specification, the control groups' after the cgroup
///    namespace, devices as soon as /dev is mounted; paths are resolved beneath the held root;
/// 4. the root is changed after the mounts, because a user namespace may mount /proc and /sys only
///    where it can see the host's;
///    there too are the hooks that want to see both the host and everything mounted;
/// 5. kernel parameters are set while /proc is not yet masked, the masks come last;
/// 6. the caller's word is waited for with the user's ids, but before the system call filter.
pub(super) fn set_up(plan: &ContainerPlan, session: &mut Session) -> Result<i32, Failure> {
    let process = &plan.process;
    new_session()?;
    cgroups::join(&plan.cgroup.tasks)?;
    cgroups::spread();
    namespaces::join(plan, session)?;
    cgroups::isolate(&plan.cgroup)?;

    let (mut mask, sources) = take_from_host(plan, session)?;
    let nodes = devices::open_bound(&plan.devices, session)?;
    let new_root = root::open(&plan.root, session)?;
    let tree = root::attach(&new_root, plan)?;
    if plan.user.is_some() {
        namespaces::become_root(process.groups.is_none())?;
    }

    let proc = Proc::open()?;
    if let Some(user) = &plan.user {
        namespaces::check_maps(user, &proc)?;
    }
    namespaces::set_clocks(plan, &proc)?;
    let null = files::reopen(&proc, mask.null())?;
    kernel::set(plan, &proc)?;
    let unfinished = mount_all(plan, &tree, sources, nodes, session)?;
    if let Some(hooks) = &plan.hooks
        && !hooks::before_root(hooks, &new_root, session)?
    {
        return Ok(super::FAILED);
    }
    root::enter(&new_root)?;
    root::propagate(&new_root, &plan.root)?;
    let console = match process.terminal {
        Some(size) => Some(terminal::open(&tree, size, process.uid, session)?),
        None => None,
    };
    if let Some(console) = &console {
        terminal::mount_console(&tree, console)?;
        terminal::control(console)?;
    }
    command::make_directory(&tree, &process.cwd)?;
    unfinished.iter().try_for_each(mounts::make_read_only)?;
    drop(unfinished);
    if plan.root.read_only {
        root::make_read_only(&new_root)?;
    }
    for path in &plan.read_only {
        masks::make_read_only(&tree, path)?;
    }
    for path in &plan.masked {
        mask.cover(&tree, path)?;
    }

    kernel::limit(process, session)?;
    kernel::mark(process, &proc, session)?;
    let null = files::null_of(&tree).unwrap_or(null);
    command::place_stdio(&process.stdio, console.as_ref(), &null, session)?;
    drop((proc, mask, tree, new_root, null, console));
    if let Some(slot) = plan.returns_to {
        root::return_to(&session.take(slot)?)?;
    }
    identity::warn_of_missing(process, session)?;
    command::become_user_in_directory(process)?;
    let has_program = !process.args.is_empty();
    let command = has_program.then(|| Command::find(process)).transpose()?;
    rustix::process::umask(rustix::fs::Mode::from_bits_truncate(process.umask));

    if let Err(code) = start::wait(plan, session)? {
        return Ok(code);
    }
    let Some(command) = command else {
        let text = "there is no process in the configuration to start";
        return Err(Failure::new(Stage::Plan, Errno::INVAL, text));
    };
    if let Some(hooks) = &plan.hooks {
        hooks::before_program(hooks, process, &command, session)?;
    }
    if plan.reaper {
        return reaper::run(process, &command, session);
    }
    identity::confine(process, session)?;
    match command.execute(session)? {}
}

/// The masks, with the null device, and the sources of mounts, while the host can be seen; afterwards no mount
/// made here reaches it any more, which for a shared root may not be so before.
fn take_from_host(
    plan: &ContainerPlan,
    session: &mut Session,
) -> Result<(Mask, Vec<Option<mounts::Source>>), Failure> {
    let shared = plan.root.propagation.is_some_and(Propagation::is_shared);
    if !shared {
        root::isolate()?;
    }
    let mask = Mask::new(&files::open_null()?)?;
    let sources = mounts::open_sources(plan, session)?;
    if shared {
        root::isolate()?;
    }
    Ok((mask, sources))
}

/// The mounts in their order, and the devices as soon as there is a /dev; those that are still to be made read-only.
fn mount_all(
    plan: &ContainerPlan,
    tree: &Tree,
    sources: Vec<Option<mounts::Source>>,
    nodes: Vec<Option<OwnedFd>>,
    session: &Session,
) -> Result<Vec<OwnedFd>, Failure> {
    let mut nodes = Some(nodes);
    let mut unfinished = Vec::new();
    for (operation, source) in plan.mounts.iter().zip(sources) {
        unfinished.extend(mounts::mount(tree, operation, source, session, plan.user.is_some())?);
        if operation.target() == "/dev"
            && let Some(nodes) = nodes.take()
        {
            make_devices(plan, tree, nodes)?;
        }
    }
    nodes.map_or(Ok(()), |nodes| make_devices(plan, tree, nodes))?;
    Ok(unfinished)
}

/// Leaves the caller's session and its keyring.
pub(super) fn new_session() -> Result<(), Failure> {
    rustix::process::setsid().at(Stage::Namespaces, || "make a session".to_owned())?;
    // A kernel without keyrings has none to leak; a used-up quota is no reason not to start.
    let _ = naru_sys::process::join_new_session_keyring();
    Ok(())
}

fn make_devices(
    plan: &ContainerPlan,
    tree: &Tree,
    nodes: Vec<Option<OwnedFd>>,
) -> Result<(), Failure> {
    for (device, node) in plan.devices.iter().zip(nodes) {
        match node {
            Some(node) => devices::bind(tree, device, &node)?,
            None => devices::make(tree, device)?,
        }
    }
    if plan.device_links {
        devices::link(tree)?;
    }
    Ok(())
}
