//! The user's program: who it is and what it may do.

use std::collections::HashSet;
use std::path::PathBuf;

use oci_spec::runtime::{ContainerProcessState, PosixRlimitType, Process};
use serde::{Deserialize, Serialize};

use super::capability::capability_plan;
use super::schedule::{MemoryPolicyPlan, SchedulePlan, schedule_plan};
use super::{Slot, StdioPlan};
use crate::Error;

/// What the process inside becomes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessPlan {
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<String>,
    pub(crate) cwd: PathBuf,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// The additional groups; nothing leaves those of the caller.
    pub(crate) groups: Option<Vec<u32>>,
    pub(crate) umask: u32,
    pub(crate) capabilities: CapabilityPlan,
    /// Resource number, soft limit, hard limit.
    pub(crate) rlimits: Vec<(u32, u64, u64)>,
    pub(crate) oom_score_adj: Option<i32>,
    pub(crate) schedule: SchedulePlan,
    /// From where it gets memory, if that is said.
    pub(crate) memory_policy: Option<MemoryPolicyPlan>,
    /// The execution domain, if it is to be set.
    pub(crate) personality: Option<u32>,
    /// What the program's execution brings with it, by the kernel's security modules.
    pub(crate) labels: Vec<Label>,
    pub(crate) no_new_privileges: bool,
    /// Flags of the seccomp filter, when there is one; its program is beside the plan.
    pub(crate) seccomp_flags: Option<u32>,
    /// Where the listener of that filter goes, if it has one.
    pub(crate) listener: Option<ListenerPlan>,
    /// A terminal with this many rows and columns (0 when not known), instead of standard files.
    pub(crate) terminal: Option<(u16, u16)>,
    pub(crate) stdio: StdioPlan,
}

/// The agent that answers some system calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ListenerPlan {
    /// A connection to it.
    pub(crate) connection: Slot,
    /// What it is told; the caller fills in the process.
    pub(crate) message: ContainerProcessState,
}

/// A profile or label of a security module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Label {
    /// A profile of AppArmor.
    AppArmor(String),
    /// A label of SELinux.
    SeLinux(String),
}

/// The five capability sets as bits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CapabilityPlan {
    pub(crate) bounding: u64,
    pub(crate) effective: u64,
    pub(crate) permitted: u64,
    pub(crate) inheritable: u64,
    pub(crate) ambient: u64,
}

/// The plan for `process`, whose fields are called `process.…` in messages.
pub(super) fn process_plan(process: &Process) -> Result<ProcessPlan, Error> {
    refuse_unsupported(process)?;
    let args = process.args().clone().unwrap_or_default();
    if args.first().is_none_or(String::is_empty) {
        return Err(Error::invalid("process.args", "there is no command"));
    }
    let env = last_of_each(process.env().as_deref().unwrap_or_default());
    if args.iter().chain(&env).any(|string| string.contains('\0')) {
        return Err(Error::invalid("process", "an argument or variable contains a NUL byte"));
    }
    if !process.cwd().is_absolute() {
        let reason = format!("{} is not an absolute path", process.cwd().display());
        return Err(Error::invalid("process.cwd", reason));
    }
    let user = process.user();
    Ok(ProcessPlan {
        args,
        env,
        cwd: process.cwd().clone(),
        uid: user.uid(),
        gid: user.gid(),
        groups: Some(user.additional_gids().clone().unwrap_or_default()),
        umask: user.umask().unwrap_or(0o022),
        capabilities: capability_plan(process.capabilities().as_ref())?,
        rlimits: rlimit_plan(process)?,
        oom_score_adj: score(process)?,
        schedule: schedule_plan(process)?,
        memory_policy: None,
        personality: None,
        labels: labels(process),
        no_new_privileges: process.no_new_privileges().unwrap_or(false),
        seccomp_flags: None,
        listener: None,
        terminal: process.terminal().unwrap_or(false).then(|| console_size(process)),
        stdio: StdioPlan::default(),
    })
}

/// Of a variable that is listed twice, the later one: programs disagree about which they look at.
fn last_of_each(variables: &[String]) -> Vec<String> {
    let name = |variable: &String| variable.split_once('=').map(|(name, _)| name.to_owned());
    let mut seen = HashSet::new();
    let is_last = |variable: &&String| name(variable).is_none_or(|name| seen.insert(name));
    let mut last: Vec<String> = variables.iter().rev().filter(is_last).cloned().collect();
    last.reverse();
    last
}

/// The plan of a container without a process, which cannot be started.
pub(super) fn idle_plan() -> Result<ProcessPlan, Error> {
    let mut process = Process::default();
    process.set_terminal(None).set_args(Some(vec!["nothing".to_owned()])).set_cwd("/".into());
    Ok(ProcessPlan { args: Vec::new(), ..process_plan(&process)? })
}

impl ProcessPlan {
    /// The files are these descriptors of the envelope.
    pub(crate) fn with_stdio(mut self, stdio: StdioPlan) -> Self {
        self.stdio = stdio;
        self
    }
}

/// `unconfined` asks for nothing on a host without AppArmor, and for this profile on one with it.
fn labels(process: &Process) -> Vec<Label> {
    let named = |value: &Option<String>| value.clone().filter(|text| !text.is_empty());
    let profile = named(process.apparmor_profile()).map(Label::AppArmor);
    profile.into_iter().chain(named(process.selinux_label()).map(Label::SeLinux)).collect()
}

fn score(process: &Process) -> Result<Option<i32>, Error> {
    match process.oom_score_adj() {
        Some(score) if !(-1000..=1000).contains(&score) => {
            Err(Error::invalid("process.oomScoreAdj", "it is not from -1000 to 1000"))
        }
        score => Ok(score),
    }
}

fn refuse_unsupported(process: &Process) -> Result<(), Error> {
    let fields = [
        ("process.commandLine", process.command_line().is_some()),
        ("process.user.username", process.user().username().is_some()),
    ];
    match fields.iter().find(|(_, present)| *present) {
        Some((field, _)) => Err(Error::unsupported(*field)),
        None => Ok(()),
    }
}

fn console_size(process: &Process) -> (u16, u16) {
    let clamp = |value: u64| u16::try_from(value).unwrap_or(u16::MAX);
    process.console_size().map_or((0, 0), |size| (clamp(size.height()), clamp(size.width())))
}

fn rlimit_plan(process: &Process) -> Result<Vec<(u32, u64, u64)>, Error> {
    let mut plan: Vec<(u32, u64, u64)> = Vec::new();
    for limit in process.rlimits().iter().flatten() {
        let number = rlimit_number(limit.typ());
        if limit.soft() > limit.hard() {
            let reason = "a soft limit is above its hard limit";
            return Err(Error::invalid("process.rlimits", reason));
        }
        if plan.iter().any(|(known, ..)| *known == number) {
            return Err(Error::invalid("process.rlimits", "a resource is listed twice"));
        }
        plan.push((number, limit.soft(), limit.hard()));
    }
    Ok(plan)
}

/// The numbers of asm-generic/resource.h, which x86-64 and arm64 use.
fn rlimit_number(resource: PosixRlimitType) -> u32 {
    match resource {
        PosixRlimitType::RlimitCpu => 0,
        PosixRlimitType::RlimitFsize => 1,
        PosixRlimitType::RlimitData => 2,
        PosixRlimitType::RlimitStack => 3,
        PosixRlimitType::RlimitCore => 4,
        PosixRlimitType::RlimitRss => 5,
        PosixRlimitType::RlimitNproc => 6,
        PosixRlimitType::RlimitNofile => 7,
        PosixRlimitType::RlimitMemlock => 8,
        PosixRlimitType::RlimitAs => 9,
        PosixRlimitType::RlimitLocks => 10,
        PosixRlimitType::RlimitSigpending => 11,
        PosixRlimitType::RlimitMsgqueue => 12,
        PosixRlimitType::RlimitNice => 13,
        PosixRlimitType::RlimitRtprio => 14,
        PosixRlimitType::RlimitRttime => 15,
    }
}
