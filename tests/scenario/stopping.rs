//! What a stop waits for: whoever can react to the stop signal, for as long as the file gives, and nobody else.

use std::time::Duration;

use super::host;

/// Docker's grace period, which none of these files changes.
const GRACE: Duration = Duration::from_secs(10);

/// T-B1; that it takes less than half a second is a row of the benchmark.
#[test]
fn a_chain_of_services_that_hear_no_signal_goes_down_without_a_grace_period() {
    host(|host| {
        let file = "
services:
  a1: { image: test, command: sleep 1000 }
  a2: { image: test, command: sleep 1000 }
  b1: { image: test, command: sleep 1000, depends_on: [a1] }
  b2: { image: test, command: sleep 1000, depends_on: [a2] }
  c1: { image: test, command: sleep 1000, depends_on: [b1] }
  c2: { image: test, command: sh -c 'sleep 1000; true', depends_on: [b2] }
";
        let project = host.project("deaf").file("compose.yaml", file);
        let before = host.snapshot();
        project.naru(["up", "-d"]).succeeds();
        let down = project.naru(["down"]).succeeds();
        assert!(down.took < GRACE, "{down}");
        before.assert_nothing_left();
    });
}

/// T-B2: the shell is process 1 and hears nothing; its child is the one that has something to do.
#[test]
fn a_program_behind_a_shell_runs_its_hook_for_the_stop_signal_to_the_end() {
    host(|host| {
        let program = "
trap 'sleep 2; echo saved; exit 6' TERM
echo ready
while :; do sleep 0.05; done
";
        let file = "
services:
  app:
    image: test
    volumes: ['./app.sh:/app.sh']
    command: [sh, -c, 'sh /app.sh; code=$$?; echo it ended with $$code; exit $$code']
";
        let project = host.project("shell").file("compose.yaml", file).file("app.sh", program);
        project.naru(["up", "-d"]).succeeds();
        project.until_logged("app", "ready");
        let stop = project.naru(["stop"]).succeeds();
        assert!(stop.took >= Duration::from_secs(2) && stop.took < GRACE, "{stop}");
        assert_eq!(project.until("app", "exited")["ExitCode"], 6);
        project.until_logged("app", "saved\nit ended with 6\n");
    });
}

/// T-B3 and T-B4.
#[test]
fn process_1_has_its_time_whether_it_handles_the_signal_or_reads_it_from_a_descriptor() {
    host(|host| {
        let file = "
services:
  handler:
    image: test
    command: [sh, -c, 'trap \"sleep 8; echo done; exit 5\" TERM; echo ready; while :; do sleep 0.05; done']
  descriptor: { image: test, command: naru-check trap signalfd }
";
        let project = host.project("one").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        project.until_logged("handler", "ready");
        project.until_logged("descriptor", "ready");
        let stop = project.naru(["stop"]).succeeds();
        assert!(stop.took >= Duration::from_secs(8), "{stop}");
        // Their own codes: neither was killed.
        assert_eq!(project.until("handler", "exited")["ExitCode"], 5);
        assert_eq!(project.until("descriptor", "exited")["ExitCode"], 0);
        project.until_logged("handler", "done");
        project.until_logged("descriptor", "got SIGTERM");
    });
}

/// The signal was lost on the shell, and the program in its place knows nothing of it.
#[test]
fn a_program_that_takes_the_place_of_a_deaf_shell_hears_of_the_stop() {
    host(|host| {
        let file = "
services:
  late: { image: test, command: [sh, -c, 'echo sleeping; sleep 1000; exec naru-check trap'] }
";
        let project = host.project("late").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        project.until_logged("late", "sleeping");
        let stop = project.naru(["stop"]).succeeds();
        assert!(stop.took < GRACE, "{stop}");
        assert_eq!(project.until("late", "exited")["ExitCode"], 0);
        project.until_logged("late", "got SIGTERM");
    });
}
