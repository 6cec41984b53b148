//! Waiting for states instead of sleeping.

use std::time::{Duration, Instant};

/// How long a state may take to come when a test says nothing else.
const USUAL: Duration = Duration::from_secs(10);

/// Asks again and again until `check` gives a value; a failure shows what `check` said last.
///
/// # Panics
/// When ten seconds pass without a value.
pub fn eventually<T>(what: &str, check: impl FnMut() -> Result<T, String>) -> T {
    within(USUAL, what, check)
}

/// [`eventually`] with a deadline of its own.
///
/// # Panics
/// When the deadline passes without a value.
pub fn within<T>(
    deadline: Duration,
    what: &str,
    mut check: impl FnMut() -> Result<T, String>,
) -> T {
    let begin = Instant::now();
    loop {
        match check() {
            Ok(value) => return value,
            Err(last) if begin.elapsed() >= deadline => {
                panic!("{what}: not within {deadline:?}; last seen: {last}")
            }
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}
