//! The records: what is written about projects, networks, volumes and containers. Each file carries the
//! version of its form; a newer one than this program knows is refused, not guessed.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::process::Identity;
use crate::{ContainerId, ProjectName};

mod network;

pub use network::{Attachment, Driver, Network, Networks, SharedNetwork, Subnet};

/// The version that this program writes.
pub const VERSION: u32 = 2;

/// `project.json`: what the user last asked for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Project {
    /// Form of this record.
    pub version: u32,
    /// The project.
    pub name: ProjectName,
    /// Its directory.
    pub working_directory: String,
    /// The Compose files it was loaded from.
    pub compose_files: Vec<String>,
    /// The canonical model, as `naru config --format json` prints it before `$` is doubled.
    pub model: serde_json::Value,
}

/// `volume.json` beside a named volume's `_data`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Volume {
    /// Form of this record.
    pub version: u32,
    /// The volume's name.
    pub name: String,
    /// Hash of the definition it was made from.
    pub config_hash: String,
    /// The project that made it, with its key there.
    pub project: Option<(ProjectName, String)>,
    /// Made for an image's VOLUME or a mount without a source, and removed with `down -v`.
    pub anonymous: bool,
    /// Nanoseconds since 1970-01-01 UTC.
    pub created_ns: u64,
    /// Labels of the Compose file.
    pub labels: BTreeMap<String, String>,
}

/// `container.json`: what one container is. It changes only by a recreate, a rename of the name and
/// `naru network connect` and `disconnect` apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// Form of this record.
    pub version: u32,
    /// Its id.
    pub id: ContainerId,
    /// `<project>-<service>-<number>` or `container_name`.
    pub name: String,
    /// The service's name.
    pub service: String,
    /// 1 for the first replica.
    pub number: u32,
    /// What it was made from, as the planner's fingerprint: a change of it means a recreate.
    pub fingerprint: serde_json::Value,
    /// The image as the file names it.
    pub image: String,
    /// Its image id, `sha256:…` of the configuration.
    pub image_id: String,
    /// The command line, as `ps` shows it.
    pub command: Vec<String>,
    /// The host name inside.
    pub hostname: String,
    /// Nanoseconds since 1970-01-01 UTC.
    pub created_ns: u64,
    /// Its places in networks, in the order of the interfaces eth0, eth1, ….
    pub attachments: Vec<Attachment>,
    /// Published ports as bound.
    pub ports: Vec<Port>,
    /// Volume names by mount target.
    pub volumes: BTreeMap<String, String>,
    /// The volumes among them that were made for this container alone.
    pub anonymous_volumes: Vec<String>,
    /// Services it depends on, for `down` without a file.
    pub depends_on: BTreeMap<String, Dependency>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// The signal that asks it to stop.
    pub stop_signal: i32,
    /// How long it may take to.
    pub stop_grace: Duration,
    /// Has a terminal.
    pub tty: bool,
    /// Where its output goes.
    #[serde(default)]
    pub logging: Logging,
    /// What `run` made of it; absent for a replica of its service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub one_off: Option<OneOff>,
}

impl Container {
    /// Whether `run` made it, or it runs a `pre_start` hook: it is no replica of its service.
    pub fn is_one_off(&self) -> bool {
        self.one_off.is_some()
    }
}

impl OneOff {
    /// What the slug of a `pre_start` hook's container begins with; its number follows.
    pub const HOOK: &str = "pre_start-";

    /// Whether it is a `pre_start` hook's.
    pub fn is_hook(&self) -> bool {
        self.slug.starts_with(Self::HOOK)
    }
}

/// What is special about a container that is no replica of its service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OneOff {
    /// Twelve hexadecimal digits that tell this one call of `run` from all others; `pre_start-0` for the first such hook.
    pub slug: String,
    /// It is removed when it has ended.
    pub auto_remove: bool,
    /// The command that made it stays until it has ended.
    pub attended: bool,
    /// It answers to its service's names.
    pub use_aliases: bool,
    /// Size of its terminal at the start: rows and columns.
    #[serde(default)]
    pub size: Option<(u16, u16)>,
    /// Its service as it is for this container, since the file says something else.
    pub definition: serde_json::Value,
}

/// What becomes of a container's output.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logging {
    /// The driver as the file names it; empty for the default.
    pub driver: String,
    /// Its options.
    pub options: BTreeMap<String, String>,
    /// The name that the container has in logs elsewhere: the option `tag` filled in, or its short id.
    pub tag: String,
    /// What the options `labels`, `env` and `tag` add to each line.
    pub attributes: BTreeMap<String, String>,
}

/// A recorded `depends_on` entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependency {
    /// `service_started`, `service_healthy` or `service_completed_successfully`.
    pub condition: String,
    /// Whether a restart of the dependency restarts this container too.
    pub restart: bool,
    /// Whether it must be there at all.
    pub required: bool,
}

/// A published port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Port {
    /// The host's address; empty means all of them.
    pub host_ip: String,
    /// The host's port, never 0: a random one is recorded as it was bound.
    pub host_port: u16,
    /// The container's port.
    pub container_port: u16,
    /// `tcp` or `udp`.
    pub protocol: String,
}

/// `state.json`: what a container is doing, written at each change by the supervisor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Form of this record.
    pub version: u32,
    /// Whose it is: a file in another's place is not believed.
    #[serde(default)]
    pub id: Option<ContainerId>,
    /// Where it is in its life.
    pub phase: Phase,
    /// The container's first process while there is one.
    pub process: Option<Identity>,
    /// How many times it was started; the log's generation.
    pub generation: u16,
    /// Nanoseconds since 1970-01-01 UTC of the last start.
    pub started_ns: Option<u64>,
    /// Of the last end.
    pub finished_ns: Option<u64>,
    /// How the last run ended.
    pub exit: Option<Exit>,
    /// Restarts by policy since the user last started it.
    pub restarts: u32,
    /// The user stopped it: policies leave it alone.
    pub stopped_by_user: bool,
    /// The health check's verdict where there is a check.
    pub health: Option<Health>,
    /// Why it could not be started.
    pub error: Option<String>,
    /// When the last start was, on a clock that nobody sets.
    #[serde(default)]
    pub started_at: Option<Moment>,
    /// When the restart policy's delay is over, while it waits for that.
    #[serde(default)]
    pub restart_at: Option<Moment>,
    /// Restarts as the policy's limit and back-off count them.
    #[serde(default)]
    pub attempts: Attempts,
    /// Where its health check stands (`naru_plan::health::Schedule`): deadlines and counts.
    #[serde(default)]
    pub probes: Option<serde_json::Value>,
    /// How far it is on its way to being ready (`naru_plan::ready::Readiness`), where `x-naru-ready` asks for that.
    #[serde(default)]
    pub ready: Option<serde_json::Value>,
    /// What is missing for that, for people.
    #[serde(default)]
    pub not_ready: Option<String>,
    /// It is being ended by naru, to be started again.
    #[serde(default)]
    pub renewal: Option<Renewal>,
    /// The service that its restart waits for although its delay has passed.
    #[serde(default)]
    pub waits_for: Option<String>,
    /// The generation of the last start whose program ran: that of [`State::started_ns`] and of what ended since. See
    /// [`State::ran`].
    #[serde(default)]
    pub ran: Option<u16>,
}

/// A start that has been given the word to run its program; `start.json` is written right before that. It counts where the
/// [`State`] of the same generation does not know of it: whoever gave the word died before it could say so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// The container's first process.
    pub process: Identity,
    /// Which start it is: [`State::generation`].
    pub generation: u16,
    /// Nanoseconds since 1970-01-01 UTC.
    pub started_ns: u64,
    /// The same on a clock that nobody sets.
    pub started_at: Moment,
}

/// Why naru ends a container to start it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Renewal {
    /// It is unhealthy, and `x-naru-restart` asks for it.
    Unhealthy,
    /// A dependency with `restart: true` was restarted.
    Dependency,
}

/// `states.json`: what the containers of a project did last. [`State`] files lie in the run directory and go with it;
/// this is what a reboot leaves of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct States {
    /// Form of this record.
    pub version: u32,
    /// The boot in which it was written.
    pub boot_id: String,
    /// By container; without health checks, which begin anew at each start.
    pub states: BTreeMap<ContainerId, State>,
}

/// Restarts by policy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempts {
    /// All that count against the policy's limit.
    pub total: u64,
    /// Those in a row, which the delay grows with.
    pub streak: u32,
}

/// A point in time of one boot, for deadlines that outlive a process: no clock that is set moves it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// The boot that it is of.
    pub boot_id: String,
    /// Nanoseconds since then (`CLOCK_BOOTTIME`, clock_gettime(2)).
    pub ns: u64,
}

impl Moment {
    /// Now, or after `delay`. Without `/proc` it is of no boot, and so never comes.
    pub fn after(delay: Duration) -> Self {
        let delay = u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX);
        let boot_id = crate::process::boot_id().unwrap_or_default();
        Self { boot_id, ns: boot_ns().saturating_add(delay) }
    }

    /// How long ago it was; nothing for one of another boot.
    pub fn elapsed(&self) -> Option<Duration> {
        self.is_of_this_boot().then(|| Duration::from_nanos(boot_ns().saturating_sub(self.ns)))
    }

    /// How long until it is, zero when it has passed; nothing for one of another boot.
    pub fn remaining(&self) -> Option<Duration> {
        self.is_of_this_boot().then(|| Duration::from_nanos(self.ns.saturating_sub(boot_ns())))
    }

    /// Whether it is of the boot that the machine is in.
    pub fn is_of_this_boot(&self) -> bool {
        crate::process::boot_id().as_deref() == Some(&self.boot_id)
    }
}

/// Nanoseconds since 1970-01-01 UTC at which this boot began: what ran before had ended by then.
pub fn booted_ns() -> u64 {
    now_ns().saturating_sub(boot_ns())
}

fn boot_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    seconds * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or_default()
}

impl Start {
    /// A start that happens now.
    pub fn now(process: Identity, generation: u16) -> Self {
        let started_at = Moment::after(Duration::ZERO);
        Self { process, generation, started_ns: now_ns(), started_at }
    }
}

impl State {
    /// The container runs since this start.
    pub fn begin(&mut self, start: Start) {
        self.phase = Phase::Running;
        self.process = Some(start.process);
        self.ran = Some(start.generation);
        self.started_ns = Some(start.started_ns);
        self.started_at = Some(start.started_at);
        self.restart_at = None;
        self.error = None;
    }

    /// The generation of the last start whose program ran, if one has: a later one may be under way, or have failed.
    /// States of former versions do not tell; there it is the last one.
    pub fn ran(&self) -> Option<u16> {
        self.ran.or_else(|| self.started_ns.map(|_| self.generation))
    }

    /// The state of a container that was created and never started.
    pub fn created() -> Self {
        Self {
            version: VERSION,
            id: None,
            phase: Phase::Created,
            process: None,
            generation: 0,
            started_ns: None,
            finished_ns: None,
            exit: None,
            restarts: 0,
            stopped_by_user: false,
            health: None,
            error: None,
            started_at: None,
            restart_at: None,
            attempts: Attempts::default(),
            probes: None,
            ready: None,
            not_ready: None,
            renewal: None,
            waits_for: None,
            ran: None,
        }
    }
}

impl State {
    /// The boot that it tells of; nothing for a container that never started.
    pub fn boot_id(&self) -> Option<&str> {
        let started = self.started_at.as_ref().map(|moment| &moment.boot_id);
        let ended = self.exit.as_ref().map(|exit| &exit.process.boot_id);
        let process = self.process.as_ref().map(|process| &process.boot_id);
        process.or(started).or(ended).map(String::as_str)
    }

    /// What outlives a reboot.
    #[must_use]
    pub fn lasting(&self) -> Self {
        Self { health: None, probes: None, ..self.clone() }
    }

    /// What the end of boot `boot_id` left of it: nothing runs, and how it ended nobody knows.
    #[must_use]
    pub fn lost(mut self, boot_id: &str) -> Self {
        if self.phase == Phase::Running {
            let unknown = Identity { boot_id: boot_id.to_owned(), pid: 0, start_time: 0 };
            let process = self.process.take().unwrap_or(unknown);
            let time_ns = booted_ns();
            self.finished_ns = Some(time_ns);
            self.exit = Some(Exit { process, code: None, out_of_memory: false, time_ns });
        }
        if self.phase != Phase::Created {
            self.phase = Phase::Exited;
        }
        Self { process: None, health: None, probes: None, ..self }
    }

    /// Whether it ran, or was about to be restarted, when the machine went down.
    pub fn was_lost(&self) -> bool {
        let ended_so = self.exit.as_ref().is_some_and(Exit::is_lost);
        let waited = self.restart_at.as_ref().is_some_and(|at| !at.is_of_this_boot());
        self.phase == Phase::Exited && (ended_so || waited)
    }
}

impl Exit {
    /// Whether nobody knows how it ended because the machine was restarted meanwhile.
    pub fn is_lost(&self) -> bool {
        self.code.is_none() && crate::process::boot_id().as_ref() != Some(&self.process.boot_id)
    }
}

/// Where a container is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Made, never started.
    Created,
    /// Runs (if the kernel agrees).
    Running,
    /// Ended and waits for its restart policy's delay.
    Restarting,
    /// Ended.
    Exited,
}

/// How a run ended. `exit.json` is written by the keeper the moment it happens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// The process that ended.
    pub process: Identity,
    /// 0–255, or 128 + n for signal n; `None` when nobody could tell, which is never a success.
    pub code: Option<u8>,
    /// The kernel ended it for want of memory.
    pub out_of_memory: bool,
    /// Nanoseconds since 1970-01-01 UTC.
    pub time_ns: u64,
}

/// The health check's verdict and history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// The verdict.
    pub status: HealthStatus,
    /// Failures in a row.
    pub failing_streak: u32,
    /// The last probes, oldest first, at most 50.
    pub log: Vec<Probe>,
}

/// A health check's verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthStatus {
    /// Not yet known.
    Starting,
    /// The last probe succeeded.
    Healthy,
    /// Too many failures in a row.
    Unhealthy,
}

/// One run of a health check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// Nanoseconds since 1970-01-01 UTC.
    pub started_ns: u64,
    /// How long it took.
    pub took: Duration,
    /// Its exit code; `None` when it was ended at its time limit or could not be run.
    pub code: Option<u8>,
    /// What it printed, at most 4 KiB.
    pub output: String,
}

/// Nanoseconds since 1970-01-01 UTC, now. For showing to people; deadlines use the monotonic clock.
pub fn now_ns() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}
