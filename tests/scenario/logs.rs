//! Nothing that a container writes is lost, from its first byte on.

use super::host;

#[test]
fn every_line_of_both_streams_is_there_once() {
    host(|host| {
        let file = "services: { a: { image: test, command: naru-check print 20000 } }";
        let project = host.project("lines").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        project.until("a", "exited");
        let outcome = project.naru(["logs", "--no-log-prefix", "a"]).succeeds();
        let all = outcome.stdout + &outcome.stderr;
        let mut numbers: Vec<u32> =
            all.lines().map(|line| line.strip_prefix("line ").unwrap().parse().unwrap()).collect();
        numbers.sort_unstable();
        assert!(numbers.iter().copied().eq(1..=20000), "{} lines", numbers.len());
    });
}

#[test]
fn what_a_process_wrote_before_it_ended_at_once_is_kept() {
    host(|host| {
        let file = "services: { a: { image: test, command: echo first and last } }";
        let project = host.project("short").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        project.until("a", "exited");
        let outcome = project.naru(["logs", "--no-log-prefix", "a"]).succeeds();
        assert_eq!(outcome.stdout, "first and last\n");
    });
}

#[test]
fn lines_carry_their_containers_name_unless_told_otherwise() {
    host(|host| {
        let file = "services: { a: { image: test, command: echo spoken } }";
        let project = host.project("prefix").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        project.until_logged("a", "spoken");
        let line = project.naru(["logs"]).succeeds().stdout;
        assert_eq!(line, "a-1  | spoken\n");
    });
}

#[test]
fn tail_times_and_since_choose_lines() {
    host(|host| {
        let file = "services: { a: { image: test, command: [sh, -c, 'for i in 1 2 3 4; do echo $$i; done'] } }";
        let project = host.project("choice").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        project.until("a", "exited");
        let logs = |words: &[&str]| {
            let mut all = vec!["logs", "--no-log-prefix"];
            all.extend(words);
            project.naru(all).succeeds().stdout
        };
        assert_eq!(logs(&["-n", "2"]), "3\n4\n");
        assert_eq!(logs(&["--since", "1h"]), "1\n2\n3\n4\n");
        assert_eq!(logs(&["--since", "2100-01-01T00:00:00Z"]), "");
        let stamped = logs(&["-t", "-n", "1"]);
        let (time, line) = stamped.trim_end().split_once(' ').unwrap();
        assert_eq!(line, "4");
        assert!(time.starts_with("20") && time.ends_with('Z') && time.contains('T'), "{time}");
    });
}

#[test]
fn follow_shows_what_is_written_later_and_ends_with_the_container() {
    host(|host| {
        let file = "services: { a: { image: test, command: [sh, -c, \
                    'echo early; while ! test -e /tmp/go; do sleep 0.05; done; echo late'] } }";
        let project = host.project("follow").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        let follower = project.start(["logs", "-f", "--no-log-prefix", "a"]);
        naru_test::eventually("the early line", || match follower.stdout() {
            text if text == "early\n" => Ok(()),
            text => Err(text),
        });
        project.naru(["exec", "-T", "a", "touch", "/tmp/go"]).succeeds();
        let outcome = follower.wait().succeeds();
        assert_eq!(outcome.stdout, "early\nlate\n");
    });
}

#[test]
fn logs_outlive_the_container_until_the_project_is_taken_down() {
    host(|host| {
        let file = "services: { a: { image: test, command: [sh, -c, 'echo one; echo two >&2'] } }";
        let project = host.project("streams").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        project.until("a", "exited");
        let outcome = project.naru(["logs", "--no-log-prefix", "a"]).succeeds();
        assert!(
            outcome.stdout.contains("one") && (outcome.stdout + &outcome.stderr).contains("two")
        );
    });
}
