//! Docker's defaults: what a container has when nobody asks for anything else.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use oci_spec::runtime::{
    Capability, Linux, LinuxBuilder, LinuxCapabilities, LinuxCapabilitiesBuilder,
    LinuxDeviceCgroup, LinuxDeviceCgroupBuilder, LinuxDeviceType, LinuxNamespaceBuilder,
    LinuxNamespaceType, LinuxResourcesBuilder, Mount, MountBuilder, Process, ProcessBuilder, Root,
    RootBuilder, Spec, SpecBuilder, UserBuilder,
};

pub use crate::seccomp::docker_profile as seccomp;

/// The 14 capabilities of a Docker container: `00000000a80425fb`.
pub const CAPABILITIES: [Capability; 14] = [
    Capability::Chown,
    Capability::DacOverride,
    Capability::Fsetid,
    Capability::Fowner,
    Capability::Mknod,
    Capability::NetRaw,
    Capability::Setgid,
    Capability::Setuid,
    Capability::Setfcap,
    Capability::Setpcap,
    Capability::NetBindService,
    Capability::SysChroot,
    Capability::Kill,
    Capability::AuditWrite,
];

/// The search path of a container whose image has none.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Paths that tell about the host or reach its hardware: the union of Docker's and podman's.
const MASKED_PATHS: [&str; 13] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    "/sys/fs/selinux",
];

/// Paths that change the host when written.
const READ_ONLY_PATHS: [&str; 5] =
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Devices that may be used: type, major, minor (none is any), access.
const DEVICES: [(LinuxDeviceType, Option<i64>, Option<i64>, &str); 10] = [
    (LinuxDeviceType::C, None, None, "m"),
    (LinuxDeviceType::B, None, None, "m"),
    (LinuxDeviceType::C, Some(1), Some(3), "rwm"),
    (LinuxDeviceType::C, Some(1), Some(5), "rwm"),
    (LinuxDeviceType::C, Some(1), Some(7), "rwm"),
    (LinuxDeviceType::C, Some(1), Some(8), "rwm"),
    (LinuxDeviceType::C, Some(1), Some(9), "rwm"),
    (LinuxDeviceType::C, Some(5), None, "rwm"),
    (LinuxDeviceType::C, Some(136), None, "rwm"),
    // Tunnels, which need CAP_NET_ADMIN besides.
    (LinuxDeviceType::C, Some(10), Some(200), "rwm"),
];

/// The specification of a Docker container that runs a shell as root on a network of its own.
///
/// The caller sets the command, environment, user, working directory, host name, mounts and limits.
#[must_use]
pub fn default_spec() -> Spec {
    SpecBuilder::default()
        .version("1.2.0")
        .hostname("localhost")
        .root(writable_root())
        .mounts(default_mounts())
        .process(default_process())
        .linux(default_linux())
        .build()
        .expect("every field has a default")
}

/// The capability sets of a process that has exactly `capabilities`: bounding, effective and
/// permitted; never inheritable or ambient.
#[must_use]
pub fn capability_sets(capabilities: &[Capability]) -> LinuxCapabilities {
    let set: HashSet<Capability> = capabilities.iter().copied().collect();
    LinuxCapabilitiesBuilder::default()
        .bounding(set.clone())
        .effective(set.clone())
        .permitted(set)
        .inheritable(HashSet::new())
        .ambient(HashSet::new())
        .build()
        .expect("every field has a default")
}

/// The mounts of every container: /proc, /dev and what is in it, /sys read-only with the control
/// groups. 64 MiB of shared memory.
#[must_use]
pub fn default_mounts() -> Vec<Mount> {
    let table: [(&str, &str, &[&str]); 7] = [
        ("/proc", "proc", &["nosuid", "noexec", "nodev"]),
        ("/dev", "tmpfs", &["nosuid", "noexec", "strictatime", "mode=755", "size=65536k"]),
        (
            "/dev/pts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        ("/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
        ("/sys/fs/cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", "ro"]),
        ("/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        ("/dev/shm", "tmpfs", &["nosuid", "noexec", "nodev", "mode=1777", "size=67108864"]),
    ];
    let mount = |(target, kind, options): (&str, &str, &[&str])| {
        let options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
        MountBuilder::default()
            .destination(target)
            .typ(kind)
            .source(kind)
            .options(options)
            .build()
            .expect("the destination is set")
    };
    table.into_iter().map(mount).collect()
}

/// The masked paths, those of this machine's processors included.
#[must_use]
pub fn masked_paths() -> Vec<String> {
    static ALL: LazyLock<Vec<String>> = LazyLock::new(|| {
        let mut paths: Vec<String> = MASKED_PATHS.iter().map(|&path| path.to_owned()).collect();
        let throttles = (0..)
            .map(|number| PathBuf::from(format!("/sys/devices/system/cpu/cpu{number}")))
            .take_while(|cpu| cpu.exists())
            .map(|cpu| cpu.join("thermal_throttle"))
            .filter(|path| path.exists());
        paths.extend(throttles.map(|path| path.to_string_lossy().into_owned()));
        paths
    });
    ALL.clone()
}

/// The path is not looked at: the root file system is given to [`create`](crate::create).
fn writable_root() -> Root {
    RootBuilder::default().path("rootfs").readonly(false).build().expect("the path is set")
}

fn default_process() -> Process {
    let environment = vec![format!("PATH={PATH}")];
    let user = UserBuilder::default().uid(0_u32).gid(0_u32).build().expect("both ids are set");
    ProcessBuilder::default()
        .args(vec!["sh".to_owned()])
        .env(environment)
        .cwd("/")
        .user(user)
        .capabilities(capability_sets(&CAPABILITIES))
        .no_new_privileges(false)
        .rlimits(Vec::new())
        .build()
        .expect("every field has a default")
}

fn default_linux() -> Linux {
    let kinds = [
        LinuxNamespaceType::Mount,
        LinuxNamespaceType::Network,
        LinuxNamespaceType::Uts,
        LinuxNamespaceType::Pid,
        LinuxNamespaceType::Ipc,
        LinuxNamespaceType::Cgroup,
    ];
    // Docker gives one since 29.5; kernels can be built without.
    static HAS_TIME: LazyLock<bool> = LazyLock::new(|| Path::new("/proc/self/ns/time").exists());
    let time = HAS_TIME.then_some(LinuxNamespaceType::Time);
    let namespaces: Vec<_> = kinds
        .into_iter()
        .chain(time)
        .map(|kind| LinuxNamespaceBuilder::default().typ(kind).build().expect("the type is set"))
        .collect();
    let resources = LinuxResourcesBuilder::default()
        .devices(device_rules())
        .build()
        .expect("every field has a default");
    let sysctl = [
        ("net.ipv4.ip_unprivileged_port_start", "0"),
        ("net.ipv4.ping_group_range", "0 2147483647"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let names: Vec<String> = CAPABILITIES.iter().map(|name| format!("CAP_{name}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let read_only: Vec<String> = READ_ONLY_PATHS.iter().map(|&path| path.to_owned()).collect();
    LinuxBuilder::default()
        .namespaces(namespaces)
        .resources(resources)
        .masked_paths(masked_paths())
        .readonly_paths(read_only)
        .seccomp(seccomp(&names))
        .sysctl(std::collections::HashMap::from(sysctl))
        .devices(Vec::new())
        .build()
        .expect("every field has a default")
}

/// Deny everything, then allow what Docker allows; making nodes is always allowed.
fn device_rules() -> Vec<LinuxDeviceCgroup> {
    let deny = LinuxDeviceCgroupBuilder::default().allow(false).access("rwm");
    let mut rules = vec![deny.build().expect("every field has a default")];
    for (kind, major, minor, access) in &DEVICES {
        let mut rule =
            LinuxDeviceCgroupBuilder::default().allow(true).typ(*kind).access((*access).to_owned());
        if let Some(major) = major {
            rule = rule.major(*major);
        }
        if let Some(minor) = minor {
            rule = rule.minor(*minor);
        }
        rules.push(rule.build().expect("every field has a default"));
    }
    rules
}
