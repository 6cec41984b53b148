//! Lifecycle hooks: commands that run inside a container after its start and before its stop.

use super::host;

fn file(hooks: &str) -> String {
    format!(
        "services:
  web:
    image: test
    command: sh -c 'trap \"echo stopped; exit 0\" TERM; echo started; while true; do sleep 0.1; done'
    volumes: ['kept:/kept']
{hooks}
  after:
    image: test
    volumes: ['kept:/kept']
    command: cat /kept/log
    depends_on: [web]
volumes:
  kept:
"
    )
}

#[test]
fn hooks_run_in_order_as_the_user_in_the_place_and_with_the_variables_they_name() {
    host(|host| {
        let project = host.project("hooks").file(
            "compose.yaml",
            &file(
                "    post_start:
      - command: ['sh', '-c', 'echo first from $$(pwd) > /kept/log; chmod 666 /kept/log']
        working_dir: /tmp
      - command: ['sh', '-c', 'echo second as $$(id -u) $$A >> /kept/log; echo said']
        user: app
        environment: { A: b }
    pre_stop:
      - command: ['sh', '-c', 'echo goodbye; grep CapEff /proc/self/status']
        privileged: true",
            ),
        );
        let before = host.snapshot();
        project.naru(["up", "-d"]).succeeds().says("web-1 -> said");
        // Who depends on it starts when its hooks have ended.
        let log = project.until_logged("after", "second");
        assert_eq!(log, "first from /tmp\nsecond as 1000 b\n");
        let down = project.naru(["down", "-v"]).succeeds().says("web-1 -> goodbye");
        assert!(down.stderr.contains("web-1 -> CapEff:\t000001ff"), "{down}");
        before.assert_nothing_left();
    });
}

#[test]
fn a_hook_that_fails_fails_the_command_with_its_place_in_the_file() {
    host(|host| {
        let project = host.project("hooks").file(
            "compose.yaml",
            &file("    post_start: [{ command: ['sh', '-c', 'echo why; exit 3'] }]"),
        );
        let up = project.naru(["up", "-d"]).exits_with(1);
        up.says("web-1 -> why").says("compose.yaml:6:").says("exited with code 3");
        // It runs all the same, as it would under docker compose; who depends on it does not.
        project.until("web", "running");
        assert_eq!(project.containers("after").len(), 0);
    });
}

#[test]
fn a_pre_stop_hook_that_fails_leaves_its_container_running_and_kill_does_without() {
    host(|host| {
        let hooks = "    pre_stop: [{ command: ['sh', '-c', 'exit 4'] }]";
        let project = host.project("hooks").file("compose.yaml", &file(hooks));
        project.naru(["up", "-d", "web"]).succeeds();
        let stop = project.naru(["stop"]).exits_with(1);
        stop.says("pre_stop").says("exited with code 4").says("naru kill web");
        project.until("web", "running");
        project.naru(["kill", "web"]).succeeds();
        project.until("web", "exited");
        project.naru(["down"]).succeeds();
    });
}

#[test]
fn the_stop_signal_comes_after_the_pre_stop_hooks() {
    host(|host| {
        let hooks =
            "    pre_stop: [{ command: ['sh', '-c', 'sleep 0.5; echo hooked > /proc/1/fd/1'] }]";
        let project = host.project("hooks").file("compose.yaml", &file(hooks));
        project.naru(["up", "-d", "web"]).succeeds();
        project.until_logged("web", "started");
        project.naru(["restart", "web"]).succeeds();
        let log = project.until_logged("web", "stopped\nstarted");
        assert_eq!(log, "started\nhooked\nstopped\nstarted\n");
    });
}

const PRE_START: &str = "
services:
  web:
    image: test
    entrypoint: []
    command: cat /kept/log
    environment: { A: service, B: service }
    volumes: ['kept:/kept', '/anonymous']
    ports: ['8080:80']
    depends_on: { db: { condition: service_healthy } }
    pre_start:
      - command: ['sh', '-c', 'echo first $$A $$B; id -u > /kept/log; echo x > /anonymous/x']
        environment: { B: hook }
        user: root
      - command: ['sh', '-c', 'cat /anonymous/x; naru-check resolve db > /dev/null && echo second >> /kept/log; FAIL']
  db:
    image: test
    healthcheck: { test: ['CMD', 'true'], interval: 1s }
volumes:
  kept:
";

#[test]
fn pre_start_hooks_are_containers_of_their_own_before_the_first_start() {
    host(|host| {
        let project =
            host.project("before").file("compose.yaml", &PRE_START.replace("FAIL", "exit 0"));
        let before = host.snapshot();
        let up = project.naru(["up", "-d"]).succeeds();
        let up = up.says("web-pre_start-0 -> first service hook").says("web-pre_start-1 -> x");
        up.says("Container before-web-pre_start-1  Removed");
        assert_eq!(project.until_logged("web", "second"), "0\nsecond\n");
        // As docker compose: a start has used up the hooks' containers, and nothing starts without them.
        project.until("web", "exited");
        let start = project.naru(["start", "web"]).exits_with(1);
        start.says("service \"web\" has pre_start hooks").says("naru up -d web");
        project.until("web", "exited");
        project.naru(["down", "-v", "-t", "0"]).succeeds();
        before.assert_nothing_left();
    });
}

#[test]
fn a_pre_start_hook_that_fails_keeps_its_service_from_starting_and_is_kept_itself() {
    host(|host| {
        let failing = PRE_START.replace("FAIL", "echo why >&2; exit 3");
        let project = host.project("before").file("compose.yaml", &failing);
        let before = host.snapshot();
        let up = project.naru(["up", "-d"]).exits_with(1);
        let up = up.says("web-pre_start-1 -> why").says("didn't complete successfully: exit 3");
        up.says("pre_start").says("compose.yaml");
        let rows = project.naru(["ps", "-a", "--format", "json"]).succeeds().json();
        let names: Vec<_> = rows.iter().map(|row| row["Name"].as_str().unwrap()).collect();
        assert_eq!(names, ["before-db-1", "before-web-pre_start-1"]);
        let project = project.file("compose.yaml", &PRE_START.replace("FAIL", "true"));
        project.naru(["up", "-d"]).succeeds();
        project.until_logged("web", "second");
        project.naru(["down", "-v", "-t", "0"]).succeeds();
        before.assert_nothing_left();
    });
}

#[test]
fn what_create_prepares_runs_its_pre_start_hooks_when_it_is_started() {
    host(|host| {
        let project =
            host.project("before").file("compose.yaml", &PRE_START.replace("FAIL", "exit 0"));
        let before = host.snapshot();
        project.naru(["create"]).succeeds().says("before-web-pre_start-1  Created");
        project.naru(["create"]).succeeds();
        let start = project.naru(["start", "web"]).succeeds();
        let start = start.says("web-pre_start-0 -> first service hook");
        start.says("web-pre_start-1 -> x").says("Container before-web-pre_start-1  Removed");
        assert_eq!(project.until_logged("web", "second"), "0\nsecond\n");
        project.until("web", "exited");
        project.naru(["start", "web"]).exits_with(1).says("no containers for them are left");
        project.naru(["down", "-v", "-t", "0"]).succeeds();
        before.assert_nothing_left();
    });
}

#[test]
fn a_prepared_hook_that_fails_keeps_its_service_from_starting() {
    host(|host| {
        let failing = PRE_START.replace("FAIL", "echo why >&2; exit 3");
        let project = host.project("before").file("compose.yaml", &failing);
        project.naru(["create"]).succeeds();
        let start = project.naru(["start"]).exits_with(1);
        start.says("web-pre_start-1 -> why").says("exit 3").says("compose.yaml");
        project.until("db", "running");
        assert_eq!(project.containers("web")[0]["State"], "created");
        project.naru(["down", "-v", "-t", "0"]).succeeds();
    });
}
