//! Start order: the three conditions of `depends_on`, health checks, and `--wait`.

use super::host;

#[test]
fn a_service_starts_after_those_it_depends_on_are_healthy() {
    host(|host| {
        let project = host.project("healthy").file(
            "compose.yaml",
            "
services:
  database:
    image: test
    command: [sh, -c, 'sleep 0.5; naru-check write /tmp/ready yes; naru-check sleep']
    healthcheck: { test: [CMD, naru-check, read, /tmp/ready], interval: 100ms, start_period: 10s, start_interval: 50ms }
  api:
    image: test
    command: naru-check connect-udp 127.0.0.1 1
    depends_on: { database: { condition: service_healthy } }
",
        );
        project.naru(["up", "-d"]).succeeds();
        // `up` returned, so api was started, so database was healthy by then.
        assert_eq!(project.containers("database")[0]["Health"], "healthy");
        project.until("api", "exited");
    });
}

#[test]
fn a_service_starts_after_a_completed_one_and_not_after_a_failed_one() {
    host(|host| {
        let file = |code: u32| {
            format!(
                "
services:
  migrate: {{ image: test, command: naru-check exit {code} }}
  api:
    image: test
    depends_on: {{ migrate: {{ condition: service_completed_successfully }} }}
"
            )
        };
        let good = host.project("good").file("compose.yaml", &file(0));
        good.naru(["up", "-d"]).succeeds();
        good.until("api", "running");

        let bad = host.project("bad").file("compose.yaml", &file(4));
        bad.naru(["up", "-d"]).exits_with(1).says("migrate").says("4");
        assert!(bad.containers("api").iter().all(|container| container["State"] != "running"));
        bad.naru(["down"]).succeeds();
    });
}

#[test]
fn a_dependency_that_becomes_unhealthy_fails_the_up_with_its_name() {
    host(|host| {
        let project = host.project("sick").file(
            "compose.yaml",
            "
services:
  database:
    image: test
    healthcheck: { test: [CMD, naru-check, exit, '1'], interval: 50ms, retries: 2 }
  api:
    image: test
    depends_on: { database: { condition: service_healthy } }
",
        );
        project.naru(["up", "-d"]).exits_with(1).says("database").says("unhealthy");
        project.naru(["down"]).succeeds();
    });
}

#[test]
fn wait_returns_when_all_services_are_healthy_and_fails_when_one_is_not() {
    host(|host| {
        let file = |code: u32| {
            format!(
                "services: {{ a: {{ image: test, healthcheck: \
                 {{ test: [CMD, naru-check, exit, '{code}'], interval: 50ms, retries: 2 }} }} }}"
            )
        };
        let good = host.project("good").file("compose.yaml", &file(0));
        good.naru(["up", "-d", "--wait"]).succeeds();
        assert_eq!(good.containers("a")[0]["Health"], "healthy");

        let bad = host.project("bad").file("compose.yaml", &file(1));
        bad.naru(["up", "-d", "--wait"]).exits_with(1).says("unhealthy");
    });
}

#[test]
fn health_follows_the_check_both_ways() {
    host(|host| {
        let project = host.project("health").file(
            "compose.yaml",
            "
services:
  a:
    image: test
    healthcheck: { test: 'test ! -e /tmp/sick', interval: 100ms, retries: 1 }
",
        );
        project.naru(["up", "-d"]).succeeds();
        project.until("a", "healthy");
        project.naru(["exec", "-T", "a", "touch", "/tmp/sick"]).succeeds();
        project.until("a", "unhealthy");
        project.naru(["exec", "-T", "a", "rm", "/tmp/sick"]).succeeds();
        project.until("a", "healthy");
    });
}
