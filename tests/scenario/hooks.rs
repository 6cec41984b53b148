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
