//! What CI is told: exit codes, when `--wait` ends, who is to blame and why, one JSON document, annotations.

use std::time::{Duration, Instant};

use super::host;

#[test]
fn the_code_of_a_service_that_was_stopped_or_killed_is_128_and_the_signal() {
    host(|host| {
        let file = "
services:
  deaf: { image: test, command: naru-check sleep }
  kind: { image: test, command: [sh, -c, 'trap \"exit 143\" TERM; while :; do sleep 0.05; done'] }
  job: { image: test, command: [sh, -c, 'sleep 0.3; exit 0'] }
";
        for (service, code) in [("deaf", 137), ("kind", 143), ("job", 0)] {
            let project = host.project(&format!("from-{service}")).file("compose.yaml", file);
            project.naru(["up", "--exit-code-from", service]).exits_with(code);
            project.naru(["down", "-t", "0"]).succeeds();
        }
        let project = host.project("killed").file("compose.yaml", file);
        let up = project.start(["up", "--exit-code-from", "deaf", "deaf"]);
        project.until("deaf", "running");
        project.naru(["kill", "deaf"]).succeeds();
        up.wait().exits_with(137);
        project.naru(["down", "-t", "0"]).succeeds();
    });
}

#[test]
fn a_service_that_others_wait_for_to_complete_ends_nothing_when_it_has() {
    host(|host| {
        let file = "
services:
  migrate: { image: test, command: [sh, -c, 'echo migrated'] }
  tests:
    image: test
    command: [sh, -c, 'sleep 0.5; echo tested; exit 5']
    depends_on: { migrate: { condition: service_completed_successfully } }
  app: { image: test, depends_on: { migrate: { condition: service_completed_successfully } } }
";
        let project = host.project("init").file("compose.yaml", file);
        let outcome = project.naru(["up", "--exit-code-from", "tests", "-t", "0"]).exits_with(5);
        assert!(outcome.stdout.contains("tests-1    | tested"), "{outcome}");
        let outcome = project.naru(["up", "--abort-on-container-exit", "-t", "0"]).exits_with(5);
        assert!(outcome.stdout.contains("tests-1    | tested"), "{outcome}");
        project.naru(["down", "-t", "0"]).succeeds();
    });
}

#[test]
fn abort_on_failure_ends_with_the_first_failure_and_not_with_a_success() {
    host(|host| {
        let file = "
services:
  well: { image: test, command: [sh, -c, 'exit 0'] }
  bad: { image: test, command: [sh, -c, 'sleep 0.3; exit 6'] }
  rest: { image: test }
";
        let project = host.project("abort").file("compose.yaml", file);
        let outcome = project.naru(["up", "--abort-on-container-failure", "-t", "0"]).exits_with(6);
        assert!(outcome.stderr.contains("well-1 exited with code 0"), "{outcome}");
        assert!(project.containers("rest").iter().all(|own| own["State"] == "exited"));
        project.naru(["up", "--abort-on-container-exit", "-t", "0", "well", "rest"]).exits_with(0);
        project.naru(["down", "-t", "0"]).succeeds();
    });
}

const SICK: &str = "
services:
  sick:
    image: test
    command: [sh, -c, 'echo the last line >&2; exec naru-check sleep']
    healthcheck: { test: 'echo the probe says no >&2; exit 3', interval: 50ms, retries: 2 }
  well: { image: test, command: [sh, -c, 'echo not asked for; exec naru-check sleep'] }
";

#[test]
fn wait_shows_the_guilty_services_last_lines_and_checks_and_nobody_elses() {
    host(|host| {
        let project = host.project("guilty").file("compose.yaml", SICK);
        let outcome = project.naru(["up", "--wait"]).exits_with(1);
        let outcome = outcome
            .says("container guilty-sick-1 is unhealthy")
            .says("sick-1  | the last line")
            .says("sick-1 health check exited with code 3: the probe says no")
            .says("compose.yaml:3");
        assert!(!outcome.stderr.contains("not asked for"), "{outcome}");
        assert_eq!(outcome.stdout, "", "{outcome}");
    });
}

#[test]
fn a_one_shot_that_succeeds_is_fine_and_one_that_fails_is_named() {
    host(|host| {
        let file = |code: u32| {
            format!(
                "services: {{ once: {{ image: test, command: [sh, -c, 'sleep 0.2; echo did it; exit {code}'] }}, stays: {{ image: test }} }}"
            )
        };
        let good = host.project("good").file("compose.yaml", &file(0));
        good.naru(["up", "--wait"]).succeeds();
        let bad = host.project("bad").file("compose.yaml", &file(3));
        bad.naru(["up", "--wait"])
            .exits_with(1)
            .says("container bad-once-1 exited (3)")
            .says("once-1  | did it");
    });
}

#[test]
fn the_time_that_was_given_is_used_up_and_no_more_unless_nothing_can_come_of_it() {
    host(|host| {
        let file = "
services:
  slow: { image: test, healthcheck: { test: [CMD, naru-check, exit, '1'], interval: 50ms, retries: 1 } }
  hopeless: { image: test, healthcheck: { test: [CMD, no-such-program], interval: 50ms, retries: 1 } }
  gone: { image: test, command: [sh, -c, 'sleep 0.2; exit 4'] }
  late:
    image: test
    command: [sh, -c, 'sleep 1; touch /tmp/well; exec naru-check sleep']
    healthcheck: { test: 'test -e /tmp/well', interval: 50ms, retries: 2 }
";
        let project = host.project("patience").file("compose.yaml", file);
        // Everything is made before, so that only the waiting is measured.
        project.naru(["create"]).succeeds();
        let wait = |service: &str, seconds: &str| {
            let began = Instant::now();
            let outcome = project.naru(["up", "--wait", "--wait-timeout", seconds, service]);
            (outcome, began.elapsed())
        };
        let (outcome, took) = wait("slow", "2");
        outcome.exits_with(1).says("application not healthy after 2s").says("is unhealthy");
        assert!(took >= Duration::from_secs(2) && took < Duration::from_secs(4), "{took:?}");
        // As many failures as its retries do not end the wait of one who said how long to wait.
        let (outcome, _) = wait("late", "30");
        outcome.succeeds();
        for (service, says) in [("hopeless", "is unhealthy"), ("gone", "exited (4)")] {
            let (outcome, took) = wait(service, "30");
            outcome.exits_with(1).says(says);
            assert!(took < Duration::from_secs(10), "{service}: {took:?}");
        }
        project.naru(["down", "-t", "0"]).succeeds();
    });
}

#[test]
fn the_result_is_one_json_document_on_stdout() {
    host(|host| {
        let project = host.project("result").file("compose.yaml", SICK);
        let outcome = project.naru(["up", "--wait", "--json"]).exits_with(1);
        let result: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
        assert_eq!(result["version"], 1);
        assert_eq!((&result["outcome"], &result["exit_code"]), (&"failed".into(), &1.into()));
        assert_eq!((&result["cause"], &result["project"]), (&"unhealthy".into(), &"result".into()));
        assert_eq!(result["place"]["file"], "compose.yaml");
        assert_eq!(result["place"]["line"], 3);
        let sick =
            result["containers"].as_array().unwrap().iter().find(|it| it["service"] == "sick");
        let sick = sick.unwrap();
        assert_eq!((&sick["state"], &sick["health"]), (&"running".into(), &"unhealthy".into()));
        assert_eq!(sick["probes"][0]["output"], "the probe says no\n");
        assert_eq!(sick["probes"][0]["exit_code"], 3);

        // In the foreground the containers' output makes room for it.
        let file = "services: { a: { image: test, command: [sh, -c, 'echo hello; exit 7'] } }";
        let project = host.project("front").file("compose.yaml", file);
        let outcome = project.naru(["up", "--json", "--abort-on-container-failure"]).exits_with(7);
        let result: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
        assert_eq!((&result["cause"], &result["exit_code"]), (&"exited".into(), &7.into()));
        assert_eq!(result["containers"][0]["exit_code"], 7);
        assert!(outcome.stderr.contains("a-1  | hello"), "{outcome}");

        // Files that cannot be used have a result too.
        let project = host.project("wrong").file("compose.yaml", "services: { a: { imag: test } }");
        let outcome = project.naru(["up", "-d", "--json"]).exits_with(1);
        let result: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
        assert_eq!((&result["cause"], &result["place"]["line"]), (&"config".into(), &1.into()));
    });
}

#[test]
fn github_is_told_file_and_line_of_each_failure() {
    host(|host| {
        let runner = |name: &str, file: &str| {
            let project = host.project(name).file("compose.yaml", file);
            let workspace = project.folder().parent().unwrap().display().to_string();
            project.variable("GITHUB_ACTIONS", "true").variable("GITHUB_WORKSPACE", &workspace)
        };
        let project = runner("unhealthy", SICK);
        project
            .naru(["up", "--wait"])
            .exits_with(1)
            .says("\n::error file=unhealthy/compose.yaml,line=3,col=3,title=naru::container unhealthy-sick-1 is unhealthy\n");
        project.naru(["down", "-t", "0"]).succeeds();

        let file = "services:\n  a:\n    image: test\n    command: [sh, -c, 'exit 7']\n";
        let project = runner("aborted", file);
        project.naru(["up", "--abort-on-container-failure"]).exits_with(7).says(
            "\n::error file=aborted/compose.yaml,line=2,col=3,title=naru::a-1 exited with code 7\n",
        );
        project.naru(["down"]).succeeds();

        let project =
            runner("wrong", "services:\n  a: { imag: test }\n  b: { prots: [80], image: test }\n");
        project
            .naru(["up", "-d"])
            .exits_with(1)
            .says("::error file=wrong/compose.yaml,line=2,col=8,title=naru::")
            .says("::error file=wrong/compose.yaml,line=3,col=8,title=naru::")
            .says("%0Ahint: did you mean `image`?");
        let outcome = host.naru(["ls"]);
        assert!(!outcome.stderr.contains("::error"), "{outcome}");
    });
}
