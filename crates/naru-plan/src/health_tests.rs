//! Health checks driven by a clock of the test's own.

use super::*;
use observed::Health::{Healthy, Starting, Unhealthy};

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn settings(interval: u64, start_period: u64, start_interval: u64) -> Settings {
    Settings {
        interval: ms(interval),
        timeout: ms(1000),
        retries: 3,
        start_period: ms(start_period),
        start_interval: ms(start_interval),
    }
}

/// Runs the next probe, which takes `took` and exits with `code`; returns when it began and whether it was early.
fn probe(probes: &mut Probes, took: u64, code: u8) -> (u128, bool) {
    let next = probes.next();
    probes.record(Entry {
        began: next.at,
        ended: next.at + ms(took),
        outcome: Outcome::Exited(code),
        output: String::new(),
        early: next.early,
    });
    (next.at.as_millis(), next.early)
}

#[test]
fn early_probes_begin_at_once_and_grow_rarer_between_the_counted_ones() {
    let mut probes = Probes::new(Settings { retries: 99, ..settings(1000, 0, 5000) });
    let began: Vec<_> = (0..90).map(|_| probe(&mut probes, 0, 1)).collect();
    assert_eq!(began[..4], [(0, true), (50, true), (100, true), (150, true)]);
    let counted: Vec<_> = began.iter().filter(|(_, early)| !early).map(|(at, _)| *at).collect();
    assert!(counted.len() > 4 && counted.iter().zip(1..).all(|(at, n)| *at == n * 1000));
    let early: Vec<_> = began.iter().filter(|(_, early)| *early).map(|(at, _)| *at).collect();
    assert!(early.windows(2).all(|pair| pair[1] - pair[0] >= 50), "{early:?}");
    assert!(early.is_sorted() && early.iter().any(|&at| at > 2000), "{early:?}");
}

#[test]
fn whenever_it_is_ready_is_known_within_50_ms_or_a_twentieth_of_the_time() {
    for ready in [1, 60, 400, 777, 2500, 8000, 29_000] {
        let mut probes = Probes::new(Settings::default());
        let at = loop {
            let at = probes.next().at.as_millis();
            let (_, _early) = probe(&mut probes, 1, u8::from(at < ready));
            if probes.status() == Healthy {
                break at;
            }
        };
        assert!(at >= ready && at - ready <= (ready / 19).max(55), "{ready}: {at}");
    }
}

#[test]
fn the_first_success_ends_the_early_probes() {
    let mut probes = Probes::new(settings(30_000, 0, 5000));
    probe(&mut probes, 0, 1);
    assert_eq!(probes.status(), Starting);
    probe(&mut probes, 5, 0);
    assert_eq!(probes.status(), Healthy);
    assert_eq!(probes.next(), Probe { at: ms(30_055), timeout: ms(1000), early: false });
}

#[test]
fn early_failures_never_count() {
    let mut probes = Probes::new(settings(30_000, 0, 5000));
    for _ in 0..50 {
        assert!(probe(&mut probes, 0, 1).1);
    }
    assert_eq!((probes.failing_streak(), probes.status()), (0, Starting));
}

#[test]
fn as_many_counted_failures_as_retries_make_it_unhealthy_at_dockers_time() {
    let mut probes = Probes::new(settings(1000, 0, 5000));
    let mut last = 0;
    while probes.status() == Starting {
        last = probe(&mut probes, 0, 1).0;
    }
    assert_eq!((last, probes.status(), probes.failing_streak()), (3000, Unhealthy, 3));
    assert_eq!(probe(&mut probes, 0, 1), (4000, false), "no early probes any more");
    probe(&mut probes, 0, 0);
    assert_eq!((probes.status(), probes.failing_streak()), (Healthy, 0));
}

#[test]
fn failures_inside_the_start_period_do_not_count_and_use_the_start_interval() {
    let mut probes = Probes::new(settings(10_000, 3000, 1000));
    let mut counted = Vec::new();
    while probes.status() == Starting {
        let (at, early) = probe(&mut probes, 0, 1);
        if !early {
            counted.push((at, probes.failing_streak()));
        }
    }
    assert_eq!(
        counted,
        [(1000, 0), (2000, 0), (3000, 1), (13_000, 2), (23_000, 3)],
        "the probe at the end of the start period counts"
    );
}

#[test]
fn a_failure_after_a_success_counts_even_inside_the_start_period() {
    let mut probes = Probes::new(settings(100, 60_000, 50));
    probe(&mut probes, 0, 0);
    for _ in 0..3 {
        probe(&mut probes, 0, 1);
    }
    assert_eq!(probes.status(), Unhealthy);
}

#[test]
fn an_early_probe_is_given_up_when_a_counted_one_is_due() {
    let mut probes = Probes::new(Settings { timeout: ms(30_000), ..settings(1000, 0, 5000) });
    probe(&mut probes, 100, 1);
    let early = Probe { at: ms(300), timeout: ms(700), early: true };
    assert_eq!(probes.next(), early, "it has 700 ms of its 30 s");
    probe(&mut probes, 700, 1);
    assert_eq!(probes.next(), Probe { at: ms(1000), timeout: ms(30_000), early: false });
}

#[test]
fn a_timeout_and_a_probe_that_cannot_run_are_failures() {
    for outcome in [Outcome::TimedOut, Outcome::NotRun, Outcome::Exited(255)] {
        let mut probes = Probes::new(Settings { retries: 1, ..Settings::default() });
        let output = "x".repeat(OUTPUT - 1) + "ö";
        let entry = Entry { began: ms(0), ended: ms(1), outcome, output, early: false };
        assert!(probes.record(entry), "the change is told");
        assert_eq!(probes.status(), Unhealthy);
        assert!(probes.history().all(|entry| entry.output.len() == OUTPUT - 1));
    }
}

#[test]
fn the_history_keeps_the_last_fifty() {
    let mut probes = Probes::new(settings(1000, 0, 5000));
    for _ in 0..60 {
        probe(&mut probes, 0, 1);
    }
    assert_eq!(probes.history().len(), 50);
}

#[test]
fn a_check_that_another_supervisor_goes_on_with_keeps_its_deadlines_counts_and_history() {
    let mut probes = Probes::new(settings(1000, 0, 5000));
    for _ in 0..7 {
        probe(&mut probes, 3, 1);
    }
    let schedule = serde_json::to_value(probes.schedule()).unwrap();
    let history: Vec<_> = probes.history().cloned().collect();
    let mut resumed =
        Probes::resume(probes.settings, serde_json::from_value(schedule).unwrap(), history);
    assert_eq!(resumed, probes);
    assert_eq!(probe(&mut resumed, 3, 1), probe(&mut probes, 3, 1));
}
