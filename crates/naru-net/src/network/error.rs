//! What can go wrong with networks.

use std::io;

use crate::guard;
use crate::namespace;
use crate::netlink::Refused;

/// Why a network could not be made, joined or deleted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bridge could not be made.
    #[error("cannot create bridge {bridge} of network {network}")]
    Create {
        /// Id of the network.
        network: String,
        /// Name of its bridge.
        bridge: String,
        /// The kernel's answer.
        source: Refused,
    },
    /// The bridge that containers should join is not there.
    #[error("network {network} has no bridge {bridge}")]
    NoBridge {
        /// Id of the network.
        network: String,
        /// Name of its bridge.
        bridge: String,
    },
    /// The kernel has no links of this kind.
    #[error("this kernel has no {kind} links, which network {network} is made of")]
    UnknownKind {
        /// Id of the network.
        network: String,
        /// The kind, by the kernel's name.
        kind: &'static str,
    },
    /// The interface that a network's links should stand on is not there.
    #[error("network {network} has no parent {parent}: there is no such interface on this host")]
    NoParent {
        /// Id of the network.
        network: String,
        /// The interface.
        parent: String,
    },
    /// The parent of a network's links could not be made or asked for.
    #[error("cannot make {parent}, the parent of network {network}")]
    MakeParent {
        /// Id of the network.
        network: String,
        /// The interface.
        parent: String,
        /// The kernel's answer.
        source: Refused,
    },
    /// A container's link on a parent could not be made.
    #[error("cannot make the {link}{reason}")]
    Upper {
        /// Its kind and name, the container's addresses, and the parent.
        link: String,
        /// What that means, after a colon; may be empty.
        reason: &'static str,
        /// The kernel's answer.
        source: Refused,
    },
    /// A container's link could not be made or set up.
    #[error("cannot attach {end} to network {network}")]
    Attach {
        /// Id of the network.
        network: String,
        /// Interface inside the container, with its addresses.
        end: String,
        /// The kernel's answer.
        source: Refused,
    },
    /// A kernel parameter of an interface could not be set.
    #[error("cannot set the kernel parameter {parameter} for interface {interface}")]
    Parameter {
        /// The interface.
        interface: String,
        /// The parameter, as a path below `/proc/sys`.
        parameter: String,
        /// Why the setting could not be written.
        source: io::Error,
    },
    /// A setting that keeps strangers out could not be made.
    #[error("cannot set {setting} of {interface}")]
    Harden {
        /// The setting, by its name below `/proc/sys/net`.
        setting: String,
        /// The interface.
        interface: String,
        /// Why it could not be written.
        source: io::Error,
    },
    /// A container could not be kept from sending in others' names.
    #[error("cannot keep {end} of network {network} from sending in others' names")]
    Guard {
        /// Id of the network.
        network: String,
        /// Interface inside the container, with its addresses.
        end: String,
        /// Why.
        source: Box<guard::Error>,
    },
    /// The loopback interface of a container could not be brought up.
    #[error("cannot bring up the container's loopback interface")]
    Loopback(#[source] Refused),
    /// The container's network namespace could not be entered.
    #[error("cannot set up the container's network")]
    Namespace(#[source] namespace::Error),
    /// A link could not be deleted.
    #[error("cannot delete interface {name}")]
    Delete {
        /// The interface.
        name: String,
        /// The kernel's answer.
        source: Refused,
    },
    /// The links of a group could not be deleted.
    #[error("cannot delete the interfaces of group {group}")]
    DeleteGroup {
        /// The group's number.
        group: u32,
        /// The kernel's answer.
        source: Refused,
    },
    /// The links of the host could not be listed.
    #[error("cannot list the network interfaces")]
    List(#[source] Refused),
}

impl Error {
    /// Whether the kernel does not let us make links at all: a right or a subsystem is missing.
    pub fn is_withheld(&self) -> bool {
        match self {
            Self::Create { source, .. } => source.is_withheld(),
            Self::Parameter { source, .. } | Self::Harden { source, .. } => {
                source.kind() == io::ErrorKind::PermissionDenied
            }
            _ => false,
        }
    }
}
