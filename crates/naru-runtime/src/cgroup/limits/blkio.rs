//! `linux.resources.blockIO`.

use oci_spec::runtime::{LinuxBlockIo, LinuxThrottleDevice};

use super::{Place, Writer, only_v1};
use crate::Error;

const FIELD: &str = "linux.resources.blockIO";

impl Writer<'_> {
    pub(super) fn block(&mut self, block: &LinuxBlockIo) -> Result<(), Error> {
        if let Some(weight) = block.weight().filter(|weight| *weight != 0) {
            let weight = in_range(weight, "weight")?;
            self.weight(None, weight, "weight")?;
        }
        if let Some(weight) = block.leaf_weight().filter(|weight| *weight != 0) {
            let weight = in_range(weight, "leafWeight")?;
            self.leaf_weight("blkio.leaf_weight", weight.to_string(), "leafWeight")?;
        }
        for device in block.weight_device().iter().flatten() {
            let name = format!("{}:{}", device.major(), device.minor());
            if let Some(weight) = device.weight().filter(|weight| *weight != 0) {
                let weight = in_range(weight, "weightDevice.weight")?;
                self.weight(Some(&name), weight, "weightDevice.weight")?;
            }
            if let Some(weight) = device.leaf_weight().filter(|weight| *weight != 0) {
                let weight = in_range(weight, "weightDevice.leafWeight")?;
                let value = format!("{name} {weight}");
                self.leaf_weight("blkio.leaf_weight_device", value, "weightDevice.leafWeight")?;
            }
        }
        for (field, devices, v1, word) in [
            (
                "throttleReadBpsDevice",
                block.throttle_read_bps_device(),
                "blkio.throttle.read_bps_device",
                "rbps",
            ),
            (
                "throttleWriteBpsDevice",
                block.throttle_write_bps_device(),
                "blkio.throttle.write_bps_device",
                "wbps",
            ),
            (
                "throttleReadIOPSDevice",
                block.throttle_read_iops_device(),
                "blkio.throttle.read_iops_device",
                "riops",
            ),
            (
                "throttleWriteIOPSDevice",
                block.throttle_write_iops_device(),
                "blkio.throttle.write_iops_device",
                "wiops",
            ),
        ] {
            for device in devices.iter().flatten() {
                self.throttle(device, field, v1, word)?;
            }
        }
        Ok(())
    }

    /// The weight of all devices or of one. The BFQ scheduler has files of its own, where the numbers are
    /// those of the specification; the other file of v2 has a wider range.
    fn weight(&mut self, device: Option<&str>, weight: u16, field: &str) -> Result<(), Error> {
        let place = self.block_place(field)?;
        let line = |weight: u64| match device {
            Some(device) => format!("{device} {weight}"),
            None => weight.to_string(),
        };
        let plain = line(weight.into());
        let choices = match (place, device) {
            (Place::V1(_), None) => [("blkio.weight", plain.clone()), ("blkio.bfq.weight", plain)],
            (Place::V1(_), Some(_)) => {
                [("blkio.weight_device", plain.clone()), ("blkio.bfq.weight_device", plain)]
            }
            (Place::V2(_), _) => [("io.bfq.weight", plain), ("io.weight", line(io_weight(weight)))],
        };
        self.push(place.index(), choices.map(|(file, value)| (file.into(), value)), false);
        Ok(())
    }

    fn leaf_weight(&mut self, file: &'static str, value: String, field: &str) -> Result<(), Error> {
        let place = self.block_place(field)?;
        only_v1(place, &format!("{FIELD}.{field}"))?;
        self.write(place, file, "", value);
        Ok(())
    }

    /// One file per direction and unit in v1, all in one in v2, where 0 would be refused: it means no limit.
    fn throttle(
        &mut self,
        device: &LinuxThrottleDevice,
        field: &str,
        v1: &'static str,
        word: &str,
    ) -> Result<(), Error> {
        let place = self.block_place(field)?;
        let name = format!("{}:{}", device.major(), device.minor());
        let value = match (place, device.rate()) {
            (Place::V1(_), rate) => format!("{name} {rate}"),
            (Place::V2(_), 0) => format!("{name} {word}=max"),
            (Place::V2(_), rate) => format!("{name} {word}={rate}"),
        };
        self.write(place, v1, "io.max", value);
        Ok(())
    }

    /// The controller is `blkio` in v1 and `io` in v2.
    fn block_place(&mut self, field: &str) -> Result<Place, Error> {
        let field = format!("{FIELD}.{field}");
        match self.v1_place("blkio", &field) {
            Ok(place) => Ok(place),
            Err(_) => self.place("io", &field),
        }
    }
}

/// Weights go from 10 to 1000.
fn in_range(weight: u16, field: &str) -> Result<u16, Error> {
    if (10..=1000).contains(&weight) {
        return Ok(weight);
    }
    let reason = format!("{weight} is not between 10 and 1000");
    Err(Error::invalid(format!("{FIELD}.{field}"), reason))
}

/// A weight of 10 to 1000 as one of 1 to 10000, in proportion.
pub(super) fn io_weight(weight: u16) -> u64 {
    1 + (u64::from(weight.max(10)) - 10) * 9999 / 990
}
