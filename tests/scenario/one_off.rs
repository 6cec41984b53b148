//! `run`: one-off containers of a service.

use std::io::Write as _;
use std::process::Stdio;

use naru_test::{Project, eventually};

use super::host;

const TWO: &str = "
services:
  web:
    image: test
    command: naru-check listen 80
    environment: { GREETING: hello, MORE: file }
    ports: ['8080:80']
    restart: always
    depends_on: { db: { condition: service_healthy } }
  db:
    image: test
    healthcheck: { test: ['CMD', 'test', '-e', '/tmp/ready'], interval: 1s }
    command: sh -c 'sleep 0.2; touch /tmp/ready; sleep 1000'
";

const ALONE: &str =
    "services: { a: { image: test, environment: { GREETING: hello, MORE: file } } }";

/// All containers, one-offs too.
fn names(project: &Project<'_>) -> Vec<String> {
    let rows = project.naru(["ps", "-a", "--format", "json"]).succeeds().json();
    rows.iter().map(|row| row["Name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_exit_code_and_both_streams_are_the_containers() {
    host(|host| {
        let project = host.project("codes").file("compose.yaml", ALONE);
        let before = host.snapshot();
        for code in [0, 1, 7, 255] {
            let code_text = code.to_string();
            project.naru(["run", "--rm", "a", "naru-check", "exit", &code_text]).exits_with(code);
        }
        let outcome = project
            .naru(["run", "--rm", "-q", "a", "sh", "-c", "printf 'out\\r\\nrest'; echo err >&2"])
            .succeeds();
        assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("out\r\nrest", "err\n"));
        project.naru(["run", "--rm", "a", "not-there"]).exits_with(127).says("not-there");
        project.naru(["run", "--rm", "a", "/etc/passwd"]).exits_with(126);
        before.assert_nothing_left();
    });
}

#[test]
fn what_it_depends_on_is_started_and_waited_for_and_its_ports_are_not_published() {
    host(|host| {
        let project = host.project("two").file("compose.yaml", TWO);
        let outcome = project.naru(["run", "--rm", "web", "naru-check", "resolve", "db"]);
        outcome.succeeds().says("two-db-1").prints(".");
        project.until("db", "running");
        assert_eq!(names(&project), ["two-db-1"]);
        // Its port is free for another one all the time.
        project.naru(["up", "-d"]).succeeds();
        project.naru(["run", "--rm", "web", "true"]).succeeds();
        project.naru(["run", "--rm", "-P", "web", "true"]).exits_with(1).says("8080");
        project.naru(["down", "-t", "0"]).succeeds();
        project.naru(["run", "--rm", "--no-deps", "web", "true"]).succeeds();
        assert_eq!(names(&project), [] as [&str; 0]);
    });
}

#[test]
fn the_command_line_wins_over_the_file() {
    host(|host| {
        let project =
            host.project("given").file("compose.yaml", ALONE).file("vars", "MORE=env\nX='y z'\n");
        let folder = project.folder().display().to_string();
        let script = "id -u; pwd; echo $GREETING $MORE $X; cat /in/vars | head -1; echo $0 $1";
        let outcome = project
            .naru([
                "run",
                "--rm",
                "-q",
                "-u",
                "app",
                "-w",
                "/tmp",
                "-e",
                "GREETING=ho",
                "--env-from-file",
                "vars",
                "-v",
                ".:/in:ro",
                "--entrypoint",
                "sh -c",
                "-l",
                "who=me",
                "a",
                script,
                "one",
                "two",
            ])
            .succeeds();
        assert_eq!(outcome.stdout, "1000\n/tmp\nho env y z\nMORE=env\none two\n", "{folder}");
        let caps = project
            .naru([
                "run",
                "--rm",
                "-q",
                "--cap-drop",
                "ALL",
                "--cap-add",
                "CHOWN",
                "a",
                "grep",
                "CapEff",
                "/proc/self/status",
            ])
            .succeeds();
        assert!(caps.stdout.ends_with("0000000000000001\n"), "{caps}");
        project.naru(["run", "-p", "80:80", "-P", "a"]).exits_with(1);
        project
            .naru(["run", "--build", "a"])
            .exits_with(1)
            .says("`run --build` is not possible yet");
        project.naru(["run", "nobody"]).exits_with(1).says("nobody");
    });
}

#[test]
fn input_is_passed_on_to_its_end() {
    host(|host| {
        let project = host.project("input").file("compose.yaml", ALONE);
        let mut command =
            project.command(["run", "--rm", "-q", "-T", "a", "sh", "-c", "cat; echo end"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let text = "0123456789abcdef\n".repeat(100_000);
        let mut stdin = child.stdin.take().unwrap();
        let sent = text.clone();
        let writer = std::thread::spawn(move || stdin.write_all(sent.as_bytes()).unwrap());
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        assert_eq!(output.stdout.len(), text.len() + 4);
        assert!(output.stdout == (text + "end\n").into_bytes());
    });
}

#[test]
fn in_the_background_its_name_is_printed_and_it_stays_until_orphans_are_removed() {
    host(|host| {
        let project = host.project("back").file("compose.yaml", ALONE);
        let before = host.snapshot();
        project.naru(["up", "-d"]).succeeds();
        let name = project.naru(["run", "-d", "-q", "a", "sleep", "1000"]).succeeds().stdout;
        let name = name.trim_end().to_owned();
        let slug = name.strip_prefix("back-a-run-").unwrap();
        assert!(slug.len() == 12 && slug.bytes().all(|byte| byte.is_ascii_hexdigit()), "{name}");
        let shown = project.naru(["ps"]).succeeds().stdout;
        assert!(!shown.contains(&name), "{shown}");
        assert_eq!(names(&project), ["back-a-1".to_owned(), name.clone()]);
        let logs = project.naru(["logs"]).succeeds().stdout;
        assert!(!logs.contains("run-"), "{logs}");
        // `stop`, `restart` and `up` leave it alone; the replica comes first for `exec`.
        project.naru(["restart", "-t", "0"]).succeeds();
        project.naru(["up", "-d"]).succeeds();
        project.naru(["run", "--name", &name, "a", "true"]).exits_with(1).says("in use");
        project.naru(["down", "-t", "0"]).succeeds().says("Resource is still in use");
        assert_eq!(names(&project), std::slice::from_ref(&name));
        project.naru(["down", "-t", "0", "--remove-orphans"]).succeeds().says(&name);
        assert_eq!(names(&project), [] as [&str; 0]);
        before.assert_nothing_left();
    });
}

#[test]
fn one_that_has_ended_is_kept_without_any_process_and_named_an_orphan() {
    host(|host| {
        let project = host.project("ended").file("compose.yaml", ALONE);
        let before = host.snapshot();
        project.naru(["run", "a", "naru-check", "exit", "3"]).exits_with(3);
        let kept = names(&project);
        assert_eq!(kept.len(), 1);
        eventually("no process of naru is left", || match host.count(&["supervisor:"]) {
            0 => Ok(()),
            count => Err(format!("{count}")),
        });
        project.naru(["up", "-d"]).succeeds().says("Found orphan containers").says(&kept[0]);
        project.naru(["down", "-t", "0", "--remove-orphans"]).succeeds();
        before.assert_nothing_left();
    });
}

#[test]
fn names_of_its_service_are_its_own_only_when_it_is_told_so() {
    host(|host| {
        let project = host.project("names").file("compose.yaml", ALONE);
        project.naru(["up", "-d"]).succeeds();
        project.naru(["run", "-d", "--name", "quiet", "a", "sleep", "1000"]).succeeds();
        let resolve = |name: &str| project.naru(["exec", "-T", "a", "naru-check", "resolve", name]);
        assert_eq!(resolve("a").succeeds().stdout.trim().lines().count(), 1);
        resolve("quiet").succeeds();
        project.naru(["run", "-d", "--use-aliases", "a", "sleep", "1000"]).succeeds();
        eventually("both answer", || {
            let found = resolve("a").stdout;
            if found.split_whitespace().count() >= 2 { Ok(()) } else { Err(found) }
        });
    });
}

#[test]
fn a_signal_is_the_containers_and_a_second_one_ends_it() {
    host(|host| {
        let project = host.project("signals").file("compose.yaml", ALONE);
        let script = "trap 'echo got; exit 5' TERM; echo up; while true; do sleep 0.05; done";
        let running = project.start(["run", "--rm", "-q", "-T", "a", "sh", "-c", script]);
        eventually("it is up", || {
            if running.stdout() == "up\n" { Ok(()) } else { Err(running.stdout()) }
        });
        running.signal(rustix::process::Signal::TERM);
        let outcome = running.wait();
        assert_eq!((outcome.code, outcome.stdout.as_str()), (5, "up\ngot\n"), "{outcome}");

        let script = "trap 'echo no' INT; echo up; while true; do sleep 0.05; done";
        let running = project.start(["run", "--rm", "-q", "-T", "a", "sh", "-c", script]);
        eventually("it is up", || {
            if running.stdout() == "up\n" { Ok(()) } else { Err(running.stdout()) }
        });
        running.interrupt();
        eventually("it was told", || {
            if running.stdout().contains("no") { Ok(()) } else { Err(running.stdout()) }
        });
        running.interrupt();
        assert_eq!(running.wait().code, 137);
        assert_eq!(names(&project), [] as [&str; 0]);
    });
}

#[test]
fn a_killed_client_leaves_no_container_that_was_to_be_removed() {
    host(|host| {
        let project = host.project("killed").file("compose.yaml", ALONE);
        let before = host.snapshot();
        let running = project.start(["run", "--rm", "-T", "a", "sh", "-c", "echo up; sleep 0.5"]);
        eventually("it is up", || {
            if running.stdout() == "up\n" { Ok(()) } else { Err(running.stdout()) }
        });
        running.signal(rustix::process::Signal::KILL);
        assert_eq!(running.wait().code, 137);
        assert_eq!(names(&project).len(), 1);
        eventually("it is removed", || match names(&project) {
            none if none.is_empty() => Ok(()),
            some => Err(format!("{some:?}")),
        });
        before.assert_nothing_left();
    });
}

#[test]
fn whoever_of_naru_dies_the_output_is_whole_and_the_code_right() {
    host(|host| {
        let project = host.project("deaths").file("compose.yaml", ALONE);
        let before = host.snapshot();
        let script = "i=0; while [ $i -lt 300 ]; do echo $i; i=$((i+1)); sleep 0.01; done; exit 9";
        let running = project.start(["run", "--rm", "-q", "-T", "a", "sh", "-c", script]);
        let until = |line: &str| {
            let line = format!("\n{line}\n");
            eventually("it goes on", || {
                if running.stdout().contains(&line) { Ok(()) } else { Err(running.stdout()) }
            });
        };
        until("10");
        assert_eq!(host.kill(&["supervisor:"]), 1);
        until("80");
        host.kill(&["keeper:"]);
        until("150");
        host.kill(&["supervisor:"]);
        host.kill(&["keeper:"]);
        let outcome = running.wait();
        let expected: String = (0..300).map(|n| format!("{n}\n")).collect();
        assert_eq!(outcome.stdout, expected);
        assert_eq!(outcome.code, 9, "{outcome}");
        before.assert_nothing_left();
    });
}

#[test]
fn a_dry_run_prints_what_would_be_done() {
    host(|host| {
        let project = host.project("dry").file("compose.yaml", TWO);
        let before = host.snapshot();
        let outcome =
            project.naru(["--dry-run", "run", "--name", "once", "web", "true"]).succeeds();
        outcome.prints("create container dry-db-1").prints("start container once [after");
        before.assert_nothing_left();
    });
}

#[test]
fn exec_goes_into_a_one_off_where_no_replica_runs() {
    host(|host| {
        let project =
            host.project("inside").file("compose.yaml", "services: { a: { image: test } }");
        project.naru(["run", "-d", "--name", "alone", "a", "naru-check", "sleep"]).succeeds();
        let name = ["exec", "-T", "a", "sh", "-c", "test -e /mark && echo replica || echo one-off"];
        project.naru(name).succeeds().prints("one-off");
        // A replica comes first.
        project.naru(["up", "-d"]).succeeds();
        project.naru(["exec", "-T", "--index", "1", "a", "touch", "/mark"]).succeeds();
        project.naru(name).succeeds().prints("replica");
        project.naru(["down", "--remove-orphans", "-t", "0"]).succeeds();
    });
}
