//! What a network and a place in it can say, each seen by what it does.

use naru_test::eventually;

use super::firewall::Neighbour;
use super::host;
use super::networks::{ip, reaches};

#[test]
fn the_order_of_interfaces_the_way_out_and_the_names_of_interfaces_are_what_the_file_says() {
    host(|host| {
        let file = "
services:
  plain: { image: test, networks: { a: {}, b: {} } }
  asked: { image: test, networks: { a: { priority: 1, gw_priority: 1 }, b: { priority: 1000 } } }
  v6: { image: test, networks: [c] }
networks:
  a: { ipam: { config: [{ subnet: 10.81.0.0/24 }] } }
  b: { ipam: { config: [{ subnet: 10.82.0.0/24 }] }, driver_opts: { com.docker.network.container_iface_prefix: lan } }
  c: { enable_ipv4: false, enable_ipv6: true, ipam: { config: [{ subnet: 'fd83::/64' }] } }
";
        let project = host.project("order").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        let place = |service: &str, interface: &str, address: &str| {
            let text = ip(&project, service, &format!("-4 addr show {interface}"));
            assert!(text.contains(address), "{service} {interface}: {text}");
        };
        place("plain", "eth0", "inet 10.81.0.");
        place("plain", "lan0", "inet 10.82.0.");
        assert!(ip(&project, "plain", "route").contains("default via 10.81.0.1 dev eth0"));
        // The first by `priority`; the way out by `gw_priority`.
        let order = ip(&project, "asked", "-o link");
        let at = |name: &str| order.find(name).unwrap_or_else(|| panic!("{name}: {order}"));
        assert!(at("lan0") < at("eth0"), "{order}");
        assert!(ip(&project, "asked", "route").contains("default via 10.81.0.1 dev eth0"));
        let v6 = ip(&project, "v6", "addr show eth0");
        assert!(v6.contains("inet6 fd83::2/64") && !v6.contains("inet "), "{v6}");
    });
}

#[test]
fn containers_that_are_kept_apart_reach_the_host_only_and_who_is_not_masked_is_seen_outside() {
    host(|host| {
        let mut neighbour = Neighbour::new();
        neighbour.listen("80");
        let file = "
services:
  web: { image: test, command: naru-check listen 80, networks: [apart] }
  one: { image: test, networks: [apart] }
  masked: { image: test, networks: [masked] }
  seen: { image: test, networks: [seen] }
networks:
  apart: { driver_opts: { com.docker.network.bridge.enable_icc: 'false' }, ipam: { config: [{ subnet: 10.84.0.0/24 }] } }
  masked: {}
  seen: { driver_opts: { com.docker.network.bridge.enable_ip_masquerade: 'false' }, ipam: { config: [{ subnet: 10.85.0.0/24 }] } }
";
        let project = host.project("options").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        let connects = |service: &str, to: &str| {
            let words = ["exec", "-T", service, "timeout", "1", "naru-check", "connect", to, "80"];
            project.naru(words).code == 0
        };
        reaches(&project, "web", "localhost");
        assert!(!connects("one", "web"), "they are kept apart");
        reaches(&project, "one", "10.99.0.2");
        reaches(&project, "masked", "10.99.0.2");
        assert!(!connects("seen", "10.99.0.2"), "nobody outside knows the way back");
        neighbour.run(&["ip", "route", "add", "10.85.0.0/24", "via", "10.99.0.1"]);
        eventually("it answers the container itself", || match connects("seen", "10.99.0.2") {
            true => Ok(()),
            false => Err("not yet".to_owned()),
        });
    });
}

#[test]
fn what_is_written_down_of_a_network_is_shown() {
    host(|host| {
        let file = "
services: { a: { image: test, networks: [front] } }
networks:
  front:
    name: shown
    attachable: true
    internal: true
    labels: { tier: front }
    driver_opts: { com.docker.network.driver.mtu: '1400' }
    ipam:
      driver: default
      config: [{ subnet: 10.86.0.0/24, ip_range: 10.86.0.64/26, gateway: 10.86.0.9, aux_addresses: { printer: 10.86.0.65 } }]
";
        let project = host.project("shown").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        let inspected = host.naru(["network", "inspect", "shown"]).succeeds().stdout;
        let inspected: serde_json::Value = serde_json::from_str(&inspected).unwrap();
        let network = &inspected[0];
        assert_eq!(network["Attachable"], true);
        assert_eq!(network["Internal"], true);
        assert_eq!(network["Labels"]["tier"], "front");
        assert_eq!(network["Labels"]["com.docker.compose.network"], "front");
        assert_eq!(network["Options"]["com.docker.network.driver.mtu"], "1400");
        let config = &network["IPAM"]["Config"][0];
        assert_eq!(config["Subnet"], "10.86.0.0/24");
        assert_eq!(config["IPRange"], "10.86.0.64/26");
        assert_eq!(config["Gateway"], "10.86.0.9");
        assert_eq!(config["AuxiliaryAddresses"]["printer"], "10.86.0.65");
        assert!(ip(&project, "a", "addr").contains("inet 10.86.0.64/24"));
        assert!(!ip(&project, "a", "route").contains("default"));
    });
}

#[test]
fn what_naru_has_not_is_refused_by_name_at_its_place() {
    host(|host| {
        let check = |network: &str, expected: &str| {
            let file = format!(
                "services: {{ a: {{ image: test, networks: [x] }} }}\nnetworks: {{ x: {network} }}\n"
            );
            let project = host.project("refused").file("compose.yaml", &file);
            let refused = project.naru(["up", "-d"]).exits_with(1);
            assert!(refused.stderr.contains(expected), "{refused}");
            assert!(refused.stderr.contains("compose.yaml:2"), "{refused}");
        };
        check("{ ipam: { options: { a: b } } }", "in networks.x.ipam.options");
        check("{ ipam: { driver: dhcp } }", "`dhcp` is not possible");
        check(
            "{ driver_opts: { com.docker.network.bridge.gateway_mode_ipv4: routed } }",
            "the option com.docker.network.bridge.gateway_mode_ipv4 cannot be \"routed\"",
        );
        check(
            "{ driver_opts: { com.docker.network.bridge.inhibit_ipv4: 'true' } }",
            "the option `com.docker.network.bridge.inhibit_ipv4` is not possible",
        );
        check(
            "{ driver_opts: { parent: host0 } }",
            "the option parent of driver bridge is not possible",
        );
        check(
            "{ driver: macvlan, driver_opts: { com.docker.network.bridge.name: br0 } }",
            "the option com.docker.network.bridge.name of driver macvlan is not possible",
        );
    });
}
