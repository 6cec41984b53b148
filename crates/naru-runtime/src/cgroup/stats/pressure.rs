//! Pressure stall information of a group (Documentation/accounting/psi.rst).

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::parse::text;
use crate::Error;

/// The three kinds; nothing where the kernel does not measure it (`psi=0`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pressures {
    /// `cpu.pressure`.
    pub cpu: Option<Pressure>,
    /// `memory.pressure`.
    pub memory: Option<Pressure>,
    /// `io.pressure`.
    pub io: Option<Pressure>,
}

/// How long processes waited for a resource.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pressure {
    /// Some waited.
    pub some: PressureTotals,
    /// All waited; not told for processors before Linux 5.13.
    pub full: Option<PressureTotals>,
}

/// Shares of the last 10, 60 and 300 seconds, in hundredths of a percent, and the whole time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PressureTotals {
    /// Of the last ten seconds.
    pub average_10: u32,
    /// Of the last minute.
    pub average_60: u32,
    /// Of the last five minutes.
    pub average_300: u32,
    /// Since the group was made.
    pub total: Duration,
}

/// Those of a v2 group.
pub(super) fn read(directory: &Path) -> Result<Pressures, Error> {
    let one = |name: &str| -> Result<Option<Pressure>, Error> {
        Ok(text(directory, name)?.and_then(|text| parse(&text)))
    };
    Ok(Pressures {
        cpu: one("cpu.pressure")?,
        memory: one("memory.pressure")?,
        io: one("io.pressure")?,
    })
}

fn parse(text: &str) -> Option<Pressure> {
    let line = |kind: &str| text.lines().find_map(|line| line.strip_prefix(kind)).and_then(totals);
    Some(Pressure { some: line("some ")?, full: line("full ") })
}

fn totals(line: &str) -> Option<PressureTotals> {
    let mut totals = PressureTotals::default();
    for (name, value) in line.split(' ').filter_map(|word| word.split_once('=')) {
        match name {
            "avg10" => totals.average_10 = hundredths(value)?,
            "avg60" => totals.average_60 = hundredths(value)?,
            "avg300" => totals.average_300 = hundredths(value)?,
            "total" => totals.total = Duration::from_micros(value.parse().ok()?),
            _ => {}
        }
    }
    Some(totals)
}

/// The kernel writes two digits after the point.
fn hundredths(value: &str) -> Option<u32> {
    let (whole, part) = value.split_once('.')?;
    Some(whole.parse::<u32>().ok()? * 100 + part.parse::<u32>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pressure_is_read_to_the_hundredth() {
        let text = "some avg10=1.53 avg60=0.00 avg300=100.00 total=1234567\n\
                    full avg10=0.07 avg60=0.00 avg300=0.00 total=5\n";
        let pressure = parse(text).unwrap();
        assert_eq!(pressure.some.average_10, 153);
        assert_eq!(pressure.some.average_300, 10_000);
        assert_eq!(pressure.some.total, Duration::from_micros(1_234_567));
        assert_eq!(pressure.full.unwrap().average_10, 7);
        assert_eq!(parse("some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n").unwrap().full, None);
        assert_eq!(parse(""), None);
    }
}
