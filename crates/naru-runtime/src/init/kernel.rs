//! Names, kernel parameters, limits: what is set by small writes.

use rustix::io::Errno;

use super::Session;
use super::files::Proc;
use crate::error::{At, Failure, Stage};
use crate::limits;
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
    for limit in &plan.rlimits {
        let what = || format!("set the resource limit {}", limits::name(limit.0));
        session.warnings.extend(limits::set(None, *limit).at(Stage::Limits, what)?);
    }
    let Some(score) = plan.oom_score_adj else { return Ok(()) };
    match proc.write_own("oom_score_adj", &score.to_string()) {
        Err(Errno::ACCESS) => {
            let text = format!("the out-of-memory score cannot be lowered to {score}");
            session.warnings.push(text);
            Ok(())
        }
        result => result.at(Stage::Limits, || format!("set the out-of-memory score {score}")),
    }
}
