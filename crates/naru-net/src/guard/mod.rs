//! What keeps a container from sending in the name of its siblings, of the gateway or of anybody else: a small program
//! at the host's end of its link, in front of the bridge.
//!
//! It lets a frame pass when the hardware address, the IPv4 or IPv6 address that it comes from, and what ARP and
//! neighbour discovery say in it are the container's own. It is made with the link, goes with it, and costs other
//! links nothing; see `docs/decisions/0022-senders.md`.

mod assembler;
mod program;

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::{AsFd, OwnedFd};
use std::str::FromStr;

use ipnetwork::IpNetwork;
use naru_sys::bpf;
use rustix::io::Errno;

use crate::MacAddress;
use crate::netlink::{Refused, Socket, traffic};

/// In whose name a container may send on a network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Senders {
    /// Its own only.
    #[default]
    Own,
    /// Its own, and these addresses, with its own hardware address: those that move between containers, or of machines
    /// that it routes for.
    Also(Vec<IpNetwork>),
    /// Anybody's: nothing is looked at.
    Anybody,
}

/// The word for [`Senders::Anybody`].
const ANY: &str = "any";

/// The most addresses and subnets besides a container's own: each makes the program longer that looks at every frame.
const MOST: usize = 256;

/// What is neither `any` nor addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidSenders {
    /// Something else is there.
    #[error("{0:?} is neither `any` nor addresses or subnets with commas between them")]
    Text(String),
    /// There are more than a program can ask for.
    #[error("{0} addresses and subnets are too many: at most {MOST}, or `any`")]
    TooMany(usize),
}

impl FromStr for Senders {
    type Err = InvalidSenders;

    fn from_str(text: &str) -> Result<Self, InvalidSenders> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let networks = parts.map(|part| match part {
            ANY => Ok(None),
            part => part.parse().map(Some).map_err(|_| InvalidSenders::Text(text.to_owned())),
        });
        let networks: Vec<Option<IpNetwork>> = networks.collect::<Result<_, _>>()?;
        Ok(match networks.into_iter().collect::<Option<Vec<_>>>() {
            None => Self::Anybody,
            Some(none) if none.is_empty() => Self::Own,
            Some(many) if many.len() > MOST => return Err(InvalidSenders::TooMany(many.len())),
            Some(networks) => Self::Also(networks),
        })
    }
}

impl fmt::Display for Senders {
    /// The text that [`Senders::from_str`] reads: empty for [`Senders::Own`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own => Ok(()),
            Self::Anybody => f.write_str(ANY),
            Self::Also(networks) => {
                let texts: Vec<_> = networks.iter().map(ToString::to_string).collect();
                f.write_str(&texts.join(","))
            }
        }
    }
}

/// A container on one of its links.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Identity<'a> {
    pub(crate) mac: MacAddress,
    /// The interface's addresses.
    pub(crate) addresses: &'a [IpNetwork],
    pub(crate) senders: &'a Senders,
}

/// The guard could not be set.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel refused the program.
    #[error("cannot load the program that looks at senders")]
    Load(#[source] io::Error),
    /// The kernel refused to run it for a link.
    #[error("cannot look at the senders of link {link}")]
    Attach {
        /// The host's end of the link.
        link: String,
        /// The kernel's answer.
        source: Refused,
    },
}

impl Error {
    /// Whether the kernel or its configuration withholds what this needs.
    pub(crate) fn is_withheld(&self) -> bool {
        match self {
            Self::Load(error) => {
                let withheld = [Errno::PERM, Errno::ACCESS, Errno::NOSYS, Errno::OPNOTSUPP];
                withheld.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
            }
            // ENOENT: there is no such queue or no such classifier. ENODEV: the link itself has gone.
            Self::Attach { source, .. } => {
                let is_link = source.errno() == Some(nix::libc::ENODEV);
                source.is_withheld() || (source.is_absent() && !is_link)
            }
        }
    }
}

/// Guards a link; one that was guarded before gets the new guard in place of the old one.
///
/// # Errors
/// When the kernel refuses the program or has no place for it.
pub(crate) fn set(
    socket: &mut Socket,
    link: (&str, u32),
    identity: &Identity<'_>,
) -> Result<(), Error> {
    let (name, index) = link;
    let Some(program) = load(identity)? else { return Ok(()) };
    traffic::set_filter(socket, index, program.as_fd())
        .map_err(|source| Error::Attach { link: name.to_owned(), source })
}

/// Whether a link that should be guarded is.
pub(crate) fn is_set(socket: &mut Socket, index: u32, senders: &Senders) -> Result<bool, Refused> {
    Ok(*senders == Senders::Anybody || traffic::has_filter(socket, index)?)
}

/// Whether the kernel takes such programs from us at all.
///
/// # Errors
/// The kernel's answer.
pub fn probe() -> Result<(), Error> {
    let senders = Senders::Own;
    let nobody =
        Identity { mac: MacAddress([2, 0, 0, 0, 0, 0]), addresses: &[], senders: &senders };
    load(&nobody).map(drop)
}

fn load(identity: &Identity<'_>) -> Result<Option<OwnedFd>, Error> {
    let also: &[IpNetwork] = match identity.senders {
        Senders::Own => &[],
        Senders::Also(networks) => networks,
        Senders::Anybody => return Ok(None),
    };
    let own = identity.addresses.iter().map(|own| IpNetwork::from(own.ip()));
    let has_v6 = identity.addresses.iter().any(IpNetwork::is_ipv6);
    let link_local = has_v6.then(|| IpNetwork::from(link_local(identity.mac)));
    let all: Vec<_> = own.chain(link_local).chain(also.iter().copied()).collect();
    let code = program::of(identity.mac, &all);
    let loaded = bpf::load_traffic_filter(&code);
    loaded.map(Some).map_err(|errno| Error::Load(errno.into()))
}

/// The address that an interface gives itself (RFC 4291, appendix A).
fn link_local(mac: MacAddress) -> IpAddr {
    let [a, b, c, d, e, f] = mac.0;
    let tail = [a ^ 2, b, c, 0xff, 0xfe, d, e, f];
    let mut octets = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    octets[8..].copy_from_slice(&tail);
    Ipv6Addr::from(octets).into()
}

#[cfg(test)]
mod tests;
