//! `linux.resources.cpu`.

use oci_spec::runtime::LinuxCpu;

use super::{Place, Writer, only_v1};
use crate::Error;

/// The kernel's period of CPU time, in microseconds.
const PERIOD: u64 = 100_000;

impl Writer<'_> {
    pub(super) fn cpu(&mut self, cpu: &LinuxCpu) -> Result<(), Error> {
        let shares = cpu.shares().filter(|shares| *shares != 0);
        let quota = cpu.quota().filter(|quota| *quota != 0);
        let period = cpu.period().filter(|period| *period != 0);
        let runtime = cpu.realtime_runtime().filter(|runtime| *runtime != 0);
        let realtime = cpu.realtime_period().filter(|period| *period != 0);
        let numbers = [shares, quota.map(i64::unsigned_abs), period, cpu.burst(), realtime];
        let idle = cpu.idle();
        if numbers.iter().all(Option::is_none) && idle.is_none() && runtime.is_none() {
            return Ok(());
        }
        let place = self.place("cpu", "linux.resources.cpu")?;
        // An idle group has no weight, and the kernel takes none.
        if let Some(idle) = idle {
            self.write(place, "cpu.idle", "cpu.idle", idle.to_string());
        }
        if let Some(shares) = shares.filter(|_| idle != Some(1)) {
            let value = match place {
                Place::V1(_) => shares,
                Place::V2(_) => weight(shares),
            };
            self.write(place, "cpu.shares", "cpu.weight", value.to_string());
        }
        self.bandwidth(place, quota, period);
        if let Some(burst) = cpu.burst() {
            self.write(place, "cpu.cfs_burst_us", "cpu.max.burst", burst.to_string());
        }
        if let Some(period) = realtime {
            only_v1(place, "linux.resources.cpu.realtimePeriod")?;
            self.write(place, "cpu.rt_period_us", "", period.to_string());
        }
        if let Some(runtime) = runtime {
            only_v1(place, "linux.resources.cpu.realtimeRuntime")?;
            self.write(place, "cpu.rt_runtime_us", "", runtime.to_string());
        }
        Ok(())
    }

    /// Two files in v1, one in v2.
    fn bandwidth(&mut self, place: Place, quota: Option<i64>, period: Option<u64>) {
        match place {
            Place::V1(_) => {
                if let Some(period) = period {
                    self.write(place, "cpu.cfs_period_us", "", period.to_string());
                }
                if let Some(quota) = quota {
                    self.write(place, "cpu.cfs_quota_us", "", quota.max(-1).to_string());
                }
            }
            Place::V2(_) if quota.is_some() || period.is_some() => {
                let current = self.current.cpu_max.clone();
                let (had, each) = current.unwrap_or_else(|| ("max".to_owned(), PERIOD));
                let quota = match quota {
                    Some(quota) if quota > 0 => quota.to_string(),
                    Some(_) => "max".to_owned(),
                    None => had,
                };
                let period = period.unwrap_or(each);
                self.write(place, "", "cpu.max", format!("{quota} {period}"));
            }
            Place::V2(_) => {}
        }
    }

    pub(super) fn cpuset(&mut self, cpu: &LinuxCpu) -> Result<(), Error> {
        let files = [
            ("cpuset.cpus", cpu.cpus(), "linux.resources.cpu.cpus"),
            ("cpuset.mems", cpu.mems(), "linux.resources.cpu.mems"),
        ];
        for (file, value, field) in files {
            let Some(value) = value.as_ref().filter(|value| !value.is_empty()) else { continue };
            let place = self.place("cpuset", field)?;
            self.write(place, file, file, value.clone());
        }
        Ok(())
    }
}

/// CPU shares (2 to 262144, usually 1024) as the weight of cgroup v2 (1 to 10000, usually 100),
/// by the curve that the container runtimes agreed on: 2, 1024 and 262144 become 1, 100 and 10000.
pub(super) fn weight(shares: u64) -> u64 {
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
