//! From the specification to the plan: what is refused, and what is taken from where.

use std::path::{Path, PathBuf};

use oci_spec::runtime::{
    Linux, LinuxDevice, LinuxDeviceType, LinuxNamespaceType, LinuxSeccomp, Process, Spec,
};

use super::mounts::{Hierarchy, mount_plan, normalized};
use super::process::process_plan;
use super::{CgroupPlan, ContainerPlan, DeviceNode, ExecPlan, ProcessPlan, RootPlan, RootSource};
use crate::Error;
use crate::seccomp::filter_flags;

/// The namespaces of a specification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Namespaces {
    /// `CLONE_NEW*` flags of those to make.
    pub(crate) fresh: u32,
    /// Those that exist: name, flag and path.
    pub(crate) joined: Vec<(&'static str, u32, PathBuf)>,
}

/// The devices every container has (OCI config-linux, "Default Devices").
const DEFAULT_DEVICES: [(&str, u32, u32); 6] = [
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
];

/// Kernel parameters that belong to the IPC namespace.
const IPC_PARAMETERS: [&str; 8] =
    ["msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni", "shm_rmid_forced"];

/// The plan of a new container, without the namespaces to join, which need descriptors.
pub(crate) fn container_plan(
    spec: &Spec,
    root: RootSource,
    tasks: Vec<PathBuf>,
    hierarchies: &[Hierarchy],
) -> Result<(ContainerPlan, Namespaces), Error> {
    let default = Linux::default();
    let linux = spec.linux().as_ref().unwrap_or(&default);
    refuse_unsupported(spec, linux)?;
    let namespaces = namespaces(linux)?;
    let own = |flag: i32| namespaces.owns(flag);
    let process = spec.process().as_ref().ok_or_else(|| Error::invalid("process", "is missing"))?;
    let mounts = mount_plan(spec.mounts().as_deref().unwrap_or_default(), hierarchies)?;
    let dev = mounts.iter().find(|mount| mount.target() == Path::new("/dev"));
    let dev_is_bind = matches!(dev, Some(super::MountOp::Bind { .. }));
    if spec.hostname().is_some() && !own(libc_flags::UTS) {
        return Err(Error::invalid("hostname", "the container has no UTS namespace of its own"));
    }
    if spec.domainname().is_some() && !own(libc_flags::UTS) {
        return Err(Error::invalid("domainname", "the container has no UTS namespace of its own"));
    }
    let plan = ContainerPlan {
        joins: Vec::new(),
        root: RootPlan {
            source: root,
            read_only: spec.root().as_ref().and_then(|root| root.readonly()).unwrap_or(false),
        },
        cgroup: CgroupPlan { tasks, unshare: own(libc_flags::CGROUP) },
        mounts,
        devices: if dev_is_bind { Vec::new() } else { device_plan(linux)? },
        device_links: !dev_is_bind,
        masked: linux.masked_paths().clone().unwrap_or_default(),
        read_only: linux.readonly_paths().clone().unwrap_or_default(),
        sysctls: sysctl_plan(linux, &namespaces)?,
        hostname: spec.hostname().clone(),
        domainname: spec.domainname().clone(),
        loopback: namespaces.fresh & libc_flags::NET.cast_unsigned() != 0,
        reaper: false,
        waits_at: None,
        process: confined(process_plan(process)?, linux.seccomp().as_ref())?,
    };
    Ok((plan, namespaces))
}

/// The plan of a further process in a container that was made from `spec`.
pub(crate) fn exec_plan(
    spec: &Spec,
    process: &Process,
    container: super::Slot,
    tasks: Vec<PathBuf>,
) -> Result<ExecPlan, Error> {
    let default = Linux::default();
    let linux = spec.linux().as_ref().unwrap_or(&default);
    let namespaces = namespaces(linux)?;
    let joined = namespaces.joined.iter().fold(0, |flags, (_, flag, _)| flags | flag);
    let inherited = spec.process().as_ref().and_then(|process| process.no_new_privileges());
    let mut plan = confined(process_plan(process)?, linux.seccomp().as_ref())?;
    plan.no_new_privileges |= inherited.unwrap_or(false);
    Ok(ExecPlan {
        container,
        namespaces: (namespaces.fresh | joined) & !libc_flags::PID.cast_unsigned(),
        cgroup: CgroupPlan { tasks, unshare: false },
        process: plan,
    })
}

/// The `CLONE_NEW*` flags, by the names used here.
pub(crate) mod libc_flags {
    pub(crate) use nix::libc::{
        CLONE_NEWCGROUP as CGROUP, CLONE_NEWIPC as IPC, CLONE_NEWNET as NET, CLONE_NEWNS as MOUNT,
        CLONE_NEWPID as PID, CLONE_NEWUTS as UTS,
    };
}

impl Namespaces {
    /// The container does not share this kind with the host: its own, or another container's.
    pub(crate) fn owns(&self, flag: i32) -> bool {
        let flag = flag.cast_unsigned();
        self.fresh & flag != 0 || self.joined.iter().any(|(_, joined, _)| *joined == flag)
    }
}

fn namespaces(linux: &Linux) -> Result<Namespaces, Error> {
    let mut namespaces = Namespaces { fresh: 0, joined: Vec::new() };
    for namespace in linux.namespaces().iter().flatten() {
        let (name, flag) = match namespace.typ() {
            LinuxNamespaceType::Mount => ("mount", libc_flags::MOUNT),
            LinuxNamespaceType::Cgroup => ("cgroup", libc_flags::CGROUP),
            LinuxNamespaceType::Uts => ("uts", libc_flags::UTS),
            LinuxNamespaceType::Ipc => ("ipc", libc_flags::IPC),
            LinuxNamespaceType::Pid => ("pid", libc_flags::PID),
            LinuxNamespaceType::Network => ("network", libc_flags::NET),
            LinuxNamespaceType::User => {
                return Err(Error::unsupported_value("linux.namespaces", "user"));
            }
            LinuxNamespaceType::Time => {
                return Err(Error::unsupported_value("linux.namespaces", "time"));
            }
        };
        if namespaces.owns(flag) {
            return Err(Error::invalid("linux.namespaces", format!("{name} is listed twice")));
        }
        match namespace.path() {
            Some(_) if flag == libc_flags::MOUNT => {
                return Err(Error::unsupported_value("linux.namespaces", "mount with a path"));
            }
            Some(path) => namespaces.joined.push((name, flag.cast_unsigned(), path.clone())),
            None => namespaces.fresh |= flag.cast_unsigned(),
        }
    }
    if namespaces.fresh & libc_flags::MOUNT.cast_unsigned() == 0 {
        return Err(Error::invalid("linux.namespaces", "there is no mount namespace"));
    }
    Ok(namespaces)
}

fn refuse_unsupported(spec: &Spec, linux: &Linux) -> Result<(), Error> {
    let hooks = spec.hooks().as_ref().is_some_and(|hooks| *hooks != Default::default());
    let mapped = |list: &Option<Vec<_>>| list.as_ref().is_some_and(|list| !list.is_empty());
    let offsets = linux.time_offsets().as_ref().is_some_and(|offsets| !offsets.is_empty());
    let devices = linux.net_devices().as_ref().is_some_and(|devices| !devices.is_empty());
    let label = linux.mount_label().as_ref().is_some_and(|label| !label.is_empty());
    let fields = [
        ("hooks", hooks),
        ("linux.uidMappings", mapped(linux.uid_mappings())),
        ("linux.gidMappings", mapped(linux.gid_mappings())),
        ("linux.timeOffsets", offsets),
        ("linux.netDevices", devices),
        ("linux.mountLabel", label),
        ("linux.intelRdt", linux.intel_rdt().is_some()),
        ("linux.memoryPolicy", linux.memory_policy().is_some()),
        ("linux.personality", linux.personality().is_some()),
        ("vm", spec.vm().is_some()),
        ("windows", spec.windows().is_some()),
        ("solaris", spec.solaris().is_some()),
        ("zos", spec.zos().is_some()),
    ];
    if let Some((field, _)) = fields.iter().find(|(_, present)| *present) {
        return Err(Error::unsupported(*field));
    }
    match linux.rootfs_propagation().as_deref() {
        None | Some("" | "private" | "rprivate") => Ok(()),
        Some(other) => Err(Error::unsupported_value("linux.rootfsPropagation", other)),
    }
}

/// The process with the filter that its container has.
fn confined(mut plan: ProcessPlan, seccomp: Option<&LinuxSeccomp>) -> Result<ProcessPlan, Error> {
    plan.seccomp_flags = seccomp.map(filter_flags).transpose()?;
    Ok(plan)
}

fn device_plan(linux: &Linux) -> Result<Vec<DeviceNode>, Error> {
    let mut devices: Vec<DeviceNode> = Vec::new();
    for (index, device) in linux.devices().iter().flatten().enumerate() {
        devices.push(device_node(&format!("linux.devices[{index}]"), device)?);
    }
    for (path, major, minor) in DEFAULT_DEVICES {
        if devices.iter().all(|device| device.path != Path::new(path)) {
            let path = PathBuf::from(path);
            devices.push(DeviceNode { path, kind: 'c', major, minor, mode: 0o666, uid: 0, gid: 0 });
        }
    }
    Ok(devices)
}

fn device_node(field: &str, device: &LinuxDevice) -> Result<DeviceNode, Error> {
    let kind = match device.typ() {
        LinuxDeviceType::C | LinuxDeviceType::U => 'c',
        LinuxDeviceType::B => 'b',
        LinuxDeviceType::P => 'p',
        LinuxDeviceType::A => {
            return Err(Error::invalid(format!("{field}.type"), "`a` is no type"));
        }
    };
    let number = |value: i64, name: &str| {
        u32::try_from(value).map_err(|_| Error::invalid(format!("{field}.{name}"), "out of range"))
    };
    let path = normalized(device.path())
        .ok_or_else(|| Error::invalid(format!("{field}.path"), "it contains `..`"))?;
    Ok(DeviceNode {
        path,
        kind,
        major: if kind == 'p' { 0 } else { number(device.major(), "major")? },
        minor: if kind == 'p' { 0 } else { number(device.minor(), "minor")? },
        mode: device.file_mode().unwrap_or(0o666) & 0o7777,
        uid: device.uid().unwrap_or(0),
        gid: device.gid().unwrap_or(0),
    })
}

/// Only parameters that belong to a namespace of the container.
fn sysctl_plan(linux: &Linux, namespaces: &Namespaces) -> Result<Vec<(String, String)>, Error> {
    let mut plan = Vec::new();
    for (name, value) in linux.sysctl().iter().flatten() {
        let path = if name.contains('/') { name.clone() } else { name.replace('.', "/") };
        if path.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
            return Err(Error::invalid("linux.sysctl", format!("{name} is no parameter")));
        }
        let flag = if path.starts_with("net/") {
            libc_flags::NET
        } else if path.starts_with("fs/mqueue/")
            || path.strip_prefix("kernel/").is_some_and(|name| IPC_PARAMETERS.contains(&name))
        {
            libc_flags::IPC
        } else if path == "kernel/domainname" {
            libc_flags::UTS
        } else {
            return Err(Error::unsupported_value("linux.sysctl", name));
        };
        if !namespaces.owns(flag) {
            let reason = format!("{name} would change the host");
            return Err(Error::invalid("linux.sysctl", reason));
        }
        plan.push((path, value.clone()));
    }
    plan.sort();
    Ok(plan)
}
