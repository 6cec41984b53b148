//! In whose name a container can send, with the capabilities that it has by default.

use std::net::Ipv4Addr;
use std::process::Command;
use std::time::Duration;

use naru_test::{Project, TestHost, frame, within};

use super::host;

const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 66, 0, 1);

fn address(host: u8) -> Ipv4Addr {
    [10, 66, 0, host].into()
}

fn mac(host: u8) -> frame::Mac {
    [0x02, 0x42, 10, 66, 0, host]
}

/// An attacker at .2 and a victim at .3; the attacker's place in the network has these options besides.
fn project<'a>(host: &'a TestHost, name: &str, options: &str) -> Project<'a> {
    let file = format!(
        "
services:
  attacker: {{ image: test, command: naru-check listen 80, networks: {{ lan: {{ ipv4_address: 10.66.0.2 {options} }} }} }}
  victim: {{ image: test, command: sleep 600, networks: {{ lan: {{ ipv4_address: 10.66.0.3 }} }} }}
networks: {{ lan: {{ ipam: {{ config: [{{ subnet: 10.66.0.0/24 }}] }} }} }}
"
    );
    let project = host.project(name).file("compose.yaml", &file);
    project.naru(["up", "-d"]).succeeds();
    project
}

/// The attacker says that `of` is at its own hardware address; whether the victim believes it.
fn deceives(project: &Project<'_>, interface: &str, of: Ipv4Addr) -> bool {
    let own = mac(2);
    // So that there is something to change.
    let words = ["exec", "-T", "victim", "busybox", "ping", "-c1", "-w2", &of.to_string()];
    project.naru(words);
    // The kernel believes nothing new within a second.
    std::thread::sleep(Duration::from_millis(1200));
    let forged = frame::arp(own, mac(3), true, (of, own), address(3));
    send(project, interface, &forged);
    let words = ["exec", "-T", "victim", "naru-check", "read", "/proc/net/arp"];
    let table = project.naru(words).succeeds().stdout;
    let line = table.lines().find(|line| line.starts_with(&format!("{of} ")));
    line.unwrap_or_else(|| panic!("{of}: {table}")).contains("02:42:0a:42:00:02")
}

fn send(project: &Project<'_>, interface: &str, frame: &[u8]) {
    use std::fmt::Write as _;
    let digits = frame.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    });
    let words = ["exec", "-T", "attacker", "naru-check", "attack", "frame", interface, &digits];
    let sent = project.naru(words).succeeds().stdout;
    assert_eq!(sent.trim(), "frame: done", "the container may send frames");
}

#[test]
fn a_container_cannot_pretend_to_be_the_gateway_or_a_sibling() {
    // G7
    host(|host| {
        let project = project(host, "own", "");
        let before = address(2);
        assert!(deceives(&project, "eth0", before), "what is true is believed");
        assert!(!deceives(&project, "eth0", GATEWAY));
        // On a network that it joins later, too.
        host.naru(["network", "create", "late"]).succeeds();
        for service in ["attacker", "victim"] {
            host.naru(["network", "connect", "late", &format!("own-{service}-1")]).succeeds();
        }
        assert_eq!(guarded(), 4, "two containers on two networks");
        host.naru(["network", "disconnect", "late", "own-victim-1"]).succeeds();
        project.naru(["restart"]).succeeds();
        assert!(!deceives(&project, "eth0", GATEWAY), "after a restart");
        project.naru(["down"]).succeeds();
    });
}

#[test]
fn who_has_to_send_in_others_names_says_so_in_the_file() {
    host(|host| {
        let vip = ", driver_opts: { naru.network.endpoint.senders: 10.66.0.100 }";
        let one = project(host, "vip", vip);
        assert!(!deceives(&one, "eth0", GATEWAY), "not the gateway's");
        let own = mac(2);
        let claim = frame::arp(own, frame::BROADCAST, true, (address(100), own), address(100));
        send(&one, "eth0", &claim);
        one.naru(["down"]).succeeds();
        let any = ", driver_opts: { naru.network.endpoint.senders: any }";
        let two = project(host, "any", any);
        assert!(deceives(&two, "eth0", GATEWAY), "everybody's: without naru's guard it works");
        two.naru(["down"]).succeeds();
        let wrong = "services: { a: { image: test, networks: { default: { driver_opts: { naru.network.endpoint.senders: everybody } } } } }";
        let outcome = host.project("wrong").file("compose.yaml", wrong).naru(["up", "-d"]);
        assert_eq!(outcome.code, 1);
        assert!(outcome.stderr.contains("is neither `any` nor addresses"), "{outcome}");
    });
}

/// How many links of containers have naru's filter.
fn guarded() -> usize {
    let table = fs_err::read_to_string("/proc/net/dev").unwrap();
    let names = table.lines().filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned()));
    names.filter(|name| name.starts_with("nv-") && has_filter(name)).count()
}

fn has_filter(link: &str) -> bool {
    let words = ["filter", "show", "dev", link, "ingress"];
    let shown = Command::new("tc").args(words).output().unwrap();
    String::from_utf8_lossy(&shown.stdout).contains(" naru ")
}

#[test]
fn a_guard_that_somebody_takes_away_is_back_within_a_second() {
    // G2, G7
    host(|host| {
        let project = project(host, "healed", "");
        let table = fs_err::read_to_string("/proc/net/dev").unwrap();
        let links = table.lines().filter_map(|line| Some(line.split_once(':')?.0.trim()));
        let links: Vec<_> = links.filter(|name| name.starts_with("nv-")).collect();
        assert_eq!(links.len(), 2);
        for link in &links {
            let words = ["qdisc", "delete", "dev", link, "ingress"];
            assert!(Command::new("tc").args(words).status().unwrap().success());
        }
        within(Duration::from_secs(1), "the guards are back", || match guarded() {
            2 => Ok(()),
            number => Err(format!("{number}")),
        });
        assert!(!deceives(&project, "eth0", GATEWAY));
    });
}
