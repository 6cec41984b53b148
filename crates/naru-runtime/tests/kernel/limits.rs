//! Every limit of the specification in the kernel's files, when the group is made and when it is changed.

use naru_runtime::{Cgroup, Hierarchies};
use oci_spec::runtime::LinuxResources;

use crate::bundle::{Output, chain, end};
use crate::cgroups::{Group, in_group};

crate::tests![
    limits_of_memory_are_in_their_files,
    limits_of_processors_are_in_their_files,
    limits_of_processes_are_in_their_files,
    limits_of_huge_pages_are_in_their_files,
    an_update_changes_what_it_names_and_nothing_else,
    memory_and_swap_go_up_and_down_together,
    a_quota_and_its_burst_go_up_and_down_together,
    memory_below_what_is_in_use_is_refused_when_asked,
    an_update_of_the_devices_replaces_the_earlier_rules,
    a_limit_for_a_controller_that_the_host_lacks_is_an_error,
    unified_files_are_set,
    a_device_is_throttled,
];

pub(crate) fn resources(json: &str) -> LinuxResources {
    serde_json::from_str(json).unwrap()
}

pub(crate) fn is_v1(controller: &str) -> bool {
    let group = Cgroup::new("/naru-none").unwrap();
    group.directories().iter().any(|(name, _)| name == controller)
}

/// Whether cgroup v2 is all there is, or offers this controller beside v1.
fn is_v2(controller: &str) -> bool {
    let group = Cgroup::new("/naru-none").unwrap();
    let unified = group.directories().into_iter().find(|(name, _)| name.is_empty());
    let root = unified.map(|(_, path)| path.parent().unwrap().to_owned());
    root.is_some_and(|root| {
        let offered = fs_err::read_to_string(root.join("cgroup.controllers")).unwrap();
        offered.split_whitespace().any(|name| name == controller)
    })
}

/// The text of a file of the group, in the v1 hierarchy that has it or in v2.
pub(crate) fn file(group: &Group, name: &str) -> Option<String> {
    let directories = group.0.directories();
    let texts =
        directories.iter().filter_map(|(_, path)| fs_err::read_to_string(path.join(name)).ok());
    texts.map(|text| text.trim().to_owned()).next()
}

fn expect(group: &Group, v1: &[(&str, &str)], v2: &[(&str, &str)], controller: &str) {
    let files = if is_v1(controller) { v1 } else { v2 };
    for (name, value) in files {
        assert_eq!(file(group, name).as_deref(), Some(*value), "{name}");
    }
}

fn limited(json: &str) -> Group {
    let group = Group::new();
    group.0.create(&resources(json)).unwrap_or_else(|error| panic!("{}", chain(&error)));
    group
}

fn limits_of_memory_are_in_their_files() {
    let group =
        limited(r#"{"memory": {"limit": 67108864, "swap": 100663296, "reservation": 33554432}}"#);
    expect(
        &group,
        &[
            ("memory.limit_in_bytes", "67108864"),
            ("memory.memsw.limit_in_bytes", "100663296"),
            ("memory.soft_limit_in_bytes", "33554432"),
        ],
        &[("memory.max", "67108864"), ("memory.swap.max", "33554432"), ("memory.low", "33554432")],
        "memory",
    );
    if is_v1("memory") {
        let group = limited(
            r#"{"memory": {"swappiness": 7, "disableOOMKiller": true, "useHierarchy": true}}"#,
        );
        assert_eq!(file(&group, "memory.swappiness").unwrap(), "7");
        assert!(file(&group, "memory.oom_control").unwrap().contains("oom_kill_disable 1"));
    }
}

fn limits_of_processors_are_in_their_files() {
    let group = limited(
        r#"{"cpu": {"shares": 512, "quota": 50000, "period": 200000, "burst": 20000,
            "cpus": "0", "mems": "0"}}"#,
    );
    expect(
        &group,
        &[
            ("cpu.shares", "512"),
            ("cpu.cfs_quota_us", "50000"),
            ("cpu.cfs_period_us", "200000"),
            ("cpu.cfs_burst_us", "20000"),
        ],
        &[("cpu.weight", "59"), ("cpu.max", "50000 200000"), ("cpu.max.burst", "20000")],
        "cpu",
    );
    expect(
        &group,
        &[("cpuset.cpus", "0"), ("cpuset.mems", "0")],
        &[("cpuset.cpus", "0"), ("cpuset.mems", "0")],
        "cpuset",
    );
    let group = limited(r#"{"cpu": {"idle": 1, "shares": 512}}"#);
    assert_eq!(file(&group, "cpu.idle").unwrap(), "1");
    group.0.update(&resources(r#"{"cpu": {"idle": 0, "shares": 512}}"#)).unwrap();
    expect(&group, &[("cpu.shares", "512")], &[("cpu.weight", "59")], "cpu");
}

fn limits_of_processes_are_in_their_files() {
    assert_eq!(file(&limited(r#"{"pids": {"limit": 77}}"#), "pids.max").unwrap(), "77");
    assert_eq!(file(&limited(r#"{"pids": {"limit": -1}}"#), "pids.max").unwrap(), "max");
}

fn limits_of_huge_pages_are_in_their_files() {
    let json = r#"{"hugepageLimits": [{"pageSize": "2MB", "limit": 4194304}]}"#;
    if !is_v1("hugetlb") && !is_v2("hugetlb") {
        let error = Group::new().0.create(&resources(json)).unwrap_err();
        assert!(error.to_string().contains("hugetlb controller"), "{error}");
        return;
    }
    expect(
        &limited(json),
        &[
            ("hugetlb.2MB.limit_in_bytes", "4194304"),
            ("hugetlb.2MB.rsvd.limit_in_bytes", "4194304"),
        ],
        &[("hugetlb.2MB.max", "4194304"), ("hugetlb.2MB.rsvd.max", "4194304")],
        "hugetlb",
    );
}

fn an_update_changes_what_it_names_and_nothing_else() {
    let (bundle, group) = in_group(
        &["forever"],
        r#"{"memory": {"limit": 67108864}, "pids": {"limit": 77},
            "cpu": {"quota": 50000, "period": 100000, "shares": 512}}"#,
    );
    let container = bundle.start(&Output::new()).unwrap();
    group.0.update(&resources(r#"{"cpu": {"period": 200000}, "pids": {"limit": 99}}"#)).unwrap();
    expect(
        &group,
        &[("cpu.cfs_quota_us", "50000"), ("cpu.cfs_period_us", "200000"), ("cpu.shares", "512")],
        &[("cpu.max", "50000 200000"), ("cpu.weight", "59")],
        "cpu",
    );
    expect(
        &group,
        &[("memory.limit_in_bytes", "67108864")],
        &[("memory.max", "67108864")],
        "memory",
    );
    assert_eq!(file(&group, "pids.max").unwrap(), "99");
    group.0.update(&resources(r#"{"cpu": {"quota": -1}, "pids": {"limit": -1}}"#)).unwrap();
    expect(&group, &[("cpu.cfs_quota_us", "-1")], &[("cpu.max", "max 200000")], "cpu");
    assert_eq!(file(&group, "pids.max").unwrap(), "max");
    end(&container);
}

fn memory_and_swap_go_up_and_down_together() {
    let group = limited(r#"{"memory": {"limit": 67108864, "swap": 67108864}}"#);
    for (limit, swap, alone) in [
        (134_217_728, 268_435_456, "134217728"),
        (33_554_432, 50_331_648, "16777216"),
        (67_108_864, 67_108_864, "0"),
    ] {
        let json = format!(r#"{{"memory": {{"limit": {limit}, "swap": {swap}}}}}"#);
        group.0.update(&resources(&json)).unwrap_or_else(|error| panic!("{}", chain(&error)));
        let (limit, swap) = (limit.to_string(), swap.to_string());
        expect(
            &group,
            &[("memory.limit_in_bytes", &limit), ("memory.memsw.limit_in_bytes", &swap)],
            &[("memory.max", &limit), ("memory.swap.max", alone)],
            "memory",
        );
    }
    group.0.update(&resources(r#"{"memory": {"swap": 100663296}}"#)).unwrap();
    expect(
        &group,
        &[("memory.memsw.limit_in_bytes", "100663296")],
        &[("memory.swap.max", "33554432")],
        "memory",
    );
    group.0.update(&resources(r#"{"memory": {"limit": -1}}"#)).unwrap();
    let no_limit = file(&group, "memory.limit_in_bytes").or(file(&group, "memory.max")).unwrap();
    assert!(no_limit == "max" || no_limit.len() > 15, "{no_limit}");
}

fn a_quota_and_its_burst_go_up_and_down_together() {
    let group = limited(r#"{"cpu": {"quota": 50000, "burst": 50000}}"#);
    group.0.update(&resources(r#"{"cpu": {"quota": 90000, "burst": 80000}}"#)).unwrap();
    group.0.update(&resources(r#"{"cpu": {"quota": 20000, "burst": 10000}}"#)).unwrap();
    expect(
        &group,
        &[("cpu.cfs_quota_us", "20000"), ("cpu.cfs_burst_us", "10000")],
        &[("cpu.max", "20000 100000"), ("cpu.max.burst", "10000")],
        "cpu",
    );
    let error = group.0.update(&resources(r#"{"cpu": {"burst": 30000}}"#)).unwrap_err();
    assert_eq!(error.errno(), Some(22), "{error}");
}

fn memory_below_what_is_in_use_is_refused_when_asked() {
    let (bundle, group) = in_group(&["allocate", "40", "+", "forever"], "{}");
    let container = bundle.start(&Output::new()).unwrap();
    let used = || group.0.stats().unwrap().memory.unwrap().memory.usage;
    while used() < 40 << 20 {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let json = r#"{"memory": {"limit": 8388608, "checkBeforeUpdate": true}}"#;
    let error = chain(&group.0.update(&resources(json)).unwrap_err());
    assert!(error.contains("in use") && error.contains("8388608"), "{error}");
    end(&container);
}

fn an_update_of_the_devices_replaces_the_earlier_rules() {
    let rule = |minor: u32| {
        format!(r#"{{"allow": true, "type": "c", "major": 1, "minor": {minor}, "access": "rw"}}"#)
    };
    let deny = r#"{"allow": false, "access": "rwm"}"#;
    let (bundle, group) = in_group(&["forever"], "{}");
    let container = bundle.start(&Output::new()).unwrap();
    let rules =
        |rules: &[String]| resources(&format!(r#"{{"devices": [{deny},{}]}}"#, rules.join(",")));
    let seen = || {
        let arguments = ["write", "/dev/null", "x", "+", "write", "/dev/full", "x"];
        let output = Output::new();
        let process = bundle.exec(&container, &bundle.further(&arguments), &output);
        process.unwrap_or_else(|error| panic!("{}", chain(&error))).wait().unwrap();
        output.read()
    };
    // /dev/null is 1:3; /dev/full, 1:7, answers that it is full when it may be written to.
    group.0.update(&rules(&[rule(3)])).unwrap();
    assert_eq!(seen(), "ok\n\nerrno 1\n");
    group.0.update(&rules(&[rule(3), rule(7)])).unwrap();
    assert_eq!(seen(), "ok\n\nerrno 28\n");
    group.0.update(&rules(&[rule(3)])).unwrap();
    group.0.update(&rules(&[rule(3)])).unwrap();
    assert_eq!(seen(), "ok\n\nerrno 1\n");
    end(&container);
}

fn a_limit_for_a_controller_that_the_host_lacks_is_an_error() {
    let unified = Hierarchies::detect().unwrap().is_unified();
    let (json, field) = if unified {
        (r#"{"network": {"classID": 5}}"#, "linux.resources.network.classID")
    } else {
        (r#"{"unified": {"memory.high": "1"}}"#, "linux.resources.unified")
    };
    let error = Group::new().0.create(&resources(json)).unwrap_err();
    assert!(error.to_string().contains(field), "{error}");
    let missing = r#"{"unified": {"nothing.max": "1"}}"#;
    let error = Group::new().0.create(&resources(missing)).unwrap_err();
    assert!(error.to_string().contains("no nothing controller"), "{error}");
}

fn unified_files_are_set() {
    let group = limited(r#"{"unified": {"cgroup.max.descendants": "7"}}"#);
    assert_eq!(file(&group, "cgroup.max.descendants").unwrap(), "7");
    if Hierarchies::detect().unwrap().is_unified() {
        let group = limited(
            r#"{"unified": {"memory.high": "33554432", "memory.oom.group": "1",
                "cpu.weight.nice": "5", "pids.max": "9"}}"#,
        );
        for (name, value) in
            [("memory.high", "33554432"), ("memory.oom.group", "1"), ("pids.max", "9")]
        {
            assert_eq!(file(&group, name).unwrap(), value, "{name}");
        }
    }
}

/// The first disk of the host.
fn disk() -> Option<(u32, u32)> {
    let text = fs_err::read_to_string("/proc/partitions").unwrap();
    text.lines().skip(2).find_map(|line| {
        let mut words = line.split_whitespace();
        let (major, minor) = (words.next()?, words.next()?);
        let name = words.nth(1)?;
        // A disk, not a part of one.
        fs_err::metadata(format!("/sys/block/{name}")).ok()?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    })
}

fn a_device_is_throttled() {
    let Some((major, minor)) = disk() else {
        panic!("the host has no block device");
    };
    let device = |rate: u64| format!(r#"[{{"major": {major}, "minor": {minor}, "rate": {rate}}}]"#);
    let group = limited(&format!(
        r#"{{"blockIO": {{"throttleReadBpsDevice": {}, "throttleWriteIOPSDevice": {}}}}}"#,
        device(1_048_576),
        device(40)
    ));
    expect(
        &group,
        &[
            ("blkio.throttle.read_bps_device", &format!("{major}:{minor} 1048576")),
            ("blkio.throttle.write_iops_device", &format!("{major}:{minor} 40")),
        ],
        &[("io.max", &format!("{major}:{minor} rbps=1048576 wbps=max riops=max wiops=40"))],
        "blkio",
    );
}
