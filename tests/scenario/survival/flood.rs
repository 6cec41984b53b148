//! Deaths of naru's processes while a container writes as fast as somebody reads.

use std::time::Duration;

use super::super::host;
use super::load::Rng;
use super::{KEEPER, SUPERVISOR, kill, kill_both, kill_one_of_several, up};
use naru_test::{Project, TestHost};

/// Lines of a run: 100 bytes each.
const LINES: u64 = 300_000;

/// How many deaths there are: `cargo xtask soak logs` says it in the environment.
fn kills() -> u64 {
    std::env::var("NARU_SOAK_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(20)
}

fn flooded(host: &TestHost) -> Project<'_> {
    let file = format!(
        "services:\n  a:\n    image: test\n    command: naru-check pour {LINES}\n    logging: \
         {{ options: {{ max-size: 60m, max-file: '2' }} }}\n"
    );
    let project = up(host, "flood", &file);
    project.until("a", "exited");
    project
}

/// The last run's output is in the log, each line once. Who takes over from a dead keeper may tell of the end before it
/// has emptied the FIFO.
fn assert_every_line(project: &Project<'_>, deaths: u64, container: &serde_json::Value) {
    let last = ["logs", "--no-log-prefix", "-n", &LINES.to_string()];
    naru_test::eventually(&format!("every line, after {deaths} deaths"), || {
        let outcome = project.naru(last).succeeds();
        let mut numbers = outcome.stdout.lines().map(str::parse::<u64>).enumerate();
        let wrong = numbers.find(|(at, number)| *number != Ok(*at as u64 + 1));
        let count = outcome.stdout.lines().count() as u64;
        match wrong.is_none() && count == LINES && outcome.stderr.is_empty() {
            true => Ok(()),
            false => Err(format!("{count} lines, the first wrong one {wrong:?}, of {container}")),
        }
    });
}

#[test]
fn every_line_is_there_once_when_processes_die_while_a_container_writes_at_full_speed() {
    host(|host| {
        let project = flooded(host);
        let mut random = Rng::new();
        let (mut deaths, mut at_work) = (0, 0);
        while deaths < kills() {
            // It is answered by a supervisor that has everything in hand: each death finds the last one made good.
            project.naru(["start"]).succeeds();
            std::thread::sleep(Duration::from_millis(random.below(60)));
            at_work += host.count(&["naru-check", "pour"]);
            let which = random.below(3);
            match which {
                0 => kill(host, SUPERVISOR),
                1 => kill(host, KEEPER),
                _ => kill_both(host),
            }
            deaths += 1;
            // The next command takes over from the dead.
            let container = project.until("a", "exited");
            if which == 2 && container["ExitCode"] != 0 {
                // It ended while neither was there: nobody knows how, and what was still in its FIFO went with it.
                assert_eq!(container["ExitCode"], -1, "{container}");
                continue;
            }
            assert_every_line(&project, deaths, &container);
        }
        assert!(at_work as u64 * 4 > deaths, "{at_work} of {deaths} deaths met a writer");
        project.naru(["down", "-t", "0"]).succeeds();
    });
}

/// The second death comes while the takeover from the first is under way, whatever of it: as long as one process is left
/// that was there, or that one of them has begun, no line and no exit code is lost.
#[test]
fn every_line_is_there_once_when_another_process_dies_while_the_last_death_is_made_good() {
    host(|host| {
        let project = flooded(host);
        let mut random = Rng::new();
        let (mut deaths, mut at_work) = (0, 0);
        while deaths < kills() {
            project.naru(["start"]).succeeds();
            std::thread::sleep(Duration::from_millis(random.below(60)));
            for _ in 0..2 + random.below(2) {
                at_work += host.count(&["naru-check", "pour"]);
                kill_one_of_several(host, &mut random);
                deaths += 1;
                std::thread::sleep(Duration::from_micros(random.below(20_000)));
            }
            let container = project.until("a", "exited");
            assert_eq!(container["ExitCode"], 0, "after {deaths} deaths: {container}");
            assert_every_line(&project, deaths, &container);
        }
        assert!(at_work as u64 * 4 > deaths, "{at_work} of {deaths} deaths met a writer");
        project.naru(["down", "-t", "0"]).succeeds();
    });
}
