//! What somebody else does to the host's routes and to its forwarding while projects run.

use std::process::Command;
use std::time::Duration;

use naru_test::{Project, TestHost, eventually, within};

use super::host;

fn ip(words: &str) {
    let status = Command::new("ip").args(words.split(' ')).status().unwrap();
    assert!(status.success(), "ip {words}");
}

/// The setting, below /proc/sys/net.
fn setting(path: &str) -> String {
    fs_err::read_to_string(format!("/proc/sys/net/{path}")).unwrap().trim().to_owned()
}

/// What the supervisors of a host have written down.
fn logs(host: &TestHost) -> String {
    let mut command = Command::new("find");
    command.arg(host.run()).args(["-name", "supervisor.log", "-exec", "cat", "{}", "+"]);
    String::from_utf8(command.output().unwrap().stdout).unwrap()
}

fn subnet(project: &Project<'_>) -> String {
    let words = ["exec", "-T", "a", "busybox", "ip", "-4", "addr", "show", "eth0"];
    let text = project.naru(words).succeeds().stdout;
    let (_, rest) = text.split_once("inet ").unwrap();
    let address = rest.split('/').next().unwrap();
    let (network, _) = address.rsplit_once('.').unwrap();
    format!("{network}.0/24")
}

#[test]
fn forwarding_that_somebody_switches_off_is_on_again_within_a_second() {
    const SETTINGS: [&str; 2] = ["ipv4/ip_forward", "ipv6/conf/all/forwarding"];
    host(|host| {
        let file = "services: { a: { image: test } }\nnetworks: { default: { enable_ipv6: true } }";
        let project = host.project("forwards").file("compose.yaml", file);
        let before = host.snapshot();
        project.naru(["up", "-d"]).succeeds();
        for path in SETTINGS {
            assert_eq!(setting(path), "1", "{path}");
            fs_err::write(format!("/proc/sys/net/{path}"), "0").unwrap();
            within(Duration::from_secs(1), "it is on again", || match setting(path).as_str() {
                "1" => Ok(()),
                other => Err(format!("{path} {other}")),
            });
        }
        eventually("the log says so", || {
            let logs = logs(host);
            if logs.contains("forwarding off") { Ok(()) } else { Err(logs) }
        });
        project.naru(["down"]).succeeds();
        for path in SETTINGS {
            assert_eq!(setting(path), "0", "{path}: as it was");
        }
        before.assert_nothing_left();
    });
}

#[test]
fn a_vpn_that_comes_over_a_running_project_is_named_and_the_next_up_keeps_clear_of_it() {
    host(|host| {
        let file = "services: { a: { image: test } }";
        let project = host.project("office").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        let before = subnet(&project);
        let quiet = project.naru(["ps"]).succeeds();
        assert!(!quiet.stderr.contains("overlaps"), "{quiet}");
        ip("link add wg7 type bridge");
        ip("link set wg7 up");
        let route = before.rsplitn(3, '.').last().unwrap().to_owned() + ".0.0/16";
        ip(&format!("route add {route} dev wg7"));
        let expected = format!(
            "the route to {route} through interface wg7 overlaps with network office_default ({before})"
        );
        let told = project.naru(["ps"]).succeeds();
        assert!(told.stderr.contains(&expected), "{told}");
        eventually("the log says so", || {
            let logs = logs(host);
            if logs.contains(&expected) { Ok(()) } else { Err(logs) }
        });
        project.naru(["up", "-d"]).succeeds();
        assert_eq!(subnet(&project), before, "what runs is left alone");
        project.naru(["down"]).succeeds();
        project.naru(["up", "-d"]).succeeds();
        let after = subnet(&project);
        let prefix = route.strip_suffix("0.0/16").unwrap();
        assert!(!after.starts_with(prefix), "{after} is in {route}");
        let quiet = project.naru(["ps"]).succeeds();
        assert!(!quiet.stderr.contains("overlaps"), "{quiet}");
        project.naru(["down"]).succeeds();
    });
}
