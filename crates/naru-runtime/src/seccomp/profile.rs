//! Docker's default profile: the table in `data/seccomp-default` as the OCI form.

use oci_spec::runtime::{
    Arch, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompArgBuilder,
    LinuxSeccompBuilder, LinuxSeccompOperator, LinuxSyscall, LinuxSyscallBuilder,
};

const TABLE: &str = include_str!("../../data/seccomp-default");

/// Flags of clone(2) that make namespaces.
const NAMESPACE_FLAGS: u64 = 0x7e02_0000;
const ENOSYS: u32 = 38;
const EPERM: u32 = 1;
/// Values of personality(2) that change nothing that matters, and the query.
const PERSONALITIES: [u64; 5] = [0x0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];
/// Address families that are refused: kernel crypto, and the hypervisor's sockets.
const AF_ALG: u64 = 38;
const AF_VSOCK: u64 = 40;

/// Docker's default profile for a container that has `capabilities` (`CAP_SYS_ADMIN`, …).
///
/// Only the native architecture is listed: programs of other ones get `ENOSYS`.
#[must_use]
pub fn docker_profile(capabilities: &[&str]) -> LinuxSeccomp {
    let has = |name: &str| capabilities.contains(&name);
    let mut syscalls = Vec::new();
    for line in TABLE.lines().filter(|line| !line.starts_with('#')) {
        let Some((condition, names)) = line.split_once(':') else { continue };
        let applies = match condition {
            "allow" => true,
            "x86_64" => cfg!(target_arch = "x86_64"),
            "aarch64" => cfg!(target_arch = "aarch64"),
            capability => has(capability),
        };
        if applies {
            syscalls.push(rule(names.split_whitespace(), &[], LinuxSeccompAction::ScmpActAllow));
        }
    }
    for value in PERSONALITIES {
        let same = argument(0, value, None, LinuxSeccompOperator::ScmpCmpEq);
        syscalls.push(allow("personality", &[same]));
    }
    let families = [
        (AF_ALG, LinuxSeccompOperator::ScmpCmpLt),
        (AF_ALG + 1, LinuxSeccompOperator::ScmpCmpEq),
        (AF_VSOCK, LinuxSeccompOperator::ScmpCmpGt),
    ];
    for (family, operator) in families {
        syscalls.push(allow("socket", &[argument(0, family, None, operator)]));
    }
    if !has("CAP_SYS_ADMIN") {
        let operator = LinuxSeccompOperator::ScmpCmpMaskedEq;
        syscalls.push(allow("clone", &[argument(0, NAMESPACE_FLAGS, Some(0), operator)]));
        let mut clone3 = rule(["clone3"].into_iter(), &[], LinuxSeccompAction::ScmpActErrno);
        clone3.set_errno_ret(Some(ENOSYS));
        syscalls.push(clone3);
    }
    let native =
        if cfg!(target_arch = "x86_64") { Arch::ScmpArchX86_64 } else { Arch::ScmpArchAarch64 };
    LinuxSeccompBuilder::default()
        .default_action(LinuxSeccompAction::ScmpActErrno)
        .default_errno_ret(EPERM)
        .architectures(vec![native])
        .syscalls(syscalls)
        .build()
        .expect("every field has a default")
}

fn allow(name: &str, arguments: &[LinuxSeccompArg]) -> LinuxSyscall {
    rule([name].into_iter(), arguments, LinuxSeccompAction::ScmpActAllow)
}

fn rule<'a>(
    names: impl Iterator<Item = &'a str>,
    arguments: &[LinuxSeccompArg],
    action: LinuxSeccompAction,
) -> LinuxSyscall {
    let names: Vec<String> = names.map(str::to_owned).collect();
    let builder = LinuxSyscallBuilder::default().names(names).action(action);
    let builder = if arguments.is_empty() { builder } else { builder.args(arguments.to_vec()) };
    builder.build().expect("names and action are set")
}

fn argument(
    index: usize,
    value: u64,
    value_two: Option<u64>,
    operator: LinuxSeccompOperator,
) -> LinuxSeccompArg {
    let builder = LinuxSeccompArgBuilder::default().index(index).value(value).op(operator);
    let builder = match value_two {
        Some(value) => builder.value_two(value),
        None => builder,
    };
    builder.build().expect("index, value and operator are set")
}
