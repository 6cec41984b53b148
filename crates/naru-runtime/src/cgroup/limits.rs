//! Limits of the specification as writes to the kernel's files; pure.

use std::borrow::Cow;

use oci_spec::runtime::{LinuxCpu, LinuxMemory, LinuxResources};

use super::detect::MountedHierarchy;
use super::devices;
use crate::Error;

/// What to write where.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Settings {
    /// Index of the hierarchy, file, value; in this order.
    pub(super) writes: Vec<(usize, Cow<'static, str>, String)>,
    /// Controllers that the v2 hierarchy must offer.
    pub(super) controllers: Vec<String>,
}

/// Collects writes and knows which hierarchy has which controller.
struct Writer<'a> {
    hierarchies: &'a [MountedHierarchy],
    settings: Settings,
}

/// Where a controller is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    V1(usize),
    V2(usize),
}

/// The writes for `resources` on a host with these hierarchies.
pub(super) fn settings(
    resources: &LinuxResources,
    hierarchies: &[MountedHierarchy],
) -> Result<Settings, Error> {
    refuse_unsupported(resources)?;
    let mut writer = Writer { hierarchies, settings: Settings::default() };
    if hierarchies.is_empty() {
        return Ok(writer.settings);
    }
    if let Some(memory) = resources.memory() {
        writer.memory(memory)?;
    }
    if let Some(cpu) = resources.cpu() {
        writer.cpu(cpu)?;
        writer.cpuset(cpu)?;
    }
    if let Some(pids) = resources.pids() {
        let value = if pids.limit() > 0 { pids.limit().to_string() } else { "max".to_owned() };
        let place = writer.place("pids", "linux.resources.pids.limit")?;
        writer.write(place, "pids.max", "pids.max", value);
    }
    for (name, value) in resources.unified().iter().flatten() {
        writer.unified(name, value)?;
    }
    if let Some(index) = hierarchies.iter().position(|hierarchy| hierarchy.has("devices")) {
        for (file, line) in devices::v1_lines(resources)? {
            writer.settings.writes.push((index, file.into(), line));
        }
    }
    Ok(writer.settings)
}

fn refuse_unsupported(resources: &LinuxResources) -> Result<(), Error> {
    let hugepages = resources.hugepage_limits().as_ref().is_some_and(|list| !list.is_empty());
    let rdma = resources.rdma().as_ref().is_some_and(|map| !map.is_empty());
    let block = resources.block_io().as_ref().is_some_and(|block| *block != Default::default());
    let network = resources.network().as_ref().is_some_and(|net| *net != Default::default());
    let memory = resources.memory().unwrap_or_default();
    let cpu = resources.cpu().clone().unwrap_or_default();
    let fields = [
        ("linux.resources.hugepageLimits", hugepages),
        ("linux.resources.rdma", rdma),
        ("linux.resources.blockIO", block),
        ("linux.resources.network", network),
        ("linux.resources.memory.kernelTCP", memory.kernel_tcp().is_some()),
        ("linux.resources.cpu.idle", cpu.idle().is_some()),
        ("linux.resources.cpu.burst", cpu.burst().is_some()),
        ("linux.resources.cpu.realtimeRuntime", cpu.realtime_runtime().is_some()),
        ("linux.resources.cpu.realtimePeriod", cpu.realtime_period().is_some()),
    ];
    match fields.iter().find(|(_, present)| *present) {
        Some((field, _)) => Err(Error::unsupported(*field)),
        None => Ok(()),
    }
}

impl Writer<'_> {
    /// Where `controller` is; a limit for a controller that the host does not have is an error.
    fn place(&mut self, controller: &str, field: &str) -> Result<Place, Error> {
        if let Some(index) = self.hierarchies.iter().position(|h| h.has(controller)) {
            return Ok(Place::V1(index));
        }
        let unified = self.hierarchies.iter().position(MountedHierarchy::is_unified);
        let index = unified.ok_or_else(|| {
            Error::unsupported_value(field, format!("the host has no {controller} controller"))
        })?;
        if !self.settings.controllers.iter().any(|known| known == controller) {
            self.settings.controllers.push(controller.to_owned());
        }
        Ok(Place::V2(index))
    }

    fn write(&mut self, place: Place, v1: &'static str, v2: &'static str, value: String) {
        let (index, file) = match place {
            Place::V1(index) => (index, v1),
            Place::V2(index) => (index, v2),
        };
        self.settings.writes.push((index, file.into(), value));
    }

    /// A file of cgroup v2, by its name; the controller is what comes before the dot.
    fn unified(&mut self, name: &str, value: &str) -> Result<(), Error> {
        let field = "linux.resources.unified";
        if name.contains('/') {
            return Err(Error::invalid(field, format!("{name} is no file's name")));
        }
        let controller = name.split('.').next().unwrap_or_default();
        match self.place(controller, field)? {
            Place::V1(_) => Err(Error::unsupported_value(field, format!("{name} on cgroup v1"))),
            Place::V2(index) => {
                self.settings.writes.push((index, name.to_owned().into(), value.to_owned()));
                Ok(())
            }
        }
    }

    fn memory(&mut self, memory: &LinuxMemory) -> Result<(), Error> {
        let place = self.place("memory", "linux.resources.memory")?;
        let limited = |value: Option<i64>| value.filter(|value| *value != 0);
        let bytes = |value: i64| {
            if value > 0 || matches!(place, Place::V1(_)) {
                value.to_string()
            } else {
                "max".into()
            }
        };
        if let Some(limit) = limited(memory.limit()) {
            self.write(place, "memory.limit_in_bytes", "memory.max", bytes(limit));
        }
        if let Some(reservation) = limited(memory.reservation()) {
            let value = bytes(reservation);
            self.write(place, "memory.soft_limit_in_bytes", "memory.low", value);
        }
        if let Some(swap) = limited(memory.swap()) {
            // v1 limits memory and swap together, v2 limits swap alone.
            let alone = swap.saturating_sub(memory.limit().unwrap_or(0));
            let value = match place {
                Place::V1(_) => swap.to_string(),
                Place::V2(_) if swap < 0 => "max".to_owned(),
                Place::V2(_) => alone.to_string(),
            };
            self.write(place, "memory.memsw.limit_in_bytes", "memory.swap.max", value);
        }
        if let Some(swappiness) = memory.swappiness() {
            only_v1(place, "linux.resources.memory.swappiness")?;
            self.write(place, "memory.swappiness", "", swappiness.to_string());
        }
        if memory.disable_oom_killer() == Some(true) {
            only_v1(place, "linux.resources.memory.disableOOMKiller")?;
            self.write(place, "memory.oom_control", "", "1".to_owned());
        }
        Ok(())
    }

    fn cpu(&mut self, cpu: &LinuxCpu) -> Result<(), Error> {
        let shares = cpu.shares().filter(|shares| *shares != 0);
        let quota = cpu.quota().filter(|quota| *quota != 0);
        let period = cpu.period().filter(|period| *period != 0);
        if shares.is_none() && quota.is_none() && period.is_none() {
            return Ok(());
        }
        let place = self.place("cpu", "linux.resources.cpu")?;
        if let Some(shares) = shares {
            let value = match place {
                Place::V1(_) => shares,
                Place::V2(_) => weight(shares),
            };
            self.write(place, "cpu.shares", "cpu.weight", value.to_string());
        }
        match place {
            Place::V1(_) => {
                if let Some(period) = period {
                    self.write(place, "cpu.cfs_period_us", "", period.to_string());
                }
                if let Some(quota) = quota {
                    self.write(place, "cpu.cfs_quota_us", "", quota.to_string());
                }
            }
            Place::V2(_) => {
                let period = period.unwrap_or(100_000);
                let quota = match quota {
                    Some(quota) if quota > 0 => quota.to_string(),
                    _ => "max".to_owned(),
                };
                self.write(place, "", "cpu.max", format!("{quota} {period}"));
            }
        }
        Ok(())
    }

    fn cpuset(&mut self, cpu: &LinuxCpu) -> Result<(), Error> {
        let files = [("cpuset.cpus", cpu.cpus()), ("cpuset.mems", cpu.mems())];
        for (file, value) in files {
            let Some(value) = value.as_ref().filter(|value| !value.is_empty()) else { continue };
            let place = self.place("cpuset", "linux.resources.cpu.cpus")?;
            self.write(place, file, file, value.clone());
        }
        Ok(())
    }
}

fn only_v1(place: Place, field: &str) -> Result<(), Error> {
    match place {
        Place::V1(_) => Ok(()),
        Place::V2(_) => Err(Error::unsupported_value(field, "cgroup v2 has none")),
    }
}

/// CPU shares (2 to 262144, usually 1024) as the weight of cgroup v2 (1 to 10000, usually 100),
/// by the curve that the container runtimes agreed on: 2, 1024 and 262144 become 1, 100 and 10000.
fn weight(shares: u64) -> u64 {
    if shares <= 2 {
        return 1;
    }
    if shares >= 262_144 {
        return 10_000;
    }
    #[expect(clippy::cast_precision_loss, reason = "the value is below 262144")]
    let log = (shares as f64).log2();
    let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the exponent is between 0 and 4"
    )]
    let weight = 10_f64.powf(exponent).ceil() as u64;
    weight
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn v1(controllers: &[&str]) -> MountedHierarchy {
        let controllers = controllers.iter().map(|name| (*name).to_owned()).collect();
        MountedHierarchy { mount: PathBuf::from("/c"), controllers }
    }

    fn resources(json: &str) -> LinuxResources {
        serde_json::from_str(json).unwrap()
    }

    fn text(json: &str, hierarchies: &[MountedHierarchy]) -> String {
        let settings = settings(&resources(json), hierarchies).unwrap();
        let lines = settings.writes.iter().map(|(_, file, value)| format!("{file}={value}"));
        lines.collect::<Vec<_>>().join(" ")
    }

    const LIMITS: &str = r#"{"memory": {"limit": 1000, "swap": 1500, "reservation": 500},
        "cpu": {"shares": 1024, "quota": 50000, "period": 100000}, "pids": {"limit": 7}}"#;

    #[test]
    fn v1_limits_memory_and_swap_together() {
        let hierarchies = [v1(&["memory"]), v1(&["cpu"]), v1(&["pids"])];
        assert_eq!(
            text(LIMITS, &hierarchies),
            "memory.limit_in_bytes=1000 memory.soft_limit_in_bytes=500 \
             memory.memsw.limit_in_bytes=1500 cpu.shares=1024 cpu.cfs_period_us=100000 \
             cpu.cfs_quota_us=50000 pids.max=7"
        );
    }

    #[test]
    fn v2_limits_swap_alone_and_converts_shares() {
        assert_eq!(
            text(LIMITS, &[v1(&[])]),
            "memory.max=1000 memory.low=500 memory.swap.max=500 cpu.weight=100 \
             cpu.max=50000 100000 pids.max=7"
        );
    }

    #[test]
    fn shares_become_weights_at_the_agreed_points() {
        assert_eq!([2, 1024, 262_144].map(weight), [1, 100, 10_000]);
    }

    #[test]
    fn a_limit_without_its_controller_is_an_error_that_names_it() {
        let error = settings(&resources(LIMITS), &[v1(&["cpu"])]).unwrap_err();
        assert!(error.to_string().contains("memory controller"), "{error}");
    }
}
