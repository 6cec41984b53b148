//! Capabilities: Docker's fourteen, and what the file adds and takes away.

use std::collections::HashSet;

use naru_runtime::profile;
use oci_spec::runtime::{Capability, LinuxCapabilities};

use super::{Error, Inputs};

/// Every capability there is (Linux 5.9 and later).
const ALL: &str = "AUDIT_CONTROL AUDIT_READ AUDIT_WRITE BLOCK_SUSPEND BPF CHECKPOINT_RESTORE CHOWN \
    DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID IPC_LOCK IPC_OWNER KILL LEASE LINUX_IMMUTABLE MAC_ADMIN \
    MAC_OVERRIDE MKNOD NET_ADMIN NET_BIND_SERVICE NET_BROADCAST NET_RAW PERFMON SETFCAP SETGID SETPCAP \
    SETUID SYS_ADMIN SYS_BOOT SYS_CHROOT SYS_MODULE SYS_NICE SYS_PACCT SYS_PTRACE SYS_RAWIO \
    SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG SYSLOG WAKE_ALARM";

/// What the file says about a set of capabilities.
#[derive(Debug, Default)]
struct Named {
    all: bool,
    single: HashSet<Capability>,
}

/// The sets of a privileged process.
pub(super) fn every() -> LinuxCapabilities {
    let every: Vec<Capability> = ALL.split(' ').filter_map(|name| name.parse().ok()).collect();
    profile::capability_sets(&every)
}

/// The capabilities that a container may ever have.
pub(super) fn bounding(inputs: &Inputs<'_>) -> Result<HashSet<Capability>, Error> {
    let add = parse("cap_add", &inputs.service.cap_add)?;
    let drop = parse("cap_drop", &inputs.service.cap_drop)?;
    Ok(if add.all {
        let every = ALL.split(' ').filter_map(|name| name.parse::<Capability>().ok());
        every.filter(|capability| !drop.single.contains(capability)).collect()
    } else if drop.all {
        add.single
    } else {
        let kept = profile::CAPABILITIES.into_iter().filter(|c| !drop.single.contains(c));
        kept.chain(add.single).collect()
    })
}

/// The sets of the first process. Another user than root gets no effective ones, as execve(2) would do.
pub(super) fn sets(inputs: &Inputs<'_>) -> Result<LinuxCapabilities, Error> {
    let bounding: Vec<Capability> = bounding(inputs)?.into_iter().collect();
    let mut sets = profile::capability_sets(&bounding);
    if inputs.user.uid != 0 {
        sets.set_effective(Some(HashSet::new()));
        sets.set_permitted(Some(HashSet::new()));
    }
    Ok(sets)
}

fn parse(key: &str, names: &[String]) -> Result<Named, Error> {
    let mut named = Named::default();
    for name in names {
        let upper = name.to_ascii_uppercase();
        let plain = upper.strip_prefix("CAP_").unwrap_or(&upper);
        if plain == "ALL" {
            named.all = true;
            continue;
        }
        let Ok(capability) = plain.parse() else {
            return Err(Error::invalid(key, format!("unknown capability \"{name}\"")));
        };
        named.single.insert(capability);
    }
    Ok(named)
}
