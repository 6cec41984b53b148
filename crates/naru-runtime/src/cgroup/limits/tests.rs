use std::path::PathBuf;

use super::*;

fn v1(controllers: &[&str]) -> MountedHierarchy {
    let controllers = controllers.iter().map(|name| (*name).to_owned()).collect();
    MountedHierarchy { mount: PathBuf::from("/c"), controllers }
}

fn all_v1() -> Vec<MountedHierarchy> {
    ["memory", "cpu", "cpuset", "pids", "blkio", "hugetlb", "rdma", "net_cls", "net_prio"]
        .map(|name| v1(&[name]))
        .into()
}

fn v2() -> Vec<MountedHierarchy> {
    vec![v1(&[])]
}

fn resources(json: &str) -> LinuxResources {
    serde_json::from_str(json).unwrap()
}

/// The writes as `file=value`, alternatives with `|`, optional ones with `?`.
fn text(json: &str, hierarchies: &[MountedHierarchy]) -> String {
    updated(json, hierarchies, &Current::default())
}

fn updated(json: &str, hierarchies: &[MountedHierarchy], current: &Current) -> String {
    let settings = settings(&resources(json), hierarchies, current).unwrap();
    let lines = settings.writes.iter().map(|write| {
        let choices = write.choices.iter().map(|(file, value)| format!("{file}={value}"));
        let question = if write.optional { "?" } else { "" };
        choices.collect::<Vec<_>>().join("|") + question
    });
    lines.collect::<Vec<_>>().join(" ")
}

fn refused(json: &str, hierarchies: &[MountedHierarchy]) -> String {
    settings(&resources(json), hierarchies, &Current::default()).unwrap_err().to_string()
}

const LIMITS: &str = r#"{"memory": {"limit": 1000, "swap": 1500, "reservation": 500},
    "cpu": {"shares": 1024, "quota": 50000, "period": 100000}, "pids": {"limit": 7}}"#;

#[test]
fn v1_limits_memory_and_swap_together() {
    assert_eq!(
        text(LIMITS, &all_v1()),
        "memory.limit_in_bytes=1000 memory.memsw.limit_in_bytes=1500 memory.soft_limit_in_bytes=500 \
         cpu.shares=1024 cpu.cfs_period_us=100000 cpu.cfs_quota_us=50000 pids.max=7"
    );
}

#[test]
fn v2_limits_swap_alone_and_converts_shares() {
    assert_eq!(
        text(LIMITS, &v2()),
        "memory.max=1000 memory.swap.max=500 memory.low=500 cpu.weight=100 \
         cpu.max=50000 100000 pids.max=7"
    );
}

#[test]
fn no_limit_of_memory_is_none_of_swap_either() {
    let json = r#"{"memory": {"limit": -1}}"#;
    assert_eq!(text(json, &v2()), "memory.max=max memory.swap.max=max?");
    assert_eq!(text(json, &all_v1()), "memory.limit_in_bytes=-1 memory.memsw.limit_in_bytes=-1?");
}

#[test]
fn swap_as_large_as_memory_is_no_swap() {
    let json = r#"{"memory": {"limit": 1000, "swap": 1000}}"#;
    assert_eq!(text(json, &v2()), "memory.max=1000 memory.swap.max=0?");
    assert_eq!(
        text(r#"{"memory": {"limit": 1000, "swap": -1}}"#, &v2()),
        "memory.max=1000 memory.swap.max=max?"
    );
}

#[test]
fn swap_needs_memory_and_is_not_less() {
    let alone = r#"{"memory": {"swap": 1500}}"#;
    assert!(refused(alone, &v2()).contains("`linux.resources.memory.swap`"));
    let current = Current { memory_max: Some(1000), ..Current::default() };
    assert_eq!(updated(alone, &v2(), &current), "memory.swap.max=500");
    let less = r#"{"memory": {"limit": 1000, "swap": 500}}"#;
    assert!(refused(less, &v2()).contains("500 is less"));
}

#[test]
fn what_v2_has_no_file_for_is_named() {
    for (json, field) in [
        (r#"{"memory": {"swappiness": 10}}"#, "memory.swappiness"),
        (r#"{"memory": {"kernel": 10}}"#, "memory.kernel"),
        (r#"{"memory": {"kernelTCP": 10}}"#, "memory.kernelTCP"),
        (r#"{"memory": {"disableOOMKiller": true}}"#, "memory.disableOOMKiller"),
        (r#"{"memory": {"useHierarchy": false}}"#, "memory.useHierarchy"),
        (r#"{"cpu": {"realtimeRuntime": 10}}"#, "cpu.realtimeRuntime"),
        (r#"{"cpu": {"realtimePeriod": 10}}"#, "cpu.realtimePeriod"),
        (r#"{"blockIO": {"leafWeight": 10}}"#, "blockIO.leafWeight"),
        (r#"{"network": {"classID": 10}}"#, "network.classID"),
        (r#"{"network": {"priorities": [{"name": "lo", "priority": 1}]}}"#, "network.priorities"),
    ] {
        let error = refused(json, &v2());
        assert!(error.contains(&format!("`linux.resources.{field}`")), "{json}: {error}");
    }
}

#[test]
fn v1_has_a_file_for_every_field_of_memory() {
    let json = r#"{"memory": {"kernel": 100, "kernelTCP": 50, "swappiness": 10,
        "disableOOMKiller": true, "useHierarchy": true, "checkBeforeUpdate": true}}"#;
    assert_eq!(
        text(json, &all_v1()),
        "memory.kmem.limit_in_bytes=100 memory.kmem.tcp.limit_in_bytes=50 memory.swappiness=10 \
         memory.oom_control=1 memory.use_hierarchy=1"
    );
    // What engines write for "as it is".
    assert_eq!(text(r#"{"memory": {"swappiness": 18446744073709551615}}"#, &all_v1()), "");
    assert!(refused(r#"{"memory": {"swappiness": 101}}"#, &all_v1()).contains("101"));
}

#[test]
fn cpu_bursts_real_time_and_idle_groups() {
    let json = r#"{"cpu": {"quota": 50000, "burst": 10000, "realtimeRuntime": 95000,
        "realtimePeriod": 100000, "idle": 1, "shares": 512, "cpus": "0-1", "mems": "0"}}"#;
    assert_eq!(
        text(json, &all_v1()),
        "cpu.idle=1 cpu.cfs_quota_us=50000 cpu.cfs_burst_us=10000 cpu.rt_period_us=100000 \
         cpu.rt_runtime_us=95000 cpuset.cpus=0-1 cpuset.mems=0"
    );
    let json = r#"{"cpu": {"quota": -1, "burst": 0, "idle": 0, "shares": 512}}"#;
    assert_eq!(text(json, &v2()), "cpu.idle=0 cpu.weight=59 cpu.max=max 100000 cpu.max.burst=0");
}

#[test]
fn an_update_of_the_period_keeps_the_quota() {
    let current = Current { cpu_max: Some(("5000".to_owned(), 20_000)), ..Current::default() };
    assert_eq!(updated(r#"{"cpu": {"period": 50000}}"#, &v2(), &current), "cpu.max=5000 50000");
    assert_eq!(updated(r#"{"cpu": {"quota": 9000}}"#, &v2(), &current), "cpu.max=9000 20000");
}

#[test]
fn shares_become_weights_at_the_agreed_points() {
    assert_eq!([2, 1024, 262_144].map(cpu::weight), [1, 100, 10_000]);
    assert_eq!([10, 500, 1000].map(blkio::io_weight), [1, 4950, 10_000]);
}

const BLOCK: &str = r#"{"blockIO": {"weight": 500, "weightDevice": [{"major": 8, "minor": 0,
    "weight": 100}], "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1048576}],
    "throttleWriteBpsDevice": [{"major": 8, "minor": 0, "rate": 0}],
    "throttleReadIOPSDevice": [{"major": 8, "minor": 0, "rate": 30}],
    "throttleWriteIOPSDevice": [{"major": 8, "minor": 0, "rate": 40}]}}"#;

#[test]
fn block_devices_are_weighed_and_throttled() {
    assert_eq!(
        text(BLOCK, &all_v1()),
        "blkio.weight=500|blkio.bfq.weight=500 \
         blkio.weight_device=8:0 100|blkio.bfq.weight_device=8:0 100 \
         blkio.throttle.read_bps_device=8:0 1048576 blkio.throttle.write_bps_device=8:0 0 \
         blkio.throttle.read_iops_device=8:0 30 blkio.throttle.write_iops_device=8:0 40"
    );
    assert_eq!(
        text(BLOCK, &v2()),
        "io.bfq.weight=500|io.weight=4950 io.bfq.weight=8:0 100|io.weight=8:0 910 \
         io.max=8:0 rbps=1048576 io.max=8:0 wbps=max io.max=8:0 riops=30 io.max=8:0 wiops=40"
    );
    assert!(refused(r#"{"blockIO": {"weight": 5}}"#, &v2()).contains("5 is not between"));
}

#[test]
fn huge_pages_rdma_and_network_classes() {
    let json = r#"{"hugepageLimits": [{"pageSize": "2MB", "limit": 4194304}],
        "rdma": {"mlx5_1": {"hcaHandles": 3, "hcaObjects": 10000}, "none": {}},
        "network": {"classID": 1048577, "priorities": [{"name": "lo", "priority": 5}]}}"#;
    assert_eq!(
        text(json, &all_v1()),
        "hugetlb.2MB.limit_in_bytes=4194304 hugetlb.2MB.rsvd.limit_in_bytes=4194304? \
         rdma.max=mlx5_1 hca_handle=3 hca_object=10000 net_cls.classid=1048577 \
         net_prio.ifpriomap=lo 5"
    );
    let json = r#"{"hugepageLimits": [{"pageSize": "1GB", "limit": -1}]}"#;
    assert_eq!(text(json, &v2()), "hugetlb.1GB.max=max hugetlb.1GB.rsvd.max=max?");
    for size in ["2M", "MB", "../x", "2MBB", ""] {
        let json = format!(r#"{{"hugepageLimits": [{{"pageSize": "{size}", "limit": 1}}]}}"#);
        assert!(refused(&json, &v2()).contains("page size"), "{size}");
    }
}

#[test]
fn no_limit_of_processes_is_written_only_when_it_is_said() {
    assert_eq!(text(r#"{"pids": {"limit": 0}}"#, &v2()), "");
    assert_eq!(text(r#"{"pids": {"limit": -1}}"#, &v2()), "pids.max=max");
}

#[test]
fn unified_files_are_written_by_line_and_only_on_v2() {
    let json = r#"{"unified": {"memory.high": "5", "io.max": "8:0 rbps=1\n8:16 rbps=2",
        "cgroup.max.depth": "3"}}"#;
    assert_eq!(
        text(json, &v2()),
        "cgroup.max.depth=3 io.max=8:0 rbps=1 io.max=8:16 rbps=2 memory.high=5"
    );
    let needed = settings(&resources(json), &v2(), &Current::default()).unwrap().controllers;
    let needed: Vec<&str> = needed.iter().map(|needed| needed.controller.as_str()).collect();
    assert_eq!(needed, ["io", "memory"]);
    let json = r#"{"unified": {"memory.high": "5"}}"#;
    assert!(refused(json, &all_v1()).contains("memory.high on cgroup v1"));
    let json = r#"{"unified": {"../memory.high": "5"}}"#;
    assert!(refused(json, &v2()).contains("no file's name"));
}

#[test]
fn a_limit_without_its_controller_is_an_error_that_names_it() {
    let error = refused(LIMITS, &[v1(&["cpu"])]);
    assert!(error.contains("memory controller"), "{error}");
}

#[test]
fn no_limits_need_no_controller() {
    let json = r#"{"memory": {}, "cpu": {}, "blockIO": {}, "network": {}, "hugepageLimits": []}"#;
    let settings = settings(&resources(json), &v2(), &Current::default()).unwrap();
    assert_eq!(settings, Settings::default());
}
