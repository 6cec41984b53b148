//! Deaths of naru's processes while a container writes as fast as somebody reads.

use std::time::Duration;

use rustix::process::Pid;

use super::super::host;
use super::load::Rng;
use super::{KEEPER, SUPERVISOR, kill, kill_both, kill_one_of_several, up};
use naru_test::{Project, Running, TestHost};

/// Lines of a run.
const LINES: u64 = 300_000;

/// Bytes of a line.
const LENGTH: u64 = 100;

/// Bytes that wait in a FIFO at most (pipe(7)).
const FIFO: u64 = 64 << 10;

const WRITER: [&str; 2] = ["naru-check", "pour"];

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

/// Starts another run and waits until a random part of its output is written: the next death meets the writer at its
/// work, however slow the machine is.
fn next_run(project: &Project<'_>, host: &TestHost, random: &mut Rng) -> Running {
    let part = random.below(LINES * LENGTH * 3 / 4);
    let mut start = project.start(["start"]);
    naru_test::eventually("a part of the output", || {
        let bytes = host.processes(&WRITER).first().map(|writer| written(*writer));
        let is_written = bytes.map_or_else(|| start.has_ended(), |bytes| bytes >= part);
        if is_written { Ok(()) } else { Err(format!("{bytes:?} of {part} bytes")) }
    });
    start
}

/// How many bytes a process has written (`proc_pid_io(5)`).
fn written(process: Pid) -> u64 {
    let io = fs_err::read_to_string(format!("/proc/{process}/io")).unwrap_or_default();
    let bytes = io.lines().find_map(|line| line.strip_prefix("wchar: "));
    bytes.map_or(u64::MAX, |bytes| bytes.parse().unwrap())
}

/// The last run's output is in the log, each line once, but for at most `lost` lines at its end. Who takes over from a dead
/// keeper may tell of the end before it has emptied the FIFO.
fn assert_every_line(project: &Project<'_>, lost: u64, deaths: u64, container: &serde_json::Value) {
    let last = ["logs", "--no-log-prefix", "-n", &LINES.to_string()];
    naru_test::eventually(&format!("every line, after {deaths} deaths"), || {
        let outcome = project.naru(last).succeeds();
        let found = pieces(&outcome.stdout);
        let is_there = match found.as_slice() {
            [(1, LINES)] => true,
            // The end of the run before it.
            [(_, LINES), (1, end)] => end + lost >= LINES,
            _ => false,
        };
        match is_there && outcome.stderr.is_empty() {
            true => Ok(()),
            false => Err(format!("{found:?}, {:?} of {container}", outcome.stderr)),
        }
    });
}

/// The numbers of the lines as pieces without a gap: the first and the last one of each. No number is 0.
fn pieces(lines: &str) -> Vec<(u64, u64)> {
    let mut pieces: Vec<(u64, u64)> = Vec::new();
    for line in lines.lines() {
        let number = line.parse().unwrap_or(0);
        match pieces.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => pieces.push((number, number)),
        }
    }
    pieces
}

#[test]
fn every_line_is_there_once_when_processes_die_while_a_container_writes_at_full_speed() {
    host(|host| {
        let project = flooded(host);
        let mut random = Rng::new();
        let (mut deaths, mut at_work) = (0, 0);
        while deaths < kills() {
            // A supervisor that has everything in hand does this: each death finds the last one made good.
            let start = next_run(&project, host, &mut random);
            at_work += host.count(&WRITER);
            let which = random.below(3);
            match which {
                0 => kill(host, SUPERVISOR),
                1 => kill(host, KEEPER),
                _ => kill_both(host),
            }
            deaths += 1;
            start.wait().succeeds();
            // The next command takes over from the dead.
            let container = project.until("a", "exited");
            // One that ended while neither was there: what was in its FIFO went with it, and nobody may know how it ended.
            let is_known =
                container["ExitCode"] == 0 || (which == 2 && container["ExitCode"] == -1);
            assert!(is_known, "after {deaths} deaths: {container}");
            let lost = if which == 2 { FIFO / LENGTH + 1 } else { 0 };
            assert_every_line(&project, lost, deaths, &container);
        }
        assert!(at_work as u64 * 2 > deaths, "{at_work} of {deaths} deaths met a writer");
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
        let (mut deaths, mut runs, mut at_work) = (0, 0, 0);
        while deaths < kills() {
            let start = next_run(&project, host, &mut random);
            (runs, at_work) = (runs + 1, at_work + host.count(&WRITER));
            for _ in 0..2 + random.below(2) {
                kill_one_of_several(host, &mut random);
                deaths += 1;
                std::thread::sleep(Duration::from_micros(random.below(20_000)));
            }
            start.wait().succeeds();
            let container = project.until("a", "exited");
            assert_eq!(container["ExitCode"], 0, "after {deaths} deaths: {container}");
            assert_every_line(&project, 0, deaths, &container);
        }
        assert!(at_work * 2 > runs, "{at_work} of {runs} first deaths met a writer");
        project.naru(["down", "-t", "0"]).succeeds();
    });
}
