//! What a group uses, in one typed form for cgroup v1 and v2.

mod parse;
mod pressure;
mod v1;
mod v2;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use pressure::{Pressure, PressureTotals, Pressures};

use super::Cgroup;
use crate::Error;

/// What the group uses at one moment. A part is missing where the group has no such controller; a number, where the
/// kernel does not tell it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Processor time.
    pub cpu: Option<CpuStats>,
    /// Processors and memory nodes that may be used.
    pub cpuset: Option<CpusetStats>,
    /// Memory.
    pub memory: Option<MemoryStats>,
    /// Processes and threads.
    pub pids: Option<PidsStats>,
    /// Input and output of block devices, by device.
    pub io: Option<IoStats>,
    /// Huge pages by their size as the kernel writes it ("2MB"), in bytes.
    pub hugetlb: BTreeMap<String, MemoryUse>,
    /// RDMA resources by device.
    pub rdma: BTreeMap<String, RdmaStats>,
    /// How long processes waited for processors, memory and devices; v2, on hybrid hosts too.
    pub pressure: Pressures,
}

/// Processor time (`cpuacct.*` and `cpu.stat` of v1, `cpu.stat` of v2).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuStats {
    /// All of it.
    pub usage: Duration,
    /// Outside the kernel.
    pub user: Duration,
    /// Inside the kernel.
    pub system: Duration,
    /// By processor; v1 only.
    pub per_cpu: Vec<Duration>,
    /// Outside the kernel, by processor; v1 only.
    pub per_cpu_user: Vec<Duration>,
    /// Inside the kernel, by processor; v1 only.
    pub per_cpu_system: Vec<Duration>,
    /// Periods of the quota that have passed.
    pub periods: u64,
    /// Periods in which the quota was used up.
    pub throttled_periods: u64,
    /// How long processes waited for the next period.
    pub throttled: Duration,
    /// Periods in which the quota was exceeded by a burst.
    pub bursts: u64,
    /// Processor time above the quota.
    pub burst: Duration,
}

/// Processors and memory nodes as lists ("0-3,5"), what is in effect first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpusetStats {
    /// Processors.
    pub cpus: String,
    /// Memory nodes.
    pub mems: String,
}

/// Memory, in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryStats {
    /// Of processes, caches and, in v2 always, of the kernel.
    pub memory: MemoryUse,
    /// Swap; in v1, memory and swap together.
    pub swap: Option<MemoryUse>,
    /// v1: the kernel's part.
    pub kernel: Option<MemoryUse>,
    /// v1: the part of TCP's buffers.
    pub kernel_tcp: Option<MemoryUse>,
    /// Charged groups below it too; v1 can do without.
    pub hierarchical: bool,
    /// Page cache.
    pub cache: u64,
    /// How often the group ran out of its memory.
    pub oom: u64,
    /// Processes that were killed for want of memory.
    pub oom_kills: u64,
    /// `memory.stat`.
    pub details: BTreeMap<String, u64>,
    /// `memory.events` of v2: low, high, max, oom, oom_kill, oom_group_kill.
    pub events: BTreeMap<String, u64>,
}

/// One kind of memory, in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryUse {
    /// Now.
    pub usage: u64,
    /// The most there was, if the kernel remembers it (v2: Linux 5.19 for memory, 6.5 for swap).
    pub peak: Option<u64>,
    /// No more than this; nothing is no limit.
    pub limit: Option<u64>,
    /// How often the limit was hit.
    pub failures: u64,
}

/// Processes and threads.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PidsStats {
    /// Now.
    pub current: u64,
    /// No more than this; nothing is no limit.
    pub limit: Option<u64>,
}

/// Input and output of block devices.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IoStats {
    /// By device (major and minor number) and operation in lower case ("read", "write", "discard"…): bytes.
    pub bytes: Vec<IoEntry>,
    /// By device and operation: how many.
    pub operations: Vec<IoEntry>,
}

/// One counter of a block device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IoEntry {
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// "read", "write", "discard", and in v1 "sync", "async" and "total".
    pub operation: String,
    /// The counter.
    pub value: u64,
}

/// RDMA resources of a device (`rdma.current`, `rdma.max`); no limit is nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RdmaStats {
    /// Handles now.
    pub handles: u64,
    /// Objects now.
    pub objects: u64,
    /// The most handles.
    pub handle_limit: Option<u64>,
    /// The most objects.
    pub object_limit: Option<u64>,
}

/// The page sizes of a group's `hugetlb.SIZE…` files, by the file that ends so.
fn sizes(directory: &Path, end: &str) -> Vec<String> {
    let Ok(entries) = fs_err::read_dir(directory) else { return Vec::new() };
    let size = |name: &str| {
        let size = name.strip_prefix("hugetlb.")?.strip_suffix(end)?;
        (!size.contains('.')).then(|| size.to_owned())
    };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter_map(|name| size(&name)).collect()
}

impl Cgroup {
    /// What the group and those below it use now. A controller is taken from v1 where the host has it there.
    ///
    /// # Errors
    /// When a file that is there cannot be read; a group that is gone has no statistics.
    pub fn stats(&self) -> Result<Stats, Error> {
        let mut stats = match self.unified() {
            Some(directory) => v2::stats(&directory)?,
            None => Stats::default(),
        };
        v1::add(self, &mut stats)?;
        if let Some(memory) = &mut stats.memory
            && memory.oom_kills == 0
        {
            memory.oom_kills = self.oom_kills()?;
        }
        Ok(stats)
    }
}
