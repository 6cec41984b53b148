//! `update`: other limits for a container that runs.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use naru_runtime::store::Store;
use oci_spec::runtime::LinuxResources;
use serde_json::{Map, Value, json};

use crate::ui::Ui;

/// Change the limits of a container.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A file with the limits (OCI configuration, "linux.resources") instead of the flags; `-` is stdin
    #[arg(short, long, value_name = "FILE")]
    resources: Option<PathBuf>,
    /// Weight of block devices, 10 to 1000
    #[arg(long, value_name = "WEIGHT")]
    blkio_weight: Option<u16>,
    /// Period of the processor quota, in microseconds
    #[arg(long, value_name = "MICROSECONDS")]
    cpu_period: Option<u64>,
    /// Processor time in each period, in microseconds; -1 is no limit
    #[arg(long, value_name = "MICROSECONDS", allow_negative_numbers = true)]
    cpu_quota: Option<i64>,
    /// Processor time above the quota that may be saved up, in microseconds
    #[arg(long, value_name = "MICROSECONDS")]
    cpu_burst: Option<u64>,
    /// Period of the real-time quota, in microseconds
    #[arg(long, value_name = "MICROSECONDS")]
    cpu_rt_period: Option<u64>,
    /// Real-time processor time in each period, in microseconds
    #[arg(long, value_name = "MICROSECONDS", allow_negative_numbers = true)]
    cpu_rt_runtime: Option<i64>,
    /// Processor shares against other containers
    #[arg(long, visible_alias = "cpu-shares", value_name = "SHARES")]
    cpu_share: Option<u64>,
    /// Only use processor time that nobody else wants: 1
    #[arg(long, value_name = "0|1")]
    cpu_idle: Option<i64>,
    /// Processors to use
    #[arg(long, value_name = "LIST")]
    cpuset_cpus: Option<String>,
    /// Memory nodes to use
    #[arg(long, value_name = "LIST")]
    cpuset_mems: Option<String>,
    /// Refused: kernels have no such limit any more
    #[arg(long, value_name = "BYTES", hide = true)]
    kernel_memory: Option<String>,
    /// Limit of TCP buffers, in bytes; cgroup v1
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true, hide = true)]
    kernel_memory_tcp: Option<String>,
    /// Limit of memory, in bytes or with a unit (50M); -1 is no limit
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true)]
    memory: Option<String>,
    /// Memory that is left to it when others need some
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true)]
    memory_reservation: Option<String>,
    /// Limit of memory and swap together; -1 is no limit
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true)]
    memory_swap: Option<String>,
    /// Limit of processes and threads; -1 is no limit
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true)]
    pids_limit: Option<i64>,
    /// Refused: Intel RDT is not supported
    #[arg(long, value_name = "SCHEMA", hide = true)]
    l3_cache_schema: Option<String>,
    /// Refused: Intel RDT is not supported
    #[arg(long, value_name = "SCHEMA", hide = true)]
    mem_bw_schema: Option<String>,
    /// The container's name
    #[arg(value_name = "CONTAINER")]
    id: String,
}

pub(crate) fn run(args: &Args, store: &Store, ui: &Ui) -> anyhow::Result<u8> {
    let mut container = super::open(store, &args.id)?;
    let resources = match &args.resources {
        Some(file) => from_file(file)?,
        None => from_flags(args, ui)?,
    };
    container.update(&resources)?;
    Ok(0)
}

fn from_file(file: &Path) -> anyhow::Result<LinuxResources> {
    let mut text = Vec::new();
    if file == Path::new("-") {
        std::io::stdin().read_to_end(&mut text).context("cannot read the resources")?;
    } else {
        text = fs_err::read(file).context("cannot read the resources")?;
    }
    serde_json::from_slice(&text).context("cannot parse the resources")
}

fn from_flags(args: &Args, ui: &Ui) -> anyhow::Result<LinuxResources> {
    if args.l3_cache_schema.is_some() || args.mem_bw_schema.is_some() {
        bail!("Intel RDT is not supported");
    }
    if args.kernel_memory.is_some() {
        ui.warning("--kernel-memory has no effect: kernels have no such limit any more");
    }
    let bytes = |text: &Option<String>| text.as_deref().map(bytes).transpose();
    let memory = group([
        ("limit", bytes(&args.memory)?.map(Value::from)),
        ("reservation", bytes(&args.memory_reservation)?.map(Value::from)),
        ("swap", bytes(&args.memory_swap)?.map(Value::from)),
        ("kernelTCP", bytes(&args.kernel_memory_tcp)?.map(Value::from)),
    ]);
    let cpu = group([
        ("period", args.cpu_period.map(Value::from)),
        ("quota", args.cpu_quota.map(Value::from)),
        ("burst", args.cpu_burst.map(Value::from)),
        ("realtimePeriod", args.cpu_rt_period.map(Value::from)),
        ("realtimeRuntime", args.cpu_rt_runtime.map(Value::from)),
        ("shares", args.cpu_share.map(Value::from)),
        ("idle", args.cpu_idle.map(Value::from)),
        ("cpus", args.cpuset_cpus.clone().map(Value::from)),
        ("mems", args.cpuset_mems.clone().map(Value::from)),
    ]);
    let resources = group([
        ("memory", memory),
        ("cpu", cpu),
        ("pids", args.pids_limit.map(|limit| json!({ "limit": limit }))),
        ("blockIO", args.blkio_weight.map(|weight| json!({ "weight": weight }))),
    ]);
    serde_json::from_value(resources.unwrap_or_else(|| json!({})))
        .context("cannot use the flags as resources")
}

/// The values that are there as an object, if there is one.
fn group<const N: usize>(values: [(&str, Option<Value>); N]) -> Option<Value> {
    let there = values.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    let object: Map<String, Value> = there.collect();
    (!object.is_empty()).then_some(Value::Object(object))
}

/// A number of bytes with a unit of 1024 or none; -1 stays.
fn bytes(text: &str) -> anyhow::Result<i64> {
    let lower = text.trim().to_lowercase();
    let digits = lower.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit: i64 = match lower[digits.len()..].trim_end_matches('b').trim_end_matches('i') {
        "" => 1,
        "k" => 1 << 10,
        "m" => 1 << 20,
        "g" => 1 << 30,
        "t" => 1 << 40,
        _ => bail!("cannot parse {text:?} as a number of bytes"),
    };
    let number: Result<i64, _> = digits.parse();
    let number = number.ok().and_then(|number| number.checked_mul(unit));
    number.with_context(|| format!("cannot parse {text:?} as a number of bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_units_of_1024() {
        for (text, number) in [
            ("7", 7),
            ("50M", 52_428_800),
            ("1k", 1024),
            ("2gb", 2 << 30),
            ("3MiB", 3 << 20),
            ("-1", -1),
        ] {
            assert_eq!(bytes(text).unwrap(), number, "{text}");
        }
        for text in ["", "x", "5q", "1.5g", "99999999999t"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }
}
