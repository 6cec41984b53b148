//! Resource limits of a process, by itself or by its maker.

use rustix::io::Errno;
use rustix::process::{Pid, Resource, Rlimit};

use crate::plan::{PolicyPlan, SchedulePlan};

/// Sets the resource `number` of a process (none: the calling one), as far as it goes: raising a hard
/// limit needs `CAP_SYS_RESOURCE`, which a container's root may lack. Then a sentence says so.
pub(crate) fn set(
    process: Option<Pid>,
    (number, soft, hard): (u32, u64, u64),
) -> Result<Option<String>, Errno> {
    let (resource, name) = *RESOURCES.get(number as usize).ok_or(Errno::INVAL)?;
    let bounded = |value: u64| (value != u64::MAX).then_some(value);
    let wanted = Rlimit { current: bounded(soft), maximum: bounded(hard) };
    match rustix::process::prlimit(process, resource, wanted) {
        Ok(_) => return Ok(None),
        Err(Errno::PERM) => {}
        Err(errno) => return Err(errno),
    }
    // A process that was just made has the limits of its maker, so asking for one's own is right for both.
    let highest = rustix::process::getrlimit(resource).maximum.unwrap_or(u64::MAX);
    let reachable = Rlimit { current: bounded(soft.min(highest)), maximum: bounded(highest) };
    rustix::process::prlimit(process, resource, reachable)?;
    Ok(Some(format!("the hard limit of {name} cannot be raised")))
}

/// Sets policy and priorities of a process, 0 for the calling one.
pub(crate) fn schedule(pid: i32, plan: &SchedulePlan) -> Result<(), Errno> {
    if let Some(policy) = &plan.policy {
        let PolicyPlan { policy, flags, nice, priority, runtime, deadline, period } = *policy;
        let scheduling = naru_sys::process::Scheduling {
            policy,
            flags,
            nice,
            priority,
            runtime,
            deadline,
            period,
        };
        naru_sys::process::set_scheduling(pid, &scheduling)?;
    }
    plan.io_priority.map_or(Ok(()), |value| naru_sys::process::set_io_priority(pid, value))
}

/// What a resource is called in messages.
pub(crate) fn name(number: u32) -> &'static str {
    RESOURCES.get(number as usize).map_or("that is unknown", |(_, name)| name)
}

/// By number (asm-generic/resource.h, which x86-64 and arm64 use).
const RESOURCES: [(Resource, &str); 16] = [
    (Resource::Cpu, "cpu"),
    (Resource::Fsize, "fsize"),
    (Resource::Data, "data"),
    (Resource::Stack, "stack"),
    (Resource::Core, "core"),
    (Resource::Rss, "rss"),
    (Resource::Nproc, "nproc"),
    (Resource::Nofile, "nofile"),
    (Resource::Memlock, "memlock"),
    (Resource::As, "as"),
    (Resource::Locks, "locks"),
    (Resource::Sigpending, "sigpending"),
    (Resource::Msgqueue, "msgqueue"),
    (Resource::Nice, "nice"),
    (Resource::Rtprio, "rtprio"),
    (Resource::Rttime, "rttime"),
];
