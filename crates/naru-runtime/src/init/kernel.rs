//! Names, kernel parameters, limits: what is set by small writes.

use rustix::io::Errno;

use super::Session;
use super::files::Proc;
use crate::error::{At, Failure, Stage};
use crate::limits;
use crate::plan::{ContainerPlan, Label, ProcessPlan};

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

/// Resource limits, while the process still may.
///
/// Raising a hard limit needs `CAP_SYS_RESOURCE`, which a container's root may lack; then it is done
/// as far as possible, and the caller is told.
pub(super) fn limit(plan: &ProcessPlan, session: &mut Session) -> Result<(), Failure> {
    for limit in &plan.rlimits {
        let what = || format!("set the resource limit {}", limits::name(limit.0));
        session.warnings.extend(limits::set(None, *limit).at(Stage::Limits, what)?);
    }
    limits::schedule(0, &plan.schedule).at(Stage::Limits, || "set the scheduler".to_owned())?;
    if let Some(policy) = &plan.memory_policy {
        naru_sys::process::set_memory_policy(policy.mode, &policy.nodes)
            .at(Stage::Limits, || "set the memory policy".to_owned())?;
    }
    if let Some(domain) = plan.personality {
        naru_sys::process::set_personality(domain)
            .at(Stage::Limits, || format!("set the personality {domain}"))?;
    }
    Ok(())
}

/// What is set by the process's own files in /proc: the label of its program, and the out-of-memory
/// score, which needs that capability too when it is lowered.
pub(super) fn mark(plan: &ProcessPlan, proc: &Proc, session: &mut Session) -> Result<(), Failure> {
    label(plan, proc)?;
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

/// Announces the profile or label of the program to the kernel's security modules.
fn label(plan: &ProcessPlan, proc: &Proc) -> Result<(), Failure> {
    for label in &plan.labels {
        match label {
            Label::AppArmor(profile) => {
                let text = format!("exec {profile}");
                let written = match proc.write_own("attr/apparmor/exec", &text) {
                    // Before Linux 5.8 there is one file for the one module.
                    Err(Errno::NOENT) => proc.write_own("attr/exec", &text),
                    result => result,
                };
                written.at(Stage::Identity, || format!("use the AppArmor profile {profile}"))?;
            }
            Label::SeLinux(label) => proc
                .write_own("attr/exec", label)
                .at(Stage::Identity, || format!("use the SELinux label {label}"))?,
        }
    }
    Ok(())
}
