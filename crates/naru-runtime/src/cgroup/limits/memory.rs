//! `linux.resources.memory`.

use oci_spec::runtime::LinuxMemory;

use super::{Place, Writer, only_v1};
use crate::Error;

impl Writer<'_> {
    pub(super) fn memory(&mut self, memory: &LinuxMemory) -> Result<(), Error> {
        let limited = |value: Option<i64>| value.filter(|value| *value != 0);
        let (limit, swap) = (limited(memory.limit()), limited(memory.swap()));
        if *memory == LinuxMemory::default() {
            return Ok(());
        }
        let place = self.place("memory", "linux.resources.memory")?;
        if let Some(limit) = limit {
            self.write(place, "memory.limit_in_bytes", "memory.max", bytes(place, limit));
        }
        match place {
            Place::V1(_) => self.memory_and_swap(place, limit, swap),
            Place::V2(_) => self.swap_alone(place, limit, swap)?,
        }
        if let Some(reservation) = limited(memory.reservation()) {
            let value = bytes(place, reservation);
            self.write(place, "memory.soft_limit_in_bytes", "memory.low", value);
        }
        for (field, value, file) in [
            ("kernel", memory.kernel(), "memory.kmem.limit_in_bytes"),
            ("kernelTCP", memory.kernel_tcp(), "memory.kmem.tcp.limit_in_bytes"),
        ] {
            if let Some(value) = limited(value) {
                only_v1(place, &format!("linux.resources.memory.{field}"))?;
                self.write(place, file, "", value.to_string());
            }
        }
        self.behaviour(place, memory)
    }

    /// v1 limits memory and swap together; no limit of memory means none of both.
    fn memory_and_swap(&mut self, place: Place, limit: Option<i64>, swap: Option<i64>) {
        const FILE: &str = "memory.memsw.limit_in_bytes";
        match (limit, swap) {
            (_, Some(swap)) => self.write(place, FILE, "", swap.max(-1).to_string()),
            (Some(..0), None) => self.push(place.index(), [(FILE.into(), "-1".to_owned())], true),
            _ => {}
        }
    }

    /// v2 limits swap alone, while the specification's number is memory and swap together.
    fn swap_alone(
        &mut self,
        place: Place,
        limit: Option<i64>,
        swap: Option<i64>,
    ) -> Result<(), Error> {
        const FIELD: &str = "linux.resources.memory.swap";
        let value = match (limit.or(self.current.memory_max), swap) {
            (_, None) if limit.is_some_and(|limit| limit < 0) => "max".to_owned(),
            (_, None) => return Ok(()),
            (_, Some(..0)) => "max".to_owned(),
            (None | Some(..0), Some(_)) => {
                return Err(Error::invalid(FIELD, "it needs a limit of memory beside it"));
            }
            (Some(limit), Some(swap)) if swap < limit => {
                let reason = format!("{swap} is less than the limit of memory, {limit}");
                return Err(Error::invalid(FIELD, reason));
            }
            (Some(limit), Some(swap)) => (swap - limit).to_string(),
        };
        // A kernel without swap accounting has no swap to forbid or to allow either.
        let optional = value == "max" || value == "0";
        self.push(place.index(), [("memory.swap.max".into(), value)], optional);
        Ok(())
    }

    fn behaviour(&mut self, place: Place, memory: &LinuxMemory) -> Result<(), Error> {
        // The specification's numbers have no sign; engines write -1 for "as it is".
        if let Some(swappiness) = memory.swappiness().filter(|value| *value != u64::MAX) {
            const FIELD: &str = "linux.resources.memory.swappiness";
            only_v1(place, FIELD)?;
            if swappiness > 100 {
                let reason = format!("{swappiness} is not between 0 and 100");
                return Err(Error::invalid(FIELD, reason));
            }
            self.write(place, "memory.swappiness", "", swappiness.to_string());
        }
        match (memory.disable_oom_killer(), place) {
            (Some(disable), Place::V1(_)) => {
                self.write(place, "memory.oom_control", "", u8::from(disable).to_string());
            }
            (Some(true), Place::V2(_)) => {
                only_v1(place, "linux.resources.memory.disableOOMKiller")?;
            }
            _ => {}
        }
        match (memory.use_hierarchy(), place) {
            (Some(wanted), Place::V1(_)) => {
                self.write(place, "memory.use_hierarchy", "", u8::from(wanted).to_string());
            }
            // v2 always is.
            (Some(false), Place::V2(_)) => {
                only_v1(place, "linux.resources.memory.useHierarchy")?;
            }
            _ => {}
        }
        Ok(())
    }
}

fn bytes(place: Place, value: i64) -> String {
    match place {
        Place::V2(_) if value < 0 => "max".to_owned(),
        _ => value.max(-1).to_string(),
    }
}
