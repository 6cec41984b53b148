//! Deaths of naru's processes while a container writes as fast as somebody reads.

use std::time::Duration;

use super::super::host;
use super::load::Rng;
use super::{KEEPER, SUPERVISOR, kill, kill_both, up};

/// Lines of a run: 100 bytes each.
const LINES: u64 = 300_000;

/// How many deaths there are: `cargo xtask soak logs` says it in the environment.
fn kills() -> u64 {
    std::env::var("NARU_SOAK_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(20)
}

#[test]
fn every_line_is_there_once_when_processes_die_while_a_container_writes_at_full_speed() {
    host(|host| {
        let file = format!(
            "services:\n  a:\n    image: test\n    command: naru-check pour {LINES}\n    logging: \
             {{ options: {{ max-size: 60m, max-file: '2' }} }}\n"
        );
        let project = up(host, "flood", &file);
        project.until("a", "exited");
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
            if which == 2 && container["ExitCode"] == -1 {
                // It ended while neither was there: nobody knows how, and what was still in its FIFO went with it.
                continue;
            }
            let last = ["logs", "--no-log-prefix", "-n", &LINES.to_string()];
            // Who takes over from a dead keeper may tell of the end before it has emptied the FIFO.
            naru_test::eventually(&format!("every line, after {deaths} deaths"), || {
                let outcome = project.naru(last).succeeds();
                let numbers = outcome.stdout.lines().map(str::parse::<u64>);
                match numbers.eq((1..=LINES).map(Ok)) && outcome.stderr.is_empty() {
                    true => Ok(()),
                    false => Err(format!("{:?} {container}", outcome.stdout.lines().next())),
                }
            });
        }
        assert!(at_work as u64 * 4 > deaths, "{at_work} of {deaths} deaths met a writer");
        project.naru(["down", "-t", "0"]).succeeds();
    });
}
