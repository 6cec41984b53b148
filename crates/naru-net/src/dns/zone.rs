//! Which names a project has: a pure lookup, apart from every socket.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::IpNetwork;

use super::message::{Question, TYPE_A, TYPE_AAAA, TYPE_ANY, TYPE_PTR};

/// The names under which every container finds its host.
pub const HOST_NAMES: [&str; 2] = ["host.docker.internal", "host.naru.internal"];

/// All names of a project.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Zone {
    networks: BTreeMap<String, NetworkNames>,
    /// Single labels that the project has, also where nothing answers to them now.
    labels: BTreeSet<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct NetworkNames {
    /// The network's name, which may follow every name in it after a dot.
    name: String,
    subnets: Vec<IpNetwork>,
    names: BTreeMap<String, Vec<IpAddr>>,
    /// Names that somebody in it has, also where nobody answers to them now.
    claimed: BTreeSet<String>,
    reverse: BTreeMap<IpAddr, String>,
}

/// From where a question comes: what one container may see.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct View {
    /// The ids of the container's networks; the first that knows a name answers.
    pub networks: Vec<String>,
    /// Names that only this container has for others (links), and what they stand for; all in lower case.
    pub aliases: BTreeMap<String, String>,
    /// The host's addresses as the container sees them, for [`HOST_NAMES`].
    pub host: Vec<IpAddr>,
    /// Whether questions about other names go to name servers: false for a container that is on
    /// internal networks only.
    pub forward: bool,
}

/// What a lookup found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// All addresses of the name, of the family that was asked for.
    Addresses(Vec<IpAddr>),
    /// The names of the address.
    Names(Vec<String>),
    /// A name of the project that has nothing of the type asked for, such as IPv6 addresses or mail servers.
    Nothing,
    /// There is no such name, and nobody else shall be asked.
    NoName,
    /// Not the project's, and a single label, which never leaves the host: the host's own file may know it.
    Host,
    /// Not the project's: ask the host, and its name servers.
    Forward,
}

impl Zone {
    /// Adds a network, which may have no names yet. Questions about addresses of its subnets are never forwarded.
    pub fn add_network(
        &mut self,
        id: &str,
        name: &str,
        subnets: impl IntoIterator<Item = IpNetwork>,
    ) {
        let network = self.networks.entry(id.to_owned()).or_default();
        network.name = normal(name);
        network.subnets.extend(subnets);
    }

    /// Adds a container's address under its names: service, container name, aliases, hostname.
    /// `canonical` is what a reverse lookup answers. A network that was not added is passed over.
    pub fn add<'a>(
        &mut self,
        network: &str,
        address: IpAddr,
        canonical: &str,
        names: impl IntoIterator<Item = &'a str>,
    ) {
        let Some(network) = self.networks.get_mut(network) else { return };
        network.reverse.insert(address, canonical.to_owned());
        for name in names {
            let addresses = network.names.entry(normal(name)).or_default();
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
    }

    /// Claims names in a network: from there they are not asked elsewhere even while no container answers to them. Single
    /// labels are the whole project's; one with a dot may be somebody else's on the Internet, for whoever is not in this
    /// network. One that was not added is passed over.
    pub fn claim<'a>(&mut self, network: &str, names: impl IntoIterator<Item = &'a str>) {
        let mut network = self.networks.get_mut(network);
        for name in names.into_iter().map(normal) {
            if !name.contains('.') {
                self.labels.insert(name);
            } else if let Some(network) = &mut network {
                network.claimed.insert(name);
            }
        }
    }

    /// Answers a question from a container's view.
    pub fn lookup(&self, question: &Question, view: &View) -> Answer {
        let kind = question.kind;
        let name = view.aliases.get(&question.name).unwrap_or(&question.name).as_str();
        let visible = || view.networks.iter().filter_map(|id| self.networks.get(id));
        if let Some(addresses) = visible().find_map(|network| network.find(name)) {
            return of_kind(addresses, kind);
        }
        if HOST_NAMES.contains(&name) && !view.host.is_empty() {
            return of_kind(&view.host, kind);
        }
        if name == "localhost" || name.ends_with(".localhost") {
            return of_kind(&[Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()], kind);
        }
        if let Some(address) = reversed(name)
            && let Some(network) =
                visible().find(|network| network.subnets.iter().any(|s| s.contains(address)))
        {
            return match network.reverse.get(&address) {
                Some(name) if matches!(kind, TYPE_PTR | TYPE_ANY) => {
                    Answer::Names(vec![name.clone()])
                }
                Some(_) => Answer::Nothing,
                None => Answer::NoName,
            };
        }
        let is_own = self.labels.contains(name) || visible().any(|network| network.claims(name));
        if is_own || HOST_NAMES.contains(&name) || !view.forward {
            return Answer::NoName;
        }
        // A single label means something in this project or on this host, or nothing.
        let single_label = !name.is_empty() && !name.contains('.');
        if single_label { Answer::Host } else { Answer::Forward }
    }
}

impl NetworkNames {
    fn find(&self, name: &str) -> Option<&[IpAddr]> {
        let short = || name.strip_suffix(&self.name)?.strip_suffix('.');
        let found = self.names.get(name).or_else(|| self.names.get(short()?))?;
        Some(found)
    }

    fn claims(&self, name: &str) -> bool {
        self.claimed.contains(name)
    }
}

/// The addresses that a question of this type asks for.
pub(super) fn of_kind(addresses: &[IpAddr], kind: u16) -> Answer {
    let is_asked = |address: &&IpAddr| match kind {
        TYPE_A => address.is_ipv4(),
        TYPE_AAAA => address.is_ipv6(),
        _ => kind == TYPE_ANY,
    };
    let asked: Vec<_> = addresses.iter().filter(is_asked).copied().collect();
    if asked.is_empty() { Answer::Nothing } else { Answer::Addresses(asked) }
}

/// A name as questions have it.
pub(super) fn normal(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// The address that a name such as `2.0.213.10.in-addr.arpa` stands for.
fn reversed(name: &str) -> Option<IpAddr> {
    if let Some(nibbles) = name.strip_suffix(".ip6.arpa") {
        return reversed_v6(nibbles).map(IpAddr::V6);
    }
    let mut parts = name.strip_suffix(".in-addr.arpa")?.split('.').rev();
    let mut octets = [0; 4];
    for octet in &mut octets {
        *octet = parts.next()?.parse().ok()?;
    }
    parts.next().is_none().then(|| Ipv4Addr::from(octets).into())
}

/// 32 hexadecimal digits, the last one first, each a label.
fn reversed_v6(nibbles: &str) -> Option<Ipv6Addr> {
    let mut parts = nibbles.split('.').rev();
    let mut bits = 0_u128;
    for _ in 0..32 {
        let part = parts.next().filter(|part| part.len() == 1)?;
        bits = bits << 4 | u128::from_str_radix(part, 16).ok()?;
    }
    parts.next().is_none().then(|| bits.into())
}

#[cfg(test)]
mod tests;
