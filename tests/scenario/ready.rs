//! Readiness: how soon it is known, `x-naru-ready`, and what a health check leaves behind.

use std::time::{Duration, Instant};

use naru_test::{Project, eventually};

use super::host;

/// A service whose port opens after `seconds`, by `sign`, and one that waits for it.
fn late_port(seconds: f64, sign: &str) -> String {
    format!(
        "
services:
  db:
    image: test
    command: [sh, -c, 'sleep {seconds}; echo listening; exec naru-check listen 5432']
    {sign}
  api:
    image: test
    command: [sh, -c, 'naru-check connect db 5432 </dev/null && echo connected']
    depends_on: {{ db: {{ condition: service_healthy }} }}
"
    )
}

/// Far below every interval of these tests, and above what a busy machine takes to start a container. The promise itself
/// is a row of the benchmark.
const PROMPT: Duration = Duration::from_secs(2);

/// When a service was started, and when another one last logged `text`: how much later the first came.
fn delay_after_line(project: &Project<'_>, service: &str, text: &str, dependent: &str) -> Duration {
    let logs = ["logs", "--no-log-prefix", "--timestamps", service];
    let logs = project.naru(logs).succeeds();
    let logs = logs.stdout + &logs.stderr;
    let line = logs.lines().rev().find(|line| line.contains(text)).unwrap().to_owned();
    let written: jiff::Timestamp = line.split(' ').next().unwrap().parse().unwrap();
    let started = project.state(dependent)["started_ns"].as_u64().unwrap();
    Duration::from_nanos(started.saturating_sub(u64::try_from(written.as_nanosecond()).unwrap()))
}

#[test]
fn a_dependent_starts_soon_after_a_port_opens_whatever_the_interval_of_the_check() {
    host(|host| {
        let check =
            "healthcheck: { test: [CMD, naru-check, connect, 127.0.0.1, '5432'], interval: 30s }";
        let project = host.project("early").file("compose.yaml", &late_port(0.4, check));
        let began = Instant::now();
        project.naru(["up", "-d"]).succeeds();
        let took = began.elapsed();
        let delay = delay_after_line(&project, "db", "listening", "api");
        assert!(delay < PROMPT, "{delay:?}");
        assert!(took < Duration::from_secs(3), "{took:?}: not the interval of 30 s");
    });
}

#[test]
fn a_service_is_ready_when_its_port_answers_without_anything_in_its_image() {
    host(|host| {
        let file = late_port(0.3, "x-naru-ready: { tcp: 5432 }");
        let project = host.project("tcp").file("compose.yaml", &file);
        project.naru(["up", "-d"]).succeeds();
        assert_eq!(project.containers("db")[0]["Health"], "healthy");
        project.until_logged("api", "connected");
        assert_eq!(project.until("api", "exited")["ExitCode"], 0, "it connected the first time");
    });
}

#[test]
fn a_service_is_ready_when_its_page_is_served_and_not_while_that_is_an_error() {
    host(|host| {
        let file = "
services:
  web:
    image: test
    command: [sh, -c, 'mkdir /www; httpd -p 80 -h /www; sleep 0.3; echo page; echo ok > /www/health; exec naru-check sleep']
    x-naru-ready: { http: ':80/health' }
  api: { image: test, depends_on: { web: { condition: service_healthy } } }
";
        let project = host.project("http").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        assert_eq!(project.containers("web")[0]["Health"], "healthy");
        let delay = delay_after_line(&project, "web", "page", "api");
        assert!(delay < PROMPT, "{delay:?}");

        let missing = file.replace(":80/health", ":80/missing");
        let project = host.project("missing").file("compose.yaml", &missing);
        let outcome = project.naru(["up", "-d", "--wait", "--wait-timeout", "1"]);
        outcome.exits_with(1).says("answered with status 404").says("web-1");
        project.naru(["down", "-t", "1"]).succeeds();
    });
}

#[test]
fn a_service_is_ready_when_a_line_of_its_output_says_so_and_at_each_start_anew() {
    host(|host| {
        let file = "
services:
  db:
    image: test
    command: [sh, -c, 'echo starting; sleep 0.3; echo \"LOG: ready to accept connections\" >&2; exec naru-check sleep']
    x-naru-ready: { log: 'ready to .* connections$$' }
  api: { image: test, depends_on: { db: { condition: service_healthy } } }
";
        let project = host.project("log").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        assert_eq!(project.containers("db")[0]["Health"], "healthy");
        let delay = delay_after_line(&project, "db", "ready to accept", "api");
        assert!(delay < PROMPT, "{delay:?}");
        // The line of the run before does not count.
        project.naru(["restart", "-t", "0", "db", "api"]).succeeds();
        let delay = delay_after_line(&project, "db", "ready to accept", "api");
        assert!(delay > Duration::ZERO, "api started after the second line");
    });
}

#[test]
fn a_sign_and_a_health_check_have_to_say_so_both() {
    host(|host| {
        let sign = "healthcheck: { test: [CMD, naru-check, exit, '0'], interval: 50ms }\n    x-naru-ready: { tcp: 5432 }";
        let project = host.project("both").file("compose.yaml", &late_port(0.5, sign));
        project.naru(["up", "-d"]).succeeds();
        project.until_logged("api", "connected");
        assert_eq!(project.until("api", "exited")["ExitCode"], 0);
    });
}

#[test]
fn what_is_not_ready_in_its_time_is_unhealthy_and_says_what_is_missing() {
    host(|host| {
        let file = "
services:
  a: { image: test, command: naru-check listen 80, x-naru-ready: { tcp: 81, timeout: 300ms } }
  local: { image: test, command: httpd -f -p 127.0.0.1:80, x-naru-ready: { tcp: 80, timeout: 300ms } }
";
        let project = host.project("late").file("compose.yaml", file);
        project.naru(["up", "-d", "a"]).succeeds();
        project.until("a", "unhealthy");
        project.naru(["down", "-t", "0"]).succeeds();
        let outcome = project.naru(["up", "-d", "--wait", "a"]);
        outcome.exits_with(1).says("container late-a-1 is unhealthy").says(":81: ").says("refused");
        let outcome = project.naru(["up", "-d", "--wait", "local"]);
        outcome.exits_with(1).says("it listens on 127.0.0.1 only");
    });
}

#[test]
fn readiness_outlives_the_supervisor() {
    host(|host| {
        let file = late_port(0.2, "x-naru-ready: { log: listening }");
        let project = host.project("lives").file("compose.yaml", &file);
        project.naru(["up", "-d"]).succeeds();
        assert_eq!(host.kill(&["naru", "supervisor"]), 1);
        project.naru(["up", "-d"]).succeeds();
        assert_eq!(project.containers("db")[0]["Health"], "healthy", "it need not say it again");

        // While it is not ready yet, the next supervisor goes on waiting.
        let slow = host
            .project("slow")
            .file("compose.yaml", &late_port(2.0, "x-naru-ready: { tcp: 5432 }"));
        let up = slow.start(["up", "-d"]);
        slow.until("db", "starting");
        assert!(host.kill(&["naru", "supervisor", "slow"]) >= 1);
        up.wait().succeeds();
        assert_eq!(slow.containers("db")[0]["Health"], "healthy");
    });
}

#[test]
fn a_chain_of_instant_services_comes_up_without_waiting_between_them() {
    host(|host| {
        let mut file = "services:\n".to_owned();
        for number in 0..5_u32 {
            file += &format!(
                "  s{number}:\n    image: test\n    healthcheck: {{ test: [CMD, naru-check, exit, '0'], interval: 30s }}\n"
            );
            if let Some(before) = number.checked_sub(1) {
                file +=
                    &format!("    depends_on: {{ s{before}: {{ condition: service_healthy }} }}\n");
            }
        }
        let project = host.project("chain").file("compose.yaml", &file);
        project.naru(["up", "-d"]).succeeds();
        project.until("s4", "healthy");
        // From the end of each first probe to the start of the next service: what the gates take.
        let mut gates = Duration::ZERO;
        for number in 1..5 {
            let before = project.state(&format!("s{}", number - 1));
            let probe = &before["health"]["log"][0];
            let took = Duration::new(
                probe["took"]["secs"].as_u64().unwrap(),
                u32::try_from(probe["took"]["nanos"].as_u64().unwrap()).unwrap(),
            );
            let healthy = Duration::from_nanos(probe["started_ns"].as_u64().unwrap()) + took;
            let log =
                project.state(&format!("s{number}"))["health"]["log"][0]["started_ns"].as_u64();
            // Its own first probe comes right after its start.
            gates += Duration::from_nanos(log.unwrap()).saturating_sub(healthy);
        }
        assert!(gates < 4 * PROMPT, "{gates:?} for four gates with their starts");
    });
}

#[test]
fn health_is_forgotten_at_each_start_and_its_history_kept_after_the_end() {
    host(|host| {
        let file = "
services:
  a:
    image: test
    command: [sh, -c, 'trap \"exit 0\" TERM; while :; do sleep 0.05; done']
    healthcheck: { test: 'echo looked; test ! -e /tmp/sick', interval: 50ms, retries: 1 }
  b: { image: test, depends_on: { a: { condition: service_healthy } } }
";
        let project = host.project("history").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        project.naru(["exec", "-T", "a", "touch", "/tmp/sick"]).succeeds();
        project.until("a", "unhealthy");
        eventually("some results", || {
            match project.state("a")["health"]["log"].as_array().map(Vec::len) {
                Some(10..) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
        project.naru(["exec", "-T", "a", "rm", "/tmp/sick"]).succeeds();
        project.until("a", "healthy");
        project.naru(["exec", "-T", "a", "touch", "/tmp/sick"]).succeeds();
        project.until("a", "unhealthy");
        project.naru(["stop", "a"]).succeeds();
        let health = project.state("a")["health"].clone();
        assert_eq!(health["status"], "unhealthy");
        let log = health["log"].as_array().unwrap();
        assert!(log.len() > 10, "{log:?}");
        assert_eq!(log.last().unwrap()["output"], "looked\n");

        // A gate does not look at yesterday's verdict: the start waits for a new one.
        let run = project.naru(["start", "b"]);
        run.succeeds();
        let state = project.state("a");
        assert_eq!(state["phase"], "running");
        let log = state["health"]["log"].as_array().unwrap().clone();
        let started = state["started_ns"].as_u64().unwrap();
        assert!(
            log.iter().all(|probe| probe["started_ns"].as_u64().unwrap() >= started),
            "{log:?}"
        );
    });
}

#[test]
fn a_check_is_switched_off_and_taken_from_the_image_as_by_docker() {
    host(|host| {
        let tar = naru_test::RootTar::new().busybox().program(env!("CARGO_BIN_EXE_naru-check"));
        let changes = [
            "CMD [\"naru-check\", \"sleep\"]",
            "HEALTHCHECK --interval=50ms --retries=1 CMD test -e /tmp/well",
        ];
        host.import("checked", tar, &changes);
        let file = "
services:
  images: { image: checked }
  own: { image: checked, healthcheck: { test: [CMD, naru-check, exit, '0'] } }
  times: { image: checked, healthcheck: { retries: 1000000 } }
  off: { image: checked, healthcheck: { disable: true } }
  none: { image: checked, healthcheck: { test: [NONE] } }
  shell: { image: test, healthcheck: { test: 'test $$(echo 1) = 1', interval: 50ms } }
";
        let project = host.project("merge").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        project.until("images", "unhealthy");
        project.until("own", "healthy");
        project.until("shell", "healthy");
        for service in ["off", "none"] {
            assert_eq!(project.containers(service)[0]["Health"], "", "{service}");
        }
        // The image's test at the image's interval, with the service's count.
        eventually("failures are counted", || {
            match project.state("times")["health"]["failing_streak"].as_u64() {
                Some(2..) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
        assert_eq!(project.containers("times")[0]["Health"], "starting");
        project.naru(["down", "-t", "0"]).succeeds();
    });
}

/// T-A5.
#[test]
fn gates_and_checks_need_neither_systemd_nor_a_bus() {
    host(|host| {
        // Nothing of either in this host, whatever machine the test runs on.
        for folder in ["/run/systemd", "/run/dbus", "/var/run/dbus"] {
            if std::path::Path::new(folder).exists() {
                let mut mount = std::process::Command::new("mount");
                let hidden = mount.args(["-t", "tmpfs", "tmpfs", folder]).status().unwrap();
                assert!(hidden.success(), "{folder} cannot be hidden");
            }
        }
        let check = "healthcheck: { test: [CMD, naru-check, connect, 127.0.0.1, '5432'], interval: 100ms, retries: 100 }";
        let project = host.project("bare").file("compose.yaml", &late_port(0.2, check));
        let mut up = project.command(["up", "-d", "--wait", "db"]);
        up.env_remove("DBUS_SESSION_BUS_ADDRESS").env_remove("XDG_RUNTIME_DIR");
        naru_test::Running::start(&mut up).wait().succeeds();
        assert_eq!(project.containers("db")[0]["Health"], "healthy");
        project.naru(["up", "-d"]).succeeds();
        assert_eq!(project.until("api", "exited")["ExitCode"], 0);
        // Checks go on by naru's own clock.
        let checks = || project.state("db")["health"]["log"].as_array().map_or(0, Vec::len);
        let before = checks();
        eventually("more of them", || match checks() {
            now if now > before + 2 => Ok(()),
            now => Err(now.to_string()),
        });
    });
}
