//! `start`, `restart`, `rm`, `scale`, `create`, `wait` and `--dry-run`: what they change and what they leave.

use naru_test::eventually;

use super::host;

const TWO: &str = "
services:
  web:
    image: test
    command: naru-check listen 80
    ports: ['8080:80']
    depends_on: { db: { condition: service_started, restart: true } }
  db:
    image: test
";

fn id(container: &serde_json::Value) -> String {
    container["ID"].as_str().unwrap().to_owned()
}

#[test]
fn what_was_stopped_starts_again_as_the_same_container() {
    host(|host| {
        let project = host.project("two").file("compose.yaml", TWO);
        let before = host.snapshot();
        project.naru(["up", "-d"]).succeeds();
        let first = id(&project.until("web", "running"));
        project.naru(["stop"]).succeeds();
        project.until("web", "exited");
        project.naru(["start", "web"]).succeeds().says("two-db-1").says("two-web-1");
        assert_eq!(id(&project.until("web", "running")), first);
        project.until("db", "running");
        eventually("the port is served again", || {
            let outcome =
                host.naru(["-p", "two", "exec", "-T", "db", "naru-check", "connect", "web", "80"]);
            if outcome.code == 0 { Ok(()) } else { Err(outcome.to_string()) }
        });
        project.naru(["down", "-t", "0"]).succeeds();
        before.assert_nothing_left();
    });
}

#[test]
fn how_the_last_run_ended_is_not_told_of_who_is_started_again() {
    host(|host| {
        let file = "
services:
  db: { image: test, healthcheck: { test: [CMD, 'true'], interval: 100ms } }
  web: { image: test, depends_on: { db: { condition: service_healthy } } }
";
        let project = host.project("again").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        project.naru(["kill"]).succeeds();
        project.until("db", "exited");
        let started = project.naru(["start"]).succeeds().says("again-db-1  Healthy");
        assert!(!started.stderr.contains("Error"), "{started}");
    });
}

#[test]
fn start_makes_nothing_and_says_what_does() {
    host(|host| {
        let project = host.project("two").file("compose.yaml", TWO);
        project.naru(["start"]).exits_with(1).says("no container to start").says("naru up -d");
        project.naru(["up", "-d", "db"]).succeeds();
        project.naru(["start", "web"]).exits_with(1).says("service \"web\" has no container");
    });
}

#[test]
fn restart_takes_along_who_depends_on_it_with_restart_and_names_what_it_does_not_apply() {
    host(|host| {
        let project = host.project("two").file("compose.yaml", TWO);
        project.naru(["up", "-d"]).succeeds();
        let web = project.until("web", "running");
        project.naru(["restart", "-t", "0", "db"]).succeeds();
        let after = project.until("web", "running");
        assert_eq!(id(&after), id(&web));
        let said = project.naru(["restart", "-t", "0", "--no-deps", "db"]).succeeds().stderr;
        assert!(!said.contains("two-web-1"), "{said}");
        let project = project
            .file("compose.yaml", &TWO.replace("  db:\n", "  db:\n    environment: { A: b }\n"));
        let outcome = project.naru(["restart", "-t", "0", "db"]).succeeds();
        outcome.says("db: environment.A has changed in the Compose file").says("naru up -d db");
    });
}

#[test]
fn rm_removes_what_does_not_run_and_asks_first() {
    host(|host| {
        let project = host.project("two").file("compose.yaml", TWO);
        project.naru(["up", "-d"]).succeeds();
        project.naru(["rm", "-f"]).succeeds().says("No stopped containers");
        project.naru(["stop", "web"]).succeeds();
        project.naru(["rm"]).succeeds().says("Going to remove two-web-1").says("[yN]");
        assert_eq!(project.containers("web").len(), 1);
        project.naru(["rm", "-f"]).succeeds();
        assert_eq!(project.containers("web").len(), 0);
        project.until("db", "running");
        project.naru(["rm", "-f", "-s", "db"]).succeeds();
        assert_eq!(project.containers("db").len(), 0);
    });
}

#[test]
fn scale_adds_and_removes_replicas_from_the_highest_number() {
    host(|host| {
        let project =
            host.project("scaled").file("compose.yaml", "services: { a: { image: test } }");
        project.naru(["up", "-d"]).succeeds();
        let first = id(&project.until("a", "running"));
        project.naru(["scale", "a=3"]).succeeds();
        let names = |project: &naru_test::Project<'_>| -> Vec<String> {
            let containers = project.containers("a");
            containers.iter().map(|c| c["Name"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(names(&project), ["scaled-a-1", "scaled-a-2", "scaled-a-3"]);
        project.naru(["scale", "a=1"]).succeeds();
        assert_eq!(names(&project), ["scaled-a-1"]);
        assert_eq!(id(&project.until("a", "running")), first);
        project.naru(["scale", "b=1"]).exits_with(1).says("no such service: b");
    });
}

#[test]
fn created_containers_run_only_when_they_are_started() {
    host(|host| {
        let project = host.project("two").file("compose.yaml", TWO);
        let before = host.snapshot();
        project.naru(["create"]).succeeds();
        let made = id(&project.until("web", "created"));
        project.naru(["start", "--wait"]).succeeds();
        assert_eq!(id(&project.until("web", "running")), made);
        project.naru(["down", "-t", "0"]).succeeds();
        project.naru(["up", "--no-start"]).succeeds();
        project.until("db", "created");
        project.naru(["down"]).succeeds();
        before.assert_nothing_left();
    });
}

#[test]
fn wait_tells_each_end_and_gives_the_last_code() {
    host(|host| {
        let file = "services: { a: { image: test, command: ['sh', '-c', 'sleep 0.5; exit 7'] }, \
                    b: { image: test, command: 'true' }, c: { image: test } }";
        let project = host.project("awaited").file("compose.yaml", file);
        let before = host.snapshot();
        project.naru(["up", "-d"]).succeeds();
        project.until("b", "exited");
        let outcome = project.naru(["wait", "a", "b"]).exits_with(7);
        assert_eq!(outcome.stdout.lines().count(), 2, "{outcome}");
        assert!(outcome.stdout.ends_with("exited with status code 7\n"), "{outcome}");
        project.naru(["wait", "nobody"]).exits_with(1).says("no such service: nobody");
        let waiting = project.start(["wait", "--down-project", "c"]);
        project.naru(["kill", "c"]).succeeds();
        let outcome = waiting.wait();
        assert_eq!(outcome.code, 137, "{outcome}");
        before.assert_nothing_left();
    });
}

#[test]
fn a_dry_run_prints_the_plan_and_changes_nothing() {
    host(|host| {
        let project = host.project("two").file("compose.yaml", TWO);
        let before = host.snapshot();
        let plan = project.naru(["--dry-run", "up"]).succeeds().stdout;
        let expected = "1 create network two_default: does not exist\n\
                        2 create container two-db-1 [after 1]: does not exist\n\
                        3 create container two-web-1 [after 1]: does not exist\n\
                        4 start container two-db-1 [after 2]: new\n\
                        5 start container two-web-1 [after 3, 4; db started]: new\n";
        assert_eq!(plan, expected);
        assert_eq!(project.containers("web").len(), 0);
        before.assert_nothing_left();

        project.naru(["up", "-d"]).succeeds();
        let project = project.file("compose.yaml", &TWO.replace("8080:80", "8081:80"));
        project.naru(["up", "-d", "--dry-run"]).succeeds().prints("ports changed");
        project.naru(["down", "--dry-run"]).succeeds().prints("remove container two-db-1");
        project.naru(["restart", "--dry-run"]).succeeds().prints("stop container two-db-1");
        project.until("web", "running");
        project.naru(["kill", "--dry-run"]).exits_with(1).says("`kill` has no dry run");
    });
}

#[test]
fn a_stop_says_whom_it_waits_for() {
    host(|host| {
        let script = "trap 'sleep 1.6; exit 0' TERM; echo up; while true; do sleep 0.05; done";
        let file = format!("services: {{ a: {{ image: test, command: [sh, -c, \"{script}\"] }} }}");
        let project = host.project("waits").file("compose.yaml", &file);
        project.naru(["up", "-d"]).succeeds();
        project.until_logged("a", "up");
        let outcome = project.naru(["stop", "-t", "7"]).succeeds();
        outcome.says("waits-a-1  Stopping (waiting for its SIGTERM handler, 1 s of 7 s)");
        project.naru(["up", "-d"]).succeeds();
        eventually("it is up again", || {
            let lines = project.naru(["logs", "--no-log-prefix"]).stdout.lines().count();
            if lines == 2 { Ok(()) } else { Err(lines.to_string()) }
        });
        project.naru(["stop", "-t", "1"]).succeeds().says("Stopping (killed after its 1 s)");
        assert_eq!(project.until("a", "exited")["ExitCode"], 137);
    });
}

#[test]
fn kill_leaves_alone_what_has_left_the_file_unless_it_is_told_otherwise() {
    host(|host| {
        let file = "services: { a: { image: test }, b: { image: test } }";
        let project = host.project("left").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        let project = project.file("compose.yaml", "services: { a: { image: test } }");
        project.naru(["kill"]).succeeds();
        project.until("a", "exited");
        project.until("b", "running");
        project.naru(["kill"]).succeeds().says("no container to kill");
        project.naru(["kill", "--remove-orphans", "-s", "KILL"]).succeeds();
        project.until("b", "exited");
    });
}

#[test]
fn a_renamed_network_leaves_nothing_of_the_old_one() {
    host(|host| {
        let file = |name: &str| {
            format!(
                "services: {{ a: {{ image: test }} }}\nnetworks: {{ default: {{ name: {name} }} }}"
            )
        };
        let project = host.project("renamed").file("compose.yaml", &file("one"));
        let before = host.snapshot();
        project.naru(["up", "-d"]).succeeds();
        let project = project.file("compose.yaml", &file("two"));
        project
            .naru(["up", "-d"])
            .succeeds()
            .says("Network one  Removed")
            .says("Network two  Created");
        project.until("a", "running");
        project.naru(["down", "-t", "0"]).succeeds().says("Network two  Removed");
        before.assert_nothing_left();
    });
}
