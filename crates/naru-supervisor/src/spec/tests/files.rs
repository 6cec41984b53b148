//! The text of /etc/hosts, /etc/hostname and /etc/resolv.conf.

use std::collections::BTreeMap;
use std::net::IpAddr;

use naru_compose::project::ExtraHosts;

use super::super::files::{
    Own, Resolver, hostname, hosts, hosts_of_host, own_names, resolv_conf, resolv_conf_of_host,
};
use super::*;

fn extra(entries: &[(&str, &str)]) -> ExtraHosts {
    let mut all = BTreeMap::<String, Vec<String>>::new();
    for (name, address) in entries {
        all.entry((*name).to_owned()).or_default().push((*address).to_owned());
    }
    ExtraHosts(all)
}

fn own(addresses: &[IpAddr]) -> Own<'_> {
    let host_gateway = Some(IpAddr::from([172, 18, 0, 1]));
    Own { hostname: "web", domainname: "", addresses, host_gateway }
}

#[test]
fn hosts_has_localhost_extra_hosts_and_the_container_itself() {
    let addresses = [IpAddr::from([172, 18, 0, 2]), IpAddr::from([172, 19, 0, 2])];
    let extra = extra(&[
        ("db.local", "10.0.0.1"),
        ("host.docker.internal", "host-gateway"),
        ("six", "[::2]"),
    ]);
    let text = hosts(&extra, &own(&addresses)).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "127.0.0.1\tlocalhost");
    assert_eq!(
        lines[6..],
        [
            "10.0.0.1\tdb.local",
            "172.18.0.1\thost.docker.internal",
            "::2\tsix",
            "172.18.0.2\tweb",
            "172.19.0.2\tweb"
        ]
    );
    let named = Own { domainname: "example.org", ..own(&addresses[..1]) };
    assert!(
        hosts(&ExtraHosts::default(), &named)
            .unwrap()
            .ends_with("172.18.0.2\tweb.example.org web\n")
    );
}

#[test]
fn a_container_is_called_with_and_without_its_domain_wherever_that_is_said() {
    assert_eq!(own_names("web", ""), "web");
    assert_eq!(own_names("web", "example.org"), "web.example.org web");
    assert_eq!(own_names("web.example.org", ""), "web.example.org web");
    assert_eq!(own_names("web.one", "two"), "web.one.two web");
}

#[test]
fn nothing_can_add_a_line_to_a_file() {
    for name in ["a\nb", "a b", "a\tb", "a\rb", "a\0b", "a:b", "a#b", "", "-a", "ä"] {
        assert!(hosts(&extra(&[(name, "10.0.0.1")]), &own(&[])).is_err(), "{name:?}");
        assert!(hostname(name).is_err(), "{name:?}");
        let addresses = [IpAddr::from([10, 0, 0, 1])];
        let named = Own { hostname: name, ..own(&addresses) };
        assert!(hosts(&ExtraHosts::default(), &named).is_err(), "{name:?}");
    }
    for address in ["", "10.0.0.1\n10.0.0.2 x", "10.0.0", "host", "10.0.0.1 x"] {
        assert!(hosts(&extra(&[("a", address)]), &own(&[])).is_err(), "{address:?}");
    }
    for key in ["dns", "dns_search", "dns_opt"] {
        let service = Case::new(json!({key: ["a\nnameserver 6.6.6.6"]})).service;
        let error = Resolver::default().with_service(&service).unwrap_err();
        assert_eq!(error.attribute(), key);
    }
    assert_eq!(hostname("web").unwrap(), "web\n");
}

#[test]
fn host_gateway_without_such_an_address_is_an_error() {
    let nowhere = Own { host_gateway: None, ..own(&[]) };
    assert!(hosts(&extra(&[("h", "host-gateway")]), &nowhere).is_err());
}

#[test]
fn with_the_hosts_network_the_hosts_own_file_is_extended() {
    let text = hosts_of_host("127.0.0.1 localhost", &extra(&[("db", "10.0.0.1")])).unwrap();
    let own = "127.0.0.1\thost.docker.internal\n127.0.0.1\thost.naru.internal\n";
    assert_eq!(text, format!("127.0.0.1 localhost\n10.0.0.1\tdb\n{own}"));
    let text = hosts_of_host("", &extra(&[("host.docker.internal", "10.0.0.1")])).unwrap();
    assert_eq!(text, "10.0.0.1\thost.docker.internal\n127.0.0.1\thost.naru.internal\n");
}

const HOST: &str = "# comment\nnameserver 10.0.0.53\nnameserver nonsense\nsearch corp.example local\noptions edns0 trust-ad\n";

#[test]
fn containers_ask_narus_server_with_the_hosts_search_domains() {
    let text = resolv_conf(&Resolver::parse(HOST));
    let lines: Vec<&str> = text.lines().skip(2).collect();
    assert_eq!(
        lines,
        ["nameserver 127.0.0.11", "search corp.example local", "options edns0 trust-ad ndots:0"]
    );
    let host = resolv_conf_of_host(&Resolver::parse(HOST));
    assert!(host.contains("nameserver 10.0.0.53\n") && !host.contains("ndots"), "{host}");
}

#[test]
fn a_service_replaces_servers_search_domains_and_options_each_as_a_whole() {
    let service =
        Case::new(json!({"dns": ["1.1.1.1"], "dns_search": ["."], "dns_opt": ["ndots:3"]})).service;
    let resolver = Resolver::parse(HOST).with_service(&service).unwrap();
    assert_eq!(resolver.servers, [IpAddr::from([1, 1, 1, 1])]);
    let text = resolv_conf(&resolver);
    let lines: Vec<&str> = text.lines().skip(2).collect();
    assert_eq!(lines, ["nameserver 127.0.0.11", "options ndots:3"]);
}
