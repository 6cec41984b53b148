//! How much of naru's time one container's questions may take.

use std::time::{Duration, Instant};

/// What a question counts, of the time that passes: 20,000 a second.
const EACH: Duration = Duration::from_micros(50);

/// How far a container may be ahead of that: 4,000 questions at once.
const AHEAD: Duration = Duration::from_millis(200);

/// Until when a container's questions have used up its share.
#[derive(Debug)]
pub(super) struct Pace(Instant);

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self(now)
    }

    /// Counts questions that have been answered; gives how long the next ones have to wait.
    pub(super) fn count(&mut self, questions: usize, now: Instant) -> Option<Duration> {
        let questions = u32::try_from(questions).unwrap_or(u32::MAX);
        self.0 = self.0.max(now) + EACH.saturating_mul(questions);
        let ahead = self.0.saturating_duration_since(now);
        ahead.checked_sub(AHEAD).filter(|wait| !wait.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_free_and_a_flood_is_answered_at_a_steady_rate() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        assert_eq!(pace.count(4000, start), None);
        assert_eq!(pace.count(20, start), Some(Duration::from_millis(1)));
        let later = start + Duration::from_millis(1);
        assert_eq!(pace.count(0, later), None);
        assert_eq!(pace.count(1, later), Some(EACH));
        // After a quiet time the burst is there again, and no more than it.
        let quiet = start + Duration::from_secs(10);
        assert_eq!(pace.count(4000, quiet), None);
        assert_eq!(pace.count(1, quiet), Some(EACH));
    }

    #[test]
    fn five_thousand_a_second_never_wait() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        for number in 0..50_000 {
            assert_eq!(pace.count(1, start + Duration::from_micros(200) * number), None);
        }
    }
}
