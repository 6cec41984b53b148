//! A command under way: its plan, how far it is ([`naru_plan::Progress`]), and who is told. What a step does
//! is in the modules beside.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use naru_plan::{Action, Outcome, Plan, Progress, StepId, Subject};
use naru_state::{ContainerId, record};
use tokio::time::Instant;

use super::control::Client;
use crate::protocol::{self, Failure, Kind, Reply, Run};

/// A step of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StepOf {
    pub(super) operation: u64,
    pub(super) step: StepId,
}

/// What is to follow when all steps have ended well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Then {
    /// Answer.
    Answer,
    /// Wait until these services run or are healthy, then answer.
    Wait(Vec<naru_plan::wait::Target>),
}

/// A command under way.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) id: u64,
    pub(super) progress: Progress,
    /// Containers made by its steps.
    pub(super) created: BTreeMap<StepId, ContainerId>,
    /// Host ports bound for containers that are yet to be made.
    pub(super) ports: BTreeMap<StepId, Vec<record::Port>>,
    /// Each of them may be any.
    pub(super) auto_ports: bool,
    /// The last word told about each container that is waited for.
    pub(super) waiting: BTreeMap<ContainerId, protocol::Step>,
    pub(super) client: Client,
    pub(super) failure: Option<Failure>,
    /// When its steps began and ended.
    pub(super) times: super::timeline::Times,
    /// It is an `up`: a stop ends it.
    pub(super) comes_up: bool,
    /// It is a `run`: the container that it is about.
    pub(super) run: Option<Arc<Run>>,
    /// It is a `restart`: that is told of what it has started.
    pub(super) restarts: bool,
    pub(super) cancelled: bool,
    pub(super) then: Then,
    /// Since when it is under way.
    pub(super) began: Instant,
    /// How long who asked waits at most.
    pub(super) patience: Option<Duration>,
    /// Instead of each container's own grace period.
    pub(super) stop_timeout: Option<Duration>,
}

impl Operation {
    /// An operation that has not begun.
    pub(super) fn new(id: u64, plan: Plan, client: Client, then: Then) -> Self {
        Self {
            id,
            progress: Progress::new(plan),
            created: BTreeMap::new(),
            ports: BTreeMap::new(),
            auto_ports: false,
            waiting: BTreeMap::new(),
            client,
            failure: None,
            times: super::timeline::Times::new(),
            comes_up: false,
            run: None,
            restarts: false,
            cancelled: false,
            then,
            began: Instant::now(),
            patience: None,
            stop_timeout: None,
        }
    }

    /// Notes a step's end; the first failure is kept as the operation's.
    pub(super) fn end_step(&mut self, step: StepId, result: Result<(), Failure>) {
        self.times.end(step, result.is_err());
        let outcome = match result {
            Ok(()) => Outcome::Done,
            Err(failure) => {
                self.failure.get_or_insert(failure);
                Outcome::Failed
            }
        };
        self.progress.finish(step, outcome);
    }

    /// What a step does.
    pub(super) fn action(&self, step: StepId) -> Option<&Action> {
        self.progress.plan().step(step).map(|step| &step.action)
    }

    /// Whether one of its steps takes this container away.
    pub(super) fn removes(&self, id: &ContainerId) -> bool {
        self.progress.plan().steps.iter().any(|step| match &step.action {
            Action::RemoveContainer { container, .. } => {
                self.container(container).as_ref() == Some(id)
            }
            _ => false,
        })
    }

    /// The container a step is about.
    pub(super) fn container(&self, subject: &Subject) -> Option<ContainerId> {
        match subject {
            Subject::Existing { id, .. } => ContainerId::try_from(id.clone()).ok(),
            Subject::New { created_by, .. } => self.created.get(created_by).cloned(),
        }
    }

    /// Tells the client about a resource.
    pub(super) fn tell(
        &self,
        kind: Kind,
        name: &str,
        step: protocol::Step,
        detail: Option<String>,
    ) {
        let progress = protocol::Progress { kind, name: name.to_owned(), step, detail };
        drop(self.client.send(Reply::Progress(progress)));
    }
}

/// What the client is told when a step begins, and when it has succeeded.
pub(super) fn words(action: &Action) -> (Kind, protocol::Step, protocol::Step) {
    use protocol::Step::{
        Created, Creating, Recreated, Recreating, Removed, Removing, Started, Starting, Stopped,
        Stopping,
    };
    match action {
        Action::CreateNetwork { .. } => (Kind::Network, Creating, Created),
        Action::RemoveNetwork { .. } => (Kind::Network, Removing, Removed),
        Action::CreateVolume { .. } => (Kind::Volume, Creating, Created),
        Action::RemoveVolume { .. } => (Kind::Volume, Removing, Removed),
        Action::CreateContainer { replaces: None, .. } => (Kind::Container, Creating, Created),
        Action::CreateContainer { .. } | Action::RenameContainer { .. } => {
            (Kind::Container, Recreating, Recreated)
        }
        Action::StartContainer { .. } => (Kind::Container, Starting, Started),
        Action::StopContainer { .. } => (Kind::Container, Stopping, Stopped),
        Action::RemoveContainer { .. } => (Kind::Container, Removing, Removed),
    }
}
