//! How a value became what it is: what it took the place of, and what made it.

use std::sync::Arc;

use super::{Node, Value};

/// One step in the life of a value, and the steps before it.
#[derive(Debug, Clone)]
pub(crate) struct Past {
    /// What happened.
    pub(crate) how: How,
    /// The value before, with a past of its own; for [`How::Alias`] and [`How::Extends`] the place
    /// that took the value over.
    pub(crate) node: Node,
    /// The step before.
    pub(crate) earlier: Option<Arc<Self>>,
}

/// What can happen to a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// It took the place of an earlier value when files were merged.
    Merged,
    /// It took the place of an earlier entry of its list that means the same.
    SameEntry,
    /// It stands in the mapping itself and took the place of what `<<` brings in.
    MergeKey,
    /// Variables in the text were replaced; with the number of the scope they are looked up in.
    Template(u32),
    /// A name without a value took it from the environment; with the number of the scope.
    Environment(u32),
    /// It came through `*name`.
    Alias,
    /// It came from the service that another one extends.
    Extends,
}

impl How {
    /// Whether the value before is one that lost.
    pub(crate) fn is_loss(self) -> bool {
        matches!(self, Self::Merged | Self::SameEntry | Self::MergeKey)
    }
}

/// A value that no file says as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Made {
    /// Part of what a short form stands for.
    ShortForm,
    /// The condition of a dependency that names none.
    Dependency,
    /// Follows from `links`, `volumes_from` or a shared namespace.
    ImpliedDependency,
    /// The directory an image is built from.
    BuildContext,
    /// The name of a Dockerfile.
    Dockerfile,
    /// Where a secret is.
    SecretTarget,
    /// How a port is published.
    PortMode,
    /// The protocol of a port.
    PortProtocol,
    /// A request for devices that says neither how many nor which.
    AllDevices,
    /// A bind mount whose source is created.
    CreateHostPath,
    /// The network of a service that names none.
    DefaultNetwork,
    /// The name of a resource on the machine.
    ResourceName,
    /// The name of a resource that exists already.
    ExternalName,
    /// The number of replicas that `scale` gives.
    Scale,
}

impl Made {
    /// Why the value is there, as a sentence about it.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::ShortForm => "part of what the short form stands for",
            Self::Dependency => "default: a dependency has to be started, and to exist",
            Self::ImpliedDependency => {
                "follows from a namespace, link or volume that the service shares with it"
            }
            Self::BuildContext => "default: an image is built from the project's directory",
            Self::Dockerfile => "default: the file is called Dockerfile",
            Self::SecretTarget => "default: a secret is at /run/secrets/NAME",
            Self::PortMode => "default: a port is published in ingress mode",
            Self::PortProtocol => "default: a port is one of tcp",
            Self::AllDevices => "default: a request without number and ids is one for all devices",
            Self::CreateHostPath => {
                "default: the source of a bind mount in the short form is created"
            }
            Self::DefaultNetwork => {
                "default: a service that names no network is on the network `default`"
            }
            Self::ResourceName => "default: naru names it PROJECT_KEY",
            Self::ExternalName => "default: what is external has its key as its name",
            Self::Scale => "`scale` sets it",
        }
    }
}

impl Node {
    /// Adds a step to its past. `before` is the value before the step.
    pub(crate) fn remember(&mut self, how: How, before: Self) {
        let earlier = self.past.take();
        self.past = Some(Arc::new(Past { how, node: before, earlier }));
    }

    /// Adds a step to the past of this and of everything below it.
    pub(crate) fn remember_all(&mut self, how: How, before: &Self) {
        match &mut self.value {
            Value::Map(map) => map.iter_mut().for_each(|(_, node)| node.remember_all(how, before)),
            Value::List(list) => list.iter_mut().for_each(|node| node.remember_all(how, before)),
            _ => {}
        }
        self.remember(how, before.clone());
    }

    /// The steps of its past, the last one first.
    pub(crate) fn steps(&self) -> impl Iterator<Item = &Past> {
        std::iter::successors(self.past.as_deref(), |past| past.earlier.as_deref())
    }
}

/// Thousands of documents may override each other: the chain is taken apart step by step, since
/// dropping it by recursion would need a deep stack.
impl Drop for Past {
    fn drop(&mut self) {
        let mut next = self.node.past.take();
        while let Some(past) = next {
            let Ok(mut past) = Arc::try_unwrap(past) else { return };
            next = past.node.past.take();
        }
    }
}
