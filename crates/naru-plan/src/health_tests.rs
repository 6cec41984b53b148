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
fn early_probes_begin_at_once_and_double_up_to_the_interval() {
    let mut probes = Probes::new(settings(1000, 0, 5000));
    let began: Vec<_> = (0..8).map(|_| probe(&mut probes, 0, 1)).collect();
    let early = |at| (at, true);
    let counted = |at| (at, false);
    assert_eq!(
        began,
        [
            early(0),
            early(50),
            early(150),
            early(350),
            early(750),
            counted(1000),
            early(1550),
            counted(2000)
        ]
    );
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
    for _ in 0..9 {
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
fn an_early_probe_that_overruns_only_delays_the_counted_one() {
    let mut probes = Probes::new(settings(1000, 0, 5000));
    probe(&mut probes, 1500, 1);
    assert_eq!(probes.next(), Probe { at: ms(1000), timeout: ms(1000), early: false });
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
