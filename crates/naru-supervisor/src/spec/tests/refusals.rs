//! What naru cannot do is named, not ignored.

use super::*;

#[test]
fn attributes_that_are_not_possible_yet_are_named() {
    for (service, attribute) in [
        (json!({"privileged": true}), "privileged"),
        (json!({"devices": [{"source": "/dev/fuse", "target": "/dev/fuse"}]}), "devices"),
        (json!({"userns_mode": "auto"}), "userns_mode"),
        (json!({"security_opt": ["apparmor=mine"]}), "security_opt"),
        (json!({"ipc": "service:db"}), "ipc"),
        (json!({"network_mode": "bridge"}), "network_mode"),
        (json!({"network_mode": "service:vpn"}), "network_mode"),
        (json!({"pid": "service:vpn"}), "pid"),
        (json!({"volumes": [{"type": "image", "source": "a", "target": "/a"}]}), "volumes"),
        (json!({"volumes_from": ["db"]}), "volumes_from"),
        (
            json!({"volumes": [{"type": "bind", "source": "/a", "target": "/a", "bind": {"propagation": "rshared"}}]}),
            "volumes.bind.propagation",
        ),
    ] {
        let (found, text) = error(service);
        assert_eq!(found, attribute);
        assert!(text.ends_with("is not supported yet"), "{text}");
    }
}

#[test]
fn values_that_mean_nothing_are_refused() {
    for (service, attribute) in [
        (json!({"cap_add": ["FLY"]}), "cap_add"),
        (json!({"hostname": "a\nb"}), "hostname"),
        (json!({"hostname": "x".repeat(65)}), "hostname"),
        (json!({"domainname": "a b"}), "domainname"),
        (json!({"cgroup": "mine"}), "cgroup"),
        (json!({"healthcheck": {"test": ["curl", "x"]}}), "healthcheck.test"),
        (json!({"environment": {"A=B": "c"}}), "environment.A=B"),
        (json!({"environment": {"A": "b\u{0}c"}}), "environment.A"),
        (json!({"command": ["a\u{0}b"]}), "command"),
        (json!({"tmpfs": ["/"]}), "volumes"),
    ] {
        assert_eq!(error(service).0, attribute);
    }
}

#[test]
fn dockers_socket_is_refused_by_name() {
    for source in ["/var/run/docker.sock", "/run//docker.sock"] {
        let mount = json!({"type": "bind", "source": source, "target": "/s"});
        let (_, text) = error(json!({"volumes": [mount]}));
        assert_eq!(
            text,
            "volumes: Docker's socket cannot be mounted: there is no Docker behind it"
        );
    }
}
