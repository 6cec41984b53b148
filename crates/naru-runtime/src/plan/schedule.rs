//! How a process is scheduled: on which processors, by which policy, with which domain it sees.

use oci_spec::runtime::{
    IOPriorityClass, Linux, LinuxIOPriority, LinuxPersonalityDomain, LinuxSchedulerFlag as Flag,
    LinuxSchedulerPolicy as Policy, MemoryPolicyFlagType as MemoryFlag,
    MemoryPolicyModeType as Mode, Process, Scheduler,
};
use serde::{Deserialize, Serialize};

use crate::Error;

/// Policy and priorities.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SchedulePlan {
    pub(crate) policy: Option<PolicyPlan>,
    /// Class and level as ioprio_set(2) takes them.
    pub(crate) io_priority: Option<u16>,
}

/// What sched_setattr(2) takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PolicyPlan {
    pub(crate) policy: u32,
    pub(crate) flags: u64,
    pub(crate) nice: i32,
    pub(crate) priority: u32,
    pub(crate) runtime: u64,
    pub(crate) deadline: u64,
    pub(crate) period: u64,
}

const CLASS_SHIFT: u32 = 13;
const HIGHEST_CPU: usize = 1023;

pub(super) fn schedule_plan(process: &Process) -> Result<SchedulePlan, Error> {
    Ok(SchedulePlan {
        policy: process.scheduler().as_ref().map(policy_plan).transpose()?,
        io_priority: process.io_priority().as_ref().map(io_priority).transpose()?,
    })
}

fn io_priority(priority: &LinuxIOPriority) -> Result<u16, Error> {
    let class: u16 = match priority.class() {
        IOPriorityClass::IoprioClassRt => 1,
        IOPriorityClass::IoprioClassBe => 2,
        IOPriorityClass::IoprioClassIdle => 3,
    };
    match u16::try_from(priority.priority()) {
        Ok(level) if level < 8 => Ok(class << CLASS_SHIFT | level),
        _ => Err(Error::invalid("process.ioPriority.priority", "it is not from 0 to 7")),
    }
}

fn policy_plan(scheduler: &Scheduler) -> Result<PolicyPlan, Error> {
    let invalid = |field: &str, reason: &str| {
        Err(Error::invalid(format!("process.scheduler.{field}"), reason))
    };
    let policy = match scheduler.policy() {
        Policy::SchedOther => 0,
        Policy::SchedFifo => 1,
        Policy::SchedRr => 2,
        Policy::SchedBatch => 3,
        Policy::SchedIdle => 5,
        Policy::SchedDeadline => 6,
        Policy::SchedIso => {
            return Err(Error::unsupported_value("process.scheduler.policy", "SCHED_ISO"));
        }
    };
    let nice = scheduler.nice().unwrap_or(0);
    if !(-20..=19).contains(&nice) {
        return invalid("nice", "it is not from -20 to 19");
    }
    let priority = scheduler.priority().unwrap_or(0);
    let is_real_time = [1, 2].contains(&policy);
    if priority != 0 && !is_real_time {
        return invalid("priority", "only SCHED_FIFO and SCHED_RR have one");
    }
    if is_real_time && !(1..=99).contains(&priority) {
        return invalid("priority", "it is not from 1 to 99");
    }
    let of = |value: Option<u64>| value.unwrap_or(0);
    let mut flags = 0;
    for one in scheduler.flags().iter().flatten() {
        flags |= flag(*one)?;
    }
    let plan = PolicyPlan {
        policy,
        flags,
        nice,
        priority: priority.cast_unsigned(),
        runtime: of(*scheduler.runtime()),
        deadline: of(*scheduler.deadline()),
        period: of(*scheduler.period()),
    };
    if policy != 6 && plan.runtime | plan.deadline | plan.period != 0 {
        return invalid("runtime", "runtime, deadline and period are for SCHED_DEADLINE");
    }
    Ok(plan)
}

fn flag(flag: Flag) -> Result<u64, Error> {
    Ok(match flag {
        Flag::SchedResetOnFork => 0x1,
        Flag::SchedFlagReclaim => 0x2,
        Flag::SchedFlagDLOverrun => 0x4,
        Flag::SchedFlagKeepPolicy => 0x8,
        Flag::SchedFlagKeepParams => 0x10,
        // The specification has no field for the values that these announce.
        Flag::SchedFlagUtilClampMin | Flag::SchedFlagUtilClampMax => {
            return Err(Error::unsupported_value("process.scheduler.flags", flag));
        }
    })
}

/// What set_mempolicy(2) takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MemoryPolicyPlan {
    pub(crate) mode: u32,
    /// As bits; none where no node was named.
    pub(crate) nodes: Vec<u64>,
}

/// `linux.memoryPolicy` as numbers; what does not go together the kernel refuses.
pub(super) fn memory_policy(linux: &Linux) -> Result<Option<MemoryPolicyPlan>, Error> {
    let Some(policy) = linux.memory_policy() else { return Ok(None) };
    let mut mode = match policy.mode() {
        Mode::MpolDefault => 0,
        Mode::MpolPreferred => 1,
        Mode::MpolBind => 2,
        Mode::MpolInterleave => 3,
        Mode::MpolLocal => 4,
        Mode::MpolPreferredMany => 5,
        Mode::MpolWeightedInterleave => 6,
    };
    for flag in policy.flags().iter().flatten() {
        mode |= match flag {
            MemoryFlag::MpolFNumaBalancing => 1 << 13,
            MemoryFlag::MpolFRelativeNodes => 1 << 14,
            MemoryFlag::MpolFStaticNodes => 1 << 15,
        };
    }
    let numbers = processors("linux.memoryPolicy.nodes", policy.nodes().as_ref())?;
    let numbers = numbers.unwrap_or_default();
    let mut nodes = vec![0; numbers.last().map_or(0, |last| last / 64 + 1)];
    numbers.iter().for_each(|number| nodes[number / 64] |= 1 << (number % 64));
    Ok(Some(MemoryPolicyPlan { mode, nodes }))
}

/// SCHED_DEADLINE is for all processors of the machine: the kernel refuses it to a process that is kept to some.
pub(super) fn check_deadline(process: Option<&Process>, linux: &Linux) -> Result<(), Error> {
    let policy = process.and_then(|process| process.scheduler().as_ref()).map(Scheduler::policy);
    let cpu = linux.resources().as_ref().and_then(|resources| resources.cpu().as_ref());
    let cpus = cpu.and_then(|cpu| cpu.cpus().as_ref()).is_some_and(|cpus| !cpus.is_empty());
    if policy == Some(&Policy::SchedDeadline) && cpus {
        let reason = "process scheduler can't be used together with AllowedCPUs";
        return Err(Error::invalid("process.scheduler", reason));
    }
    Ok(())
}

/// The domain of `linux.personality` as personality(2) takes it.
pub(super) fn personality_plan(linux: &Linux) -> Result<Option<u32>, Error> {
    let Some(personality) = linux.personality() else { return Ok(None) };
    if let Some(flag) = personality.flags().iter().flatten().next() {
        return Err(Error::unsupported_value("linux.personality.flags", flag));
    }
    Ok(Some(match personality.domain() {
        LinuxPersonalityDomain::PerLinux => 0,
        LinuxPersonalityDomain::PerLinux32 => 8,
    }))
}

/// The processors of a list like `0-3,7`, sorted, each once.
pub(super) fn processors(field: &str, list: Option<&String>) -> Result<Option<Vec<usize>>, Error> {
    let Some(list) = list.filter(|list| !list.trim().is_empty()) else { return Ok(None) };
    let mut numbers = Vec::new();
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.trim().parse::<usize>().ok().filter(|n| *n <= HIGHEST_CPU);
        match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => numbers.extend(first..=last),
            _ => return Err(Error::invalid(field, format!("{part} is no range of numbers"))),
        }
    }
    numbers.sort_unstable();
    numbers.dedup();
    Ok(Some(numbers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_memory_policy_is_a_mode_with_flags_and_nodes_as_bits() {
        let plan = |json: &str| {
            let linux: Linux =
                serde_json::from_str(&format!("{{\"memoryPolicy\": {json}}}")).unwrap();
            memory_policy(&linux).map(Option::unwrap)
        };
        let bind = r#"{"mode": "MPOL_BIND", "nodes": "0-1,65", "flags": ["MPOL_F_STATIC_NODES"]}"#;
        let expected = MemoryPolicyPlan { mode: 2 | 1 << 15, nodes: vec![3, 2] };
        assert_eq!(plan(bind).unwrap(), expected);
        let nothing = MemoryPolicyPlan { mode: 0, nodes: Vec::new() };
        assert_eq!(plan(r#"{"mode": "MPOL_DEFAULT", "nodes": ""}"#).unwrap(), nothing);
        assert!(plan(r#"{"mode": "MPOL_BIND", "nodes": "0-9876543210"}"#).is_err());
    }

    #[test]
    fn processors_are_numbers_and_ranges() {
        let list = |text: &str| processors("f", Some(&text.to_owned())).unwrap();
        assert_eq!(list("0-2,7,1"), Some(vec![0, 1, 2, 7]));
        assert_eq!(list(""), None);
        for wrong in ["a", "3-1", "5000", "1-", ",", "-1"] {
            let error = processors("f", Some(&wrong.to_owned())).unwrap_err().to_string();
            assert!(error.contains("is no range of numbers"), "{error}");
        }
    }
}
