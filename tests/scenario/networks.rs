//! Options of networks and of services' places in them.

use naru_test::{Project, eventually};

use super::host;

/// What busybox's `ip` prints in a running container.
pub(super) fn ip(project: &Project<'_>, service: &str, words: &str) -> String {
    let mut all = vec!["exec", "-T", service, "busybox", "ip"];
    all.extend(words.split(' '));
    project.naru(all).succeeds().stdout
}

/// That a container is reached.
pub(super) fn reaches(project: &Project<'_>, service: &str, to: &str) {
    eventually("the server answers", || {
        let outcome = project.naru(["exec", "-T", service, "naru-check", "connect", to, "80"]);
        if outcome.code == 0 { Ok(()) } else { Err(outcome.to_string()) }
    });
}

/// The network namespace that a service's container runs in.
fn namespace(project: &Project<'_>, service: &str) -> serde_json::Value {
    super::report(project, service)["namespaces"]["net"].clone()
}

#[test]
fn a_network_has_the_subnets_ranges_and_addresses_that_the_file_asks_for() {
    host(|host| {
        let file = "
services:
  web:
    image: test
    command: naru-check listen 80
    networks:
      front:
        ipv4_address: 10.77.0.9
        ipv6_address: fd77::9
        mac_address: 92:d0:c6:0a:29:33
        interface_name: lan
        link_local_ips: [169.254.7.7]
        driver_opts: { com.docker.network.endpoint.sysctls: net.ipv4.conf.IFNAME.log_martians=1 }
  client: { image: test, networks: [front] }
networks:
  front:
    enable_ipv6: true
    driver_opts: { com.docker.network.driver.mtu: 1400, com.docker.network.bridge.name: nb-seven }
    ipam:
      config:
        - { subnet: 10.77.0.0/24, ip_range: 10.77.0.128/25, gateway: 10.77.0.254, aux_addresses: { a: 10.77.0.129 } }
        - { subnet: fd77::/64 }
";
        let project = host.project("asked").file("compose.yaml", file);
        let before = host.snapshot();
        project.naru(["up", "-d"]).succeeds();
        let web = ip(&project, "web", "addr");
        for expected in [
            "inet 10.77.0.9/24",
            "inet6 fd77::9/64",
            "92:d0:c6:0a:29:33",
            "lan",
            "inet 169.254.7.7/16",
            "mtu 1400",
        ] {
            assert!(web.contains(expected), "{expected}: {web}");
        }
        let path = "/proc/sys/net/ipv4/conf/lan/log_martians";
        let set = project.naru(["exec", "-T", "web", "naru-check", "read", path]).succeeds().stdout;
        assert_eq!(set.trim(), "1");
        let client = ip(&project, "client", "addr");
        assert!(
            client.contains("inet 10.77.0.128/24") && client.contains("inet6 fd77::2/64"),
            "{client}"
        );
        assert!(ip(&project, "client", "route").contains("default via 10.77.0.254 dev eth0"));
        assert!(ip(&project, "client", "-6 route").contains("default via fd77::1 dev eth0"));
        reaches(&project, "client", "10.77.0.9");
        project.naru(["down"]).succeeds();
        before.assert_nothing_left();
    });
}

#[test]
fn what_is_wrong_with_a_network_is_told_at_its_place_and_nothing_is_made() {
    host(|host| {
        let check = |network: &str, place: &str, expected: &str| {
            let file = format!(
                "services: {{ web: {{ image: test, networks: {{ front: {place} }} }} }}\nnetworks: {{ front: {network} }}\n"
            );
            let project = host.project("wrong").file("compose.yaml", &file);
            let outcome = project.naru(["up", "-d"]);
            assert_eq!(outcome.code, 1, "{outcome}");
            assert!(outcome.stderr.contains(expected), "{outcome}");
            assert!(outcome.stderr.contains("compose.yaml:"), "{outcome}");
            let left = project.naru(["ps", "-aq"]).succeeds().stdout;
            assert_eq!(left, "", "{network} {place}");
        };
        let pinned = "{ ipam: { config: [{ subnet: 10.77.0.0/24 }] } }";
        check(
            "{ ipam: { config: [{ subnet: 10.77.0.0/33 }] } }",
            "",
            "10.77.0.0/33 is not a subnet",
        );
        check("{ driver_opts: { foo: bar } }", "", "the option `foo` is not possible");
        check(pinned, "{ ipv4_address: 10.78.0.2 }", "10.78.0.2 is not an address of 10.77.0.0/24");
        check(pinned, "{ ipv4_address: 10.77.0.1 }", "10.77.0.1 is taken already");
        check(pinned, "{ ipv6_address: 'fd00::1' }", "has no IPv6");
        check(pinned, "{ mac_address: '01:00:00:00:00:01' }", "is not a hardware address");
        check(pinned, "{ interface_name: a/b }", "is not the name of an interface");
        check(pinned, "{ link_local_ips: [10.1.1.1] }", "is not a link-local address");
    });
}

#[test]
fn a_service_in_anothers_network_has_its_addresses_names_and_files_and_follows_it_when_it_is_made_anew()
 {
    host(|host| {
        let file = |note: &str| {
            format!(
                "
services:
  vpn: {{ image: test, hostname: gate, environment: {{ NOTE: {note} }}, extra_hosts: ['fixed:10.1.2.3'] }}
  app: {{ image: test, command: naru-check listen 80, network_mode: 'service:vpn' }}
  client: {{ image: test }}
"
            )
        };
        let project = host.project("joined").file("compose.yaml", &file("one"));
        project.naru(["up", "-d"]).succeeds();
        assert_eq!(namespace(&project, "app"), namespace(&project, "vpn"));
        assert_ne!(namespace(&project, "app"), namespace(&project, "client"));
        reaches(&project, "client", "vpn");
        reaches(&project, "app", "localhost");
        let report = super::report(&project, "app");
        assert_eq!(report["hostname"], "gate");
        assert!(report["hosts"].as_str().unwrap().contains("10.1.2.3\tfixed"), "{report}");
        project.naru(["exec", "-T", "app", "naru-check", "resolve", "client"]).succeeds();

        let project = project.file("compose.yaml", &file("two"));
        project.naru(["up", "-d"]).succeeds();
        assert_eq!(namespace(&project, "app"), namespace(&project, "vpn"), "the new one's");
        reaches(&project, "client", "vpn");

        project.naru(["restart", "vpn"]).succeeds();
        eventually("the one in its network follows", || {
            let [app, vpn] = [namespace(&project, "app"), namespace(&project, "vpn")];
            if app == vpn { Ok(()) } else { Err(format!("{app} {vpn}")) }
        });
    });
}

#[test]
fn a_container_of_another_project_lends_its_network() {
    host(|host| {
        let one = "services: { vpn: { image: test, container_name: the-vpn } }";
        let one = host.project("one").file("compose.yaml", one);
        one.naru(["up", "-d"]).succeeds();
        let file = "services: { app: { image: test, network_mode: 'container:the-vpn' } }";
        let two = host.project("two").file("compose.yaml", file);
        two.naru(["up", "-d"]).succeeds();
        let namespace =
            |project, service| super::report(project, service)["namespaces"]["net"].clone();
        assert_eq!(namespace(&two, "app"), namespace(&one, "vpn"));
        one.naru(["stop"]).succeeds();
        let refused = two.naru(["restart", "app"]);
        assert_ne!(refused.code, 0, "{refused}");
        assert!(refused.stderr.contains("the-vpn, which is not running"), "{refused}");
        one.naru(["down"]).succeeds();
        let refused = two.naru(["up", "-d", "--force-recreate"]);
        assert!(refused.stderr.contains("No such container: the-vpn"), "{refused}");
    });
}

#[test]
fn ports_in_anothers_network_are_refused_in_dockers_words_before_anything_is_made() {
    host(|host| {
        let file = "
services:
  vpn: { image: test }
  app: { image: test, network_mode: 'service:vpn', ports: ['8080:80'] }
";
        let project = host.project("refused").file("compose.yaml", file);
        let refused = project.naru(["up", "-d"]).exits_with(1);
        let text = "conflicting options: port publishing and the container type network mode";
        assert!(refused.stderr.contains(text), "{refused}");
        assert_eq!(project.naru(["ps", "-aq"]).succeeds().stdout, "");
    });
}

#[test]
fn fixed_addresses_are_kept_for_who_asks_for_them_and_survive_a_recreate() {
    host(|host| {
        let file = |note: &str, other: &str| {
            format!(
                "
services:
  a: {{ image: test, environment: {{ NOTE: {note} }}, networks: [front] }}
  b: {{ image: test, environment: {{ NOTE: {note} }}, networks: {{ front: {{ ipv4_address: 10.77.0.2 }} }} }}
  c: {{ image: test, networks: {{ front: {{ ipv4_address: {other} }} }} }}
networks: {{ front: {{ ipam: {{ config: [{{ subnet: 10.77.0.0/24 }}] }} }} }}
"
            )
        };
        let project = host.project("fixed").file("compose.yaml", &file("one", "10.77.0.2"));
        let refused = project.naru(["up", "-d"]).exits_with(1);
        assert!(
            refused.stderr.contains("10.77.0.2 is taken already, by container fixed-b-1"),
            "{refused}"
        );
        assert_eq!(project.naru(["ps", "-aq"]).succeeds().stdout, "");
        let project = project.file("compose.yaml", &file("one", "10.77.0.7"));
        project.naru(["up", "-d"]).succeeds();
        assert!(ip(&project, "b", "addr").contains("inet 10.77.0.2/24"));
        let before = ip(&project, "a", "addr");
        let project = project.file("compose.yaml", &file("two", "10.77.0.7"));
        project.naru(["up", "-d"]).succeeds();
        assert!(ip(&project, "b", "addr").contains("inet 10.77.0.2/24"));
        assert!(
            before.contains("inet 10.77.0.3/24") || before.contains("inet 10.77.0.4/24"),
            "{before}"
        );
    });
}

#[test]
fn a_network_that_was_made_by_hand_is_shared_by_projects_and_outlives_them() {
    host(|host| {
        let before = host.snapshot();
        let id = host.naru(["network", "create", "--ipv6", "--label", "tier=front", "proxy"]);
        let id = id.succeeds().stdout.trim().to_owned();
        assert_eq!(id.len(), 64);
        let again = host.naru(["network", "create", "proxy"]).exits_with(1);
        assert!(again.stderr.contains("network with name proxy already exists"), "{again}");

        let web = "
services: { web: { image: test, command: naru-check listen 80, networks: { shared: { aliases: [site] } } } }
networks: { shared: { external: true, name: proxy } }
";
        let client = "
services: { client: { image: test, networks: [default, proxy] } }
networks: { proxy: { external: true } }
";
        let one = host.project("one").file("compose.yaml", web);
        let two = host.project("two").file("compose.yaml", client);
        two.naru(["up", "-d"]).succeeds();
        one.naru(["up", "-d"]).succeeds();
        for name in ["web", "site", "one-web-1"] {
            reaches(&two, "client", name);
        }
        let addresses = [ip(&one, "web", "addr show eth0"), ip(&two, "client", "addr")];
        assert_ne!(addresses[0], addresses[1]);

        let inspected = host.naru(["network", "inspect", "proxy"]).succeeds().stdout;
        let inspected: serde_json::Value = serde_json::from_str(&inspected).unwrap();
        assert_eq!(inspected[0]["Id"], id.as_str());
        assert_eq!(inspected[0]["EnableIPv6"], true);
        assert_eq!(inspected[0]["Labels"]["tier"], "front");
        let mut names: Vec<_> = inspected[0]["Containers"]
            .as_object()
            .unwrap()
            .values()
            .map(|container| container["Name"].as_str().unwrap().to_owned())
            .collect();
        names.sort();
        assert_eq!(names, ["one-web-1", "two-client-1"]);
        let refused = host.naru(["network", "rm", "proxy"]).exits_with(1);
        assert!(refused.stderr.contains("network proxy has active endpoints"), "{refused}");

        one.naru(["restart"]).succeeds();
        reaches(&two, "client", "web");
        one.naru(["down"]).succeeds();
        eventually("its name is gone", || {
            let outcome = two.naru(["exec", "-T", "client", "naru-check", "resolve", "web"]);
            if outcome.code == 1 { Ok(()) } else { Err(outcome.to_string()) }
        });
        two.naru(["down"]).succeeds();
        let custom = ["network", "ls", "-f", "type=custom", "--format", "{{.Name}} {{.Driver}}"];
        assert_eq!(host.naru(custom).succeeds().stdout, "proxy bridge\n");
        assert_eq!(host.naru(["network", "rm", &id[..12]]).succeeds().stdout.trim(), &id[..12]);
        assert_eq!(host.naru(custom).succeeds().stdout, "");
        before.assert_nothing_left();
    });
}

#[test]
fn an_external_network_that_is_missing_is_told_in_composes_words() {
    host(|host| {
        let file = "
services: { web: { image: test, networks: [proxy] } }
networks: { proxy: { external: true } }
";
        let project = host.project("lost").file("compose.yaml", file);
        let refused = project.naru(["up", "-d"]).exits_with(1);
        let text = "network proxy declared as external, but could not be found";
        assert!(refused.stderr.contains(text), "{refused}");
    });
}

#[test]
fn a_network_of_another_project_stays_while_this_ones_containers_are_in_it() {
    host(|host| {
        let before = host.snapshot();
        let owner = "services: { web: { image: test, command: naru-check listen 80 } }";
        let guest = "
services: { client: { image: test, networks: [theirs] } }
networks: { theirs: { external: true, name: owner_default } }
";
        let owner = host.project("owner").file("compose.yaml", owner);
        let guest = host.project("guest").file("compose.yaml", guest);
        owner.naru(["up", "-d"]).succeeds();
        guest.naru(["up", "-d"]).succeeds();
        reaches(&guest, "client", "web");
        let down = owner.naru(["down"]).succeeds();
        assert!(
            down.stderr.contains("owner_default") && down.stderr.contains("still in use"),
            "{down}"
        );
        owner.naru(["up", "-d"]).succeeds();
        reaches(&guest, "client", "web");
        guest.naru(["down"]).succeeds();
        owner.naru(["down"]).succeeds();
        before.assert_nothing_left();
    });
}

#[test]
fn a_hosts_file_that_a_container_has_made_huge_harms_nobody() {
    host(|host| {
        let project =
            host.project("huge").file("compose.yaml", "services: { web: { image: test } }");
        project.naru(["up", "-d"]).succeeds();
        let supervisor = host.processes(&["naru", "supervisor:"]);
        let truncate = ["exec", "-T", "web", "busybox", "truncate", "-s", "100G", "/etc/hosts"];
        project.naru(truncate).succeeds();
        host.naru(["network", "create", "late"]).succeeds();
        host.naru(["network", "connect", "late", "huge-web-1"]).succeeds();
        assert_eq!(host.processes(&["naru", "supervisor:"]), supervisor, "it is the same one");
        let status = fs_err::read_to_string(format!("/proc/{}/status", supervisor[0])).unwrap();
        let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let most: u64 = most.split_whitespace().next().unwrap().parse().unwrap();
        assert!(most < 100 << 10, "{most} KiB");
        project.naru(["down", "-t", "0"]).succeeds();
        host.naru(["network", "rm", "late"]).succeeds();
    });
}

#[test]
fn a_running_container_is_connected_to_a_network_and_disconnected_again() {
    host(|host| {
        let before = host.snapshot();
        host.naru(["network", "create", "--subnet", "10.88.0.0/24", "side"]).succeeds();
        let file = "
services:
  web: { image: test, command: naru-check listen 80 }
  client: { image: test, networks: [other] }
networks: { default: {}, other: {} }
";
        let project = host.project("live").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        let connect = |words: &[&str]| {
            let mut all = vec!["network", "connect"];
            all.extend(words);
            host.naru(all)
        };
        let missing = connect(&["nothing", "live-web-1"]).exits_with(1);
        assert!(missing.stderr.contains("network nothing not found"), "{missing}");
        let missing = connect(&["side", "nobody"]).exits_with(1);
        assert!(missing.stderr.contains("No such container: nobody"), "{missing}");
        connect(&["--ip", "10.88.0.9", "--alias", "site", "side", "live-web-1"]).succeeds();
        connect(&["side", "live-client-1"]).succeeds();
        let twice = connect(&["side", "live-web-1"]).exits_with(1);
        let text = "endpoint with name live-web-1 already exists in network side";
        assert!(twice.stderr.contains(text), "{twice}");
        let addresses = ip(&project, "web", "addr show eth1");
        assert!(addresses.contains("inet 10.88.0.9/24"), "{addresses}");
        assert!(super::report(&project, "web")["hosts"].as_str().unwrap().contains("10.88.0.9\t"));
        reaches(&project, "client", "site");
        assert!(ip(&project, "web", "route").contains("dev eth0"));

        host.naru(["network", "disconnect", "live_default", "live-web-1"]).succeeds();
        let links = ip(&project, "web", "addr");
        assert!(!links.contains("eth0") && links.contains("eth1"), "{links}");
        assert!(ip(&project, "web", "route").contains("default via 10.88.0.1 dev eth1"));
        reaches(&project, "client", "site");
        let not = host.naru(["network", "disconnect", "live_default", "live-web-1"]).exits_with(1);
        assert!(not.stderr.contains("is not connected to network live_default"), "{not}");

        project.naru(["restart", "web"]).succeeds();
        reaches(&project, "client", "site");
        project.naru(["down"]).succeeds();
        host.naru(["network", "prune", "-f"]).succeeds().prints("side");
        before.assert_nothing_left();
    });
}
