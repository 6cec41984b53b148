//! Namespaces from the inside: joining those that exist, becoming root of a user namespace, setting
//! the clocks of a time namespace.

use std::os::fd::AsFd;

use nix::sched::CloneFlags;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Gid, Uid};
use rustix::thread::LinkNameSpaceType;

use super::Session;
use super::files::Proc;
use crate::error::{At, Failure, Stage};
use crate::plan::{ContainerPlan, IdRange, UserPlan, flags};

const ROOT: (Uid, Gid) = (Uid::ROOT, Gid::ROOT);

/// Joins those that the process was not born into.
pub(super) fn join(plan: &ContainerPlan, session: &mut Session) -> Result<(), Failure> {
    for join in &plan.joins {
        let namespace = session.take(join.descriptor)?;
        let kinds = [
            LinkNameSpaceType::Network,
            LinkNameSpaceType::InterProcessCommunication,
            LinkNameSpaceType::HostNameAndNISDomainName,
            LinkNameSpaceType::ControlGroup,
            LinkNameSpaceType::Mount,
            LinkNameSpaceType::Time,
        ];
        let kind = kinds.into_iter().find(|kind| *kind as u32 == join.flag);
        rustix::thread::move_into_link_name_space(namespace.as_fd(), kind)
            .at(Stage::Namespaces, || format!("join the {} namespace", join.kind))?;
    }
    Ok(())
}

/// Becomes the root of the user namespace, whose maps are written by now: what is made from here on
/// belongs to the container. What belongs to the host has to be opened before.
///
/// With `keeps_groups` those of the caller stay, also where they have no name inside.
pub(super) fn become_root(keeps_groups: bool) -> Result<(), Failure> {
    let what = || "become the root of the user namespace".to_owned();
    let (uid, gid) = ROOT;
    let become_root = || {
        if !keeps_groups {
            match rustix::thread::set_thread_groups(&[]) {
                // A namespace that an ordinary user made, where groups may not be dropped.
                Err(Errno::PERM) => {}
                result => result?,
            }
        }
        rustix::thread::set_thread_res_gid(gid, gid, gid)?;
        rustix::thread::set_thread_res_uid(uid, uid, uid)
    };
    match become_root() {
        Err(Errno::INVAL) => {
            let text = "the user namespace has no root: id 0 is not mapped";
            Err(Failure::new(Stage::Namespaces, Errno::INVAL, text))
        }
        result => result.at(Stage::Namespaces, what),
    }
}

/// A user namespace that was joined has the maps of the specification.
pub(super) fn check_maps(plan: &UserPlan, proc: &Proc) -> Result<(), Failure> {
    let Some(expected) = &plan.expected else { return Ok(()) };
    for (name, expected) in [("uid_map", &expected.uid), ("gid_map", &expected.gid)] {
        let text = proc.read_own(name).at(Stage::Namespaces, || format!("read the {name}"))?;
        let mut found: Vec<IdRange> = text.lines().filter_map(range).collect();
        let mut expected = expected.clone();
        found.sort_by_key(|range| range.inside);
        expected.sort_by_key(|range| range.inside);
        if found != expected {
            let text = format!("the user namespace has another {name} than the specification");
            return Err(Failure::new(Stage::Namespaces, Errno::INVAL, text));
        }
    }
    Ok(())
}

fn range(line: &str) -> Option<IdRange> {
    let mut numbers = line.split_whitespace().map(str::parse);
    let mut next = || numbers.next()?.ok();
    Some(IdRange { inside: next()?, outside: next()?, count: next()? })
}

/// Makes a time namespace, sets its clocks while nobody is in it, and enters it.
///
/// The way in by an exec is newer than the one by a descriptor (Linux 5.6), which a process with one
/// thread may take; see time_namespaces(7).
pub(super) fn set_clocks(plan: &ContainerPlan, proc: &Proc) -> Result<(), Failure> {
    let Some(offsets) = &plan.clocks else { return Ok(()) };
    let what = |step: &'static str| move || step.to_owned();
    nix::sched::unshare(CloneFlags::from_bits_retain(flags::TIME))
        .map_err(|errno| Errno::from_raw_os_error(errno as i32))
        .at(Stage::Namespaces, what("make a time namespace"))?;
    if !offsets.is_empty() {
        proc.write_own("timens_offsets", offsets)
            .at(Stage::Namespaces, what("set the clocks of the time namespace"))?;
    }
    let enter = || {
        let namespace = proc.open_own("ns/time_for_children")?;
        rustix::thread::move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Time))
    };
    enter().at(Stage::Namespaces, what("enter the time namespace"))
}

impl Proc {
    /// Opens one of the magic links of the calling process.
    fn open_own(&self, name: &str) -> Result<std::os::fd::OwnedFd, Errno> {
        let path = self.own(name)?;
        rustix::fs::openat(self, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
    }
}
