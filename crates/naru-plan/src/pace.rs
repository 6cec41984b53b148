//! How fast is looked whether a container that was just started is ready: at once, then after pauses that begin
//! with 50 ms and stay at a twentieth of the time that it has been running, so that who waits for it learns of it within
//! 50 ms or 5 % of the time that it took. A look that takes long itself is followed by a longer pause: looking never
//! takes more than a third of the time.

use std::time::Duration;

/// The shortest pause.
const SHORTEST: Duration = Duration::from_millis(50);
/// The pause's part of the time since the start.
const PART: u32 = 20;
/// How many times as long as the look itself the pause is at least.
const REST: u32 = 2;

/// The pause after a look that began and ended at these times, counted from the container's start.
pub(crate) fn pause(began: Duration, ended: Duration) -> Duration {
    let took = ended.saturating_sub(began);
    SHORTEST.max(ended / PART).max(took.saturating_mul(REST))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn the_pause_is_a_small_part_of_what_has_passed_and_large_beside_the_look() {
        assert_eq!(pause(ms(0), ms(0)), ms(50));
        assert_eq!(pause(ms(990), ms(1000)), ms(50));
        assert_eq!(pause(ms(9990), ms(10_000)), ms(500));
        assert_eq!(pause(ms(0), ms(100)), ms(200));
        assert_eq!(pause(Duration::MAX, Duration::ZERO), ms(50));
    }
}
