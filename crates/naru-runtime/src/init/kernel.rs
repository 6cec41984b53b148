//! Names, kernel parameters, limits: what is set by small writes.

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit};

use super::Session;
use super::files::Proc;
use crate::error::{At, Failure, Stage};
use crate::plan::{ContainerPlan, ProcessPlan};

/// The name, the loopback interface and kernel parameters of the container's namespaces.
pub(super) fn set(plan: &ContainerPlan, proc: &Proc) -> Result<(), Failure> {
    if let Some(name) = &plan.hostname {
        rustix::system::sethostname(name.as_bytes())
            .at(Stage::Kernel, || format!("set the host name {name}"))?;
    }
    if let Some(name) = &plan.domainname {
        rustix::system::setdomainname(name.as_bytes())
            .at(Stage::Kernel, || format!("set the domain name {name}"))?;
    }
    if plan.loopback {
        naru_sys::network::bring_up("lo")
            .at(Stage::Kernel, || "set the loopback interface up".to_owned())?;
    }
    for (path, value) in &plan.sysctls {
        proc.write(&format!("sys/{path}"), value)
            .at(Stage::Kernel, || format!("set the kernel parameter {}", path.replace('/', ".")))?;
    }
    Ok(())
}

/// Resource limits and the out-of-memory score, while the process still may.
///
/// Raising a hard limit or lowering the score needs `CAP_SYS_RESOURCE`, which a container's root
/// may lack; then it is done as far as possible, and the caller is told.
pub(super) fn limit(plan: &ProcessPlan, proc: &Proc, session: &mut Session) -> Result<(), Failure> {
    for (number, soft, hard) in &plan.rlimits {
        set_rlimit(*number, *soft, *hard, session)?;
    }
    let Some(score) = plan.oom_score_adj else { return Ok(()) };
    let file = format!("{}/oom_score_adj", rustix::process::getpid().as_raw_nonzero());
    match proc.write(&file, &score.to_string()) {
        Err(Errno::ACCESS) => {
            let text = format!("the out-of-memory score cannot be lowered to {score}");
            session.warnings.push(text);
            Ok(())
        }
        result => result.at(Stage::Limits, || format!("set the out-of-memory score {score}")),
    }
}

fn set_rlimit(number: u32, soft: u64, hard: u64, session: &mut Session) -> Result<(), Failure> {
    let what = || format!("set the resource limit {}", resource_name(number));
    let resource = RESOURCES.get(number as usize).map(|(resource, _)| *resource);
    let resource = resource.ok_or(Errno::INVAL).at(Stage::Limits, what)?;
    let bounded = |value: u64| (value != u64::MAX).then_some(value);
    let wanted = Rlimit { current: bounded(soft), maximum: bounded(hard) };
    match rustix::process::setrlimit(resource, wanted) {
        Err(Errno::PERM) => {
            let highest = rustix::process::getrlimit(resource).maximum.unwrap_or(u64::MAX);
            let reachable =
                Rlimit { current: bounded(soft.min(highest)), maximum: bounded(highest) };
            rustix::process::setrlimit(resource, reachable).at(Stage::Limits, what)?;
            let name = resource_name(number);
            session.warnings.push(format!("the hard limit of {name} cannot be raised"));
            Ok(())
        }
        result => result.at(Stage::Limits, what),
    }
}

/// By number.
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

fn resource_name(number: u32) -> &'static str {
    RESOURCES.get(number as usize).map_or("that is unknown", |(_, name)| name)
}
