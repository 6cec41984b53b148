//! A restart of the machine, as naru sees it: another boot id, and nothing in the run directory.

use std::time::Duration;

use naru_test::{Project, TestHost, eventually, within};

use super::host;

const SHOP: &str = "
services:
  db:
    image: test
    healthcheck: {test: [CMD, test, -e, /tmp/ready], interval: 100ms}
    command: [sh, -c, 'sleep 0.3; touch /tmp/ready; exec sleep 1000']
  web:
    image: test
    restart: always
    ports: ['8080:80']
    depends_on: {db: {condition: service_healthy}}
    command: [httpd, -f, -p, '80', -h, /etc]
  picky: {image: test, restart: unless-stopped}
  steady: {image: test, restart: unless-stopped}
  dogged: {image: test, restart: always}
  failing: {image: test, restart: on-failure}
  plain: {image: test}
  job: {image: test, command: [sh, -c, exit 3]}
";

fn shop(host: &TestHost) -> Project<'_> {
    let project = host.project("shop").file("compose.yaml", SHOP);
    project.naru(["up", "-d"]).succeeds();
    project.naru(["stop", "-t", "0", "picky", "dogged"]).succeeds();
    project.until("job", "exited");
    project
}

fn state(project: &Project<'_>, service: &str) -> (String, String, i64) {
    let containers = project.containers(service);
    let one = &containers[0];
    let text = |key: &str| one[key].as_str().unwrap().to_owned();
    (text("State"), text("Status"), one["ExitCode"].as_i64().unwrap())
}

/// The last state is on disk within a second after something happened by itself.
fn until_kept(host: &TestHost, text: &str) {
    eventually(&format!("states.json holds {text}"), || {
        let path = host.root().join("projects/shop/states.json");
        let kept = fs_err::read_to_string(path).unwrap_or_default();
        if kept.contains(text) { Ok(()) } else { Err(kept) }
    });
}

#[test]
fn after_a_reboot_ps_says_what_ran_and_that_nobody_knows_how_it_ended() {
    host(|host| {
        let project = shop(host);
        until_kept(host, "\"code\": 3");
        host.reboot();
        for service in ["db", "web", "plain", "steady", "failing"] {
            let (state, status, code) = state(&project, service);
            assert_eq!((state.as_str(), code), ("exited", -1), "{service}");
            assert!(status.starts_with("Exited (unknown, the machine was restarted) "), "{status}");
        }
        let (word, status, code) = state(&project, "job");
        assert!(word == "exited" && code == 3 && status.starts_with("Exited (3) "), "{status}");
        assert_eq!(state(&project, "picky").0, "exited");
        // Looking has started nothing.
        assert_eq!(host.count(&["keeper:"]), 0);
        assert!(project.naru(["ls"]).succeeds().stdout.lines().count() == 1);
    });
}

#[test]
fn boot_brings_back_what_the_policies_say_and_dependencies_first() {
    host(|host| {
        let project = shop(host);
        host.reboot();
        let listed = host.naru(["system", "boot", "status", "--root", "/nowhere"]).exits_with(1);
        assert!(
            listed
                .stdout
                .contains("shop: shop-dogged-1, shop-failing-1, shop-steady-1, shop-web-1"),
            "{listed}"
        );
        host.naru(["system", "boot", "run"]).succeeds();
        for service in ["db", "web", "steady", "dogged", "failing"] {
            assert_eq!(state(&project, service).0, "running", "{service}");
        }
        for service in ["picky", "plain", "job"] {
            assert_eq!(state(&project, service).0, "exited", "{service}");
        }
        let web = project.until("web", "running");
        let started = |service: &str, action: &str| {
            let events =
                project.naru(["events", "--json", "--since", "1h", "--until", "0s", service]);
            let events = events.succeeds().json();
            let last = events.iter().rfind(|event| event["action"] == action);
            last.map(|event| event["time"].as_str().unwrap().to_owned())
        };
        let healthy = started("db", "health_status: healthy").unwrap();
        assert!(started("web", "start").unwrap() > healthy, "{web}");
        super::survival::load::answers("127.0.0.1:8080");
        host.naru(["system", "boot", "run"]).succeeds();
    });
}

#[test]
fn up_and_down_after_a_reboot_converge() {
    host(|host| {
        let before = host.snapshot();
        let project = shop(host);
        host.reboot();
        project.naru(["up", "-d"]).succeeds();
        for service in ["db", "web", "picky", "steady", "dogged", "failing", "plain"] {
            assert_eq!(state(&project, service).0, "running", "{service}");
        }
        host.reboot();
        project.naru(["down"]).succeeds();
        let left = || before.difference();
        // The mounts of the boot ids are the test's, and groups of a test that was killed here before go with the boot.
        let is_ours = |fact: &String| !fact.contains("boot_id") && !fact.starts_with("- ");
        within(Duration::from_secs(5), "nothing is left", || {
            let left: Vec<_> = left().into_iter().filter(is_ours).collect();
            if left.is_empty() { Ok(()) } else { Err(left.join("\n")) }
        });
    });
}

#[test]
fn boot_is_enabled_by_one_unit_where_systemd_is_and_elsewhere_by_a_line() {
    host(|host| {
        let root = host.root().join("tmp-machine");
        let place = root.display().to_string();
        let boot = |verb: &str| host.naru(["system", "boot", verb, "--root", &place]);
        fs_err::create_dir_all(&root).unwrap();
        let line = boot("enable").succeeds().says("no systemd").stdout;
        assert!(
            line.starts_with("@reboot NARU_ROOT=") && line.ends_with("naru system boot run\n"),
            "{line}"
        );
        boot("status").exits_with(1).prints("disabled");
        fs_err::create_dir_all(root.join("run/systemd/system")).unwrap();
        boot("enable").succeeds();
        boot("enable").succeeds();
        boot("status").succeeds().prints("enabled");
        let units = root.join("etc/systemd/system");
        let wants = fs_err::read_dir(units.join("multi-user.target.wants")).unwrap();
        let link = wants.map(|entry| entry.unwrap().path()).next().unwrap();
        let unit = fs_err::read_to_string(&link).unwrap();
        let naru_root = format!("Environment=\"NARU_ROOT={}\"\n", host.root().display());
        assert!(unit.contains(&naru_root) && unit.contains("system boot run\n"), "{unit}");
        boot("disable").succeeds();
        boot("status").exits_with(1).prints("disabled");
        assert!(!link.exists());
        fs_err::remove_dir_all(&root).unwrap();
    });
}
