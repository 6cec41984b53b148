//! A12 to A14, A19, D2 and the system call filter: what the container's root may do.

use oci_spec::runtime::{Capability, UserBuilder};

use super::{add_capability, as_user_1000, attempts, canary, outcome};
use crate::bundle::{Bundle, Output, end, field};
use crate::cgroups::in_group;

crate::tests![
    no_file_of_the_control_groups_can_be_written,
    a_release_agent_is_out_of_reach,
    capabilities_that_the_runtime_could_inherit_reach_no_container,
    masks_and_read_only_paths_cannot_be_taken_away,
    a_group_that_is_shut_out_stays_shut_out,
    sockets_of_a_hypervisor_cannot_be_had_by_a_long_number,
    system_calls_of_another_architecture_are_refused,
    system_calls_that_docker_denies_are_denied,
    processes_are_limited_however_many_are_started,
    memory_is_limited_however_much_is_asked_for,
];

// A12, CVE-2023-25809
fn no_file_of_the_control_groups_can_be_written() {
    let (bundle, _group) = in_group(&["attack", "write-below", "/sys/fs/cgroup"], "{}");
    let said = bundle.check();
    let tried: usize =
        said.strip_prefix("tried ").unwrap_or_else(|| panic!("{said}")).trim().parse().unwrap();
    assert!(tried > 20, "{said}");
}

// A13, CVE-2022-0492
fn a_release_agent_is_out_of_reach() {
    let canary = canary();
    let said = Bundle::new(&["attack", "release-agent"]).check();
    for line in said.lines() {
        assert!(line.ends_with("errno 1") || line.ends_with("written: false"), "{said}");
    }
    assert!(said.lines().count() >= 3, "{said}");
    canary.end(&[&said]);
}

// A14, CVE-2022-24769, CVE-2022-27649, CVE-2022-29162
fn capabilities_that_the_runtime_could_inherit_reach_no_container() {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // A caller that has inheritable capabilities itself.
            let mut own = rustix::thread::capabilities(None).unwrap();
            own.inheritable = own.permitted;
            rustix::thread::set_capabilities(None, own).unwrap();
            let bundle = Bundle::new(&["forever"]);
            let container = bundle.start(&Output::new()).unwrap();
            let mut other = bundle.further(&["attack", "caps"]);
            other.set_user(UserBuilder::default().uid(1000_u32).gid(1000_u32).build().unwrap());
            for process in [bundle.further(&["attack", "caps"]), other] {
                let output = Output::new();
                bundle.exec(&container, &process, &output).unwrap().wait().unwrap();
                nothing_inherited(&output.read());
            }
            end(&container);
            let mut user = Bundle::new(&["attack", "caps"]);
            nothing_inherited(&user.check());
            as_user_1000(&mut user);
            nothing_inherited(&user.check());
        });
    });
}

fn nothing_inherited(said: &str) {
    assert_eq!(field(said, "CapInh"), "0000000000000000", "{said}");
    assert_eq!(field(said, "CapAmb"), "0000000000000000", "{said}");
}

// A19
fn masks_and_read_only_paths_cannot_be_taken_away() {
    let said = Bundle::new(&["attack", "undo"]).check();
    assert!(said.lines().count() > 15, "{said}");
    for line in said.lines() {
        assert!(line.ends_with("errno 1"), "{line}");
    }
}

// D2, CVE-2022-2989, CVE-2022-36109, CVE-2023-25173
fn a_group_that_is_shut_out_stays_shut_out() {
    let mut bundle = Bundle::new(&["id", "+", "cat", "/shut"]);
    let file = bundle.root.join("shut");
    fs_err::write(&file, "for everybody but group 1000").unwrap();
    std::os::unix::fs::chown(&file, Some(0), Some(1000)).unwrap();
    fs_err::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o705)).unwrap();
    as_user_1000(&mut bundle);
    assert_eq!(bundle.check(), "1000:1000 [] 0022\n\nerrno 13\n");
    bundle.process(|process| {
        let user =
            UserBuilder::default().uid(1000_u32).gid(5_u32).additional_gids(vec![5_u32, 1000]);
        process.set_user(user.build().unwrap());
    });
    assert_eq!(bundle.check(), "1000:5 [5 1000] 0022\n\nerrno 13\n");
}

fn sockets_of_a_hypervisor_cannot_be_had_by_a_long_number() {
    for family in ["40", "38", "0x100000028", "0x100000026", "0xffffffff00000028"] {
        let said = Bundle::new(&["attack", "sys", "41", family, "1", "0"]).check();
        assert_eq!(said, "errno 1\n", "{family}");
    }
    assert!(Bundle::new(&["attack", "sys", "41", "2", "1", "0"]).check().starts_with("returned"));
}

fn system_calls_of_another_architecture_are_refused() {
    let said = Bundle::new(&["attack", "sock32", "40"]).check();
    assert_eq!(said, "getpid errno 38\nsocket errno 38\nsocketcall errno 38\n");
    // x32: socket(2) with the bit of that ABI.
    let said = Bundle::new(&["attack", "sys", "1073741865", "2", "1", "0"]).check();
    assert_eq!(said, "errno 38\n");
}

/// Numbers on x86-64 that Docker's profile refuses to a container with the default capabilities.
const DENIED: [(i64, &str); 45] = [
    (134, "uselib"),
    (136, "ustat"),
    (139, "sysfs"),
    (155, "pivot_root"),
    (156, "_sysctl"),
    (159, "adjtimex"),
    (163, "acct"),
    (164, "settimeofday"),
    (165, "mount"),
    (166, "umount2"),
    (167, "swapon"),
    (168, "swapoff"),
    (169, "reboot"),
    (172, "iopl"),
    (173, "ioperm"),
    (174, "create_module"),
    (175, "init_module"),
    (176, "delete_module"),
    (177, "get_kernel_syms"),
    (178, "query_module"),
    (179, "quotactl"),
    (180, "nfsservctl"),
    (212, "lookup_dcookie"),
    (227, "clock_settime"),
    (237, "mbind"),
    (238, "set_mempolicy"),
    (239, "get_mempolicy"),
    (246, "kexec_load"),
    (248, "add_key"),
    (249, "request_key"),
    (250, "keyctl"),
    (256, "migrate_pages"),
    (279, "move_pages"),
    (298, "perf_event_open"),
    (304, "open_by_handle_at"),
    (308, "setns"),
    (313, "finit_module"),
    (320, "kexec_file_load"),
    (321, "bpf"),
    (323, "userfaultfd"),
    (425, "io_uring_setup"),
    (426, "io_uring_enter"),
    (427, "io_uring_register"),
    (428, "open_tree"),
    (442, "mount_setattr"),
];

fn system_calls_that_docker_denies_are_denied() {
    if cfg!(not(target_arch = "x86_64")) {
        return;
    }
    let said = Bundle::new(&["attack", "sweep", "470"]).check();
    let answer = |number: i64| {
        let line = said.lines().find_map(|line| line.strip_prefix(&format!("{number} ")));
        line.unwrap_or_else(|| panic!("{number} was not tried: {said}"))
    };
    for (number, name) in DENIED {
        // adjtimex reads the clock for everybody; without CAP_SYS_TIME it changes nothing.
        if name != "adjtimex" {
            assert!(
                ["errno 1", "errno 38"].contains(&answer(number)),
                "{name}: {}",
                answer(number)
            );
        }
    }
    assert_eq!(answer(435), "errno 38", "clone3, so that C libraries fall back to clone");
    assert_eq!(answer(470), "errno 38", "newer than the table");
    assert!(answer(39).starts_with("returned"), "getpid");
}

fn processes_are_limited_however_many_are_started() {
    let (bundle, _group) = in_group(&["attack", "forkbomb", "200"], r#"{"pids": {"limit": 32}}"#);
    let said = bundle.check();
    let started: usize = said.split(' ').nth(1).unwrap().parse().unwrap();
    assert!(started < 32, "{said}");
}

fn memory_is_limited_however_much_is_asked_for() {
    let limit = r#"{"memory": {"limit": 67108864, "swap": 67108864}}"#;
    let (mut bundle, group) = in_group(&["attack", "hog", "256"], limit);
    add_capability(&mut bundle, Capability::SysResource);
    for _ in 0..attempts().min(5) {
        assert_eq!(outcome(&bundle), "");
    }
    assert!(group.0.oom_kills().unwrap() >= 1);
}
