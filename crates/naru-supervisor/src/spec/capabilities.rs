//! Capabilities: Docker's fourteen, and what the file adds and takes away.

use std::collections::HashSet;

use naru_runtime::profile;
use oci_spec::runtime::{Capability, LinuxCapabilities};

use super::{Error, Inputs};

/// Every capability there is (Linux 5.9 and later).
const ALL: [Capability; 41] = {
    use Capability::{
        AuditControl, AuditRead, AuditWrite, BlockSuspend, Bpf, CheckpointRestore, Chown,
        DacOverride, DacReadSearch, Fowner, Fsetid, IpcLock, IpcOwner, Kill, Lease, LinuxImmutable,
        MacAdmin, MacOverride, Mknod, NetAdmin, NetBindService, NetBroadcast, NetRaw, Perfmon,
        Setfcap, Setgid, Setpcap, Setuid, SysAdmin, SysBoot, SysChroot, SysModule, SysNice,
        SysPacct, SysPtrace, SysRawio, SysResource, SysTime, SysTtyConfig, Syslog, WakeAlarm,
    };
    [
        AuditControl,
        AuditRead,
        AuditWrite,
        BlockSuspend,
        Bpf,
        CheckpointRestore,
        Chown,
        DacOverride,
        DacReadSearch,
        Fowner,
        Fsetid,
        IpcLock,
        IpcOwner,
        Kill,
        Lease,
        LinuxImmutable,
        MacAdmin,
        MacOverride,
        Mknod,
        NetAdmin,
        NetBindService,
        NetBroadcast,
        NetRaw,
        Perfmon,
        Setfcap,
        Setgid,
        Setpcap,
        Setuid,
        SysAdmin,
        SysBoot,
        SysChroot,
        SysModule,
        SysNice,
        SysPacct,
        SysPtrace,
        SysRawio,
        SysResource,
        SysTime,
        SysTtyConfig,
        Syslog,
        WakeAlarm,
    ]
};

/// What the file says about a set of capabilities.
#[derive(Debug, Default)]
struct Named {
    all: bool,
    single: HashSet<Capability>,
}

/// The capabilities that a container may ever have.
pub(super) fn bounding(inputs: &Inputs<'_>) -> Result<HashSet<Capability>, Error> {
    let add = parse("cap_add", &inputs.service.cap_add)?;
    let drop = parse("cap_drop", &inputs.service.cap_drop)?;
    Ok(if add.all {
        ALL.into_iter().filter(|capability| !drop.single.contains(capability)).collect()
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
