//! What a container may use: control group limits and limits of its processes.

use naru_compose::project::{Service, Ulimit};
use oci_spec::runtime::{
    LinuxCpu, LinuxDeviceCgroup, LinuxMemory, LinuxPids, LinuxResources, PosixRlimit,
    PosixRlimitBuilder, PosixRlimitType, Spec,
};

use super::Error;

/// The scheduler's period that `cpus` is a share of, in microseconds.
const PERIOD: u64 = 100_000;
/// Docker refuses less memory than this: nothing starts in it.
const LEAST_MEMORY: u64 = 6 << 20;

/// The control group's limits, with the device rules given.
pub(super) fn resources(
    service: &Service,
    devices: Option<Vec<LinuxDeviceCgroup>>,
) -> Result<LinuxResources, Error> {
    let mut resources = LinuxResources::default();
    resources.set_devices(devices);
    resources.set_memory(memory(service)?);
    resources.set_cpu(cpu(service)?);
    let limit = service.process_limit();
    if limit != 0 {
        let mut pids = LinuxPids::default();
        pids.set_limit(if limit < 0 { -1 } else { limit });
        resources.set_pids(Some(pids));
    }
    Ok(resources)
}

/// As in Docker, a memory limit allows as much swap again unless the file says otherwise.
fn memory(service: &Service) -> Result<Option<LinuxMemory>, Error> {
    let (limit, reservation) = (service.memory_limit(), service.memory_reservation());
    let swap = service.memswap_limit.0;
    let swappiness = service.mem_swappiness.0;
    if limit.is_some_and(|limit| limit < LEAST_MEMORY) {
        return Err(Error::invalid("mem_limit", "is less than the minimum of 6 MiB"));
    }
    if let (Some(limit), Some(reservation)) = (limit, reservation)
        && reservation > limit
    {
        let problem = "is more than mem_limit";
        return Err(Error::invalid("mem_reservation", problem));
    }
    let swap = match (limit, swap) {
        (None, 1..) => {
            return Err(Error::invalid("memswap_limit", "needs mem_limit beside it"));
        }
        (Some(limit), 1..) if swap.unsigned_abs() < limit => {
            return Err(Error::invalid("memswap_limit", "is less than mem_limit"));
        }
        (None, _) => None,
        (Some(limit), 0) => Some(limit.saturating_mul(2)),
        (Some(_), ..0) => Some(u64::MAX),
        (Some(_), 1..) => Some(swap.unsigned_abs()),
    };
    let mut memory = LinuxMemory::default();
    memory.set_limit(limit.map(bytes));
    memory.set_reservation(reservation.map(bytes));
    memory.set_swap(swap.map(|swap| if swap == u64::MAX { -1 } else { bytes(swap) }));
    if !(0..=100).contains(&swappiness) {
        return Err(Error::invalid("mem_swappiness", "is not between 0 and 100"));
    }
    if swappiness > 0 {
        memory.set_swappiness(Some(swappiness.unsigned_abs()));
    }
    if service.oom_kill_disable {
        memory.set_disable_oom_killer(Some(true));
    }
    Ok((memory != LinuxMemory::default()).then_some(memory))
}

fn bytes(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn cpu(service: &Service) -> Result<Option<LinuxCpu>, Error> {
    let mut cpu = LinuxCpu::default();
    let number = |key: &str, value: i64| match value {
        0 => Ok(None),
        1.. => Ok(Some(value.unsigned_abs())),
        _ => Err(Error::invalid(key, "is negative")),
    };
    cpu.set_shares(number("cpu_shares", service.cpu_shares)?);
    cpu.set_period(number("cpu_period", service.cpu_period)?);
    if service.cpu_quota != 0 {
        cpu.set_quota(Some(service.cpu_quota));
    }
    if let Some(nano) = service.cpu_limit().nano() {
        if service.cpu_quota != 0 || service.cpu_period != 0 {
            let problem = "excludes cpu_quota and cpu_period";
            return Err(Error::invalid("cpus", problem));
        }
        cpu.set_period(Some(PERIOD));
        let quota = u128::from(nano) * u128::from(PERIOD) / 1_000_000_000;
        // The kernel takes no quota below a millisecond.
        cpu.set_quota(Some(i64::try_from(quota).unwrap_or(i64::MAX).max(1000)));
    }
    if !service.cpuset.is_empty() {
        let is_list = |c: char| c.is_ascii_digit() || c == ',' || c == '-';
        if !service.cpuset.chars().all(is_list) {
            let problem = format!("\"{}\" is not a list such as 0-3,5", service.cpuset);
            return Err(Error::invalid("cpuset", problem));
        }
        cpu.set_cpus(Some(service.cpuset.clone()));
    }
    Ok((cpu != LinuxCpu::default()).then_some(cpu))
}

/// The limits of processes; -1 is no limit.
pub(super) fn rlimits(service: &Service) -> Result<Vec<PosixRlimit>, Error> {
    let mut all = Vec::new();
    for (name, limit) in &service.ulimits {
        let key = format!("ulimits.{name}");
        let kind = kind(name).ok_or_else(|| Error::invalid(&key, "there is no such limit"))?;
        let (soft, hard) =
            values(*limit).ok_or_else(|| Error::invalid(&key, "a limit is -1 or not negative"))?;
        if soft > hard {
            return Err(Error::invalid(&key, "soft is more than hard"));
        }
        all.push(PosixRlimitBuilder::default().typ(kind).soft(soft).hard(hard).build()?);
    }
    Ok(all)
}

fn values(limit: Ulimit) -> Option<(u64, u64)> {
    let value = |number: i64| match number {
        -1 => Some(u64::MAX),
        0.. => Some(number.unsigned_abs()),
        _ => None,
    };
    Some((value(limit.soft())?, value(limit.hard())?))
}

fn kind(name: &str) -> Option<PosixRlimitType> {
    Some(match name {
        "as" => PosixRlimitType::RlimitAs,
        "core" => PosixRlimitType::RlimitCore,
        "cpu" => PosixRlimitType::RlimitCpu,
        "data" => PosixRlimitType::RlimitData,
        "fsize" => PosixRlimitType::RlimitFsize,
        "locks" => PosixRlimitType::RlimitLocks,
        "memlock" => PosixRlimitType::RlimitMemlock,
        "msgqueue" => PosixRlimitType::RlimitMsgqueue,
        "nice" => PosixRlimitType::RlimitNice,
        "nofile" => PosixRlimitType::RlimitNofile,
        "nproc" => PosixRlimitType::RlimitNproc,
        "rss" => PosixRlimitType::RlimitRss,
        "rtprio" => PosixRlimitType::RlimitRtprio,
        "rttime" => PosixRlimitType::RlimitRttime,
        "sigpending" => PosixRlimitType::RlimitSigpending,
        "stack" => PosixRlimitType::RlimitStack,
        _ => return None,
    })
}

/// Gives a process that asks for no limit of open files this one (soft, hard): whoever starts it may have
/// raised its own.
pub fn limit_files(spec: &mut Spec, (soft, hard): (u64, u64)) {
    let Some(mut process) = spec.process().clone() else { return };
    let mut limits = process.rlimits().clone().unwrap_or_default();
    if limits.iter().any(|limit| limit.typ() == PosixRlimitType::RlimitNofile) {
        return;
    }
    let limit =
        PosixRlimitBuilder::default().typ(PosixRlimitType::RlimitNofile).soft(soft).hard(hard);
    limits.extend(limit.build().ok());
    process.set_rlimits(Some(limits));
    spec.set_process(Some(process));
}
