//! What a container uses, in the form of runc's events.

use std::collections::BTreeMap;
use std::time::Duration;

use naru_runtime::store::Container;
use naru_runtime::{CpuStats, IoEntry, MemoryStats, MemoryUse, Pressure, PressureTotals, Stats};
use serde::Serialize;
use serde_json::{Value, json};

/// runc's `stats`; what this host or container does not have is left out.
#[derive(Debug, Serialize)]
pub(super) struct Usage {
    cpu: Value,
    cpuset: Value,
    memory: Value,
    pids: Value,
    blkio: Value,
    hugetlb: BTreeMap<String, Value>,
    intel_rdt: Value,
    network_interfaces: Vec<Value>,
}

/// What the container uses now.
pub(super) fn usage(container: &Container) -> anyhow::Result<Usage> {
    let stats = container.cgroup()?.stats()?;
    let pressure = &stats.pressure;
    let hugetlb = stats.hugetlb.iter().map(|(size, pages)| {
        let pages = json!({
            "usage": pages.usage, "max": pages.peak.unwrap_or(0), "failcnt": pages.failures,
        });
        (size.clone(), pages)
    });
    Ok(Usage {
        cpu: cpu(&stats.cpu.clone().unwrap_or_default(), pressure.cpu.as_ref()),
        cpuset: cpuset(&stats),
        memory: memory(&stats.memory.clone().unwrap_or_default(), pressure.memory.as_ref()),
        pids: pids(&stats),
        blkio: blkio(&stats, pressure.io.as_ref()),
        hugetlb: hugetlb.collect(),
        intel_rdt: json!({}),
        network_interfaces: interfaces(container)?,
    })
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn cpu(cpu: &CpuStats, pressure: Option<&Pressure>) -> Value {
    let each = |list: &[Duration]| -> Vec<u64> { list.iter().copied().map(nanoseconds).collect() };
    let mut usage = json!({
        "total": nanoseconds(cpu.usage),
        "kernel": nanoseconds(cpu.system),
        "user": nanoseconds(cpu.user),
    });
    for (name, list) in [
        ("percpu", &cpu.per_cpu),
        ("percpu_kernel", &cpu.per_cpu_system),
        ("percpu_user", &cpu.per_cpu_user),
    ] {
        if !list.is_empty() {
            usage[name] = json!(each(list));
        }
    }
    let throttling = json!({
        "periods": cpu.periods,
        "throttledPeriods": cpu.throttled_periods,
        "throttledTime": nanoseconds(cpu.throttled),
    });
    with_pressure(json!({ "usage": usage, "throttling": throttling }), pressure)
}

fn cpuset(stats: &Stats) -> Value {
    let Some(cpuset) = &stats.cpuset else { return json!({}) };
    json!({ "cpus": numbers(&cpuset.cpus), "mems": numbers(&cpuset.mems) })
}

/// A list such as `0-2,5` as numbers.
fn numbers(list: &str) -> Vec<u32> {
    let mut numbers = Vec::new();
    for part in list.trim().split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(first), Ok(last)) = (first.parse::<u32>(), last.parse::<u32>()) {
            numbers.extend(first..=last);
        }
    }
    numbers
}

fn memory(memory: &MemoryStats, pressure: Option<&Pressure>) -> Value {
    let entry = |part: &MemoryUse| {
        json!({
            "limit": part.limit.unwrap_or(u64::MAX),
            "usage": part.usage,
            "max": part.peak.unwrap_or(0),
            "failcnt": part.failures,
        })
    };
    let optional = |part: &Option<MemoryUse>| entry(&part.clone().unwrap_or_default());
    let value = json!({
        "cache": memory.cache,
        "usage": entry(&memory.memory),
        "swap": optional(&memory.swap),
        "kernel": optional(&memory.kernel),
        "kernelTCP": optional(&memory.kernel_tcp),
        "raw": memory.details,
    });
    with_pressure(value, pressure)
}

fn pids(stats: &Stats) -> Value {
    let pids = stats.pids.clone().unwrap_or_default();
    let mut value = json!({ "current": pids.current });
    if let Some(limit) = pids.limit {
        value["limit"] = json!(limit);
    }
    value
}

fn blkio(stats: &Stats, pressure: Option<&Pressure>) -> Value {
    let io = stats.io.clone().unwrap_or_default();
    let list = |entries: &[IoEntry]| -> Vec<Value> { entries.iter().map(io_entry).collect() };
    let value = json!({
        "ioServiceBytesRecursive": list(&io.bytes),
        "ioServicedRecursive": list(&io.operations),
    });
    with_pressure(value, pressure)
}

fn io_entry(entry: &IoEntry) -> Value {
    let mut operation = entry.operation.clone();
    if let Some(first) = operation.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    json!({ "major": entry.major, "minor": entry.minor, "op": operation, "value": entry.value })
}

fn with_pressure(mut value: Value, pressure: Option<&Pressure>) -> Value {
    if let Some(pressure) = pressure {
        value["psi"] = json!({ "some": totals(&pressure.some) });
        if let Some(full) = &pressure.full {
            value["psi"]["full"] = totals(full);
        }
    }
    value
}

/// Percents, and microseconds in total.
fn totals(totals: &PressureTotals) -> Value {
    let percent = |hundredths: u32| f64::from(hundredths) / 100.0;
    json!({
        "avg10": percent(totals.average_10),
        "avg60": percent(totals.average_60),
        "avg300": percent(totals.average_300),
        "total": u64::try_from(totals.total.as_micros()).unwrap_or(u64::MAX),
    })
}

fn interfaces(container: &Container) -> anyhow::Result<Vec<Value>> {
    let value = |interface: naru_runtime::store::InterfaceStats| {
        let (received, sent) = (interface.received, interface.sent);
        json!({
            "Name": interface.name,
            "RxBytes": received.bytes, "RxPackets": received.packets,
            "RxErrors": received.errors, "RxDropped": received.dropped,
            "TxBytes": sent.bytes, "TxPackets": sent.packets,
            "TxErrors": sent.errors, "TxDropped": sent.dropped,
        })
    };
    Ok(container.interfaces()?.into_iter().map(value).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_processors_is_spelled_out() {
        assert_eq!(numbers("0-2,5\n"), [0, 1, 2, 5]);
        assert_eq!(numbers(""), [0; 0]);
    }
}
