//! User, groups, capabilities and the system call filter, in the only order that works:
//!
//! 1. the bounding set, while `CAP_SETPCAP` is there;
//! 2. groups, then user, keeping the permitted capabilities over the change of user;
//! 3. (the working directory and the command are looked for with the user's ids by then);
//! 4. with no_new_privs the final capabilities, then the filter; without it the filter first,
//!    because installing it needs `CAP_SYS_ADMIN`, then the final capabilities.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::process::{Gid, Uid};
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::{Session, hide};
use crate::error::{At, Failure, Stage};
use crate::plan::{CapabilityPlan, ProcessPlan, names_of};

/// Capabilities a kernel can know.
const CAPABILITIES: u32 = 64;

/// Tells the caller which capabilities of the plan it does not have itself and so cannot give.
pub(super) fn warn_of_missing(plan: &ProcessPlan, session: &mut Session) -> Result<(), Failure> {
    let now = rustix::thread::capabilities(None)
        .at(Stage::Identity, || "read capabilities".to_owned())?;
    let missing = plan.capabilities.permitted & !now.permitted.bits();
    if missing != 0 {
        session.warnings.push(format!("naru lacks these capabilities itself: {missing:#x}"));
    }
    let CapabilityPlan { ambient, permitted, inheritable, .. } = plan.capabilities;
    for name in names_of(ambient & !(permitted & inheritable)) {
        let text = format!(
            "can't raise ambient capability {name}: it is not both permitted and inheritable"
        );
        session.warnings.push(text);
    }
    Ok(())
}

/// Drops what nobody gets back, and becomes the user, with the capabilities still permitted.
pub(super) fn become_user(plan: &ProcessPlan) -> Result<(), Failure> {
    let what = |step: &'static str| move || step.to_owned();
    drop_bounding(plan.capabilities.bounding)?;
    if let Some(groups) = &plan.groups {
        let groups: Vec<Gid> = groups.iter().map(|group| Gid::from_raw(*group)).collect();
        rustix::thread::set_thread_groups(&groups)
            .at(Stage::Identity, what("set the additional groups"))?;
    }
    let (uid, gid) = (Uid::from_raw(plan.uid), Gid::from_raw(plan.gid));
    rustix::thread::set_thread_res_gid(gid, gid, gid)
        .at(Stage::Identity, || format!("become group {}", plan.gid))?;
    rustix::thread::set_keep_capabilities(true).at(Stage::Identity, what("keep capabilities"))?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)
        .at(Stage::Identity, || format!("become user {}", plan.uid))?;
    rustix::thread::set_keep_capabilities(false)
        .at(Stage::Identity, what("keep capabilities no longer"))?;
    hide()?;
    if plan.uid != 0 {
        // The change of user has emptied the effective set; the command is looked for with the rights that the
        // program will have, and the filter needs one of these.
        let mut wanted = CapabilitySet::from_bits_retain(plan.capabilities.effective);
        if plan.seccomp_flags.is_some() && !plan.no_new_privileges {
            wanted |= CapabilitySet::SYS_ADMIN | CapabilitySet::SETPCAP;
        }
        let mut sets =
            rustix::thread::capabilities(None).at(Stage::Identity, what("read capabilities"))?;
        sets.effective = sets.permitted & wanted;
        rustix::thread::set_capabilities(None, sets)
            .at(Stage::Identity, what("raise capabilities"))?;
    }
    Ok(())
}

/// As [`confine`], for a process that is not the program and whose calls nobody listens to.
pub(super) fn confine_unheard(
    plan: &ProcessPlan,
    filter: &[naru_sys::seccomp::Instruction],
) -> Result<(), Failure> {
    /// `SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV`, which goes with a listener.
    const WAIT_KILLABLE: u32 = 1 << 5;
    confine_with(plan, |flags| {
        naru_sys::seccomp::install(filter, flags & !WAIT_KILLABLE)
            .at(Stage::Identity, || "install the system call filter".to_owned())
    })
}

/// The last step before the program: only the filter, capset, prctl and execve are called here, and
/// sendmsg where the filter has an agent.
pub(super) fn confine(plan: &ProcessPlan, session: &mut Session) -> Result<(), Failure> {
    let agent = match &plan.listener {
        Some(listener) => Some((session.take(listener.connection)?, &listener.message)),
        None => None,
    };
    let what = || "install the system call filter".to_owned();
    confine_with(plan, |flags| {
        let Some((connection, message)) = agent else {
            return naru_sys::seccomp::install(&session.filter, flags).at(Stage::Identity, what);
        };
        let message = serde_json::to_vec(message).map_err(|_| Errno::INVAL);
        let message = message.at(Stage::Identity, what)?;
        let listener = naru_sys::seccomp::install_with_listener(&session.filter, flags)
            .at(Stage::Identity, what)?;
        hand_over(&connection, &message, &listener)
            .at(Stage::Identity, || "hand the listener to the seccomp agent".to_owned())
    })
}

/// One message, with the listener, on a connection that is for nothing else.
fn hand_over(connection: &OwnedFd, message: &[u8], listener: &OwnedFd) -> Result<(), Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let rights = [listener.as_fd()];
    if !control.push(SendAncillaryMessage::ScmRights(&rights)) {
        return Err(Errno::TOOBIG);
    }
    let parts = [IoSlice::new(message)];
    let sent = sendmsg(connection, &parts, &mut control, SendFlags::NOSIGNAL)?;
    if sent == message.len() { Ok(()) } else { Err(Errno::MSGSIZE) }
}

fn confine_with(
    plan: &ProcessPlan,
    install: impl FnOnce(u32) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let install = || plan.seccomp_flags.map_or(Ok(()), install);
    if plan.no_new_privileges {
        rustix::thread::set_no_new_privs(true)
            .at(Stage::Identity, || "set no_new_privs".to_owned())?;
        limit_capabilities(&plan.capabilities)?;
        install()
    } else {
        install()?;
        limit_capabilities(&plan.capabilities)
    }
}

fn drop_bounding(keep: u64) -> Result<(), Failure> {
    for number in 0..CAPABILITIES {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        if keep & (1 << number) != 0 {
            continue;
        }
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            Ok(()) => {}
            // The first number that the kernel does not know.
            Err(rustix::io::Errno::INVAL) => break,
            Err(errno) => {
                let what = || format!("drop capability {number} from the bounding set");
                return Err(errno).at(Stage::Identity, what);
            }
        }
    }
    Ok(())
}

fn limit_capabilities(plan: &CapabilityPlan) -> Result<(), Failure> {
    let what = || "set the capabilities".to_owned();
    let now = rustix::thread::capabilities(None).at(Stage::Identity, what)?;
    // A caller without some capability cannot give it; what is left is what there is.
    let had = |wanted: u64| CapabilitySet::from_bits_retain(wanted) & now.permitted;
    let sets = CapabilitySets {
        effective: had(plan.effective),
        permitted: had(plan.permitted),
        inheritable: had(plan.inheritable),
    };
    rustix::thread::set_capabilities(None, sets).at(Stage::Identity, what)?;
    rustix::thread::clear_ambient_capability_set().at(Stage::Identity, what)?;
    for number in (0..CAPABILITIES).filter(|number| plan.ambient & (1 << number) != 0) {
        let both = sets.permitted & sets.inheritable;
        let capability = CapabilitySet::from_bits_retain(1 << number) & both;
        if !capability.is_empty() {
            rustix::thread::configure_capability_in_ambient_set(capability, true)
                .at(Stage::Identity, what)?;
        }
    }
    Ok(())
}
