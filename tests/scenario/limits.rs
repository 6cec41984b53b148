//! Limits that the kernel keeps: memory, processors, processes, descriptors.

use super::{host, report};

const LIMITED: &str = "
services:
  old: { image: test, mem_limit: 64m, cpus: 0.5, pids_limit: 20, ulimits: { nofile: { soft: 100, hard: 200 }, nproc: 50 } }
  new: { image: test, deploy: { resources: { limits: { memory: 64m, cpus: '0.5', pids: 20 } } } }
";

#[test]
fn memory_processor_and_process_limits_are_the_cgroups() {
    host(|host| {
        let project = host.project("limits").file("compose.yaml", LIMITED);
        project.naru(["up", "-d"]).succeeds();
        for service in ["old", "new"] {
            let files = report(&project, service)["cgroup"]["files"].clone();
            let value = |v1: &str, v2: &str| {
                files[v1].as_str().or(files[v2].as_str()).unwrap_or_default().to_owned()
            };
            assert_eq!(value("memory/memory.limit_in_bytes", "memory.max"), "67108864", "{files}");
            assert_eq!(value("pids/pids.max", "pids.max"), "20", "{files}");
            let quota = value("cpu/cpu.cfs_quota_us", "cpu.max");
            assert_eq!(quota.split(' ').next(), Some("50000"), "{files}");
        }
    });
}

#[test]
fn ulimits_are_the_processs() {
    host(|host| {
        let project = host.project("limits").file("compose.yaml", LIMITED);
        project.naru(["up", "-d"]).succeeds();
        let limits = report(&project, "old")["limits"].clone();
        assert_eq!(limits["open files"], serde_json::json!(["100", "200"]));
        assert_eq!(limits["processes"], serde_json::json!(["50", "50"]));
    });
}

#[test]
fn a_process_beyond_its_memory_limit_is_killed_and_shown_so() {
    host(|host| {
        let file = "services: { a: { image: test, mem_limit: 16m, \
                    command: [sh, -c, 'head -c 200000000 /dev/zero | tail'] } }";
        let project = host.project("hog").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        let container = project.until("a", "exited");
        assert_eq!(container["ExitCode"], 137, "{container}");
    });
}
