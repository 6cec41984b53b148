//! What is said over a project's control socket: JSON, one value a line. The client sends one [`Request`];
//! the supervisor answers with [`Reply`] lines, the last of which is [`Reply::Done`] or [`Reply::Failed`].

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use naru_compose::project::{Project, Service};
use naru_state::record;
use serde::{Deserialize, Serialize};

/// The version of what is said here: programs of another one do not understand each other, but for [`Request::Upgrade`]
/// and [`Reply::Hello`].
pub const PROTOCOL: u32 = 1;

/// Who answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Its [`PROTOCOL`].
    pub protocol: u32,
    /// Its version, for people.
    pub version: String,
    /// Device and inode of its program: what tells two builds of one version apart.
    pub program: (u64, u64),
}

impl Hello {
    /// This process's.
    pub fn own() -> Self {
        use std::os::unix::fs::MetadataExt;
        let program = fs_err::metadata("/proc/self/exe");
        Self {
            protocol: PROTOCOL,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            program: program.map_or((0, 0), |program| (program.dev(), program.ino())),
        }
    }
}

/// What a client asks for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Bring services up.
    Up(Box<Up>),
    /// Stop and remove; the supervisor ends afterwards when nothing is left.
    Down(Down),
    /// Stop, but keep the containers.
    Stop(Stop),
    /// Start existing containers.
    Start(Start),
    /// Stop and start existing containers.
    Restart(Restart),
    /// Remove stopped containers.
    Remove(Remove),
    /// Run a one-off container.
    Run(Box<Run>),
    /// Tell how a running container ends ([`Reply::Ended`]), and give what is needed to take part in it until then.
    Attach {
        /// The container's id.
        id: String,
    },
    /// The client has all that it wants of a container that has ended: one that is to be removed then is, before the
    /// answer.
    Leave {
        /// The container's id.
        id: String,
    },
    /// Send a signal to one container.
    Signal {
        /// The container's id.
        id: String,
        /// The signal's number.
        signal: i32,
    },
    /// Write every record of the project again as the supervisor knows it.
    Rewrite,
    /// Start what restart policies bring back after a restart of the machine.
    Boot,
    /// Answer with the plan of a request ([`Reply::Plan`]) instead of carrying it out.
    DryRun(Box<Self>),
    /// Send a signal to the running containers of these services (all when empty), at once.
    Kill {
        /// Services; empty for all.
        services: Vec<String>,
        /// The signal's number.
        signal: i32,
    },
    /// Tell every [`Reply::Changed`] from now on, until the client goes.
    Watch,
    /// Let the client's own program take the place of the project's two processes.
    Upgrade,
    /// Another project has changed names or addresses in a network that this one is in.
    Names,
    /// Give a container a place in one more network.
    Connect(Box<Connect>),
    /// Take a container from a network.
    Disconnect {
        /// The container's id.
        container: String,
        /// The network's name.
        network: String,
    },
    /// Take one of the project's networks away.
    RemoveNetwork {
        /// Its name.
        name: String,
    },
}

/// `naru network connect`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Connect {
    /// The container's id.
    pub container: String,
    /// The network's name.
    pub network: String,
    /// What the container asks of its place there.
    pub place: naru_compose::project::Attachment,
    /// Names for others there that the container alone has: `NAME:ALIAS`.
    pub links: Vec<String>,
}

/// `naru up`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Up {
    /// The whole project, profiles applied.
    pub project: Project,
    /// The services named on the command line; empty for all.
    pub services: Vec<String>,
    /// Recreate even what is up to date.
    pub force_recreate: bool,
    /// Recreate nothing.
    pub no_recreate: bool,
    /// Leave the dependencies alone.
    pub no_deps: bool,
    /// Recreate dependencies too.
    pub always_recreate_deps: bool,
    /// New anonymous volumes instead of the old container's.
    pub renew_anon_volumes: bool,
    /// Remove containers of services that are no longer in the file.
    pub remove_orphans: bool,
    /// Do not tell of containers of services that are no longer in the file.
    #[serde(default)]
    pub ignore_orphans: bool,
    /// Replicas by service, instead of the file's.
    pub scale: BTreeMap<String, u32>,
    /// Only make the containers, without starting them.
    #[serde(default)]
    pub no_start: bool,
    /// Publish every port at any free one, whatever the file says.
    #[serde(default)]
    pub auto_ports: bool,
    /// Answer only when everything is running or healthy.
    pub wait: bool,
    /// How long to wait at most.
    pub wait_timeout: Option<Duration>,
    /// Instead of each service's grace period, when containers are replaced.
    pub stop_timeout: Option<Duration>,
    /// Whom directories made for missing bind sources belong to: the user behind `sudo`.
    #[serde(default)]
    pub caller: Option<Caller>,
}

/// `naru run`. Asked again by the same client, it is answered about the same container.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Run {
    /// What has to be there before: `up` of what the service depends on. Its `services` is that service alone.
    pub up: Up,
    /// The service.
    pub service: String,
    /// The container's name.
    pub name: String,
    /// Twelve hexadecimal digits that no other call has.
    pub slug: String,
    /// The service as it is for this container.
    pub definition: Service,
    /// Remove the container when it has ended and the client has gone.
    pub auto_remove: bool,
    /// Give it its service's names.
    pub use_aliases: bool,
    /// Whether the client stays until the container's end.
    pub attended: bool,
    /// The container's input: a descriptor of the client's, the reading end of a pipe.
    pub stdin: Option<i32>,
    /// That descriptor, opened by whoever received the request.
    #[serde(skip)]
    pub input: Option<Arc<OwnedFd>>,
    /// Size of its terminal at the start: rows and columns.
    pub size: Option<(u16, u16)>,
    /// The client knows that it was started: it must not be started again.
    #[serde(default)]
    pub is_known: bool,
}

/// The user on whose behalf a command runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// `naru down`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Down {
    /// The services to take down (with their dependents); empty for the whole project.
    pub services: Vec<String>,
    /// Remove named and anonymous volumes too.
    pub volumes: bool,
    /// Instead of each service's grace period.
    pub timeout: Option<Duration>,
    /// Also what is no longer in the file.
    pub remove_orphans: bool,
}

/// `naru stop`, and the first Ctrl-C of a foreground `up`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Stop {
    /// The services; empty for all.
    pub services: Vec<String>,
    /// Instead of each service's grace period.
    pub timeout: Option<Duration>,
}

/// `naru start`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Start {
    /// The services (with what they depend on); empty for all.
    pub services: Vec<String>,
    /// Answer only when everything is running or healthy.
    pub wait: bool,
    /// How long to wait at most.
    pub wait_timeout: Option<Duration>,
}

/// `naru restart`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Restart {
    /// The services; empty for all.
    pub services: Vec<String>,
    /// Leave those alone that ask to be restarted with them.
    pub no_deps: bool,
    /// Instead of each service's grace period.
    pub timeout: Option<Duration>,
    /// The Compose file as it is now: what has changed since is named, and not applied.
    pub project: Option<Box<Project>>,
}

/// `naru rm`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Remove {
    /// The services; empty for all.
    pub services: Vec<String>,
    /// Stop what runs first.
    pub stop: bool,
    /// Remove anonymous volumes too.
    pub volumes: bool,
}

/// One line of an answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// First of all, before anything is asked: who answers.
    Hello(Hello),
    /// A step begins or has ended.
    Progress(Progress),
    /// A sentence for the user.
    Notice(String),
    /// A line that a hook wrote.
    Hook {
        /// The hook's container without the project's name: `web-1`.
        container: String,
        /// The line, without its end.
        line: String,
    },
    /// The plan of a [`Request::DryRun`] as text, one step a line.
    Plan(String),
    /// All services that a [`Request::Restart`] takes along: it is asked for these when the supervisor dies under it, for
    /// of who was stopped only to be started again the next one knows no more than that it does not run.
    Restarts(Vec<String>),
    /// A container changed (only for [`Request::Watch`]).
    Changed(Box<Changed>),
    /// The container that the client asked to run or to take part in was started.
    Running(Box<Running>),
    /// That container has ended; the last line of the answer.
    Ended {
        /// The exit code, or `None` when nobody saw it.
        code: Option<u8>,
    },
    /// The request is done.
    Done,
    /// It is not, and nothing half made was left by it.
    Failed(Failure),
}

/// A step on a resource, as docker compose words it: "Container p-web-1 Starting".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// What kind of thing.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// What happens to it.
    pub step: Step,
    /// More, for people: what is waited for, why it is recreated.
    pub detail: Option<String>,
}

/// Kinds of resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A container.
    Container,
    /// A network.
    Network,
    /// A volume.
    Volume,
}

/// What happens to a resource; those that end in -ing are under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the words are docker compose's and say it all")]
pub enum Step {
    Creating,
    Created,
    Recreating,
    Recreated,
    Starting,
    Started,
    Running,
    Waiting,
    Healthy,
    Exited,
    Stopping,
    Stopped,
    Removing,
    Removed,
    Error,
}

/// A container to take part in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Running {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The descriptor of its terminal is beside this line.
    pub has_terminal: bool,
    /// That descriptor, on the sending side.
    #[serde(skip)]
    pub terminal: Option<Arc<OwnedFd>>,
}

/// A container's new state.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Changed {
    /// The container's name.
    pub name: String,
    /// Its service.
    pub service: String,
    /// It is no replica of it.
    #[serde(default)]
    pub one_off: bool,
    /// Its state now.
    pub state: record::State,
}

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Failure {
    /// What went wrong, in one line.
    pub message: String,
    /// The chain of causes below it.
    pub causes: Vec<String>,
    /// What the user can do.
    pub hints: Vec<String>,
    /// The key path in the Compose file, such as `services.web.image`, where there is one: the client
    /// knows file, line and column of it.
    pub key: Option<String>,
    /// The exit code of a command that cannot be executed: 127 when there is none of that name, else 126.
    #[serde(default)]
    pub code: Option<u8>,
    /// What kind of failure it is, for programs.
    #[serde(default)]
    pub cause: Cause,
}

/// Kinds of failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// None of the others.
    #[default]
    Other,
    /// The Compose file asks for what cannot be.
    Config,
    /// An image is missing or cannot be used.
    Image,
    /// A port is somebody else's.
    Conflict,
    /// A container could not be started.
    Start,
    /// A container has ended that should not have, or with a failure.
    Exited,
    /// A container is unhealthy.
    Unhealthy,
    /// The time that was given has passed.
    Timeout,
}

impl Failure {
    /// A failure with the chain of `error`'s sources.
    pub fn from_error(error: &dyn std::error::Error) -> Self {
        let causes = naru_state::causes(error).map(ToString::to_string).collect();
        Self { message: error.to_string(), causes, ..Self::default() }
    }

    /// The same with the place in the Compose file.
    #[must_use]
    pub fn at(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// The same with its kind.
    #[must_use]
    pub fn because(mut self, cause: Cause) -> Self {
        self.cause = cause;
        self
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}
