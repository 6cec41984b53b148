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
            project.naru(["start"]).succeeds();
            let mut both = false;
            for _ in 0..2 {
                std::thread::sleep(Duration::from_millis(random.below(40)));
                at_work += host.count(&["naru-check", "pour"]);
                match random.below(3) {
                    0 => kill(host, SUPERVISOR),
                    1 => kill(host, KEEPER),
                    _ => {
                        both = true;
                        kill_both(host);
                        project.naru(["ps"]).succeeds();
                    }
                }
                deaths += 1;
            }
            let container = project.until("a", "exited");
            if both && container["ExitCode"] == -1 {
                // It ended while neither was there: nobody knows how, and what was still in its FIFO went with it.
                continue;
            }
            let last = ["logs", "--no-log-prefix", "-n", &LINES.to_string()];
            let outcome = project.naru(last).succeeds();
            let mut expected = 1;
            for line in outcome.stdout.lines() {
                assert_eq!(line.parse(), Ok(expected), "after {deaths} deaths: {container}");
                expected += 1;
            }
            assert_eq!((expected, outcome.stderr.as_str()), (LINES + 1, ""));
        }
        assert!(at_work as u64 * 3 > deaths, "{at_work} of {deaths} deaths met a writer");
        project.naru(["down", "-t", "0"]).succeeds();
    });
}
