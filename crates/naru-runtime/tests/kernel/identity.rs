//! Who the process is and what it may do.

use oci_spec::runtime::{Capability, PosixRlimitBuilder, PosixRlimitType, Process, UserBuilder};

use serde_json::json;

use crate::bundle::{Bundle, Output, end, field};

crate::tests![
    root_has_dockers_capabilities_and_none_is_inheritable,
    another_user_has_no_effective_capabilities,
    a_capability_can_be_ambient,
    no_new_privileges_is_set_when_asked,
    user_groups_and_umask_are_exact,
    resource_limits_are_set,
    a_limit_that_cannot_be_raised_is_a_warning,
    a_missing_working_directory_is_made,
    the_scheduler_is_set,
    the_priority_of_reads_and_writes_is_set,
    the_personality_is_set,
    a_further_process_runs_on_its_processors,
    a_profile_that_nothing_enforces_is_refused,
];

fn as_user(process: &mut Process) {
    let user = UserBuilder::default()
        .uid(1000_u32)
        .gid(1001_u32)
        .additional_gids(vec![1001_u32, 2000])
        .umask(0o027_u32)
        .build()
        .unwrap();
    process.set_user(user);
}

fn root_has_dockers_capabilities_and_none_is_inheritable() {
    let status = Bundle::new(&["status"]).check();
    for set in ["CapPrm", "CapEff", "CapBnd"] {
        assert_eq!(field(&status, set), "00000000a80425fb", "{set}");
    }
    for set in ["CapInh", "CapAmb"] {
        assert_eq!(field(&status, set), "0000000000000000", "{set}");
    }
    assert_eq!(field(&status, "Seccomp"), "2");
    // One more than there are here, where there may be one that the tests run under.
    let own = fs_err::read_to_string("/proc/self/status").unwrap();
    let filters = |status: &str| field(status, "Seccomp_filters").parse::<u32>().unwrap();
    assert_eq!(filters(&status), filters(&own) + 1);
    assert_eq!(field(&status, "NoNewPrivs"), "0");
}

fn another_user_has_no_effective_capabilities() {
    let mut bundle = Bundle::new(&["status"]);
    bundle.process(as_user);
    let status = bundle.check();
    for set in ["CapPrm", "CapEff", "CapInh", "CapAmb"] {
        assert_eq!(field(&status, set), "0000000000000000", "{set}");
    }
    assert_eq!(field(&status, "CapBnd"), "00000000a80425fb");
    assert_eq!(field(&status, "Seccomp"), "2");
}

fn a_capability_can_be_ambient() {
    let mut bundle = Bundle::new(&["status"]);
    bundle.process(|process| {
        as_user(process);
        let mut sets = process.capabilities().clone().unwrap();
        let bind = std::collections::HashSet::from([Capability::NetBindService]);
        sets.set_inheritable(Some(bind.clone()));
        sets.set_ambient(Some(bind));
        process.set_capabilities(Some(sets));
    });
    let status = bundle.check();
    assert_eq!(field(&status, "CapEff"), "0000000000000400");
    assert_eq!(field(&status, "CapAmb"), "0000000000000400");
}

fn no_new_privileges_is_set_when_asked() {
    let mut bundle = Bundle::new(&["status"]);
    bundle.process(|process| {
        as_user(process);
        process.set_no_new_privileges(Some(true));
    });
    let status = bundle.check();
    assert_eq!(field(&status, "NoNewPrivs"), "1");
    assert_eq!(field(&status, "Seccomp"), "2");
}

fn user_groups_and_umask_are_exact() {
    let mut bundle = Bundle::new(&["id"]);
    bundle.process(as_user);
    assert_eq!(bundle.check(), "1000:1001 [1001 2000] 0027\n");
    assert_eq!(Bundle::new(&["id"]).check(), "0:0 [] 0022\n");
}

fn limit(soft: u64, hard: u64) -> impl FnOnce(&mut Process) {
    move |process| {
        let limit = PosixRlimitBuilder::default()
            .typ(PosixRlimitType::RlimitNofile)
            .soft(soft)
            .hard(hard)
            .build()
            .unwrap();
        process.set_rlimits(Some(vec![limit]));
    }
}

fn resource_limits_are_set() {
    let mut bundle = Bundle::new(&["limit"]);
    bundle.process(limit(100, 200));
    assert_eq!(bundle.check(), "Rlimit { current: Some(100), maximum: Some(200) }\n");
}

fn a_limit_that_cannot_be_raised_is_a_warning() {
    let highest = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum.unwrap();
    let mut bundle = Bundle::new(&["limit"]);
    bundle.process(limit(100, highest + 1));
    let process = bundle.start(&crate::bundle::Output::new()).unwrap();
    process.wait().unwrap();
    let status = fs_err::read_to_string("/proc/self/status").unwrap();
    let may = u64::from_str_radix(field(&status, "CapEff"), 16).unwrap() & (1 << 24) != 0;
    let expected: &[&str] = if may { &[] } else { &["the hard limit of nofile cannot be raised"] };
    assert_eq!(process.warnings, expected);
}

fn a_missing_working_directory_is_made() {
    let mut bundle = Bundle::new(&["cwd", "+", "stat", "/srv/app"]);
    bundle.process(|process| {
        process.set_cwd("/srv/app".into());
    });
    assert_eq!(bundle.check(), "/srv/app\n\ndir 755 0:0 0:0\n");
}

fn the_scheduler_is_set() {
    let mut bundle = Bundle::new(&["schedule"]);
    bundle.configure(json!({"process": {"scheduler": {"policy": "SCHED_BATCH", "nice": 7}}}));
    assert_eq!(bundle.check(), "policy 3 priority 0 nice 7 io 0\n");
    let mut idle = Bundle::new(&["schedule"]);
    idle.user_namespace(300_000);
    idle.configure(json!({"process": {"scheduler": {"policy": "SCHED_RR", "priority": 3}}}));
    match idle.start(&Output::new()) {
        Ok(process) => drop(process.wait()),
        // A host without real-time bandwidth for the group says so, with this step's name.
        Err(error) => assert_eq!(error.stage(), Some(naru_runtime::Stage::Limits), "{error:?}"),
    }
}

fn the_priority_of_reads_and_writes_is_set() {
    let mut bundle = Bundle::new(&["schedule"]);
    bundle
        .configure(json!({"process": {"ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 6}}}));
    let seen = bundle.check();
    assert!(seen.ends_with(&format!(" io {}\n", 2 << 13 | 6)), "{seen}");
}

fn the_personality_is_set() {
    let mut bundle = Bundle::new(&["machine"]);
    let native = bundle.check();
    bundle.configure(json!({"linux": {"personality": {"domain": "LINUX32"}}}));
    let other = bundle.check();
    assert!(["i686\n", "armv8l\n"].contains(&other.as_str()), "{other}");
    assert_ne!(native, other);
    let mut running = Bundle::new(&["forever"]);
    running.configure(json!({"linux": {"personality": {"domain": "LINUX32"}}}));
    let container = running.start(&Output::new()).unwrap();
    let output = Output::new();
    running.exec(&container, &running.further(&["machine"]), &output).unwrap().wait().unwrap();
    assert_eq!(output.read(), other);
    end(&container);
}

fn a_further_process_runs_on_its_processors() {
    let bundle = Bundle::new(&["forever"]);
    let container = bundle.start(&Output::new()).unwrap();
    let mut process = serde_json::to_value(bundle.further(&["status"])).unwrap();
    process["execCPUAffinity"] = json!({"initial": "0-1", "final": "1"});
    let process: Process = serde_json::from_value(process).unwrap();
    let output = Output::new();
    bundle.exec(&container, &process, &output).unwrap().wait().unwrap();
    assert_eq!(field(&output.read(), "Cpus_allowed_list"), "1");
    end(&container);
}

fn a_profile_that_nothing_enforces_is_refused() {
    if std::path::Path::new("/sys/module/apparmor/parameters/enabled").exists() {
        return;
    }
    let mut bundle = Bundle::new(&["status"]);
    bundle.configure(json!({"process": {"apparmorProfile": "mine"}}));
    let text = bundle.refusal().to_string();
    assert!(
        text.ends_with("`process.apparmorProfile` is not supported: this host has no AppArmor")
    );
    bundle.configure(json!({"process": {"apparmorProfile": "unconfined"}}));
    bundle.check();
}
