//! Which names a project has: a pure lookup, apart from every socket.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use ipnetwork::Ipv4Network;

use super::message::{Question, TYPE_A, TYPE_ANY, TYPE_PTR};

/// All names of a project.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Zone {
    networks: BTreeMap<String, NetworkNames>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct NetworkNames {
    subnet: Ipv4Network,
    names: BTreeMap<String, Vec<Ipv4Addr>>,
    reverse: BTreeMap<Ipv4Addr, String>,
}

/// From where a question comes: what one container may see.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct View {
    /// The ids of the container's networks; the first that knows a name answers.
    pub networks: Vec<String>,
    /// Whether questions about other names go to the host's name servers: false for a container
    /// that is on internal networks only.
    pub forward: bool,
}

/// What a lookup found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// All addresses of the name.
    Addresses(Vec<Ipv4Addr>),
    /// The names of the address.
    Names(Vec<String>),
    /// A name of the project that has nothing of the type asked for, as with IPv6 addresses.
    Nothing,
    /// There is no such name, and nobody else shall be asked.
    NoName,
    /// Not the project's: ask the host's name servers.
    Forward,
}

impl Zone {
    /// Adds a network, which may have no names yet.
    pub fn add_network(&mut self, id: &str, subnet: Ipv4Network) {
        self.networks.entry(id.to_owned()).or_insert_with(|| NetworkNames {
            subnet,
            names: BTreeMap::new(),
            reverse: BTreeMap::new(),
        });
    }

    /// Adds a container's address under its names: service, container name, aliases, hostname.
    /// `canonical` is what a reverse lookup answers. A network that was not added is passed over.
    pub fn add<'a>(
        &mut self,
        network: &str,
        address: Ipv4Addr,
        canonical: &str,
        names: impl IntoIterator<Item = &'a str>,
    ) {
        let Some(network) = self.networks.get_mut(network) else { return };
        network.reverse.insert(address, canonical.to_owned());
        for name in names {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            let addresses = network.names.entry(name).or_default();
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
    }

    /// Answers a question from a container's view.
    pub fn lookup(&self, question: &Question, view: &View) -> Answer {
        let visible = || view.networks.iter().filter_map(|id| self.networks.get(id));
        if let Some(addresses) = visible().find_map(|network| network.names.get(&question.name)) {
            return match question.kind {
                TYPE_A | TYPE_ANY => Answer::Addresses(addresses.clone()),
                _ => Answer::Nothing,
            };
        }
        if let Some(address) = reversed(&question.name)
            && let Some(network) = visible().find(|network| network.subnet.contains(address))
        {
            return match network.reverse.get(&address) {
                Some(name) if matches!(question.kind, TYPE_PTR | TYPE_ANY) => {
                    Answer::Names(vec![name.clone()])
                }
                Some(_) => Answer::Nothing,
                None => Answer::NoName,
            };
        }
        // A single label means something in this project or nothing: it never leaves the host.
        let single_label = !question.name.is_empty() && !question.name.contains('.');
        if single_label || !view.forward { Answer::NoName } else { Answer::Forward }
    }
}

/// The address that a name such as `2.0.213.10.in-addr.arpa` stands for.
fn reversed(name: &str) -> Option<Ipv4Addr> {
    let mut parts = name.strip_suffix(".in-addr.arpa")?.split('.').rev();
    let mut octets = [0; 4];
    for octet in &mut octets {
        *octet = parts.next()?.parse().ok()?;
    }
    parts.next().is_none().then(|| octets.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPE_AAAA: u16 = 28;

    fn zone() -> Zone {
        let mut zone = Zone::default();
        zone.add_network("front", "10.213.1.0/24".parse().unwrap());
        zone.add_network("back", "10.213.2.0/24".parse().unwrap());
        let web = ["web", "shop-web-1", "WWW.Shop.Example"];
        zone.add("front", [10, 213, 1, 2].into(), "shop-web-1.front", web);
        zone.add("front", [10, 213, 1, 3].into(), "shop-web-2.front", ["web", "shop-web-2"]);
        zone.add("back", [10, 213, 2, 2].into(), "shop-web-1.back", ["web"]);
        zone.add("back", [10, 213, 2, 3].into(), "shop-db-1.back", ["db"]);
        zone
    }

    fn check(networks: &[&str], forward: bool, name: &str, kind: u16, expected: &str) {
        let view = View { networks: networks.iter().map(ToString::to_string).collect(), forward };
        let answer = match zone().lookup(&Question { name: name.into(), kind }, &view) {
            Answer::Addresses(addresses) => format!("{addresses:?}"),
            Answer::Names(names) => names.join(" "),
            other => format!("{other:?}"),
        };
        assert_eq!(answer, expected, "{name} from {networks:?}");
    }

    #[test]
    fn names_are_answered_by_what_the_container_can_reach() {
        check(&["front"], true, "web", TYPE_A, "[10.213.1.2, 10.213.1.3]");
        check(&["back", "front"], true, "web", TYPE_A, "[10.213.2.2]");
        check(&["front"], true, "www.shop.example", TYPE_A, "[10.213.1.2]");
        check(&["front"], true, "db", TYPE_A, "NoName");
        check(&["front"], true, "web", TYPE_AAAA, "Nothing");
    }

    #[test]
    fn single_labels_and_questions_from_internal_networks_never_leave() {
        check(&["front"], true, "wbe", TYPE_A, "NoName");
        check(&["front"], true, "example.org", TYPE_A, "Forward");
        check(&["back"], false, "example.org", TYPE_A, "NoName");
        check(&["front"], true, "", 2, "Forward");
    }

    #[test]
    fn addresses_of_the_project_are_looked_up_in_reverse_and_never_elsewhere() {
        check(&["front"], true, "3.1.213.10.in-addr.arpa", TYPE_PTR, "shop-web-2.front");
        check(&["front"], true, "9.1.213.10.in-addr.arpa", TYPE_PTR, "NoName");
        check(&["front"], true, "3.1.213.10.in-addr.arpa", TYPE_A, "Nothing");
        check(&["front"], true, "1.1.1.1.in-addr.arpa", TYPE_PTR, "Forward");
        check(&["front"], true, "x.1.213.10.in-addr.arpa", TYPE_PTR, "Forward");
    }
}
