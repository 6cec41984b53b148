//! Capabilities as bit sets.

use oci_spec::runtime::{Capabilities, Capability, LinuxCapabilities};

use super::CapabilityPlan;
use crate::Error;

/// The capabilities by their number in the kernel.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// Those of a set by their names.
pub(crate) fn names_of(bits: u64) -> impl Iterator<Item = String> {
    let named = NAMES.iter().enumerate().filter(move |(number, _)| bits & (1 << number) != 0);
    named.map(|(_, name)| format!("CAP_{name}"))
}

/// The capabilities as the specification names them.
pub(crate) fn capability_names() -> Vec<String> {
    NAMES.iter().map(|name| format!("CAP_{name}")).collect()
}

/// The five sets of the specification. Without the object there are none.
pub(super) fn capability_plan(
    capabilities: Option<&LinuxCapabilities>,
) -> Result<CapabilityPlan, Error> {
    let Some(sets) = capabilities else { return Ok(CapabilityPlan::default()) };
    let plan = CapabilityPlan {
        bounding: bits(sets.bounding().as_ref())?,
        effective: bits(sets.effective().as_ref())?,
        permitted: bits(sets.permitted().as_ref())?,
        inheritable: bits(sets.inheritable().as_ref())?,
        ambient: bits(sets.ambient().as_ref())?,
    };
    if plan.effective & !plan.permitted != 0 {
        let reason = "a capability is effective but not permitted";
        return Err(Error::invalid("process.capabilities.effective", reason));
    }
    Ok(plan)
}

fn bits(set: Option<&Capabilities>) -> Result<u64, Error> {
    set.into_iter().flatten().try_fold(0, |bits, capability| Ok(bits | bit(*capability)?))
}

fn bit(capability: Capability) -> Result<u64, Error> {
    let name = capability.to_string();
    let number = NAMES.iter().position(|known| *known == name);
    let number = number.ok_or_else(|| Error::unsupported_value("process.capabilities", &name))?;
    Ok(1 << number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_capability_has_the_number_of_the_kernel() {
        assert_eq!(bit(Capability::Chown).unwrap(), 1);
        assert_eq!(bit(Capability::SysAdmin).unwrap(), 1 << 21);
        assert_eq!(bit(Capability::CheckpointRestore).unwrap(), 1 << 40);
        assert_eq!(bit(Capability::Perfmon).unwrap(), 1 << 38);
    }
}
