//! Points in time as people write and read them.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use naru_compose::project::Period;

/// Why a text is not a point in time.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is neither a length of time such as 10m nor a time such as 2026-01-02T13:23:37Z")]
pub(crate) struct NotATime(String);

/// `2026-01-02T13:23:37.000000001Z`.
pub(crate) fn rfc3339_nano(time_ns: u64) -> String {
    format!("{:.9}", timestamp(time_ns))
}

/// `2026-01-02 13:23:37 +0000 UTC`, as `ps` prints it.
pub(crate) fn date(time_ns: u64) -> String {
    timestamp(time_ns).strftime("%Y-%m-%d %H:%M:%S +0000 UTC").to_string()
}

/// `2026-01-02T14:23:37.5+01:00`: local, without zeros at the end, `Z` for UTC.
pub(crate) fn rfc3339_local(time_ns: u64) -> String {
    let local = timestamp(time_ns).to_zoned(TimeZone::system());
    let zone = if local.offset().is_zero() { "Z" } else { "%:z" };
    local.strftime(&format!("%Y-%m-%dT%H:%M:%S%.f{zone}")).to_string()
}

/// `2026-01-02 14:23:37.500000`, local.
pub(crate) fn local_micro(time_ns: u64) -> String {
    let local = timestamp(time_ns).to_zoned(TimeZone::system());
    local.strftime("%Y-%m-%d %H:%M:%S%.6f").to_string()
}

/// Parses `--since` and `--until`: a length of time before `now_ns`, a time with or without zone (then the
/// local one), a date, or seconds since 1970.
///
/// # Errors
/// When `text` is none of these.
pub(crate) fn parse(text: &str, now_ns: u64) -> Result<u64, NotATime> {
    let wrong = || NotATime(text.to_owned());
    if let Some(seconds) = unix_seconds(text) {
        return Ok(seconds);
    }
    if let Ok(period) = text.parse::<Period>() {
        let length = u64::try_from(period.duration().as_nanos()).map_err(|_| wrong())?;
        return Ok(now_ns.saturating_sub(length));
    }
    let time = match text.parse::<Timestamp>() {
        Ok(time) => time,
        Err(_) => {
            let local: DateTime = text.parse().map_err(|_| wrong())?;
            local.to_zoned(TimeZone::system()).map_err(|_| wrong())?.timestamp()
        }
    };
    u64::try_from(time.as_nanosecond()).map_err(|_| wrong())
}

/// `1700000000` or `1700000000.25`.
fn unix_seconds(text: &str) -> Option<u64> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if seconds.is_empty() || !digits(seconds) || !digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let nanoseconds: u64 = format!("{fraction:0<9}").parse().ok()?;
    seconds.parse::<u64>().ok()?.checked_mul(1_000_000_000)?.checked_add(nanoseconds)
}

fn timestamp(time_ns: u64) -> Timestamp {
    let since = SignedDuration::from_nanos_i128(i128::from(time_ns));
    Timestamp::from_duration(since).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000_000_000_000;
    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn since_takes_lengths_times_dates_and_seconds() {
        assert_eq!(parse("10m", NOW).unwrap(), NOW - 600 * SECOND);
        assert_eq!(parse("1h30m", NOW).unwrap(), NOW - 5_400 * SECOND);
        assert_eq!(parse("1700000000", 0).unwrap(), NOW);
        assert_eq!(parse("1700000000.5", 0).unwrap(), NOW + SECOND / 2);
        assert_eq!(parse("2023-11-14T22:13:20Z", 0).unwrap(), NOW);
        assert_eq!(parse("2023-11-14T23:13:20.000000001+01:00", 0).unwrap(), NOW + 1);
        assert!(parse("2023-11-14T22:13:20", 0).is_ok());
        assert!(parse("2023-11-14", 0).is_ok());
        assert!(parse("yesterday", NOW).is_err());
        assert!(parse("", NOW).is_err());
    }

    #[test]
    fn times_are_printed_with_nine_digits_in_utc() {
        assert_eq!(rfc3339_nano(NOW + 7), "2023-11-14T22:13:20.000000007Z");
        assert_eq!(date(NOW), "2023-11-14 22:13:20 +0000 UTC");
    }
}
