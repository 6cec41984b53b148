//! `naru events`: what happens to containers, in Docker's words and order, each once.

use naru_test::{Project, eventually};
use serde_json::Value;

use super::host;

const FILE: &str = "
services:
  web:
    image: test
    labels: {tier: front}
    stop_grace_period: 0s
    command: [sh, -c, 'trap : TERM; while :; do sleep 1000 & wait; done']
  checked:
    image: test
    healthcheck: {test: [CMD, 'true'], interval: 10s}
";

fn events(project: &Project<'_>, service: &str) -> Vec<Value> {
    let arguments = ["events", "--json", "--since", "1h", "--until", "0s", service];
    project.naru(arguments).succeeds().json()
}

fn actions(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["action"].as_str().unwrap()).collect()
}

#[test]
fn events_tell_what_the_commands_did_in_dockers_order() {
    host(|host| {
        let project = host.project("shop").file("compose.yaml", FILE);
        project.naru(["up", "-d"]).succeeds();
        project.until("checked", "healthy");
        project.naru(["exec", "-T", "web", "sh", "-c", "exit 4"]).exits_with(4);
        project.naru(["restart", "web"]).succeeds();
        project.naru(["kill", "-s", "USR1", "checked"]).succeeds();
        project.naru(["kill", "web"]).succeeds();
        project.until("web", "exited");
        project.naru(["down"]).succeeds();
        let told = events(&project, "web");
        let expected = [
            "create",
            "start",
            "exec_create: sh -c exit 4",
            "exec_start: sh -c exit 4",
            "exec_die",
            "kill",
            "kill",
            "die",
            "stop",
            "start",
            "restart",
            "kill",
            "die",
            "destroy",
        ];
        assert_eq!(actions(&told), expected, "{told:#?}");
        assert_eq!(told[0]["type"], "container");
        assert_eq!(told[0]["service"], "web");
        let labels = serde_json::json!({"image": "test", "name": "shop-web-1", "tier": "front"});
        assert_eq!(told[0]["attributes"], labels);
        assert_eq!(told[4]["attributes"]["exitCode"], "4");
        assert_eq!(told[5]["attributes"]["signal"], "15");
        assert_eq!(told[6]["attributes"]["signal"], "9");
        assert_eq!(told[7]["attributes"]["exitCode"], "137");
        let told = events(&project, "checked");
        assert_eq!(actions(&told)[..3], ["create", "start", "health_status: healthy"], "{told:#?}");
    });
}

#[test]
fn events_are_followed_until_the_given_time_and_text_is_as_docker_compose_prints_it() {
    host(|host| {
        let project = host.project("shop").file("compose.yaml", FILE);
        project.naru(["up", "-d", "checked"]).succeeds();
        let following = project.start(["events", "web"]);
        let later = seconds_from_now(8);
        let bounded = project.start(["events", "--json", "--until", &later, "web"]);
        for follower in [&following, &bounded] {
            eventually("it follows", || match has_events_open(follower.pid()) {
                true => Ok(()),
                false => Err("not yet".to_owned()),
            });
        }
        project.naru(["up", "-d", "web"]).succeeds();
        eventually("both events are printed", || {
            let text = following.stdout();
            let lines: Vec<_> = text.lines().collect();
            match lines.as_slice() {
                [create, "", start, ""]
                    if create.contains(" container create ")
                        && start.ends_with(" (image=test, name=shop-web-1, tier=front)") =>
                {
                    Ok(())
                }
                _ => Err(text),
            }
        });
        let seen = bounded.wait().succeeds().json();
        assert_eq!(actions(&seen), ["create", "start"]);
    });
}

fn has_events_open(pid: u32) -> bool {
    let files = fs_err::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    files
        .filter_map(|file| fs_err::read_link(file.path()).ok())
        .any(|path| path.ends_with("events"))
}

/// As seconds since 1970.
fn seconds_from_now(seconds: u64) -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    (since.as_secs() + seconds).to_string()
}

#[test]
fn deaths_of_naru_neither_lose_nor_double_an_event() {
    host(|host| {
        let project = host.project("shop").file("compose.yaml", FILE);
        project.naru(["up", "-d"]).succeeds();
        for _ in 0..3 {
            host.kill(&["supervisor:"]);
            project.naru(["exec", "-T", "checked", "true"]).succeeds();
        }
        host.signal(&["supervisor:"], rustix::process::Signal::STOP);
        host.kill(&["keeper:"]);
        host.kill(&["supervisor:"]);
        // It ends while nobody looks.
        assert_eq!(host.kill(&["trap : TERM"]), 1);
        project.until("web", "exited");
        eventually("the end is told", || {
            let told = events(&project, "web");
            let actions = actions(&told).join(" ");
            if actions == "create start die" { Ok(()) } else { Err(actions) }
        });
        let told = events(&project, "checked");
        let once = |action: &str| actions(&told).iter().filter(|found| **found == action).count();
        assert_eq!((once("create"), once("start"), once("die")), (1, 1, 0), "{told:#?}");
    });
}
