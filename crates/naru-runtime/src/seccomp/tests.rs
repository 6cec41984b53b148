//! The compiled filter, run by a small interpreter on made-up system calls.

use std::collections::HashMap;

use oci_spec::runtime::LinuxSeccomp;

use super::compile::Program;
use super::docker_profile;
use super::table::Machine;

const ALLOW: u32 = 0x7fff_0000;
const EPERM: u32 = 0x0005_0001;
const ENOSYS: u32 = 0x0005_0026;
const I386: u32 = 0x4000_0003;

/// What the kernel would do: `struct seccomp_data` through the program.
fn verdict(program: &Program, machine: u32, number: u32, arguments: [u64; 6]) -> u32 {
    let word = |offset: u32| match offset {
        0 => number,
        4 => machine,
        _ => {
            let place = (offset - 16) / 4;
            let argument = arguments[(place / 2) as usize];
            u32::try_from(if place.is_multiple_of(2) {
                argument & 0xffff_ffff
            } else {
                argument >> 32
            })
            .unwrap()
        }
    };
    let code = Program::from_bytes(&program.to_bytes());
    let (mut accumulator, mut next) = (0, 0_usize);
    loop {
        let step = code[next];
        next += 1;
        let jump = |holds: bool| usize::from(if holds { step.jump_true } else { step.jump_false });
        match step.code {
            0x20 => accumulator = word(step.operand),
            0x54 => accumulator &= step.operand,
            0x05 => next += step.operand as usize,
            0x15 => next += jump(accumulator == step.operand),
            0x25 => next += jump(accumulator > step.operand),
            0x35 => next += jump(accumulator >= step.operand),
            0x06 => return step.operand,
            other => panic!("unknown code {other:#x}"),
        }
    }
}

struct Filter {
    program: Program,
    machine: Machine,
    calls: HashMap<&'static str, u32>,
}

impl Filter {
    fn new(machine: Machine, seccomp: &LinuxSeccomp) -> Self {
        let program = Program::compile_for(machine, seccomp).unwrap();
        Self { program, machine, calls: machine.system_calls().collect() }
    }

    fn docker(capabilities: &[&str]) -> Self {
        Self::new(Machine::NATIVE, &docker_profile(capabilities))
    }

    fn call(&self, name: &str, arguments: &[u64]) -> u32 {
        let mut all = [0; 6];
        all[..arguments.len()].copy_from_slice(arguments);
        verdict(&self.program, self.machine.audit(), self.calls[name], all)
    }
}

fn one_rule(operator: &str, value: u64, value_two: u64) -> Filter {
    let json = serde_json::json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW", "args":
            [{"index": 2, "value": value, "valueTwo": value_two, "op": operator}]}],
    });
    Filter::new(Machine::X86_64, &serde_json::from_value(json).unwrap())
}

#[test]
fn the_default_profile_allows_ordinary_calls_and_refuses_those_of_administrators() {
    let filter = Filter::docker(&[]);
    for name in ["read", "execve", "openat", "futex", "close_range", "ptrace", "seccomp"] {
        assert_eq!(filter.call(name, &[]), ALLOW, "{name}");
    }
    let refused = [
        "mount",
        "unshare",
        "setns",
        "bpf",
        "keyctl",
        "add_key",
        "kexec_load",
        "pivot_root",
        "io_uring_setup",
        "userfaultfd",
        "reboot",
        "init_module",
        "open_by_handle_at",
        "swapon",
        "move_pages",
        "perf_event_open",
        "chroot",
        "acct",
    ];
    for name in refused {
        assert_eq!(filter.call(name, &[]), EPERM, "{name}");
    }
}

#[test]
fn a_capability_brings_its_calls() {
    let filter = Filter::docker(&["CAP_SYS_ADMIN", "CAP_SYS_CHROOT"]);
    for name in ["mount", "unshare", "setns", "chroot", "clone3"] {
        assert_eq!(filter.call(name, &[]), ALLOW, "{name}");
    }
    assert_eq!(filter.call("clone", &[0x1000_0000]), ALLOW);
}

#[test]
fn clone_makes_processes_and_threads_but_no_namespaces() {
    let filter = Filter::docker(&[]);
    assert_eq!(filter.call("clone", &[0x3d_0f00]), ALLOW);
    for flag in [0x2_0000_u64, 0x200_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000] {
        assert_eq!(filter.call("clone", &[flag | 17]), EPERM, "{flag:#x}");
    }
    assert_eq!(filter.call("clone3", &[]), ENOSYS);
}

#[test]
fn socket_families_are_compared_as_the_32_bits_that_the_kernel_takes() {
    let filter = Filter::docker(&[]);
    for family in [1, 2, 10, 16, 17, 37, 39, 41] {
        assert_eq!(filter.call("socket", &[family]), ALLOW, "{family}");
    }
    for family in [38, 40, 0x1_0000_0028, 0xffff_ffff_0000_0028, 0x1_0000_0026] {
        assert_eq!(filter.call("socket", &[family]), EPERM, "{family:#x}");
    }
    assert_eq!(filter.call("personality", &[0xffff_ffff]), ALLOW);
    assert_eq!(filter.call("personality", &[u64::MAX]), ALLOW);
    assert_eq!(filter.call("personality", &[0x4_0000]), EPERM);
}

#[test]
fn other_architectures_and_unknown_calls_do_not_exist() {
    let filter = Filter::docker(&[]);
    assert_eq!(verdict(&filter.program, I386, 3, [0; 6]), ENOSYS);
    assert_eq!(verdict(&filter.program, filter.machine.audit(), 5000, [0; 6]), ENOSYS);
    if filter.machine == Machine::X86_64 {
        assert_eq!(verdict(&filter.program, filter.machine.audit(), 0x4000_0000, [0; 6]), ENOSYS);
    }
}

#[test]
fn the_default_profile_fits_both_machines() {
    for machine in [Machine::X86_64, Machine::Aarch64] {
        let json = serde_json::to_value(docker_profile(&[])).unwrap();
        let mut seccomp: LinuxSeccomp = serde_json::from_value(json).unwrap();
        seccomp.set_architectures(None);
        let filter = Filter::new(machine, &seccomp);
        assert_eq!(filter.call("read", &[]), ALLOW);
        assert_eq!(filter.call("mount", &[]), EPERM);
        assert_eq!(filter.call("socket", &[40]), EPERM);
    }
}

#[test]
fn every_comparison_looks_at_all_64_bits() {
    let big = 0x5_0000_0005_u64;
    let around = [0, 4, 5, 6, 0x4_ffff_ffff, big - 1, big, big + 1, 0x6_0000_0000, u64::MAX];
    type Comparison = fn(u64, u64) -> bool;
    let operators: [(&str, Comparison); 6] = [
        ("SCMP_CMP_NE", |a, b| a != b),
        ("SCMP_CMP_LT", |a, b| a < b),
        ("SCMP_CMP_LE", |a, b| a <= b),
        ("SCMP_CMP_EQ", |a, b| a == b),
        ("SCMP_CMP_GE", |a, b| a >= b),
        ("SCMP_CMP_GT", |a, b| a > b),
    ];
    for (name, holds) in operators {
        let filter = one_rule(name, big, 0);
        for value in around {
            let expected = if holds(value, big) { ALLOW } else { EPERM };
            assert_eq!(filter.call("read", &[0, 0, value]), expected, "{value:#x} {name}");
        }
    }
}

#[test]
fn a_masked_comparison_looks_at_the_masked_bits() {
    let filter = one_rule("SCMP_CMP_MASKED_EQ", 0xf_0000_000f, 0x3_0000_0001);
    for (value, expected) in [
        (0x3_0000_0001, ALLOW),
        (0x13_0000_0011, ALLOW),
        (0x3_0000_0000, EPERM),
        (0x2_0000_0001, EPERM),
    ] {
        assert_eq!(filter.call("read", &[0, 0, value]), expected, "{value:#x}");
    }
}

#[test]
fn notifications_need_a_listener_that_can_be_reached() {
    let rule = |names: &str| {
        format!(r#""syscalls": [{{"names": ["{names}"], "action": "SCMP_ACT_NOTIFY"}}]"#)
    };
    let allow = r#""defaultAction": "SCMP_ACT_ALLOW""#;
    let path = r#""listenerPath": "/agent.sock""#;
    let cases = [
        (
            r#""defaultAction": "SCMP_ACT_NOTIFY""#.to_owned(),
            "`linux.seccomp.defaultAction` is not",
        ),
        (format!("{allow}, {}", rule("mkdir")), "needs the absolute path of a socket"),
        (format!("{allow}, {path}, {}", rule("sendmsg")), "sendmsg, by which the listener"),
        (format!("{allow}, \"listenerMetadata\": \"x\""), "there is no listenerPath"),
    ];
    for (json, expected) in cases {
        let seccomp = serde_json::from_str(&format!("{{{json}}}")).unwrap();
        let error = Program::compile(&seccomp).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let json = format!("{{{allow}, {path}, {}}}", rule("mkdir"));
    let filter = Filter::new(Machine::X86_64, &serde_json::from_str(&json).unwrap());
    assert_eq!(filter.call("mkdir", &[]), 0x7fc0_0000);
    assert_eq!(filter.call("sendmsg", &[]), ALLOW);
}

#[test]
fn every_action_has_the_kernels_value() {
    let actions = [
        ("KILL", 0),
        ("KILL_THREAD", 0),
        ("KILL_PROCESS", 0x8000_0000),
        ("TRAP", 0x0003_0000),
        ("ERRNO", 0x0005_0001),
        ("TRACE", 0x7ff0_0001),
        ("LOG", 0x7ffc_0000),
        ("ALLOW", ALLOW),
    ];
    for (name, expected) in actions {
        let json = serde_json::json!({"defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["read"], "action": format!("SCMP_ACT_{name}")}]});
        let filter = Filter::new(Machine::X86_64, &serde_json::from_value(json).unwrap());
        assert_eq!(filter.call("read", &[]), expected, "{name}");
    }
    let json = serde_json::json!({"defaultAction": "SCMP_ACT_TRACE", "defaultErrnoRet": 7});
    let filter = Filter::new(Machine::X86_64, &serde_json::from_value(json).unwrap());
    assert_eq!(filter.call("read", &[]), 0x7ff0_0007);
    let json = serde_json::json!({"defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": 7});
    let error = Program::compile(&serde_json::from_value(json).unwrap()).unwrap_err();
    assert!(error.to_string().ends_with("SCMP_ACT_ALLOW has no errno"), "{error}");
}

#[test]
fn conditions_on_different_arguments_hold_together_and_one_of_several_on_the_same_is_enough() {
    let filter = |second: usize| {
        let equal = |index: usize, value: u64| serde_json::json!({"index": index, "value": value, "op": "SCMP_CMP_EQ"});
        let json = serde_json::json!({
            "defaultAction": "SCMP_ACT_ERRNO",
            "syscalls": [{
                "names": ["kill"], "action": "SCMP_ACT_ALLOW",
                "args": [equal(0, 100), equal(second, 9)],
            }],
        });
        Filter::new(Machine::NATIVE, &serde_json::from_value(json).unwrap())
    };
    let (same, different) = (filter(0), filter(1));
    assert_eq!(same.call("kill", &[100, 0]), ALLOW);
    assert_eq!(same.call("kill", &[9, 0]), ALLOW);
    assert_eq!(same.call("kill", &[10, 0]), EPERM);
    assert_eq!(different.call("kill", &[100, 9]), ALLOW);
    assert_eq!(different.call("kill", &[100, 0]), EPERM);
}

#[test]
fn nobody_is_asked_about_write() {
    let json = serde_json::json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "listenerPath": "/agent",
        "syscalls": [{"names": ["read", "write"], "action": "SCMP_ACT_NOTIFY"}],
    });
    let error = Program::compile(&serde_json::from_value(json).unwrap()).unwrap_err().to_string();
    assert!(error.contains("SCMP_ACT_NOTIFY cannot be used for the write syscall"), "{error}");
}
