//! Signals: their names, and taking them to pass them on.

use anyhow::{Context as _, bail};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// The last number of a signal.
const LAST: i32 = 64;
/// The real-time signals that programs use: the C library keeps the first two.
const REAL_TIME: (i32, i32) = (34, 64);

/// A signal's number from its number or name, with or without `SIG`, in any case; real-time ones as
/// `RTMIN+3` or `RTMAX-1`.
pub(crate) fn parse(text: &str) -> anyhow::Result<i32> {
    if let Ok(number) = text.parse::<i32>() {
        if !(0..=LAST).contains(&number) {
            bail!("unknown signal {text:?}");
        }
        return Ok(number);
    }
    let upper = text.to_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some(number) = real_time(name) {
        return Ok(number);
    }
    let alias = match name {
        "CLD" => "CHLD",
        "POLL" => "IO",
        "IOT" => "ABRT",
        name => name,
    };
    let signal: Result<Signal, _> = format!("SIG{alias}").parse();
    signal.map(|signal| signal as i32).ok().with_context(|| format!("unknown signal {text:?}"))
}

fn real_time(name: &str) -> Option<i32> {
    let (first, last) = REAL_TIME;
    let offset = |rest: &str, sign: char| match rest.strip_prefix(sign) {
        Some(digits) => digits.parse::<i32>().ok(),
        None if rest.is_empty() => Some(0),
        None => None,
    };
    let number = match name.strip_prefix("RTMIN") {
        Some(rest) => first + offset(rest, '+')?,
        None => last - offset(name.strip_prefix("RTMAX")?, '-')?,
    };
    (first..=last).contains(&number).then_some(number)
}

/// Blocks every signal of this process, which has one thread, and makes them readable.
pub(crate) fn take() -> anyhow::Result<SignalFd> {
    let all = SigSet::all();
    all.thread_block().context("cannot block signals")?;
    SignalFd::with_flags(&all, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
        .context("cannot wait for signals")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_numbers_and_names() {
        for (text, number) in
            [("9", 9), ("KILL", 9), ("SIGTERM", 15), ("sigusr1", 10), ("0", 0), ("CLD", 17)]
        {
            assert_eq!(parse(text).unwrap(), number, "{text}");
        }
        for (text, number) in [("RTMIN", 34), ("SIGRTMIN+3", 37), ("rtmax-1", 63), ("40", 40)] {
            assert_eq!(parse(text).unwrap(), number, "{text}");
        }
        for text in ["", "NOPE", "-1", "65", "RTMIN+40", "RTMAX+1", "SIG"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
