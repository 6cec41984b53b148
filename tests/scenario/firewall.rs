//! Beside other programs' firewalls, and while somebody changes links and rules under a running project.

use std::process::{Child, Command};
use std::time::{Duration, Instant};

use naru_test::{HOST_ADDRESS, Project, TestHost, eventually, tables, within};

use super::host;

/// Another machine on the host's network, at 10.99.0.2, ended when it is dropped.
pub(super) struct Neighbour(Vec<Child>);

impl Neighbour {
    pub(super) fn new() -> Self {
        let machine = Command::new("unshare").args(["--net", "sleep", "600"]).spawn().unwrap();
        let neighbour = Self(vec![machine]);
        let id = neighbour.id();
        let own = fs_err::read_link("/proc/self/ns/net").unwrap();
        eventually("it has its own network", || {
            match fs_err::read_link(format!("/proc/{id}/ns/net")) {
                Ok(theirs) if theirs != own => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
        ip(&["link", "set", "host1", "netns", &id]);
        for words in ["address add 10.99.0.2/24 dev host1", "link set host1 up", "link set lo up"] {
            neighbour.run(&[&["ip"], &words.split(' ').collect::<Vec<_>>()[..]].concat());
        }
        neighbour
    }

    fn id(&self) -> String {
        self.0[0].id().to_string()
    }

    /// Runs a program there; whether it succeeded.
    fn try_run(&self, words: &[&str]) -> bool {
        let id = self.id();
        let mut command = Command::new("nsenter");
        command.args(["--net", "--target", &id]).args(words);
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        command.status().unwrap().success()
    }

    pub(super) fn run(&self, words: &[&str]) {
        assert!(self.try_run(words), "{words:?}");
    }

    pub(super) fn connects(&self, address: &str, port: &str) -> bool {
        self.try_run(&[
            "timeout",
            "0.3",
            env!("CARGO_BIN_EXE_naru-check"),
            "connect",
            address,
            port,
        ])
    }

    /// Something that answers at this port, until the neighbour goes.
    pub(super) fn listen(&mut self, port: &str) {
        let id = self.id();
        let check = env!("CARGO_BIN_EXE_naru-check");
        let mut command = Command::new("nsenter");
        command.args(["--net", "--target", &id, check, "listen", port]);
        self.0.push(command.stdout(std::process::Stdio::null()).spawn().unwrap());
        eventually("the neighbour answers", || match connects("10.99.0.2", port) {
            true => Ok(()),
            false => Err("not yet".to_owned()),
        });
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        for process in &mut self.0 {
            process.kill().ok();
            process.wait().ok();
        }
    }
}

fn ip(arguments: &[&str]) {
    assert!(Command::new("ip").args(arguments).status().unwrap().success(), "{arguments:?}");
}

/// Whether the host reaches an address.
fn connects(address: &str, port: &str) -> bool {
    let mut command = Command::new("timeout");
    command.args(["1", env!("CARGO_BIN_EXE_naru-check"), "connect", address, port]);
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    command.status().unwrap().success()
}

/// Whether a container reaches an address.
fn reaches(project: &Project<'_>, service: &str, address: &str) -> bool {
    let words = ["exec", "-T", service, "naru-check", "connect", address, "7000"];
    project.naru(words).code == 0
}

/// The address of a service's only container.
pub(super) fn address_of(project: &Project<'_>, service: &str) -> String {
    let outcome =
        project.naru(["exec", "-T", service, "busybox", "ip", "-4", "addr", "show", "eth0"]);
    let text = outcome.succeeds().stdout;
    let (_, rest) = text.split_once("inet ").unwrap();
    rest.split('/').next().unwrap().to_owned()
}

fn forwarding() -> String {
    fs_err::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap().trim().to_owned()
}

/// A server in a project of this name.
fn server<'a>(host: &'a TestHost, name: &str) -> Project<'a> {
    let file = "services: { a: { image: test, command: naru-check listen 80 } }";
    host.project(name).file("compose.yaml", file)
}

#[test]
fn beside_a_running_docker_containers_reach_the_outside_and_everything_is_as_before_after_down() {
    // T-P3, T-P5
    host(|host| {
        let mut neighbour = Neighbour::new();
        neighbour.listen("7000");
        fs_err::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
        ip(&["link", "add", "docker0", "type", "bridge"]);
        ip(&["address", "add", "172.17.0.1/16", "dev", "docker0"]);
        ip(&["link", "set", "docker0", "up"]);
        tables::as_docker();
        let before = host.snapshot();
        let (one, two) = (server(host, "one"), server(host, "two"));
        let told = one.naru(["up", "-d"]).succeeds().to_string();
        assert!(told.contains("at the top of DOCKER-USER let naru's bridges through"), "{told}");
        two.naru(["up", "-d"]).succeeds();
        assert!(reaches(&one, "a", "10.99.0.2"), "egress");
        let address = address_of(&two, "a");
        assert!(connects(&address, "80"), "the host reaches a container by its address");
        neighbour.run(&["ip", "route", "add", &format!("{address}/32"), "via", HOST_ADDRESS]);
        assert!(!neighbour.connects(&address, "80"), "a neighbour does not (G6)");
        assert!(!reaches(&one, "a", &address), "nor does another project");
        one.naru(["down"]).succeeds();
        assert!(reaches(&two, "a", "10.99.0.2"), "the other project goes on");
        two.naru(["down"]).succeeds();
        before.assert_nothing_left();
        assert_eq!(forwarding(), "1", "Docker has switched it on");
    });
}

#[test]
fn forwarding_is_what_it_was_after_the_last_project_and_internal_networks_need_none() {
    host(|host| {
        let file = "services: { a: { image: test, command: sleep 600 } }\nnetworks: { default: { internal: true } }";
        let inside = host.project("inside").file("compose.yaml", file);
        inside.naru(["up", "-d"]).succeeds();
        assert_eq!(forwarding(), "0");
        let (one, two) = (server(host, "one"), server(host, "two"));
        one.naru(["up", "-d"]).succeeds();
        two.naru(["up", "-d"]).succeeds();
        assert_eq!(forwarding(), "1");
        one.naru(["down"]).succeeds();
        two.naru(["down"]).succeeds();
        inside.naru(["down"]).succeeds();
        assert_eq!(forwarding(), "0");
    });
}

#[test]
fn a_policy_of_the_hosts_that_drops_decides_about_published_ports() {
    // T-P1
    host(|host| {
        let neighbour = Neighbour::new();
        let file =
            "services: { a: { image: test, command: naru-check listen 80, ports: ['8080:80'] } }";
        let project = host.project("ufw").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        eventually("the neighbour reaches it", || match neighbour.connects(HOST_ADDRESS, "8080") {
            true => Ok(()),
            false => Err("not yet".to_owned()),
        });
        tables::deny_incoming();
        assert!(!neighbour.connects(HOST_ADDRESS, "8080"), "not any more");
        assert!(connects("127.0.0.1", "8080"), "the host does");
    });
}

#[test]
fn a_flush_of_all_rules_opens_nothing_and_what_it_takes_is_back_within_a_second() {
    // T-P4, G2
    host(|host| {
        let mut neighbour = Neighbour::new();
        neighbour.listen("7000");
        tables::as_docker();
        let (one, two) = (server(host, "one"), server(host, "two"));
        one.naru(["up", "-d"]).succeeds();
        two.naru(["up", "-d"]).succeeds();
        let address = address_of(&two, "a");
        neighbour.run(&["ip", "route", "add", &format!("{address}/32"), "via", HOST_ADDRESS]);
        // Some ten times a second, while the rules come and go.
        let deadline = Instant::now() + Duration::from_secs(2);
        let probe = || {
            while Instant::now() < deadline {
                assert!(!neighbour.connects(&address, "80"), "a flush lets nobody in");
            }
        };
        std::thread::scope(|scope| {
            (0..4).for_each(|_| drop(scope.spawn(probe)));
            while Instant::now() < deadline {
                tables::flush();
                tables::as_docker();
                std::thread::sleep(Duration::from_millis(90));
            }
        });
        tables::flush();
        assert!(!reaches(&one, "a", &address), "nor another project");
        assert!(reaches(&one, "a", "10.99.0.2"), "the way out is there still");
        // As when Docker is started again: its policy drops, without naru's rules.
        tables::as_docker();
        within(Duration::from_secs(1), "egress is back", || {
            match reaches(&one, "a", "10.99.0.2") {
                true => Ok(()),
                false => Err("it is not".to_owned()),
            }
        });
        let mut names = tables::names();
        names.retain(|name| name.starts_with("naru-"));
        assert_eq!(names.len(), 2, "{names:?}");
    });
}

#[test]
fn a_bridge_or_a_link_that_somebody_deletes_is_made_again() {
    host(|host| {
        let file = "services: { a: { image: test, command: naru-check listen 80 }, b: { image: test, command: sleep 600 } }";
        let project = host.project("links").file("compose.yaml", file);
        let before = host.snapshot();
        project.naru(["up", "-d"]).succeeds();
        let address = address_of(&project, "a");
        let reaches = || {
            let words = ["exec", "-T", "b", "naru-check", "connect", "a", "80"];
            project.naru(words).code == 0 && connects(&address, "80")
        };
        eventually("it answers", || if reaches() { Ok(()) } else { Err("not yet".to_owned()) });
        let links = || {
            let table = fs_err::read_to_string("/proc/net/dev").unwrap();
            let names =
                table.lines().filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned()));
            names.collect::<Vec<_>>()
        };
        for prefix in ["nb-", "nv-"] {
            let name = links().into_iter().find(|name| name.starts_with(prefix)).unwrap();
            ip(&["link", "delete", &name]);
            within(Duration::from_secs(3), "it answers again", || match reaches() {
                true => Ok(()),
                false => Err(format!("{name} is gone: {:?}", links())),
            });
        }
        project.naru(["restart"]).succeeds();
        eventually("after a restart too", || {
            if reaches() { Ok(()) } else { Err("not yet".to_owned()) }
        });
        project.naru(["down"]).succeeds();
        before.assert_nothing_left();
    });
}

#[test]
fn a_pinned_subnet_that_clashes_names_the_interface() {
    // T-I4
    host(|host| {
        ip(&["link", "add", "wg7", "type", "bridge"]);
        ip(&["link", "set", "wg7", "up"]);
        ip(&["route", "add", "10.8.0.0/16", "dev", "wg7"]);
        let file = "services: { a: { image: test } }\nnetworks: { default: { ipam: { config: [{ subnet: 10.8.3.0/24 }] } } }";
        let project = host.project("pinned").file("compose.yaml", file);
        let before = host.snapshot();
        let outcome = project.naru(["up", "-d"]);
        assert_eq!(outcome.code, 1, "{outcome}");
        let text = outcome.to_string();
        assert!(text.contains("the route to 10.8.0.0/16 through interface wg7"), "{text}");
        assert!(text.contains("networks.default.ipam.config"), "{text}");
        project.naru(["down"]).succeeds();
        before.assert_nothing_left();
    });
}

#[test]
fn a_container_finds_no_port_of_narus_on_the_host() {
    // G11
    host(|host| {
        let listening = || {
            let tables = ["tcp", "tcp6", "udp", "udp6"];
            let texts =
                tables.map(|table| fs_err::read_to_string(format!("/proc/net/{table}")).unwrap());
            texts
                .iter()
                .map(|text| {
                    text.lines()
                        .filter(|line| line.contains(" 0A ") || line.contains(" 07 "))
                        .count()
                })
                .sum::<usize>()
        };
        assert_eq!(listening(), 0);
        let project = server(host, "quiet");
        project.naru(["up", "-d"]).succeeds();
        assert_eq!(listening(), 0, "nothing listens on the host");
    });
}
