//! From the specification to the plan: what is refused, and what is taken from where.

use std::path::{Path, PathBuf};

use oci_spec::runtime::{Linux, Process, Spec, State};

use super::devices::device_plan;
use super::hooks::hook_plan;
use super::mounts::{Hierarchy, mount_plan};
use super::namespaces::{Namespaces, flags, namespaces};
use super::process::{idle_plan, process_plan};
use super::schedule;
use super::sysctl::sysctl_plan;
use super::{
    CgroupPlan, ContainerPlan, ExecPlan, ProcessPlan, Propagation, RootPlan, RootSource, UserPlan,
};
use crate::Error;
use crate::seccomp::filter_flags;

/// The annotation by which crun is asked, and podman asks with `--group-add keep-groups`, to leave the
/// additional groups as they are.
const KEEP_GROUPS: &str = "run.oci.keep_original_groups";

/// The plan of a new container, without the namespaces to join, which need descriptors.
pub(crate) fn container_plan(
    spec: &Spec,
    root: RootSource,
    cgroups: (Vec<PathBuf>, &[Hierarchy]),
    state: Option<&State>,
) -> Result<(ContainerPlan, Namespaces), Error> {
    let (tasks, hierarchies) = cgroups;
    let default = Linux::default();
    let linux = spec.linux().as_ref().unwrap_or(&default);
    refuse_unsupported(spec, linux)?;
    schedule::check_deadline(spec.process().as_ref(), linux)?;
    let namespaces = namespaces(linux)?;
    let own = |flag: i32| namespaces.owns(flag);
    // A container can be made without a process; starting it is the error.
    let process = match spec.process() {
        Some(process) => process_plan(process)?,
        None => idle_plan()?,
    };
    let mounts =
        mount_plan(spec.mounts().as_deref().unwrap_or_default(), hierarchies, &namespaces)?;
    let dev = mounts.iter().find(|mount| mount.target() == Path::new("/dev"));
    let dev_is_bind = matches!(dev, Some(super::MountOp::Bind { .. }));
    if spec.hostname().is_some() && !own(flags::UTS) {
        return Err(Error::invalid("hostname", "the container has no UTS namespace of its own"));
    }
    if spec.domainname().is_some() && !own(flags::UTS) {
        return Err(Error::invalid("domainname", "the container has no UTS namespace of its own"));
    }
    let plan = ContainerPlan {
        joins: Vec::new(),
        returns_to: None,
        user: namespaces.owns(flags::USER).then(|| UserPlan {
            is_joined: namespaces.joins(flags::USER),
            expected: (namespaces.joins(flags::USER) && !namespaces.ids.is_empty())
                .then(|| namespaces.ids.clone()),
        }),
        hooks: hook_plan(spec, state)?,
        clocks: namespaces
            .makes(flags::TIME)
            .then(|| namespaces.offsets.clone().unwrap_or_default()),
        root: RootPlan {
            source: root,
            read_only: spec.root().as_ref().and_then(|root| root.readonly()).unwrap_or(false),
            propagation: root_propagation(linux)?,
        },
        cgroup: CgroupPlan { tasks, unshare: namespaces.makes(flags::CGROUP) },
        mounts,
        devices: if dev_is_bind { Vec::new() } else { device_plan(linux, own(flags::USER))? },
        device_links: !dev_is_bind,
        masked: linux.masked_paths().clone().unwrap_or_default(),
        read_only: linux.readonly_paths().clone().unwrap_or_default(),
        sysctls: sysctl_plan(spec, linux, &namespaces)?,
        hostname: spec.hostname().clone(),
        domainname: spec.domainname().clone(),
        loopback: namespaces.makes(flags::NET),
        reaper: false,
        waits_at: None,
        process: confined(process, spec, linux)?,
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
    let inherited = spec.process().as_ref().and_then(|process| process.no_new_privileges());
    let mut plan = confined(process_plan(process)?, spec, linux)?;
    let affinity = process.exec_cpu_affinity().as_ref();
    let processors = |name: &str, list: Option<&String>| {
        schedule::processors(&format!("process.execCPUAffinity.{name}"), list)
    };
    plan.no_new_privileges |= inherited.unwrap_or(false);
    Ok(ExecPlan {
        container,
        namespaces: namespaces.all(),
        root: None,
        user: namespaces.owns(flags::USER),
        cgroup: CgroupPlan { tasks, unshare: false },
        affinity: (
            processors("initial", affinity.and_then(|list| list.initial().as_ref()))?,
            processors("final", affinity.and_then(|list| list.cpu_affinity_final().as_ref()))?,
        ),
        process: plan,
    })
}

fn refuse_unsupported(spec: &Spec, linux: &Linux) -> Result<(), Error> {
    let fields = [
        ("linux.intelRdt", linux.intel_rdt().is_some()),
        ("vm", spec.vm().is_some()),
        ("windows", spec.windows().is_some()),
        ("solaris", spec.solaris().is_some()),
        ("zos", spec.zos().is_some()),
    ];
    if let Some((field, _)) = fields.iter().find(|(_, present)| *present) {
        return Err(Error::unsupported(*field));
    }
    Ok(())
}

fn root_propagation(linux: &Linux) -> Result<Option<Propagation>, Error> {
    let named = |name: &String| {
        let unknown = || Error::invalid("linux.rootfsPropagation", format!("{name} is unknown"));
        Propagation::named(name).ok_or_else(unknown)
    };
    linux.rootfs_propagation().as_ref().filter(|name| !name.is_empty()).map(named).transpose()
}

/// The process with the filter, the execution domain and the groups that its container has.
fn confined(mut plan: ProcessPlan, spec: &Spec, linux: &Linux) -> Result<ProcessPlan, Error> {
    let annotations = spec.annotations().as_ref();
    if annotations.and_then(|map| map.get(KEEP_GROUPS)).is_some_and(|value| value != "0") {
        plan.groups = None;
    }
    plan.seccomp_flags = linux.seccomp().as_ref().map(filter_flags).transpose()?;
    plan.personality = schedule::personality_plan(linux)?;
    plan.memory_policy = schedule::memory_policy(linux)?;
    Ok(plan)
}
