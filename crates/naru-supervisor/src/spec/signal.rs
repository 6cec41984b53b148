//! How a container is asked to stop.

use std::time::Duration;

use naru_compose::project::{Period, Service};
use nix::sys::signal::Signal;

use super::{Error, Image};

/// The first and the last real-time signal that programs may use.
const REAL_TIME: (i32, i32) = (34, 64);
/// Time from the stop signal to SIGKILL when the file does not say.
const GRACE: Duration = Duration::from_secs(10);

/// The number of the signal that asks a container to stop: the service's, the image's, else SIGTERM.
///
/// # Errors
/// When there is no such signal.
pub fn stop_signal(service: &Service, image: &Image<'_>) -> Result<i32, Error> {
    let text = [service.stop_signal.as_str(), image.stop_signal(), "SIGTERM"]
        .into_iter()
        .find(|text| !text.is_empty())
        .unwrap_or("SIGTERM");
    parse(text).ok_or_else(|| {
        let key =
            if service.stop_signal.is_empty() { "the image's STOPSIGNAL" } else { "stop_signal" };
        Error::invalid(key, format!("unknown signal {text:?}"))
    })
}

/// Time from the stop signal to SIGKILL.
pub fn stop_grace(service: &Service) -> Duration {
    service.stop_grace_period.map_or(GRACE, Period::duration)
}

/// A signal's number from `SIGTERM`, `term`, `15` or `SIGRTMIN+3`.
pub fn parse(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse::<i32>() {
        return (1..=REAL_TIME.1).contains(&number).then_some(number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let real_time = |start: i32, offset: &str, sign: i32| {
        let offset: i32 = if offset.is_empty() { 0 } else { offset.parse().ok()? };
        let number = start.checked_add(sign.checked_mul(offset)?)?;
        (REAL_TIME.0..=REAL_TIME.1).contains(&number).then_some(number)
    };
    match name {
        "CLD" => return Some(Signal::SIGCHLD as i32),
        "POLL" => return Some(Signal::SIGIO as i32),
        "IOT" => return Some(Signal::SIGABRT as i32),
        _ => {}
    }
    if let Some(offset) = name.strip_prefix("RTMIN") {
        return real_time(REAL_TIME.0, offset.strip_prefix('+').unwrap_or(offset), 1);
    }
    if let Some(offset) = name.strip_prefix("RTMAX") {
        return real_time(REAL_TIME.1, offset.strip_prefix('-').unwrap_or(offset), -1);
    }
    format!("SIG{name}").parse::<Signal>().ok().map(|signal| signal as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_names_with_or_without_sig_numbers_and_real_time_offsets() {
        for (text, number) in [
            ("SIGTERM", 15),
            ("int", 2),
            ("sigQuit", 3),
            ("9", 9),
            ("SIGRTMIN", 34),
            ("RTMIN+3", 37),
            ("SIGRTMAX-1", 63),
            ("SIGIOT", 6),
        ] {
            assert_eq!(parse(text), Some(number), "{text}");
        }
        for text in ["", "0", "65", "-1", "SIG", "NOPE", "RTMIN+31", "RTMAX-x", "SIGSIGTERM"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
