//! Networks that are no bridge of naru's: links on an interface of the host, the host's own network, and none.

use std::process::Command;

use naru_test::{Project, TestHost, eventually, tables};

use super::host;
use super::networks::{ip, reaches};

/// Whether a container is reached, asked once.
fn connects(project: &Project<'_>, service: &str, to: &str) -> bool {
    let words = ["exec", "-T", service, "timeout", "1", "naru-check", "connect", to, "80"];
    project.naru(words).code == 0
}

/// The host's interfaces by name.
fn links() -> Vec<String> {
    let listed = Command::new("ip").args(["-o", "link"]).output().unwrap().stdout;
    let listed = String::from_utf8(listed).unwrap();
    let names = listed.lines().filter_map(|line| line.split([':', '@']).nth(1));
    names.map(|name| name.trim().to_owned()).collect()
}

/// Whether this kernel has links of a kind: a test of those that it does not have is one of the error that says so.
fn has(words: &[&str]) -> bool {
    let before = ["link", "add", "link", "host0", "name", "probe0", "type"];
    let made = Command::new("ip").args(before).args(words).output().unwrap().status.success();
    if made {
        assert!(Command::new("ip").args(["link", "delete", "probe0"]).status().unwrap().success());
    }
    made
}

/// A project whose containers stand on an interface of the host.
fn on<'h>(host: &'h TestHost, name: &str, driver: &str, range: &str) -> Project<'h> {
    let file = format!(
        "
services:
  web: {{ image: test, command: naru-check listen 80, networks: [lan] }}
  client: {{ image: test, networks: {{ lan: {{ aliases: [other] }} }} }}
networks:
  lan:
    driver: {driver}
    ipam: {{ config: [{{ subnet: 10.44.0.0/24, gateway: 10.44.0.254, ip_range: {range} }}] }}
"
    );
    host.project(name).file("compose.yaml", &file)
}

#[test]
fn containers_of_a_macvlan_network_are_neighbours_of_the_hosts_neighbours_by_name_and_by_address() {
    host(|host| {
        let before = host.snapshot();
        let file = "
services:
  web:
    image: test
    command: naru-check listen 80
    ports: ['127.0.0.1:18080:80']
    networks:
      lan: { ipv4_address: 10.44.0.9, ipv6_address: 'fd44::9', mac_address: 92:d0:c6:0a:29:44 }
  client: { image: test, networks: [lan] }
networks:
  lan:
    driver: macvlan
    driver_opts: { parent: host0, com.docker.network.driver.mtu: 1300 }
    enable_ipv6: true
    ipam:
      config:
        - { subnet: 10.44.0.0/24, ip_range: 10.44.0.64/26, gateway: 10.44.0.254 }
        - { subnet: 'fd44::/64' }
";
        let one = host.project("one").file("compose.yaml", file);
        one.naru(["up", "-d"]).succeeds();
        let web = ip(&one, "web", "addr show eth0");
        for expected in ["inet 10.44.0.9/24", "inet6 fd44::9/64", "92:d0:c6:0a:29:44", "mtu 1300"] {
            assert!(web.contains(expected), "{expected}: {web}");
        }
        assert!(ip(&one, "client", "addr").contains("inet 10.44.0.64/24"));
        assert!(ip(&one, "client", "route").contains("default via 10.44.0.254 dev eth0"));
        reaches(&one, "client", "web");
        assert_eq!(tables::names(), Vec::<String>::new(), "there is nothing to protect");
        assert!(links().iter().all(|name| !name.starts_with('n')), "{:?}", links());
        // The server is at an address that the host does not reach.
        eventually("the published port answers", || {
            let words = ["10", env!("CARGO_BIN_EXE_naru-check"), "connect", "127.0.0.1", "18080"];
            let reached = Command::new("timeout").args(words).output().unwrap();
            if reached.status.success() { Ok(()) } else { Err(format!("{reached:?}")) }
        });

        // The other end of the wire is the network outside.
        let two = on(host, "two", "macvlan\n    driver_opts: { parent: host1 }", "10.44.0.128/26");
        two.naru(["up", "-d"]).succeeds();
        reaches(&two, "client", "10.44.0.9");
        reaches(&one, "client", "10.44.0.129");

        host.kill(&["naru", "supervisor:"]);
        one.naru(["restart", "web"]).succeeds();
        assert!(ip(&one, "web", "addr").contains("inet 10.44.0.9/24"));
        reaches(&two, "client", "10.44.0.9");
        reaches(&one, "client", "web");
        one.naru(["down"]).succeeds();
        two.naru(["down"]).succeeds();
        before.assert_nothing_left();
    });
}

#[test]
fn the_modes_of_macvlan_say_whether_its_links_reach_each_other() {
    host(|host| {
        let options = |mode: &str| {
            format!("macvlan\n    driver_opts: {{ parent: host0, macvlan_mode: {mode} }}")
        };
        let outside =
            on(host, "out", "macvlan\n    driver_opts: { parent: host1 }", "10.44.0.128/26");
        outside.naru(["up", "-d"]).succeeds();
        let web = |project: &Project<'_>| {
            let words = ip(project, "web", "-4 addr show eth0");
            let address = words.split_whitespace().skip_while(|word| *word != "inet").nth(1);
            address.unwrap().split('/').next().unwrap().to_owned()
        };
        for (mode, among) in [("bridge", true), ("private", false), ("vepa", false)] {
            let inside = on(host, "in", &options(mode), "10.44.0.64/26");
            inside.naru(["up", "-d"]).succeeds();
            reaches(&outside, "client", &web(&inside));
            assert_eq!(connects(&inside, "client", &web(&inside)), among, "{mode}");
            inside.naru(["down"]).succeeds();
        }
        let alone = on(host, "in", &options("passthru"), "10.44.0.64/26");
        let refused = alone.naru(["up", "-d"]).exits_with(1);
        let text = "in mode passthru one container has the parent for itself";
        assert!(refused.stderr.contains(text), "{refused}");
        alone.naru(["down"]).succeeds();
        let wrong = on(host, "in", &options("sideways"), "10.44.0.64/26");
        let refused = wrong.naru(["up", "-d"]).exits_with(1);
        let text = "the option macvlan_mode cannot be \"sideways\"";
        assert!(
            refused.stderr.contains(text) && refused.stderr.contains("compose.yaml:"),
            "{refused}"
        );
    });
}

#[test]
fn without_a_parent_or_a_way_out_containers_reach_only_each_other() {
    host(|host| {
        let before = host.snapshot();
        let alone = on(host, "alone", "macvlan", "10.44.0.64/26");
        alone.naru(["up", "-d"]).succeeds();
        reaches(&alone, "client", "web");
        assert!(!ip(&alone, "client", "route").contains("default"));
        let pair: Vec<_> = links().into_iter().filter(|name| name.starts_with("nb-")).collect();
        let [own] = pair.as_slice() else { panic!("{pair:?}") };
        // Whoever deletes it takes the containers' links with it.
        let deleted = Command::new("ip").args(["link", "delete", own]).status().unwrap();
        assert!(deleted.success());
        reaches(&alone, "client", "web");
        alone.naru(["down"]).succeeds();

        let driver = "macvlan\n    internal: true\n    driver_opts: { parent: host0 }";
        let inside = on(host, "inside", driver, "10.44.0.64/26");
        inside.naru(["up", "-d"]).succeeds();
        reaches(&inside, "client", "web");
        assert!(!ip(&inside, "client", "route").contains("default"));
        inside.naru(["down"]).succeeds();
        before.assert_nothing_left();
    });
}

#[test]
fn a_macvlan_network_that_was_made_by_hand_is_shared_and_its_parent_is_no_others() {
    host(|host| {
        let before = host.snapshot();
        let create =
            |words: &[&str]| host.naru([&["network", "create", "-d", "macvlan"], words].concat());
        let missing = create(&["-o", "parent=eth77", "lan"]).exits_with(1);
        let text = "network lan has no parent eth77: there is no such interface on this host";
        assert!(missing.stderr.contains(text), "{missing}");
        assert_eq!(host.naru(["network", "ls", "-q", "-f", "type=custom"]).succeeds().stdout, "");
        create(&["-o", "parent=host0", "--subnet", "10.44.0.0/24", "lan"]).succeeds();
        let file = |number: u8| {
            format!("
services:
  web: {{ image: test, command: naru-check listen 80, networks: {{ lan: {{ ipv4_address: 10.44.0.{number} }} }} }}
networks: {{ lan: {{ external: true }} }}
")
        };
        let one = host.project("one").file("compose.yaml", &file(7));
        let two = host.project("two").file("compose.yaml", &file(8));
        one.naru(["up", "-d"]).succeeds();
        two.naru(["up", "-d"]).succeeds();
        reaches(&one, "web", "10.44.0.8");
        reaches(&two, "web", "one-web-1");
        let other =
            on(host, "other", "macvlan\n    driver_opts: { parent: host0 }", "10.44.0.64/26");
        let refused = other.naru(["up", "-d"]).exits_with(1);
        let text = "network lan is already using parent interface host0";
        assert!(refused.stderr.contains(text), "{refused}");
        host.naru(["network", "disconnect", "lan", "one-web-1"]).succeeds();
        assert!(!ip(&one, "web", "addr").contains("eth0"));
        host.naru(["network", "connect", "--ip", "10.44.0.9", "lan", "one-web-1"]).succeeds();
        reaches(&two, "web", "10.44.0.9");
        one.naru(["down"]).succeeds();
        two.naru(["down"]).succeeds();
        host.naru(["network", "rm", "lan"]).succeeds();
        assert!(links().contains(&"host0".to_owned()), "it was not naru's");
        before.assert_nothing_left();
    });
}

#[test]
fn an_ipvlan_network_works_or_the_kernel_is_said_to_have_none() {
    host(|host| {
        let before = host.snapshot();
        for (mode, way) in [("l2", "default via 10.44.0.254"), ("l3", "default dev eth0")] {
            let driver =
                format!("ipvlan\n    driver_opts: {{ parent: host0, ipvlan_mode: {mode} }}");
            let project = on(host, "shared-mac", &driver, "10.44.0.64/26");
            if !has(&["ipvlan"]) {
                let refused = project.naru(["up", "-d"]).exits_with(1);
                let text =
                    "this kernel has no ipvlan links, which network shared-mac_lan is made of";
                assert!(refused.stderr.contains(text), "{refused}");
                continue;
            }
            project.naru(["up", "-d"]).succeeds();
            reaches(&project, "client", "web");
            let route = ip(&project, "client", "route");
            assert!(route.contains(way), "{route}");
            project.naru(["down"]).succeeds();
        }
        before.assert_nothing_left();
    });
}

#[test]
fn a_vlan_of_the_parent_is_made_and_goes_or_the_kernel_is_said_to_have_none() {
    host(|host| {
        let before = host.snapshot();
        let project =
            on(host, "tagged", "macvlan\n    driver_opts: { parent: host0.50 }", "10.44.0.64/26");
        if has(&["vlan", "id", "7"]) {
            project.naru(["up", "-d"]).succeeds();
            assert!(links().contains(&"host0.50".to_owned()));
            reaches(&project, "client", "web");
        } else {
            let refused = project.naru(["up", "-d"]).exits_with(1);
            let text = "this kernel has no vlan links";
            assert!(refused.stderr.contains(text), "{refused}");
        }
        project.naru(["down"]).succeeds();
        before.assert_nothing_left();
    });
}
