//! What a container may do and see, from inside, compared with what Docker gives it.

use naru_test::TestHost;
use serde_json::{Value, json};

use super::{host, report_of_process_1};

/// Docker's default: chown, dac_override, fowner, fsetid, kill, setgid, setuid, setpcap, net_bind_service, net_raw,
/// sys_chroot, mknod, audit_write, setfcap.
pub(super) const CAPABILITIES: &str = "00000000a80425fb";

fn default_container(host: &TestHost) -> Value {
    let file = "services: { a: { image: test, command: naru-check report } }";
    let project = host.project("plain").file("compose.yaml", file);
    project.naru(["up", "-d"]).succeeds();
    report_of_process_1(&project, "a")
}

#[test]
fn a_container_has_dockers_capabilities_and_system_call_filter() {
    host(|host| {
        let status = &default_container(host)["status"];
        assert_eq!(status["CapEff"], CAPABILITIES);
        assert_eq!(status["CapPrm"], CAPABILITIES);
        assert_eq!(status["CapBnd"], CAPABILITIES);
        assert_eq!(status["CapAmb"], "0000000000000000");
        assert_eq!(status["CapInh"], "0000000000000000");
        assert_eq!(status["Seccomp"], "2");
        assert_eq!(status["Uid"], "0 0 0 0");
        assert_eq!(status["Umask"], "0022");
    });
}

#[test]
fn a_container_cannot_do_what_the_host_must_do() {
    host(|host| {
        let report = default_container(host);
        for (what, answer) in report["forbidden"].as_object().unwrap() {
            let refused = ["EPERM: Operation not permitted", "EACCES: Permission denied"];
            assert!(refused.contains(&answer.as_str().unwrap()), "{what}: {answer}");
        }
    });
}

#[test]
fn a_container_is_process_1_in_namespaces_of_its_own() {
    host(|host| {
        let report = default_container(host);
        assert_eq!(report["pid"], 1);
        for kind in ["pid", "mnt", "net", "ipc", "uts", "cgroup", "time"] {
            let outside = fs_err::read_link(format!("/proc/self/ns/{kind}")).unwrap();
            assert_ne!(report["namespaces"][kind], json!(outside), "{kind}");
        }
    });
}

#[test]
fn a_container_inherits_no_descriptor_but_its_three() {
    host(|host| {
        let fds = default_container(host)["fds"].clone();
        let numbers: Vec<&String> = fds.as_object().unwrap().keys().collect();
        assert_eq!(numbers, ["0", "1", "2"], "{fds}");
        assert!(fds["0"].as_str().unwrap().ends_with("/null"), "{fds}");
    });
}

#[test]
fn sensitive_paths_are_hidden_or_read_only() {
    host(|host| {
        let report = default_container(host);
        for table in ["masked", "read_only"] {
            for (path, guarded) in report[table].as_object().unwrap() {
                assert_eq!(guarded, true, "{path} ({table})");
            }
        }
        for path in ["/sys", "/sys/fs/cgroup"] {
            let options = report["mounts"][path]["options"].as_str().unwrap_or("ro");
            assert!(options.split(',').any(|word| word == "ro"), "{path}: {options}");
        }
    });
}

#[test]
fn the_hosts_mounts_are_not_seen_and_the_root_is_an_overlay() {
    host(|host| {
        let mounts = default_container(host)["mounts"].clone();
        assert_eq!(mounts["/"]["type"], "overlay", "{mounts}");
        let inside: Vec<&String> = mounts.as_object().unwrap().keys().collect();
        let expected = ["/proc", "/sys", "/dev", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf"];
        let is_ours = |path: &str| {
            path == "/" || expected.iter().any(|top| std::path::Path::new(path).starts_with(top))
        };
        let foreign: Vec<_> = inside.iter().filter(|path| !is_ours(path)).collect();
        assert!(foreign.is_empty(), "{foreign:?}");
    });
}

#[test]
fn devices_are_dockers_and_no_more() {
    host(|host| {
        let devices = default_container(host)["devices"].clone();
        let names: Vec<&String> = devices.as_object().unwrap().keys().collect();
        let expected = [
            "core", "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr",
            "stdin", "stdout", "tty", "urandom", "zero",
        ];
        assert_eq!(names, expected, "{devices}");
        assert_eq!(devices["null"], "c 1:3 666");
        assert_eq!(devices["tty"], "c 5:0 666");
    });
}

#[test]
fn the_environment_is_the_images_and_dockers() {
    host(|host| {
        let report = default_container(host);
        let environment = report["environment"].as_object().unwrap();
        let names: Vec<&String> = environment.keys().collect();
        assert_eq!(names, ["HOME", "HOSTNAME", "PATH"]);
        assert_eq!(environment["HOME"], "/root");
        assert_eq!(environment["HOSTNAME"], report["hostname"]);
        assert_eq!(
            environment["PATH"],
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        );
        assert_eq!(report["working_directory"], "/");
    });
}
