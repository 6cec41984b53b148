//! Staying awake for the next message while messages go to and fro: pure.
//!
//! Waking a thread on an idle processor takes longer than all the rest of a small message's way through the proxy (2 to
//! 30 µs, most in virtual machines). So the loop looks a little longer before it sleeps, under conditions that keep this
//! from costing anybody anything: its last sleeps were all short, no bulk data moves, and nobody else wants the processor.

use std::time::Duration;

/// Shorter sleeps than this come from messages that go to and fro.
const SHORT: Duration = Duration::from_micros(100);
/// So many short sleeps in a row, and staying awake pays.
const ENOUGH: u32 = 16;
/// How long the loop looks for the next event before it sleeps: longer than an idle processor takes to wake up and answer.
pub(super) const LONGEST: Duration = Duration::from_micros(60);
/// Looking once takes less than a microsecond. When it took this long somebody else had the processor meanwhile.
pub(super) const INTERRUPTED: Duration = Duration::from_micros(8);
/// Short sleeps in a row before the loop stays awake again, after somebody else wanted the processor.
const ENOUGH_AFTER_OTHERS: u32 = 512;

/// What the loop's last sleeps say of its next.
#[derive(Debug)]
pub(super) struct Vigil {
    /// Short sleeps that are needed until staying awake pays; nothing where it never does.
    missing: Option<u32>,
}

/// How a look without sleep has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// There was an event.
    Found,
    /// There was none for as long as it pays.
    Nothing,
    /// Somebody else wanted the processor.
    Interrupted,
}

impl Vigil {
    /// On a single processor nobody else could bring the event that is looked for.
    pub(super) fn new(processors: usize) -> Self {
        Self { missing: (processors > 1).then_some(ENOUGH) }
    }

    /// Whether to look before sleeping.
    pub(super) fn pays(&self) -> bool {
        self.missing == Some(0)
    }

    /// The loop has slept this long.
    pub(super) fn slept(&mut self, time: Duration) {
        if let Some(missing) = &mut self.missing {
            *missing = match time < SHORT {
                true => missing.saturating_sub(1),
                false => ENOUGH.max(*missing),
            };
        }
    }

    /// The loop has looked.
    pub(super) fn looked(&mut self, look: Look) {
        let missing = match look {
            Look::Found => return,
            Look::Nothing => ENOUGH,
            Look::Interrupted => ENOUGH_AFTER_OTHERS,
        };
        self.missing = self.missing.map(|_| missing);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: Duration = Duration::from_micros(20);

    fn after(sleeps: u32, vigil: &mut Vigil) -> bool {
        (0..sleeps).for_each(|_| vigil.slept(QUICK));
        vigil.pays()
    }

    #[test]
    fn it_stays_awake_after_short_sleeps_only_and_one_fruitless_look_ends_that() {
        let mut vigil = Vigil::new(2);
        assert!(!after(ENOUGH - 1, &mut vigil));
        assert!(after(1, &mut vigil));
        vigil.looked(Look::Found);
        assert!(vigil.pays());
        vigil.looked(Look::Nothing);
        assert!(!after(ENOUGH - 1, &mut vigil));
        vigil.slept(Duration::from_millis(1));
        assert!(!after(ENOUGH - 1, &mut vigil), "a long sleep begins the count anew");
        assert!(after(1, &mut vigil));
    }

    #[test]
    fn who_wants_the_processor_has_it_for_long() {
        let mut vigil = Vigil::new(2);
        assert!(after(ENOUGH, &mut vigil));
        vigil.looked(Look::Interrupted);
        assert!(!after(ENOUGH_AFTER_OTHERS - 1, &mut vigil));
        assert!(after(1, &mut vigil));
    }

    #[test]
    fn a_single_processor_is_never_kept_busy() {
        assert!(!after(10 * ENOUGH, &mut Vigil::new(1)));
    }
}
