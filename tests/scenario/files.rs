//! /etc/hosts, /etc/hostname, /etc/resolv.conf and the kernel's parameters, as Docker 28.5 makes them from the same file
//! (what it adds as comments left out). Where naru does otherwise, the line says so.

use std::net::TcpListener;

use naru_test::Project;

use super::host;
use super::networks::ip;
use super::resolvers::own_settings;

const FILE: &str = r#"
x-c: &c { image: test }
services:
  plain: { <<: *c, hostname: web1 }
  domain: { <<: *c, hostname: web1, domainname: example.org }
  dotted: { <<: *c, hostname: web.example.org }
  only-domain: { <<: *c, domainname: only.example }
  servers: { <<: *c, dns: [1.1.1.1, 8.8.8.8] }
  search: { <<: *c, dns_search: [a.example, b.example] }
  nowhere: { <<: *c, dns_search: ["."] }
  options: { <<: *c, dns_opt: ["ndots:3", "timeout:1"] }
  option: { <<: *c, dns_opt: ["timeout:1"] }
  extra:
    <<: *c
    hostname: own
    extra_hosts: ["a.x:10.0.0.1", "hg:host-gateway", "six:[::2]", "eq=10.0.0.2", "six2=::3", "m:10.0.0.4", "m:10.0.0.3"]
  map: { <<: *c, hostname: own, extra_hosts: { a.x: 10.0.0.1, six: "::2", m: [10.0.0.4, 10.0.0.3] } }
  machine: { <<: *c, network_mode: host, dns: [1.1.1.1], dns_search: [r.example], dns_opt: ["ndots:9"] }
  lonely: { <<: *c, network_mode: none, hostname: lonely, dns_search: [q.example], extra_hosts: ["a.x:10.0.0.1"] }
  two: { <<: *c, hostname: two, networks: [n1, n2] }
  six: { <<: *c, hostname: six, networks: [v6] }
  inside: { <<: *c, hostname: int, networks: [inside] }
  joined: { <<: *c, network_mode: "service:domain" }
  sysctls: { <<: *c, sysctls: { net.ipv4.ip_unprivileged_port_start: 80, net.ipv4.conf.all.log_martians: 1 } }
networks:
  n1: { ipam: { config: [{ subnet: 10.51.0.0/24 }] } }
  n2: { ipam: { config: [{ subnet: 10.52.0.0/24 }] } }
  v6: { enable_ipv6: true, ipam: { config: [{ subnet: 10.53.0.0/24 }, { subnet: "fd53::/64" }] } }
  inside: { internal: true, ipam: { config: [{ subnet: 10.54.0.0/24 }] } }
  default: { ipam: { config: [{ subnet: 10.50.0.0/24 }] } }
"#;

/// A file of a service's container, without comments and empty lines.
fn file(project: &Project<'_>, service: &str, path: &str) -> Vec<String> {
    let text = project.naru(["exec", "-T", service, "busybox", "cat", path]).succeeds().stdout;
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| line.replace('\t', " ")).collect()
}

/// The container's address.
fn address(project: &Project<'_>, service: &str) -> String {
    super::firewall::address_of(project, service)
}

#[test]
fn files_of_names_are_those_that_docker_makes_of_the_same_compose_file() {
    host(|host| {
        own_settings(
            host,
            "nameserver 10.0.0.53\nnameserver 10.0.0.54\nsearch corp.example local\noptions edns0 trust-ad\n",
        );
        let project = host.project("files").file("compose.yaml", FILE);
        project.naru(["up", "-d"]).succeeds();
        hosts_are_dockers(&project);
        resolv_conf_is_dockers(&project);
        names_and_parameters_are_dockers(&project);
    });
}

fn hosts_are_dockers(project: &Project<'_>) {
    let local = [
        "127.0.0.1 localhost",
        "::1 localhost ip6-localhost ip6-loopback",
        "fe00:: ip6-localnet",
        "ff00:: ip6-mcastprefix",
        "ff02::1 ip6-allnodes",
        "ff02::2 ip6-allrouters",
    ];
    let hosts = |service: &str, rest: &[String]| {
        let expected: Vec<_> =
            local.iter().map(|line| (*line).to_owned()).chain(rest.iter().cloned()).collect();
        assert_eq!(file(project, service, "/etc/hosts"), expected, "{service}");
    };
    let own = |service: &str, names: &str| format!("{} {names}", address(project, service));
    let lines = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
    hosts("plain", &[own("plain", "web1")]);
    hosts("domain", &[own("domain", "web1.example.org web1")]);
    hosts("dotted", &[own("dotted", "web.example.org web")]);
    let name = file(project, "only-domain", "/etc/hostname").remove(0);
    assert_eq!(name.len(), 12, "the beginning of its id: {name}");
    hosts("only-domain", &[own("only-domain", &format!("{name}.only.example {name}"))]);
    // Docker says 172.17.0.1 for host-gateway: the host in its own network. naru: the host in the container's.
    let mut extra = lines(&[
        "10.0.0.1 a.x",
        "10.0.0.2 eq",
        "10.50.0.1 hg",
        "10.0.0.4 m",
        "10.0.0.3 m",
        "::2 six",
        "::3 six2",
    ]);
    extra.push(own("extra", "own"));
    hosts("extra", &extra);
    let mut map = lines(&["10.0.0.1 a.x", "10.0.0.4 m", "10.0.0.3 m", "::2 six"]);
    map.push(own("map", "own"));
    hosts("map", &map);
    hosts("lonely", &lines(&["10.0.0.1 a.x"]));
    hosts("two", &lines(&["10.51.0.2 two", "10.52.0.2 two"]));
    hosts("six", &lines(&["10.53.0.2 six", "fd53::2 six"]));
    hosts("inside", &lines(&["10.54.0.2 int"]));
    hosts("joined", &[own("domain", "web1.example.org web1")]);
}

fn resolv_conf_is_dockers(project: &Project<'_>) {
    let resolv = |service: &str, expected: &[&str]| {
        assert_eq!(file(project, service, "/etc/resolv.conf"), expected, "{service}");
    };
    let usual =
        ["nameserver 127.0.0.11", "search corp.example local", "options edns0 trust-ad ndots:0"];
    for service in ["plain", "domain", "servers", "two", "six", "inside", "joined"] {
        resolv(service, &usual);
    }
    resolv("search", &[usual[0], "search a.example b.example", usual[2]]);
    resolv("nowhere", &[usual[0], usual[2]]);
    resolv("options", &[usual[0], usual[1], "options ndots:3 timeout:1"]);
    resolv("option", &[usual[0], usual[1], "options timeout:1 ndots:0"]);
    let machine = ["nameserver 1.1.1.1", "search r.example", "options ndots:9"];
    resolv("machine", &machine);
    // There is nobody at 127.0.0.11, so the host's servers are told, as Docker does.
    let servers = ["nameserver 10.0.0.53", "nameserver 10.0.0.54"];
    let lonely = [servers[0], servers[1], "search q.example", "options edns0 trust-ad"];
    resolv("lonely", &lonely);
}

fn names_and_parameters_are_dockers(project: &Project<'_>) {
    for (service, expected) in [("plain", "web1"), ("dotted", "web.example.org"), ("two", "two")] {
        assert_eq!(file(project, service, "/etc/hostname"), [expected]);
        assert_eq!(file(project, service, "/proc/sys/kernel/hostname"), [expected]);
    }
    let of_kernel = |service: &str, name: &str, expected: &str| {
        assert_eq!(file(project, service, &format!("/proc/sys/{name}")), [expected], "{service}");
    };
    of_kernel("plain", "kernel/domainname", "(none)");
    of_kernel("domain", "kernel/domainname", "example.org");
    of_kernel("plain", "net/ipv4/ip_unprivileged_port_start", "0");
    of_kernel("plain", "net/ipv4/ping_group_range", "0 2147483647");
    of_kernel("lonely", "net/ipv4/ip_unprivileged_port_start", "0");
    of_kernel("machine", "net/ipv4/ip_unprivileged_port_start", "1024");
    of_kernel("sysctls", "net/ipv4/ip_unprivileged_port_start", "80");
    of_kernel("sysctls", "net/ipv4/conf/all/log_martians", "1");
    of_kernel("plain", "net/ipv4/conf/all/log_martians", "0");
    of_kernel("plain", "net/ipv6/conf/lo/disable_ipv6", "0");
}

#[test]
fn the_host_is_reached_by_the_names_that_extra_hosts_gives_it() {
    host(|host| {
        // A service of the host, on all its addresses.
        let server = TcpListener::bind("0.0.0.0:7070").unwrap();
        std::thread::spawn(move || server.incoming().for_each(drop));
        let file = "
services:
  a:
    image: test
    extra_hosts: ['host.docker.internal:host-gateway', 'host.minikube.internal=host-gateway']
  b: { image: test, networks: [second, first], extra_hosts: { host.docker.internal: host-gateway } }
  c: { image: test, network_mode: host, extra_hosts: ['host.docker.internal:host-gateway'] }
  d: { image: test }
networks: { first: {}, second: { internal: true } }
";
        let project = host.project("outside").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        for (service, name) in [
            ("a", "host.docker.internal"),
            ("a", "host.minikube.internal"),
            ("b", "host.docker.internal"),
            ("c", "host.docker.internal"),
            ("d", "host.docker.internal"),
        ] {
            let words = ["exec", "-T", service, "naru-check", "connect", name, "7070"];
            let outcome = project.naru(words);
            assert_eq!(
                outcome.code,
                0,
                "{service} {name}: {outcome} {}",
                ip(&project, service, "addr")
            );
        }
        let file = "services: { a: { image: test, network_mode: none, extra_hosts: ['hg:host-gateway'] } }";
        let nowhere = host.project("nowhere").file("compose.yaml", file);
        let refused = nowhere.naru(["up", "-d"]).exits_with(1);
        assert!(refused.stderr.contains("\"hg\" has no usable address"), "{refused}");
    });
}
