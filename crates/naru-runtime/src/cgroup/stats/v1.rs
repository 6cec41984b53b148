//! The files of cgroup v1 (Documentation/admin-guide/cgroup-v1).

use std::path::Path;
use std::time::Duration;

use super::parse::{nanoseconds, number, table, text, v1_io, v1_memory};
use super::{CpuStats, CpusetStats, IoStats, MemoryStats, PidsStats, Stats};
use crate::Error;
use crate::cgroup::Cgroup;

/// `cpuacct.stat` counts in these, whatever the kernel's own clock does (`USER_HZ`).
const TICKS_PER_SECOND: u64 = 100;

/// Adds what the v1 hierarchies of the group tell.
pub(super) fn add(cgroup: &Cgroup, stats: &mut Stats) -> Result<(), Error> {
    let directories = ["cpuacct", "cpu"].map(|controller| cgroup.v1(controller));
    if directories.iter().any(Option::is_some) {
        let mut cpu = stats.cpu.take().unwrap_or_default();
        let [account, quota] = directories;
        if let Some(directory) = account {
            times(&directory, &mut cpu)?;
        }
        if let Some(directory) = quota {
            throttling(&directory, &mut cpu)?;
        }
        stats.cpu = Some(cpu);
    }
    if let Some(directory) = cgroup.v1("cpuset") {
        stats.cpuset = cpuset(&directory)?.or(stats.cpuset.take());
    }
    if let Some(directory) = cgroup.v1("memory") {
        memory(&directory, stats)?;
    }
    if let Some(directory) = cgroup.v1("pids")
        && let Some(current) = number(&directory, "pids.current")?
    {
        stats.pids = Some(PidsStats { current, limit: number(&directory, "pids.max")? });
    }
    if let Some(directory) = cgroup.v1("blkio") {
        block(&directory, stats)?;
    }
    if let Some(directory) = cgroup.v1("hugetlb") {
        for size in super::sizes(&directory, ".usage_in_bytes") {
            if let Some(entry) = v1_memory(&directory, &format!("hugetlb.{size}."))? {
                stats.hugetlb.insert(size, entry);
            }
        }
    }
    Ok(())
}

fn times(directory: &Path, cpu: &mut CpuStats) -> Result<(), Error> {
    let list = |name: &str| -> Result<Vec<Duration>, Error> {
        Ok(nanoseconds(&text(directory, name)?.unwrap_or_default()))
    };
    let Some(usage) = number(directory, "cpuacct.usage")? else { return Ok(()) };
    cpu.usage = Duration::from_nanos(usage);
    cpu.per_cpu = list("cpuacct.usage_percpu")?;
    cpu.per_cpu_user = list("cpuacct.usage_percpu_user")?;
    cpu.per_cpu_system = list("cpuacct.usage_percpu_sys")?;
    match (number(directory, "cpuacct.usage_user")?, number(directory, "cpuacct.usage_sys")?) {
        (Some(user), Some(system)) => {
            cpu.user = Duration::from_nanos(user);
            cpu.system = Duration::from_nanos(system);
        }
        _ => {
            let table = table(&text(directory, "cpuacct.stat")?.unwrap_or_default());
            let time = |name: &str| {
                let ticks = table.get(name).copied().unwrap_or(0);
                Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND)
            };
            (cpu.user, cpu.system) = (time("user"), time("system"));
        }
    }
    Ok(())
}

fn throttling(directory: &Path, cpu: &mut CpuStats) -> Result<(), Error> {
    let table = table(&text(directory, "cpu.stat")?.unwrap_or_default());
    let count = |name: &str| table.get(name).copied().unwrap_or(0);
    cpu.periods = count("nr_periods");
    cpu.throttled_periods = count("nr_throttled");
    cpu.throttled = Duration::from_nanos(count("throttled_time"));
    cpu.bursts = count("nr_bursts");
    cpu.burst = Duration::from_nanos(count("burst_time"));
    Ok(())
}

fn cpuset(directory: &Path) -> Result<Option<CpusetStats>, Error> {
    let read = |name: &str| -> Result<Option<String>, Error> {
        let effective = text(directory, &format!("cpuset.effective_{name}"))?;
        let found = match effective {
            Some(found) => Some(found),
            None => text(directory, &format!("cpuset.{name}"))?,
        };
        Ok(found.map(|found| found.trim().to_owned()))
    };
    let Some(cpus) = read("cpus")? else { return Ok(None) };
    Ok(Some(CpusetStats { cpus, mems: read("mems")?.unwrap_or_default() }))
}

fn memory(directory: &Path, stats: &mut Stats) -> Result<(), Error> {
    let Some(memory) = v1_memory(directory, "memory.")? else { return Ok(()) };
    let details = table(&text(directory, "memory.stat")?.unwrap_or_default());
    let oom = table(&text(directory, "memory.oom_control")?.unwrap_or_default());
    stats.memory = Some(MemoryStats {
        swap: v1_memory(directory, "memory.memsw.")?,
        kernel: v1_memory(directory, "memory.kmem.")?,
        kernel_tcp: v1_memory(directory, "memory.kmem.tcp.")?,
        hierarchical: number(directory, "memory.use_hierarchy")? != Some(0),
        cache: details.get("cache").copied().unwrap_or(0),
        oom: memory.failures,
        oom_kills: oom.get("oom_kill").copied().unwrap_or(0),
        memory,
        details,
        ..MemoryStats::default()
    });
    Ok(())
}

/// The counters of all groups below too where the kernel has them.
fn block(directory: &Path, stats: &mut Stats) -> Result<(), Error> {
    let read = |name: &str| -> Result<Option<String>, Error> {
        for file in [
            format!("blkio.bfq.{name}_recursive"),
            format!("blkio.throttle.{name}_recursive"),
            format!("blkio.throttle.{name}"),
        ] {
            if let Some(text) = text(directory, &file)?
                && text.lines().count() > 1
            {
                return Ok(Some(text));
            }
        }
        Ok(None)
    };
    stats.io = Some(IoStats {
        bytes: v1_io(&read("io_service_bytes")?.unwrap_or_default()),
        operations: v1_io(&read("io_serviced")?.unwrap_or_default()),
    });
    Ok(())
}
