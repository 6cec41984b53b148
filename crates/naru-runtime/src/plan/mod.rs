//! What the process inside will do: computed from the specification by pure functions, printable,
//! and sent to it as JSON. Nothing in here touches the system.

mod capability;
mod devices;
mod hooks;
mod interfaces;
mod mounts;
mod namespaces;
mod options;
mod process;
#[cfg(test)]
mod properties;
mod schedule;
mod spec;
mod sysctl;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub(crate) use capability::{capability_names, names_of};
pub(crate) use devices::DeviceNode;
pub(crate) use hooks::{HookPlan, early_hooks, state_of};
pub(crate) use interfaces::{Moved, moved_interfaces};
pub(crate) use mounts::{Hierarchy, IdSource, MountOp};
pub(crate) use namespaces::{IdMaps, IdRange, Joined, Namespaces, flags, map_text, outside};
pub(crate) use options::{
    Atime, Links, NAMED, NO_DIRECTORY_ATIME, NO_SYMLINKS, Options, Propagation, READ_ONLY,
    mount_option_names,
};
pub(crate) use process::{CapabilityPlan, Label, ListenerPlan, ProcessPlan};
pub(crate) use schedule::{PolicyPlan, SchedulePlan};
pub(crate) use spec::{container_plan, exec_plan};

/// A descriptor of the plan's envelope, by its place.
pub(crate) type Slot = usize;

/// Everything the process inside does before it becomes the user's program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Plan {
    /// It is the first process of a new container.
    Container(Box<ContainerPlan>),
    /// It enters a running container.
    Exec(Box<ExecPlan>),
}

impl Plan {
    /// Tells the process its number, which hooks and listeners are told; known once it exists.
    pub(crate) fn identify(&mut self, pid: i32) {
        let process = match self {
            Self::Container(plan) => {
                if let Some(hooks) = &mut plan.hooks {
                    hooks.state.set_pid(Some(pid));
                }
                &mut plan.process
            }
            Self::Exec(plan) => &mut plan.process,
        };
        if let Some(listener) = &mut process.listener {
            listener.message.set_pid(pid);
            let state = listener.message.state_mut();
            state.set_pid(state.pid().or(Some(pid)));
        }
    }
}

/// Set-up of a new container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ContainerPlan {
    /// Namespaces that exist already and were not joined by the clone.
    pub(crate) joins: Vec<JoinNamespace>,
    /// The caller's mount namespace, when the container has none of its own: the root file system is put
    /// together in one that is left at the end.
    pub(crate) returns_to: Option<Slot>,
    /// It is in a user namespace.
    pub(crate) user: Option<UserPlan>,
    /// Hooks that run inside, or that are waited for.
    pub(crate) hooks: Option<HookPlan>,
    /// Make a time namespace, with these lines for its clocks.
    pub(crate) clocks: Option<String>,
    /// The root file system.
    pub(crate) root: RootPlan,
    /// Control groups to join and whether to hide what is above them.
    pub(crate) cgroup: CgroupPlan,
    /// The mounts, in order.
    pub(crate) mounts: Vec<MountOp>,
    /// Device nodes, paths below the root.
    pub(crate) devices: Vec<DeviceNode>,
    /// Make the links of /dev that the OCI specification asks for.
    pub(crate) device_links: bool,
    /// Paths that cannot be looked into.
    pub(crate) masked: Vec<String>,
    /// Paths that cannot be written to.
    pub(crate) read_only: Vec<String>,
    /// Files below /proc/sys and their values, sorted.
    pub(crate) sysctls: Vec<(String, String)>,
    /// Host name, if the container has its own.
    pub(crate) hostname: Option<String>,
    /// NIS domain name, if the container has its own.
    pub(crate) domainname: Option<String>,
    /// Set the loopback interface up.
    pub(crate) loopback: bool,
    /// Stay as pid 1, forward signals and reap.
    pub(crate) reaper: bool,
    /// A listening socket to wait at for the start, instead of the caller's.
    pub(crate) waits_at: Option<Slot>,
    /// The program.
    pub(crate) process: ProcessPlan,
}

/// Entering a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ExecPlan {
    /// pidfd of a process of the container.
    pub(crate) container: Slot,
    /// `CLONE_NEW*` flags of the namespaces to join.
    pub(crate) namespaces: u32,
    /// The container's root, when it has no mount namespace of its own to have it.
    pub(crate) root: Option<Slot>,
    /// A user namespace is among them.
    pub(crate) user: bool,
    /// Control groups to join.
    pub(crate) cgroup: CgroupPlan,
    /// The processors to run on before the control groups are joined, and after.
    pub(crate) affinity: (Option<Vec<usize>>, Option<Vec<usize>>),
    /// The program.
    pub(crate) process: ProcessPlan,
}

/// A namespace that exists already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct JoinNamespace {
    /// For messages: "network", "ipc"…
    pub(crate) kind: String,
    /// `CLONE_NEW*` flag.
    pub(crate) flag: u32,
    /// Where it is.
    pub(crate) descriptor: Slot,
}

/// Being in a user namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UserPlan {
    /// It existed before.
    pub(crate) is_joined: bool,
    /// It was joined, and has to have these maps.
    pub(crate) expected: Option<IdMaps>,
}

/// The root file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RootPlan {
    /// A detached mount or a directory.
    pub(crate) source: RootSource,
    /// Mount it read-only when everything else is done.
    pub(crate) read_only: bool,
    /// How mounts made in it reach others, if not at all.
    pub(crate) propagation: Option<Propagation>,
}

/// Where the root file system comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum RootSource {
    /// A detached mount.
    Mount(Slot),
    /// A directory of the host.
    Path(PathBuf),
}

impl RootSource {
    /// What a path of the host is below the root, if it is.
    pub(crate) fn below<'a>(&self, path: &'a Path) -> Option<&'a Path> {
        match self {
            Self::Path(root) => path.strip_prefix(root).ok().filter(|rest| *rest != Path::new("")),
            Self::Mount(_) => None,
        }
    }
}

impl ContainerPlan {
    /// The source of this bind mount is in the container, with what is mounted there before. What the host is to see of
    /// the mount is the host's. Who is born into a user namespace that exists is not trusted with ids of another one.
    pub(crate) fn is_inside(&self, mount: &MountOp) -> bool {
        match mount {
            MountOp::Bind { source, ids, options, .. } => {
                let alone =
                    options.propagation.is_none_or(|one| one.flag == Propagation::PRIVATE.flag);
                let joined = self.user.as_ref().is_some_and(|user| user.is_joined);
                let mappable = ids.is_none() || !joined;
                let plain = options.links == Links::default();
                self.root.source.below(source).is_some() && alone && mappable && plain
            }
            _ => false,
        }
    }

    /// The user of the host to whom the control group belongs (config-linux, "Cgroup ownership"): the container's,
    /// when it has a cgroup namespace of its own and may write what it sees of it. Nobody for root, who owns it.
    pub(crate) fn group_owner(&self, namespaces: &Namespaces) -> Option<u32> {
        let writes = |mount: &MountOp| {
            matches!(mount, MountOp::Cgroup { .. })
                && mount.target() == "/sys/fs/cgroup"
                && !mount.is_read_only()
        };
        if !namespaces.makes(flags::CGROUP) || !self.mounts.iter().any(writes) {
            return None;
        }
        let owner = match &self.user {
            // The maps of one that is joined are not known.
            Some(_) => outside(&namespaces.ids.uid, self.process.uid),
            None => Some(self.process.uid),
        };
        owner.filter(|uid| *uid != 0)
    }
}

/// Control groups of a process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CgroupPlan {
    /// `tasks` files of cgroup v1 hierarchies: a thread that moves itself by them does not wait for
    /// RCU, as it would (about 10 ms) by `cgroup.procs`. The cgroup v2 is joined by the clone.
    pub(crate) tasks: Vec<PathBuf>,
    /// Make a new cgroup namespace after the join.
    pub(crate) unshare: bool,
}

/// Standard files: a descriptor, or the null device; and those after them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StdioPlan {
    pub(crate) files: [Option<Slot>; 3],
    /// Descriptors 3 and up.
    pub(crate) further: Vec<Slot>,
}
