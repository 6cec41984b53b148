//! One service: what its containers run, see and may use.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    Attachment, BlkioConfig, Build, Bytes, Cpus, CredentialSpec, Dependency, Deploy, Develop,
    Device, DeviceRequest, EnvFile, Extensions, ExtraHosts, FileReference, Healthcheck, Hook,
    Logging, ModelReference, Mount, NetworkMode, Period, Port, Provider, PullPolicy, RestartPolicy,
    Ulimit, is_default,
};

/// A service in canonical form. A number 0, an empty text and an empty list mean "not set". What is large
/// and rare has a box, so that a thousand services stay small.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Service {
    /// Profiles that enable the service; always enabled when empty.
    #[serde(skip_serializing_if = "is_default")]
    pub profiles: Vec<String>,
    /// Annotations of the container.
    #[serde(skip_serializing_if = "is_default")]
    pub annotations: BTreeMap<String, String>,
    /// Whether `up` shows the service's output; it does when absent.
    #[serde(skip_serializing_if = "is_default")]
    pub attach: Option<bool>,
    /// How its image is built.
    #[serde(skip_serializing_if = "is_default")]
    pub build: Option<Box<Build>>,
    /// What `watch` does for it.
    #[serde(skip_serializing_if = "is_default")]
    pub develop: Option<Develop>,
    /// Limits on block I/O.
    #[serde(skip_serializing_if = "is_default")]
    pub blkio_config: Option<Box<BlkioConfig>>,
    /// Capabilities to add, with or without `CAP_`.
    #[serde(skip_serializing_if = "is_default")]
    pub cap_add: Vec<String>,
    /// Capabilities to take away, with or without `CAP_`.
    #[serde(skip_serializing_if = "is_default")]
    pub cap_drop: Vec<String>,
    /// cgroup that the container's own is made in.
    #[serde(skip_serializing_if = "is_default")]
    pub cgroup_parent: String,
    /// `host` or `private`: the cgroup namespace.
    #[serde(skip_serializing_if = "is_default")]
    pub cgroup: String,
    /// Number of processors; Windows only.
    #[serde(skip_serializing_if = "is_default")]
    pub cpu_count: i64,
    /// Share of the processors in percent; Windows only.
    #[serde(skip_serializing_if = "is_default")]
    pub cpu_percent: Cpus,
    /// Period of the scheduler in microseconds; 0 means not set.
    #[serde(skip_serializing_if = "is_default")]
    pub cpu_period: i64,
    /// Time per period in microseconds; 0 means not set.
    #[serde(skip_serializing_if = "is_default")]
    pub cpu_quota: i64,
    /// Period of the real-time scheduler in microseconds; 0 means not set.
    #[serde(skip_serializing_if = "is_default")]
    pub cpu_rt_period: i64,
    /// Real-time time per period in microseconds; 0 means not set.
    #[serde(skip_serializing_if = "is_default")]
    pub cpu_rt_runtime: i64,
    /// Number of processors; 0 means not set.
    #[serde(skip_serializing_if = "is_default")]
    pub cpus: Cpus,
    /// Processors it may run on, such as `0-3` or `0,1`.
    #[serde(skip_serializing_if = "is_default")]
    pub cpuset: String,
    /// Relative weight on the processors (1024 is normal); 0 means not set.
    #[serde(skip_serializing_if = "is_default")]
    pub cpu_shares: i64,
    /// Arguments in place of the image's; the image's own when absent, none when empty.
    pub command: Option<Vec<String>>,
    /// Configs it sees as files.
    #[serde(skip_serializing_if = "is_default")]
    pub configs: Vec<FileReference>,
    /// Name of its only container.
    #[serde(skip_serializing_if = "is_default")]
    pub container_name: String,
    /// Credentials of a managed service account of Windows.
    #[serde(skip_serializing_if = "is_default")]
    pub credential_spec: Option<Box<CredentialSpec>>,
    /// What it waits for, by service.
    #[serde(skip_serializing_if = "is_default")]
    pub depends_on: BTreeMap<String, Dependency>,
    /// How many containers, and what they may use.
    #[serde(skip_serializing_if = "is_default")]
    pub deploy: Option<Box<Deploy>>,
    /// Rules of the device cgroup, such as `c 1:3 mr`.
    #[serde(skip_serializing_if = "is_default")]
    pub device_cgroup_rules: Vec<String>,
    /// Devices of the host.
    #[serde(skip_serializing_if = "is_default")]
    pub devices: Vec<Device>,
    /// Addresses of DNS servers.
    #[serde(skip_serializing_if = "is_default")]
    pub dns: Vec<String>,
    /// Options for the resolver.
    #[serde(skip_serializing_if = "is_default")]
    pub dns_opt: Vec<String>,
    /// Domains to search.
    #[serde(skip_serializing_if = "is_default")]
    pub dns_search: Vec<String>,
    /// Domain name of the container.
    #[serde(skip_serializing_if = "is_default")]
    pub domainname: String,
    /// Program in place of the image's; the image's own when absent, none when empty.
    pub entrypoint: Option<Vec<String>>,
    /// The program that provides the service in place of a container.
    #[serde(skip_serializing_if = "is_default")]
    pub provider: Option<Provider>,
    /// Environment; a variable without a value is not set. `env_file` is folded in.
    #[serde(skip_serializing_if = "is_default")]
    pub environment: BTreeMap<String, Option<String>>,
    /// Files with further variables; empty once they are folded into `environment`.
    #[serde(skip_serializing_if = "is_default")]
    pub env_file: Vec<EnvFile>,
    /// Ports open to other containers, for information.
    #[serde(skip_serializing_if = "is_default")]
    pub expose: Vec<String>,
    /// Containers outside the project that it knows by name.
    #[serde(skip_serializing_if = "is_default")]
    pub external_links: Vec<String>,
    /// Names for its `/etc/hosts`.
    #[serde(skip_serializing_if = "is_default")]
    pub extra_hosts: ExtraHosts,
    /// Further groups of the process, by name or number.
    #[serde(skip_serializing_if = "is_default")]
    pub group_add: Vec<String>,
    /// GPUs.
    #[serde(skip_serializing_if = "is_default")]
    pub gpus: Vec<DeviceRequest>,
    /// Host name; the container's id when empty.
    #[serde(skip_serializing_if = "is_default")]
    pub hostname: String,
    /// How its health is found out; by the image's own check when absent.
    #[serde(skip_serializing_if = "is_default")]
    pub healthcheck: Option<Healthcheck>,
    /// Image to run.
    #[serde(skip_serializing_if = "is_default")]
    pub image: String,
    /// Whether a small init is process 1, which reaps children and passes signals on.
    #[serde(skip_serializing_if = "is_default")]
    pub init: Option<bool>,
    /// IPC namespace: `host`, `shareable`, `service:NAME`, …; its own when empty.
    #[serde(skip_serializing_if = "is_default")]
    pub ipc: String,
    /// Isolation technology.
    #[serde(skip_serializing_if = "is_default")]
    pub isolation: String,
    /// Labels of the container. `label_file` is folded in.
    #[serde(skip_serializing_if = "is_default")]
    pub labels: BTreeMap<String, String>,
    /// Files with further labels; empty once they are folded into `labels`.
    #[serde(skip_serializing_if = "is_default")]
    pub label_file: Vec<String>,
    /// Services that it knows by another name: `service[:alias]`.
    #[serde(skip_serializing_if = "is_default")]
    pub links: Vec<String>,
    /// Where its output goes.
    #[serde(skip_serializing_if = "is_default")]
    pub logging: Option<Logging>,
    /// Largest memory in bytes; 0 means not set.
    #[serde(skip_serializing_if = "is_default")]
    pub mem_limit: Bytes,
    /// Memory in bytes below which it is not reclaimed; 0 means not set.
    #[serde(skip_serializing_if = "is_default")]
    pub mem_reservation: Bytes,
    /// Largest sum of memory and swap in bytes; 0 means not set, -1 no limit.
    #[serde(skip_serializing_if = "is_default")]
    pub memswap_limit: Bytes,
    /// Inclination to swap, 0 to 100; 0 means not set.
    #[serde(skip_serializing_if = "is_default")]
    pub mem_swappiness: Bytes,
    /// Hardware address.
    #[serde(skip_serializing_if = "is_default")]
    pub mac_address: String,
    /// Language models it uses, by key.
    #[serde(skip_serializing_if = "is_default")]
    pub models: BTreeMap<String, Option<ModelReference>>,
    /// A network that is not one of the project's; excludes `networks`.
    #[serde(skip_serializing_if = "is_default")]
    pub network_mode: Option<NetworkMode>,
    /// Networks it is on, by key.
    #[serde(skip_serializing_if = "is_default")]
    pub networks: BTreeMap<String, Option<Box<Attachment>>>,
    /// Whether the kernel may not end it when memory runs out.
    #[serde(skip_serializing_if = "is_default")]
    pub oom_kill_disable: bool,
    /// How readily the kernel ends it when memory runs out, -1000 to 1000.
    #[serde(skip_serializing_if = "is_default")]
    pub oom_score_adj: i32,
    /// PID namespace: `host`, `service:NAME`, …; its own when empty.
    #[serde(skip_serializing_if = "is_default")]
    pub pid: String,
    /// Largest number of processes; 0 means not set, -1 no limit.
    #[serde(skip_serializing_if = "is_default")]
    pub pids_limit: i64,
    /// Platform of the image, such as `linux/amd64`.
    #[serde(skip_serializing_if = "is_default")]
    pub platform: String,
    /// Ports that are reachable from outside.
    #[serde(skip_serializing_if = "is_default")]
    pub ports: Vec<Port>,
    /// Whether it runs with all rights.
    #[serde(skip_serializing_if = "is_default")]
    pub privileged: bool,
    /// When its image is looked for in the registry.
    #[serde(skip_serializing_if = "is_default")]
    pub pull_policy: Option<PullPolicy>,
    /// Period for `pull_policy: refresh`.
    #[serde(skip_serializing_if = "is_default")]
    pub pull_refresh_after: String,
    /// Whether its root file system may only be read.
    #[serde(skip_serializing_if = "is_default")]
    pub read_only: bool,
    /// When it is started again; see [`Service::restart_policy`].
    #[serde(skip_serializing_if = "is_default")]
    pub restart: Option<RestartPolicy>,
    /// OCI runtime to use.
    #[serde(skip_serializing_if = "is_default")]
    pub runtime: String,
    /// Number of containers; see [`Service::replicas`].
    #[serde(skip_serializing_if = "is_default")]
    pub scale: Option<u32>,
    /// Secrets it sees as files.
    #[serde(skip_serializing_if = "is_default")]
    pub secrets: Vec<FileReference>,
    /// Security options, such as `no-new-privileges:true`.
    #[serde(skip_serializing_if = "is_default")]
    pub security_opt: Vec<String>,
    /// Size of `/dev/shm` in bytes; 64 MiB when 0.
    #[serde(skip_serializing_if = "is_default")]
    pub shm_size: Bytes,
    /// Whether its standard input stays open.
    #[serde(skip_serializing_if = "is_default")]
    pub stdin_open: bool,
    /// Time from the stop signal to SIGKILL; 10 s when absent.
    #[serde(skip_serializing_if = "is_default")]
    pub stop_grace_period: Option<Period>,
    /// Signal that asks it to stop; the image's, else SIGTERM, when empty.
    #[serde(skip_serializing_if = "is_default")]
    pub stop_signal: String,
    /// Options of the storage driver.
    #[serde(skip_serializing_if = "is_default")]
    pub storage_opt: BTreeMap<String, String>,
    /// Kernel parameters of its namespaces.
    #[serde(skip_serializing_if = "is_default")]
    pub sysctls: BTreeMap<String, String>,
    /// File systems in memory: `path[:options]`.
    #[serde(skip_serializing_if = "is_default")]
    pub tmpfs: Vec<String>,
    /// Whether it has a terminal.
    #[serde(skip_serializing_if = "is_default")]
    pub tty: bool,
    /// Limits of its processes by name, such as `nofile`.
    #[serde(skip_serializing_if = "is_default")]
    pub ulimits: BTreeMap<String, Ulimit>,
    /// Whether it gets Docker's API socket and credentials.
    #[serde(skip_serializing_if = "is_default")]
    pub use_api_socket: bool,
    /// User and group to run as: names or numbers, `user[:group]`.
    #[serde(skip_serializing_if = "is_default")]
    pub user: String,
    /// User namespace.
    #[serde(skip_serializing_if = "is_default")]
    pub userns_mode: String,
    /// UTS namespace.
    #[serde(skip_serializing_if = "is_default")]
    pub uts: String,
    /// What is mounted into it.
    #[serde(skip_serializing_if = "is_default")]
    pub volumes: Vec<Mount>,
    /// Services and containers whose mounts it gets as well.
    #[serde(skip_serializing_if = "is_default")]
    pub volumes_from: Vec<String>,
    /// Directory to start in; the image's when empty.
    #[serde(skip_serializing_if = "is_default")]
    pub working_dir: String,
    /// `x-*` attributes.
    #[serde(rename = "#extensions", skip_serializing_if = "is_default")]
    pub extensions: Extensions,
    /// Commands after the start.
    #[serde(skip_serializing_if = "is_default")]
    pub post_start: Vec<Hook>,
    /// Commands before the start.
    #[serde(skip_serializing_if = "is_default")]
    pub pre_start: Vec<Hook>,
    /// Commands before it is stopped.
    #[serde(skip_serializing_if = "is_default")]
    pub pre_stop: Vec<Hook>,
}

impl Service {
    /// Number of containers, from `scale` or `deploy.replicas`.
    #[must_use]
    pub fn replicas(&self) -> u32 {
        let deployed = || self.deploy.as_ref().and_then(|deploy| deploy.replicas);
        self.scale.or_else(deployed).unwrap_or(1)
    }

    /// When a container is started again; `deploy.restart_policy` wins over `restart`.
    #[must_use]
    pub fn restart_policy(&self) -> RestartPolicy {
        let Some(policy) = self.deploy.as_ref().and_then(|deploy| deploy.restart_policy.as_ref())
        else {
            return self.restart.clone().unwrap_or_default();
        };
        match policy.condition.as_str() {
            "none" => RestartPolicy::No,
            "on-failure" => {
                let attempts = policy.max_attempts.filter(|attempts| *attempts > 0);
                RestartPolicy::OnFailure(attempts.and_then(|attempts| attempts.try_into().ok()))
            }
            "" | "any" => RestartPolicy::Always,
            other => RestartPolicy::Other(other.to_owned()),
        }
    }

    /// Largest memory in bytes, from `mem_limit` or `deploy.resources.limits`.
    #[must_use]
    pub fn memory_limit(&self) -> Option<u64> {
        self.limits().and_then(|limits| limits.memory.limit()).or(self.mem_limit.limit())
    }

    /// Kept memory in bytes, from `mem_reservation` or `deploy.resources.reservations`.
    #[must_use]
    pub fn memory_reservation(&self) -> Option<u64> {
        let resources = self.deploy.as_ref().map(|deploy| &deploy.resources);
        let kept = resources.and_then(|resources| resources.reservations.as_ref());
        kept.and_then(|kept| kept.memory.limit()).or(self.mem_reservation.limit())
    }

    /// Number of processors, from `cpus` or `deploy.resources.limits`.
    #[must_use]
    pub fn cpu_limit(&self) -> Cpus {
        let deployed = self.limits().map(|limits| limits.cpus).unwrap_or_default();
        if deployed == Cpus::default() { self.cpus } else { deployed }
    }

    /// Largest number of processes, from `pids_limit` or `deploy.resources.limits`; none when 0 or less.
    #[must_use]
    pub fn process_limit(&self) -> i64 {
        match self.limits().map_or(0, |limits| limits.pids) {
            0 => self.pids_limit,
            limit => limit,
        }
    }

    fn limits(&self) -> Option<&super::Limits> {
        self.deploy.as_ref().and_then(|deploy| deploy.resources.limits.as_ref())
    }
}
