//! Values with a unit: byte sizes, durations, processor shares and file modes. Each parses every
//! spelling Compose accepts and prints the one that `docker compose config` prints.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a text is not a value of the unit that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// Not a byte size.
    #[error("`{0}` is not a byte size such as `64m` or `1.5gb`")]
    Bytes(String),
    /// Not a duration.
    #[error("`{0}` is not a duration such as `1m30s`")]
    Period(String),
    /// Not a number of processors.
    #[error("`{0}` is not a number of CPUs such as `0.5`")]
    Cpus(String),
    /// Not an octal file mode.
    #[error("`{0}` is not an octal file mode such as `0440`")]
    FileMode(String),
}

/// A size in bytes, printed as a decimal string. Negative means "no limit" where that is allowed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub i64);

impl Bytes {
    /// The size as a limit: `None` when it is zero (not set) or negative (without limit).
    #[must_use]
    pub fn limit(self) -> Option<u64> {
        u64::try_from(self.0).ok().filter(|bytes| *bytes > 0)
    }
}

impl FromStr for Bytes {
    type Err = UnitError;

    /// `b`, `k`, `m`, `g`, `t`, `p`, each also as `kb` and `kib`, in powers of 1024, with decimals.
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let error = || UnitError::Bytes(text.to_owned());
        // As docker compose reads it, everything up to the last digit is the number: `1e3k` is 1000k.
        let digits =
            text.rfind(|c: char| c.is_ascii_digit() || c == '.').map_or(0, |last| last + 1);
        let (number, suffix) = text.split_at(digits);
        let numeric =
            |c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | '+' | 'e' | 'E' | '_');
        if !number.chars().all(numeric) || number.starts_with('_') {
            return Err(error());
        }
        let number: f64 = number.replace('_', "").parse().map_err(|_| error())?;
        if number < 0.0 {
            return if suffix.is_empty() {
                whole(number).map(Self).ok_or_else(error)
            } else {
                Err(error())
            };
        }
        let suffix = suffix.strip_prefix(' ').unwrap_or(suffix).to_ascii_lowercase();
        let power = match suffix.as_str() {
            "" | "b" => 0,
            "k" | "kb" | "kib" => 1,
            "m" | "mb" | "mib" => 2,
            "g" | "gb" | "gib" => 3,
            "t" | "tb" | "tib" => 4,
            "p" | "pb" | "pib" => 5,
            _ => return Err(error()),
        };
        whole(number * 1024_f64.powi(power)).map(Self).ok_or_else(error)
    }
}

/// The whole part of a number that fits an `i64`.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked first")]
fn whole(number: f64) -> Option<i64> {
    (number.abs() < 9_223_372_036_854_775_000.0).then_some(number as i64)
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A length of time, printed as Go prints it (`1m30s`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Period {
    length: Duration,
    is_negative: bool,
}

impl Period {
    /// The length of time; zero for a negative one, which `up` refuses.
    #[must_use]
    pub fn duration(self) -> Duration {
        if self.is_negative { Duration::ZERO } else { self.length }
    }

    /// Whether it is less than zero, which docker compose loads and prints.
    #[must_use]
    pub fn is_negative(self) -> bool {
        self.is_negative
    }
}

impl From<Duration> for Period {
    fn from(length: Duration) -> Self {
        Self { length, is_negative: false }
    }
}

impl FromStr for Period {
    type Err = UnitError;

    /// A sequence of numbers with one of `ns us µs ms s m h d w`; `0` alone needs no unit.
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let error = || UnitError::Period(text.to_owned());
        if text == "0" {
            return Ok(Self::default());
        }
        let negative = text.strip_prefix('-');
        let mut rest = negative.or_else(|| text.strip_prefix('+')).unwrap_or(text);
        if rest.is_empty() {
            return Err(error());
        }
        let mut nanoseconds = 0_f64;
        while !rest.is_empty() {
            let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).ok_or_else(error)?;
            let number: f64 = rest[..end].parse().map_err(|_| error())?;
            rest = &rest[end..];
            let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
            nanoseconds += number * unit_nanoseconds(&rest[..end]).ok_or_else(error)?;
            rest = &rest[end..];
        }
        let nanoseconds = whole(nanoseconds.round()).ok_or_else(error)?;
        let length = Duration::from_nanos(nanoseconds.unsigned_abs());
        Ok(Self { length, is_negative: negative.is_some() && !length.is_zero() })
    }
}

/// Nanoseconds in one unit of time.
fn unit_nanoseconds(unit: &str) -> Option<f64> {
    Some(match unit {
        "ns" => 1.0,
        "us" | "µs" | "μs" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        "m" => 60e9,
        "h" => 3_600e9,
        "d" => 86_400e9,
        "w" => 604_800e9,
        _ => return None,
    })
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.length.as_nanos();
        if self.is_negative {
            f.write_str("-")?;
        }
        match nanos {
            0 => return f.write_str("0s"),
            1..1_000 => return write!(f, "{nanos}ns"),
            1_000..1_000_000 => return write!(f, "{}µs", decimal(nanos, 1_000)),
            1_000_000..1_000_000_000 => return write!(f, "{}ms", decimal(nanos, 1_000_000)),
            _ => {}
        }
        let minute = 60_000_000_000;
        let (hours, minutes) = (nanos / (60 * minute), nanos / minute % 60);
        if hours > 0 {
            write!(f, "{hours}h")?;
        }
        if hours > 0 || minutes > 0 {
            write!(f, "{minutes}m")?;
        }
        write!(f, "{}s", decimal(nanos % minute, 1_000_000_000))
    }
}

/// A fraction in decimal without trailing zeros.
fn decimal(value: u128, unit: u128) -> String {
    let fraction = format!("{:0width$}", value % unit, width = unit.ilog10() as usize);
    let fraction = fraction.trim_end_matches('0');
    let whole = value / unit;
    if fraction.is_empty() { whole.to_string() } else { format!("{whole}.{fraction}") }
}

/// A number of processors; 0 means "not set".
#[derive(Debug, Clone, Copy, Default, PartialEq, PartialOrd)]
pub struct Cpus(pub f64);

impl Cpus {
    /// The share in billionths of a processor, `None` when it is not set.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "positive, and a float cast saturates"
    )]
    pub fn nano(self) -> Option<u64> {
        (self.0 > 0.0).then_some((self.0 * 1e9).round() as u64)
    }
}

impl FromStr for Cpus {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
        number.map(Self).ok_or_else(|| UnitError::Cpus(text.to_owned()))
    }
}

/// Permission bits of a file, printed in octal (`0440`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FileMode(pub u32);

impl FromStr for FileMode {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        u32::from_str_radix(text, 8).map(Self).map_err(|_| UnitError::FileMode(text.to_owned()))
    }
}

impl fmt::Display for FileMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0{:o}", self.0)
    }
}

/// Reads a unit from a text in any spelling or from a plain number.
struct UnitVisitor<T> {
    expecting: &'static str,
    from_integer: fn(i64) -> Option<T>,
    from_float: fn(f64) -> Option<T>,
}

impl<T: FromStr<Err = UnitError>> Visitor<'_> for UnitVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expecting)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        let unexpected = de::Unexpected::Signed(number);
        (self.from_integer)(number).ok_or_else(|| E::invalid_value(unexpected, &self.expecting))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        let unexpected = de::Unexpected::Unsigned(number);
        let number = i64::try_from(number).ok().and_then(self.from_integer);
        number.ok_or_else(|| E::invalid_value(unexpected, &self.expecting))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<T, E> {
        let unexpected = de::Unexpected::Float(number);
        (self.from_float)(number).ok_or_else(|| E::invalid_value(unexpected, &self.expecting))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UnitVisitor {
            expecting: "a byte size",
            from_integer: |number| Some(Self(number)),
            from_float: |number| whole(number).map(Self),
        })
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UnitVisitor {
            expecting: "a duration",
            from_integer: |number| (number == 0).then(Self::default),
            from_float: |_| None,
        })
    }
}

impl<'de> Deserialize<'de> for Cpus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UnitVisitor {
            expecting: "a number of CPUs",
            from_integer: |number| i32::try_from(number).ok().map(|number| Self(number.into())),
            from_float: |number| Some(Self(number)),
        })
    }
}

impl<'de> Deserialize<'de> for FileMode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UnitVisitor {
            expecting: "an octal file mode",
            from_integer: |number| u32::try_from(number).ok().map(Self),
            from_float: |_| None,
        })
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Cpus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match whole(self.0) {
            Some(number) if self.0.fract() == 0.0 => serializer.serialize_i64(number),
            _ => serializer.serialize_f64(self.0),
        }
    }
}

impl Serialize for FileMode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str) -> Option<i64> {
        text.parse::<Bytes>().ok().map(|bytes| bytes.0)
    }

    #[test]
    fn byte_sizes_are_in_powers_of_1024_with_decimals() {
        assert_eq!(bytes("64m"), Some(67_108_864));
        assert_eq!(bytes("1.5gb"), Some(1_610_612_736));
        assert_eq!(bytes("2KiB"), Some(2048));
        assert_eq!(bytes("-1"), Some(-1));
        assert_eq!(bytes("12"), Some(12));
        assert_eq!((bytes("x"), bytes("1x"), bytes(""), bytes("-1m")), (None, None, None, None));
    }

    #[test]
    fn durations_print_as_go_prints_them() {
        for (text, printed) in [
            ("90s", "1m30s"),
            ("1h", "1h0m0s"),
            ("9d", "216h0m0s"),
            ("1.5s", "1.5s"),
            ("250ms", "250ms"),
            ("1500us", "1.5ms"),
            ("0", "0s"),
            ("1w", "168h0m0s"),
            ("-90s", "-1m30s"),
            ("-0s", "0s"),
        ] {
            assert_eq!(text.parse::<Period>().unwrap().to_string(), printed, "{text}");
        }
        assert!("10".parse::<Period>().is_err());
        assert!("".parse::<Period>().is_err());
        assert!("-".parse::<Period>().is_err());
        assert!("1x".parse::<Period>().is_err());
    }

    #[test]
    fn file_modes_are_octal_in_texts_and_plain_in_numbers() {
        assert_eq!("0440".parse::<FileMode>().unwrap().to_string(), "0440");
        assert_eq!(serde_json::from_str::<FileMode>("288").unwrap().to_string(), "0440");
        assert!("9".parse::<FileMode>().is_err());
    }
}
