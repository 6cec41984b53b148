//! Restarts that follow from another one: dependents with `restart: true`, gates after a crash, containers
//! that are unhealthy.

use naru_test::{Project, eventually};

use super::host;

/// How often a service was started, by the lines it wrote.
fn starts(project: &Project<'_>, service: &str) -> usize {
    let logs = project.naru(["logs", "--no-log-prefix", service]).stdout;
    logs.lines().filter(|line| *line == "started").count()
}

fn until_started(project: &Project<'_>, service: &str, times: usize) {
    eventually(&format!("{service} is started {times} times"), || match starts(project, service) {
        count if count == times => Ok(()),
        other => Err(other.to_string()),
    });
}

/// Ends the first process of a service, which then exits with 1.
fn crash(project: &Project<'_>, service: &str) {
    // Which of the two ends first, the command or its container, is open.
    let removed = project.naru(["exec", "-T", service, "rm", "/tmp/stay"]);
    assert!(matches!(removed.code, 0 | 137), "{removed}");
}

/// A service that runs until it is told to crash.
const STAYS: &str =
    "command: [sh, -c, 'echo started; touch /tmp/stay; exec naru-check stays /tmp/stay']";

#[test]
fn a_dependency_that_its_policy_restarts_takes_along_who_asks_for_that() {
    host(|host| {
        let file = format!(
            "
services:
  db: {{ image: test, restart: always, {STAYS} }}
  api: {{ image: test, {STAYS}, depends_on: {{ db: {{ condition: service_started, restart: true }} }} }}
  web: {{ image: test, {STAYS}, depends_on: {{ api: {{ condition: service_started, restart: true }} }} }}
  other: {{ image: test, {STAYS}, depends_on: [db] }}
"
        );
        let project = host.project("along").file("compose.yaml", &file);
        project.naru(["up", "-d"]).succeeds();
        for service in ["db", "api", "web", "other"] {
            until_started(&project, service, 1);
        }
        crash(&project, "db");
        for service in ["db", "api", "web"] {
            until_started(&project, service, 2);
            project.until(service, "running");
        }
        assert_eq!(starts(&project, "other"), 1, "it did not ask");
        // Once is enough, also for the next supervisor.
        assert_eq!(host.kill(&["naru", "supervisor"]), 1);
        project.naru(["up", "-d"]).succeeds();
        for service in ["db", "api", "web"] {
            assert_eq!(starts(&project, service), 2, "{service}");
        }
        project.naru(["down", "-t", "0"]).succeeds();
    });
}

#[test]
fn who_is_restarted_with_a_dependency_is_so_when_that_is_healthy_again() {
    host(|host| {
        let file = format!(
            "
services:
  db:
    image: test
    restart: always
    command: [sh, -c, 'echo started; touch /tmp/stay; rm -f /tmp/well; test -e /data/ran && sleep 0.6; touch /data/ran /tmp/well; echo well; exec naru-check stays /tmp/stay']
    healthcheck: {{ test: 'test -e /tmp/well', interval: 100ms, retries: 100 }}
    tmpfs: [/tmp]
    volumes: [data:/data]
  api: {{ image: test, {STAYS}, depends_on: {{ db: {{ condition: service_healthy, restart: true }} }} }}
volumes: {{ data: {{}} }}
"
        );
        let project = host.project("again").file("compose.yaml", &file);
        project.naru(["up", "-d"]).succeeds();
        until_started(&project, "api", 1);
        crash(&project, "db");
        until_started(&project, "api", 2);
        let logs = project.naru(["logs", "--no-color"]).succeeds().stdout;
        let order: Vec<&str> =
            logs.lines().filter_map(|line| Some(line.split_once("  | ")?.1)).collect();
        assert_eq!(order, ["started", "well", "started", "started", "well", "started"], "{logs}");
        project.naru(["down", "-t", "0", "-v"]).succeeds();
    });
}

#[test]
fn what_crashes_comes_back_when_what_it_depends_on_is_healthy() {
    host(|host| {
        let file = format!(
            "
services:
  db:
    image: test
    healthcheck: {{ test: 'test ! -e /tmp/sick', interval: 50ms, retries: 1000000, start_period: 1h }}
    {STAYS}
    restart: always
  api:
    image: test
    restart: always
    {STAYS}
    depends_on: {{ db: {{ condition: service_healthy }} }}
"
        );
        let project = host.project("held").file("compose.yaml", &file);
        project.naru(["up", "-d"]).succeeds();
        until_started(&project, "api", 1);
        // A new run of the database that is not healthy yet: what crashes now waits for it.
        project.naru(["exec", "-T", "db", "touch", "/tmp/sick"]).succeeds();
        crash(&project, "db");
        until_started(&project, "db", 2);
        project.until("db", "starting");
        crash(&project, "api");
        let held = eventually("api waits", || {
            let containers = project.containers("api");
            let status = containers[0]["Status"].as_str().unwrap().to_owned();
            if status.contains("waits for db") { Ok(status) } else { Err(status) }
        });
        assert!(held.starts_with("Restarting (1)"), "{held}");
        // It is still held by the next supervisor.
        assert_eq!(host.kill(&["naru", "supervisor"]), 1);
        project.naru(["ps"]).succeeds();
        assert_eq!(starts(&project, "api"), 1);
        project.naru(["exec", "-T", "db", "rm", "/tmp/sick"]).succeeds();
        until_started(&project, "api", 2);
        project.naru(["down", "-t", "0"]).succeeds();
    });
}

#[test]
fn a_dependency_that_will_not_get_there_holds_nobody_down() {
    host(|host| {
        let file = format!(
            "
services:
  db: {{ image: test, {STAYS}, healthcheck: {{ test: 'test -e /tmp/stay', interval: 50ms }} }}
  api: {{ image: test, restart: always, {STAYS}, depends_on: {{ db: {{ condition: service_healthy }} }} }}
"
        );
        let project = host.project("gone").file("compose.yaml", &file);
        project.naru(["up", "-d"]).succeeds();
        project.naru(["stop", "-t", "0", "db"]).succeeds();
        crash(&project, "api");
        until_started(&project, "api", 2);
        project.naru(["down", "-t", "0"]).succeeds();
    });
}

#[test]
fn an_unhealthy_container_is_restarted_where_naru_is_asked_to_and_not_elsewhere() {
    host(|host| {
        let service = |more: &str| {
            format!(
                "{{ image: test, {STAYS}, stop_grace_period: 100ms, \
                 healthcheck: {{ test: 'test ! -e /tmp/sick', interval: 50ms, retries: 2 }}, tmpfs: [/tmp]{more} }}"
            )
        };
        let asked = service(", x-naru-restart: { on_unhealthy: true }");
        let file = format!("services:\n  asked: {asked}\n  not: {}\n", service(""));
        let project = host.project("sick").file("compose.yaml", &file);
        project.naru(["up", "-d"]).succeeds();
        for name in ["asked", "not"] {
            project.until(name, "healthy");
            project.naru(["exec", "-T", name, "touch", "/tmp/sick"]).succeeds();
        }
        until_started(&project, "asked", 2);
        project.until("asked", "healthy");
        project.until("not", "unhealthy");
        assert_eq!(starts(&project, "not"), 1);
        project.naru(["stop", "asked"]).succeeds();
        project.until("asked", "exited");
        project.naru(["down", "-t", "0"]).succeeds();
    });
}

#[test]
fn a_process_that_hangs_is_unhealthy_by_its_time_limit_and_restarted() {
    host(|host| {
        let file = "
services:
  a:
    image: test
    command: [sh, -c, 'echo started; exec httpd -f -p 80']
    stop_grace_period: 100ms
    healthcheck: { test: [CMD, wget, -q, -O, /dev/null, 'http://127.0.0.1/etc/passwd'], interval: 100ms, timeout: 300ms, retries: 1 }
    working_dir: /
    x-naru-restart: { on_unhealthy: true }
";
        let project = host.project("hangs").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        project.until("a", "healthy");
        project.naru(["kill", "-s", "STOP", "a"]).succeeds();
        until_started(&project, "a", 2);
        project.until("a", "healthy");
        project.naru(["down", "-t", "0"]).succeeds();
    });
}

#[test]
fn a_row_of_restarts_is_limited_and_shaped_by_naru_s_own_rules_and_shown() {
    host(|host| {
        let file = "
services:
  limited: { image: test, restart: always, command: [sh, -c, 'echo started; exit 3'], x-naru-restart: { max_attempts: 4, backoff: { min: 1ms, max: 2ms } } }
  loop: { image: test, restart: always, command: [sh, -c, 'echo started; exit 4'], x-naru-restart: { backoff: { min: 10ms, max: 30s, factor: 9 } } }
";
        let project = host.project("rows").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        project.until("limited", "exited");
        assert_eq!(starts(&project, "limited"), 5, "the first start and four more");
        let status = eventually("loop is in a crash loop", || {
            let status = project.containers("loop")[0]["Status"].as_str().unwrap().to_owned();
            if status.contains("crash loop") && status.contains("next try") {
                Ok(status)
            } else {
                Err(status)
            }
        });
        assert!(status.starts_with("Restarting (4) "), "{status}");
        assert!(status.contains(" restarts in a row, next try in "), "{status}");
        project.naru(["down", "-t", "0"]).succeeds();
    });
}

#[test]
fn the_delay_and_the_limit_of_deploy_are_followed() {
    host(|host| {
        let file = "
services:
  a:
    image: test
    command: [sh, -c, 'echo started; exit 3']
    deploy: { restart_policy: { condition: on-failure, delay: 300ms, max_attempts: 2 } }
";
        let project = host.project("deploy").file("compose.yaml", file);
        let began = std::time::Instant::now();
        project.naru(["up", "-d"]).succeeds();
        until_started(&project, "a", 3);
        project.until("a", "exited");
        assert!(began.elapsed() >= std::time::Duration::from_millis(600), "{:?}", began.elapsed());
        assert_eq!(starts(&project, "a"), 3);
        project.naru(["down"]).succeeds();
    });
}
