//! Something that there is not enough of: told once, and again only when it comes back after a while.

use std::time::{Duration, Instant};

use super::Notice;

/// A shortage is told of again when it comes back after this time.
const OVER: Duration = Duration::from_secs(60);

/// When there was something short last, and what is yet to be told of it.
#[derive(Debug, Default)]
pub(super) struct Shortage {
    last: Option<Instant>,
    untold: Option<Notice>,
}

impl Shortage {
    /// Something is short now.
    pub(super) fn note(&mut self, now: Instant, notice: Notice) {
        if self.last.is_none_or(|last| now > last + OVER) {
            self.untold.get_or_insert(notice);
        }
        self.last = Some(now);
    }

    /// What is to be told, once.
    pub(super) fn take(&mut self) -> Option<Notice> {
        self.untold.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortage_is_told_again_when_it_was_over_for_a_minute() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut shortage = Shortage::default();
        let told: Vec<_> = [0, 1, 60, 120, 181]
            .into_iter()
            .filter(|seconds| {
                shortage.note(at(*seconds), Notice::Exhausted);
                shortage.take().is_some()
            })
            .collect();
        assert_eq!(told, [0, 181]);
    }
}
