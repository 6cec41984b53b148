//! What groups use, freezing them, and the kernel's word that memory ran out.

use std::time::{Duration, Instant};

use naru_runtime::{Cgroup, ExitStatus, Freezer, Hierarchies};
use oci_spec::runtime::LinuxResources;
use rustix::event::{PollFd, PollFlags, Timespec};

use crate::bundle::{Output, end};
use crate::cgroups::{Group, in_group};
use crate::limits::{is_v1, resources};

crate::tests![
    what_a_container_uses_is_counted,
    pressure_is_told_where_the_kernel_measures_it,
    a_group_that_is_gone_has_no_statistics,
    frozen_processes_do_not_run_until_they_are_thawed,
    frozen_processes_are_killed,
    all_processes_are_killed_without_the_kernels_help,
    a_watch_tells_that_memory_ran_out,
    a_relative_path_and_none_are_below_the_root,
];

fn what_a_container_uses_is_counted() {
    let limits = r#"{"memory": {"limit": 134217728}, "pids": {"limit": 77}}"#;
    let (bundle, group) = in_group(&["allocate", "32", "+", "forever"], limits);
    let container = bundle.start(&Output::new()).unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    let stats = loop {
        let stats = group.0.stats().unwrap();
        let used = stats.memory.as_ref().map_or(0, |memory| memory.memory.usage);
        if used >= 32 << 20 || Instant::now() > deadline {
            break stats;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let memory = stats.memory.unwrap();
    assert!(memory.memory.usage >= 32 << 20, "{memory:?}");
    assert_eq!(memory.memory.limit, Some(134_217_728));
    assert!(memory.details.len() > 10, "{memory:?}");
    assert_eq!(memory.oom_kills, 0);
    let pids = stats.pids.unwrap();
    assert_eq!((pids.current, pids.limit), (1, Some(77)));
    let cpu = stats.cpu.unwrap();
    assert!(cpu.usage > Duration::ZERO && cpu.usage < Duration::from_secs(600), "{cpu:?}");
    assert!(cpu.user + cpu.system <= cpu.usage + Duration::from_millis(50), "{cpu:?}");
    assert_eq!(cpu.per_cpu.is_empty(), !is_v1("cpuacct"));
    assert!(!stats.cpuset.unwrap().cpus.is_empty());
    assert!(stats.io.is_some());
    end(&container);
}

fn pressure_is_told_where_the_kernel_measures_it() {
    let (bundle, group) = in_group(&["forever"], "{}");
    let container = bundle.start(&Output::new()).unwrap();
    let pressure = group.0.stats().unwrap().pressure;
    let directories = group.0.directories();
    let (_, unified) = directories.iter().find(|(name, _)| name.is_empty()).unwrap();
    assert_eq!(
        pressure.cpu.is_some(),
        fs_err::read_to_string(unified.join("cpu.pressure")).is_ok()
    );
    assert_eq!(pressure.io.is_some(), fs_err::read_to_string(unified.join("io.pressure")).is_ok());
    end(&container);
}

fn a_group_that_is_gone_has_no_statistics() {
    let group = Group::new();
    let stats = group.0.stats().unwrap();
    assert!(stats.memory.is_none() && stats.pids.is_none(), "{stats:?}");
    assert!(!group.0.exists());
    group.0.create(&LinuxResources::default()).unwrap();
    assert!(group.0.exists());
}

/// Runs something that counts, and tells whether it goes on counting.
fn frozen_processes_do_not_run_until_they_are_thawed() {
    let (bundle, group) = in_group(&["spin"], "{}");
    let container = bundle.start(&Output::new()).unwrap();
    let used = || group.0.stats().unwrap().cpu.unwrap().usage;
    assert_eq!(group.0.freezer().unwrap(), Freezer::Thawed);
    group.0.freeze().unwrap();
    assert_eq!(group.0.freezer().unwrap(), Freezer::Frozen);
    let before = used();
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(used(), before);
    group.0.thaw().unwrap();
    assert_eq!(group.0.freezer().unwrap(), Freezer::Thawed);
    let deadline = Instant::now() + Duration::from_secs(20);
    while used() == before {
        assert!(Instant::now() < deadline, "it does not run on");
        std::thread::sleep(Duration::from_millis(5));
    }
    end(&container);
}

fn frozen_processes_are_killed() {
    let (bundle, group) = in_group(&["forever"], "{}");
    let container = bundle.start(&Output::new()).unwrap();
    group.0.freeze().unwrap();
    group.0.kill_all().unwrap();
    assert_eq!(container.wait().unwrap(), ExitStatus::Signaled(9));
}

fn all_processes_are_killed_without_the_kernels_help() {
    let (bundle, group) = in_group(&["forever"], "{}");
    let container = bundle.start(&Output::new()).unwrap();
    let further: Vec<_> = (0..3)
        .map(|_| bundle.exec(&container, &bundle.further(&["forever"]), &Output::new()).unwrap())
        .collect();
    group.0.kill_in_rounds().unwrap();
    for process in further.iter().chain([&container]) {
        assert_eq!(process.wait().unwrap(), ExitStatus::Signaled(9));
    }
    assert_eq!(group.0.freezer().unwrap(), Freezer::Thawed);
}

fn a_watch_tells_that_memory_ran_out() {
    let limits = r#"{"memory": {"limit": 33554432, "swap": 33554432}}"#;
    let (bundle, group) = in_group(&["allocate", "100"], limits);
    let mut watch = group.0.watch_oom().unwrap();
    assert_eq!(watch.count().unwrap(), 0);
    assert_eq!(bundle.run().status, ExitStatus::Signaled(9));
    let mut poll = [PollFd::new(&watch, PollFlags::IN)];
    let patience = Timespec { tv_sec: 20, tv_nsec: 0 };
    assert_eq!(rustix::event::poll(&mut poll, Some(&patience)).unwrap(), 1);
    assert!(watch.count().unwrap() >= 1);
    assert_eq!(watch.count().unwrap(), 0);
    let stats = group.0.stats().unwrap().memory.unwrap();
    assert!(stats.oom_kills >= 1, "{stats:?}");
    // Statistics of a group that is not limited count nothing.
    let unlimited = Group::new();
    unlimited.0.create(&resources("{}")).unwrap();
    assert_eq!(unlimited.0.oom_kills().unwrap(), 0);
}

fn a_relative_path_and_none_are_below_the_root() {
    let hierarchies = Hierarchies::detect().unwrap();
    let path = |path: Option<&str>| {
        let group = Cgroup::for_container(&hierarchies, path.map(str::as_ref), "the-id").unwrap();
        group.path().display().to_string()
    };
    assert_eq!(path(Some("/a/b")), "/a/b");
    assert_eq!(path(Some("a/b")), "/a/b");
    assert_eq!(path(Some("")), "/the-id");
    assert_eq!(path(None), "/the-id");
    let climbing = Some("../x".as_ref());
    assert!(Cgroup::for_container(&hierarchies, climbing, "the-id").is_err());
}
