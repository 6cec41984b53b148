//! How often the links of one container are made again: a container that may change its network can delete them as
//! fast as they come, and nobody else should wait for that.

use std::time::Duration;

use tokio::time::Instant;

/// The pause after the first try; each further one is twice as long.
const FIRST: Duration = Duration::from_millis(100);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(10);
/// After this time without a try the next one is the first again.
const QUIET: Duration = Duration::from_secs(60);

/// The tries to make a container's links again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Pace(Option<Tried>);

/// The last try, and the pause after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tried {
    at: Instant,
    pause: Duration,
}

impl Pace {
    /// When the next try is due; nothing when it may be made now.
    pub(super) fn next(self, now: Instant) -> Option<Instant> {
        self.0.map(|last| last.at + last.pause).filter(|next| *next > now)
    }

    /// A try was made.
    pub(super) fn tried(&mut self, now: Instant) {
        let recent = self.0.filter(|last| now < last.at + QUIET);
        let pause = recent.map_or(FIRST, |last| (last.pause * 2).min(LONGEST));
        self.0 = Some(Tried { at: now, pause });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_try_is_at_once_and_each_pause_twice_the_one_before_up_to_ten_seconds() {
        let mut now = Instant::now();
        let mut pace = Pace::default();
        assert_eq!(pace.next(now), None);
        for pause in [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000, 10_000] {
            pace.tried(now);
            let next = now + Duration::from_millis(pause);
            assert_eq!(pace.next(now), Some(next));
            assert_eq!(pace.next(next - Duration::from_nanos(1)), Some(next));
            assert_eq!(pace.next(next), None, "it is time");
            now = next;
        }
    }

    #[test]
    fn a_quiet_minute_makes_up_for_all_tries_before_it() {
        let begin = Instant::now();
        let mut pace = Pace::default();
        for seconds in [0, 1, 2] {
            pace.tried(begin + Duration::from_secs(seconds));
        }
        let almost = begin + Duration::from_millis(61_999);
        let mut nearly = pace;
        nearly.tried(almost);
        assert_eq!(nearly.next(almost), Some(almost + Duration::from_millis(800)));
        let after = begin + Duration::from_secs(62);
        pace.tried(after);
        assert_eq!(pace.next(after), Some(after + FIRST));
    }
}
