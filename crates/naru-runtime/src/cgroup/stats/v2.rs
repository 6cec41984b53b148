//! The files of cgroup v2 (Documentation/admin-guide/cgroup-v2.rst).

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::parse::{number, rdma, table, text, v2_io};
use super::{
    CpuStats, CpusetStats, IoStats, MemoryStats, MemoryUse, PidsStats, RdmaStats, Stats, pressure,
};
use crate::Error;

pub(super) fn stats(directory: &Path) -> Result<Stats, Error> {
    Ok(Stats {
        cpu: cpu(directory)?,
        cpuset: cpuset(directory)?,
        memory: memory(directory)?,
        pids: pids(directory)?,
        io: io(directory)?,
        hugetlb: hugetlb(directory)?,
        rdma: rdma_stats(directory)?,
        pressure: pressure::read(directory)?,
    })
}

/// `cpu.stat` is there without the controller too, with the times alone.
fn cpu(directory: &Path) -> Result<Option<CpuStats>, Error> {
    let Some(text) = text(directory, "cpu.stat")? else { return Ok(None) };
    let table = table(&text);
    let count = |name: &str| table.get(name).copied().unwrap_or(0);
    let time = |name: &str| Duration::from_micros(count(name));
    Ok(Some(CpuStats {
        usage: time("usage_usec"),
        user: time("user_usec"),
        system: time("system_usec"),
        periods: count("nr_periods"),
        throttled_periods: count("nr_throttled"),
        throttled: time("throttled_usec"),
        bursts: count("nr_bursts"),
        burst: time("burst_usec"),
        ..CpuStats::default()
    }))
}

fn cpuset(directory: &Path) -> Result<Option<CpusetStats>, Error> {
    let read = |name: &str| text(directory, name);
    let Some(cpus) = read("cpuset.cpus.effective")? else { return Ok(None) };
    let mems = read("cpuset.mems.effective")?.unwrap_or_default();
    Ok(Some(CpusetStats { cpus: cpus.trim().to_owned(), mems: mems.trim().to_owned() }))
}

fn memory(directory: &Path) -> Result<Option<MemoryStats>, Error> {
    let Some(usage) = number(directory, "memory.current")? else { return Ok(None) };
    let details = table(&text(directory, "memory.stat")?.unwrap_or_default());
    let events = table(&text(directory, "memory.events")?.unwrap_or_default());
    let count = |name: &str| events.get(name).copied().unwrap_or(0);
    let memory = MemoryUse {
        usage,
        peak: number(directory, "memory.peak")?,
        limit: number(directory, "memory.max")?,
        failures: count("max"),
    };
    let swap = match number(directory, "memory.swap.current")? {
        None => None,
        Some(usage) => {
            let events = table(&text(directory, "memory.swap.events")?.unwrap_or_default());
            Some(MemoryUse {
                usage,
                peak: number(directory, "memory.swap.peak")?,
                limit: number(directory, "memory.swap.max")?,
                failures: events.get("max").copied().unwrap_or(0),
            })
        }
    };
    Ok(Some(MemoryStats {
        memory,
        swap,
        hierarchical: true,
        cache: details.get("file").copied().unwrap_or(0),
        oom: count("oom"),
        oom_kills: count("oom_kill"),
        details,
        events,
        ..MemoryStats::default()
    }))
}

fn pids(directory: &Path) -> Result<Option<PidsStats>, Error> {
    let Some(current) = number(directory, "pids.current")? else { return Ok(None) };
    Ok(Some(PidsStats { current, limit: number(directory, "pids.max")? }))
}

fn io(directory: &Path) -> Result<Option<IoStats>, Error> {
    let Some(counters) = text(directory, "io.stat")? else { return Ok(None) };
    let (bytes, operations) = v2_io(&counters);
    Ok(Some(IoStats { bytes, operations }))
}

fn hugetlb(directory: &Path) -> Result<BTreeMap<String, MemoryUse>, Error> {
    let mut all = BTreeMap::new();
    for size in super::sizes(directory, ".current") {
        let read = |name: &str| number(directory, &format!("hugetlb.{size}.{name}"));
        let events = text(directory, &format!("hugetlb.{size}.events"))?.unwrap_or_default();
        let entry = MemoryUse {
            usage: read("current")?.unwrap_or(0),
            peak: None,
            // The kernel rounds down to whole pages, so that "max" may come back as a number.
            limit: read("max")?.filter(|limit| *limit < 1 << 62),
            failures: table(&events).get("max").copied().unwrap_or(0),
        };
        all.insert(size, entry);
    }
    Ok(all)
}

fn rdma_stats(directory: &Path) -> Result<BTreeMap<String, RdmaStats>, Error> {
    let Some(current) = text(directory, "rdma.current")? else { return Ok(BTreeMap::new()) };
    let limits = rdma(&text(directory, "rdma.max")?.unwrap_or_default());
    let entry = |(name, (handles, objects)): (String, (Option<u64>, Option<u64>))| {
        let (handle_limit, object_limit) = limits.get(&name).copied().unwrap_or((None, None));
        let (handles, objects) = (handles.unwrap_or(0), objects.unwrap_or(0));
        (name, RdmaStats { handles, objects, handle_limit, object_limit })
    };
    Ok(rdma(&current).into_iter().map(entry).collect())
}
