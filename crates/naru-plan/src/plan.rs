//! The plan: steps in an order that works, each with what must be done before it and why it is done.

use std::collections::BTreeMap;
use std::fmt;

use naru_compose::project::Condition;
use serde::{Deserialize, Serialize};

use crate::cause::Cause;
use crate::notice::Notice;

/// What to do, as steps in topological order, and what to tell the user.
///
/// Printed, it is one line per step.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The steps; a step comes after everything it refers to.
    pub steps: Vec<Step>,
    /// What the user should know and no step is about.
    pub notices: Vec<Notice>,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Its number in this plan.
    pub id: StepId,
    /// What to do.
    pub action: Action,
    /// Steps that must have succeeded before this one begins; when one fails, this one is not done.
    pub after: Vec<StepId>,
    /// Dependencies that must have reached a condition before this one begins.
    pub gates: Vec<Gate>,
    /// Why it is done.
    pub cause: Cause,
}

/// A step's number, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StepId(pub u32);

/// Everything that can be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Make a network.
    CreateNetwork {
        /// The key in the Compose file.
        key: String,
        /// The full name.
        name: String,
    },
    /// Take a network away.
    RemoveNetwork {
        /// The full name.
        name: String,
    },
    /// Make a named volume.
    CreateVolume {
        /// The key in the Compose file.
        key: String,
        /// The full name.
        name: String,
    },
    /// Take a named volume away, with its data.
    RemoveVolume {
        /// The full name.
        name: String,
    },
    /// Prepare everything a container needs, without running it.
    CreateContainer {
        /// The service.
        service: String,
        /// The replica's number.
        number: u32,
        /// The name to give; a temporary one while the container that it replaces has the real one.
        name: String,
        /// The container that it takes the place of.
        replaces: Option<Replaced>,
        /// It runs this `pre_start` hook of the service, and is no replica.
        hook: Option<u32>,
    },
    /// Run a container.
    StartContainer {
        /// The service.
        service: String,
        /// Which one.
        container: Subject,
    },
    /// End a container's processes, or the wait for its restart.
    StopContainer {
        /// The service.
        service: String,
        /// Which one.
        container: Subject,
    },
    /// Take a container away.
    RemoveContainer {
        /// The service.
        service: String,
        /// Which one.
        container: Subject,
        /// Whether its anonymous volumes go too.
        anonymous_volumes: bool,
    },
    /// Give a container its real name.
    RenameContainer {
        /// The service.
        service: String,
        /// Which one, under its temporary name.
        container: Subject,
        /// The real name.
        to: String,
    },
}

/// The container that a new one takes the place of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replaced {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Whether the new container takes over its anonymous volumes.
    pub inherit_anonymous_volumes: bool,
}

/// A container that a step is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// One that exists.
    Existing {
        /// Its id.
        id: String,
        /// Its name.
        name: String,
    },
    /// One that an earlier step creates.
    New {
        /// The step that creates it.
        created_by: StepId,
        /// The name it has at the time of this step.
        name: String,
    },
}

impl Subject {
    /// The name it has at the time of the step.
    pub fn name(&self) -> &str {
        match self {
            Self::Existing { name, .. } | Self::New { name, .. } => name,
        }
    }
}

/// A dependency that must have reached a condition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gate {
    /// The service that is depended on.
    pub service: String,
    /// What it must have reached.
    pub condition: Condition,
    /// Whether the step is given up when it does not; otherwise that is a warning.
    pub required: bool,
    /// Steps of this plan that start the dependency; ask about the condition once they have ended.
    /// For a required dependency they are in [`Step::after`] too.
    pub started_by: Vec<StepId>,
    /// The dependency's containers, for [`crate::gate::check`].
    pub containers: Vec<Subject>,
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The step with this number.
    pub fn step(&self, id: StepId) -> Option<&Step> {
        self.steps.get(usize::try_from(id.0).ok()?.checked_sub(1)?)
    }

    /// Appends a step. References to later steps are impossible, so the order stays topological.
    pub(crate) fn push(
        &mut self,
        action: Action,
        cause: Cause,
        after: impl IntoIterator<Item = StepId>,
    ) -> StepId {
        let mut after: Vec<StepId> = after.into_iter().collect();
        after.sort_unstable();
        after.dedup();
        let id = StepId(u32::try_from(self.steps.len() + 1).unwrap_or(u32::MAX));
        self.steps.push(Step { id, action, after, gates: Vec::new(), cause });
        id
    }

    /// Appends a step that starts a container once its gates are open.
    pub(crate) fn push_gated(
        &mut self,
        action: Action,
        cause: Cause,
        after: impl IntoIterator<Item = StepId>,
        gates: Vec<Gate>,
    ) -> StepId {
        let starts = gates.iter().filter(|gate| gate.required).flat_map(|gate| &gate.started_by);
        let after: Vec<StepId> = after.into_iter().chain(starts.copied()).collect();
        let id = self.push(action, cause, after);
        if let Some(step) = self.steps.last_mut() {
            step.gates = gates;
        }
        id
    }

    /// Runs a `pre_start` hook and takes its container away when it has succeeded; gives that step.
    pub(crate) fn push_hook(
        &mut self,
        service: &str,
        (index, hook): (usize, Subject),
        after: impl IntoIterator<Item = StepId>,
        gates: Vec<Gate>,
    ) -> StepId {
        let (service, container) = (service.to_owned(), hook.clone());
        let action = Action::StartContainer { service: service.clone(), container };
        let started = self.push_gated(action, Cause::PreStart, after, gates);
        let end = Gate {
            service: format!("{service} pre_start[{index}]"),
            condition: Condition::CompletedSuccessfully,
            required: true,
            started_by: vec![started],
            containers: vec![hook.clone()],
        };
        let action = Action::RemoveContainer { service, container: hook, anonymous_volumes: false };
        self.push_gated(action, Cause::Completed, None, vec![end])
    }

    /// How many steps of each kind there are, for a one-line summary.
    pub fn counts(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        for step in &self.steps {
            *counts.entry(step.action.verb()).or_default() += 1;
        }
        counts
    }
}

impl Action {
    /// The verb and kind, such as `create network`.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::CreateNetwork { .. } => "create network",
            Self::RemoveNetwork { .. } => "remove network",
            Self::CreateVolume { .. } => "create volume",
            Self::RemoveVolume { .. } => "remove volume",
            Self::CreateContainer { .. } => "create container",
            Self::StartContainer { .. } => "start container",
            Self::StopContainer { .. } => "stop container",
            Self::RemoveContainer { .. } => "remove container",
            Self::RenameContainer { .. } => "rename container",
        }
    }

    /// The name of what it is about.
    pub fn name(&self) -> &str {
        match self {
            Self::CreateNetwork { name, .. }
            | Self::RemoveNetwork { name }
            | Self::CreateVolume { name, .. }
            | Self::RemoveVolume { name }
            | Self::CreateContainer { name, .. } => name,
            Self::StartContainer { container, .. }
            | Self::StopContainer { container, .. }
            | Self::RemoveContainer { container, .. }
            | Self::RenameContainer { container, .. } => container.name(),
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            writeln!(f, "{step}")?;
        }
        for notice in &self.notices {
            writeln!(f, "note: {notice}")?;
        }
        Ok(())
    }
}

/// `4 start container shop-web-1 [after 2, 3; db healthy]: new`.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.id.0, self.action)?;
        let after: Vec<String> = self.after.iter().map(|id| id.0.to_string()).collect();
        let mut conditions: Vec<String> = Vec::new();
        if !after.is_empty() {
            conditions.push(format!("after {}", after.join(", ")));
        }
        conditions.extend(self.gates.iter().map(Gate::to_string));
        if !conditions.is_empty() {
            write!(f, " [{}]", conditions.join("; "))?;
        }
        write!(f, ": {}", self.cause)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb(), self.name())?;
        match self {
            Self::CreateContainer { replaces: Some(old), .. } => write!(f, " for {}", old.name),
            Self::RemoveContainer { anonymous_volumes: true, .. } => {
                f.write_str(" and its anonymous volumes")
            }
            Self::RenameContainer { to, .. } => write!(f, " to {to}"),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let condition = match self.condition {
            Condition::Started => "started",
            Condition::Healthy => "healthy",
            Condition::CompletedSuccessfully => "completed",
        };
        write!(f, "{} {condition}", self.service)?;
        if self.required { Ok(()) } else { f.write_str(" if it can be") }
    }
}
