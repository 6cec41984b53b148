//! The recipe of a new container.

use std::os::fd::AsFd;

use rustix::thread::LinkNameSpaceType;

use super::command::{self, Command};
use super::files::{self, Proc};
use super::masks::{self, Mask};
use super::{Session, cgroups, devices, identity, kernel, mounts, reaper, root, start, terminal};
use crate::error::{At, Failure, Stage};
use crate::plan::ContainerPlan;

/// Sets up this process's namespaces and becomes the program. In this order, because
///
/// 1. namespaces that exist are joined before anything is made in them;
/// 2. control groups are joined, and what the host has to give (sources of mounts, the null
///    device) is opened, while the host's mounts can still be seen;
/// 3. the root is changed before the mounts, so that nothing of the host is left to reach;
/// 4. mounts come in the order of the specification, the control groups' after the cgroup
///    namespace, devices as soon as /dev is mounted;
/// 5. kernel parameters are set while /proc is not yet masked, the masks come last;
/// 6. the caller's word is waited for with the user's ids, but before the system call filter.
pub(super) fn set_up(plan: &ContainerPlan, session: &mut Session) -> Result<i32, Failure> {
    let process = &plan.process;
    new_session()?;
    join_namespaces(plan, session)?;
    cgroups::join(&plan.cgroup.tasks)?;
    cgroups::isolate(&plan.cgroup)?;

    root::isolate()?;
    let null = files::open_null()?;
    let mut mask = Mask::new(&null)?;
    let sources = mounts::open_sources(&plan.mounts)?;
    let new_root = root::open(&plan.root, session)?;
    let tree = root::change(&new_root)?;

    let proc = Proc::open()?;
    kernel::set(plan, &proc)?;
    let mut devices_made = false;
    for (operation, source) in plan.mounts.iter().zip(sources) {
        mounts::mount(&tree, operation, source)?;
        if operation.target() == "/dev" {
            make_devices(plan, &tree)?;
            devices_made = true;
        }
    }
    if !devices_made {
        make_devices(plan, &tree)?;
    }
    let console = match process.terminal {
        Some(size) => Some(terminal::open(&tree, size, process.uid, session)?),
        None => None,
    };
    if let Some(console) = &console {
        terminal::mount_console(&tree, console)?;
        terminal::control(console)?;
    }
    command::make_directory(&tree, &process.cwd)?;
    if plan.root.read_only {
        root::make_read_only(&new_root)?;
    }
    for path in &plan.read_only {
        masks::make_read_only(&tree, path)?;
    }
    for path in &plan.masked {
        mask.cover(&tree, path)?;
    }

    kernel::limit(process, &proc, session)?;
    command::place_stdio(&process.stdio, console.as_ref(), &null, session)?;
    drop((proc, mask, tree, new_root, null, console));
    identity::warn_of_missing(process, session)?;
    identity::become_user(process)?;
    command::enter_directory(&process.cwd)?;
    let command = Command::find(process)?;
    rustix::process::umask(rustix::fs::Mode::from_bits_truncate(process.umask));

    if let Err(code) = start::wait(plan, session)? {
        return Ok(code);
    }
    if plan.reaper {
        return reaper::run(process, &command, session);
    }
    identity::confine(process, &session.filter)?;
    match command.execute(session)? {}
}

/// Leaves the caller's session and its keyring.
pub(super) fn new_session() -> Result<(), Failure> {
    rustix::process::setsid().at(Stage::Namespaces, || "make a session".to_owned())?;
    // A kernel without keyrings has none to leak; a used-up quota is no reason not to start.
    let _ = naru_sys::process::join_new_session_keyring();
    Ok(())
}

fn join_namespaces(plan: &ContainerPlan, session: &mut Session) -> Result<(), Failure> {
    for join in &plan.joins {
        let namespace = session.take(join.descriptor)?;
        let kinds = [
            LinkNameSpaceType::Network,
            LinkNameSpaceType::InterProcessCommunication,
            LinkNameSpaceType::HostNameAndNISDomainName,
            LinkNameSpaceType::ControlGroup,
        ];
        let kind = kinds.into_iter().find(|kind| *kind as u32 == join.flag);
        rustix::thread::move_into_link_name_space(namespace.as_fd(), kind)
            .at(Stage::Namespaces, || format!("join the {} namespace", join.kind))?;
    }
    Ok(())
}

fn make_devices(plan: &ContainerPlan, tree: &super::tree::Tree) -> Result<(), Failure> {
    for device in &plan.devices {
        devices::make(tree, device)?;
    }
    if plan.device_links {
        devices::link(tree)?;
    }
    Ok(())
}
