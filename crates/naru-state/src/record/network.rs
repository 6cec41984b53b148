//! The records of networks, and of containers' places in them.
//!
//! Form 1 knew one IPv4 subnet a network and one IPv4 address a place in it, and nothing of drivers, options and
//! labels; both are still read.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::IpNetwork;
use serde::{Deserialize, Serialize};

/// `networks.json`: the project's networks by their key in the Compose file.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Networks {
    /// Form of this record.
    pub version: u32,
    /// The networks.
    pub networks: BTreeMap<String, Network>,
}

/// `network.json` of a network that belongs to no project.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SharedNetwork {
    /// Form of this record.
    pub version: u32,
    /// The network.
    pub network: Network,
}

/// One network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Stored")]
pub struct Network {
    /// The network's name: `<project>_<key>` unless the file says otherwise.
    pub name: String,
    /// 64 hexadecimal digits; empty in a record of form 1.
    pub id: String,
    /// What it is made of.
    pub driver: Driver,
    /// The interface on the host, at most 15 bytes: the bridge, or the parent of macvlan and ipvlan links.
    pub bridge: String,
    /// All subnets, those of IPv4 first.
    pub subnets: Vec<Subnet>,
    /// No way out.
    pub internal: bool,
    /// Containers of others may join.
    pub attachable: bool,
    /// Somebody else has made it: it is neither restored nor removed with the project.
    pub external: bool,
    /// Options of the driver.
    pub options: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Nanoseconds since 1970-01-01 UTC; 0 in a record of form 1.
    pub created_ns: u64,
    /// Hash of the network's configuration.
    pub config_hash: String,
}

/// What a network is made of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Driver {
    /// A bridge on the host.
    #[default]
    Bridge,
    /// Links with hardware addresses of their own on an interface of the host.
    Macvlan,
    /// Links on an interface of the host that share its hardware address.
    Ipvlan,
    /// Only loopback.
    None,
    /// The host's own network.
    Host,
}

/// The addresses of a network, or part of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnet {
    /// All addresses.
    pub subnet: IpNetwork,
    /// The way out: the bridge's own address.
    pub gateway: Option<IpAddr>,
    /// Where containers' addresses are chosen from, when not from all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_range: Option<IpNetwork>,
    /// Addresses that no container gets, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reserved: BTreeMap<String, IpAddr>,
}

impl Driver {
    /// The name that files and listings have for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bridge => "bridge",
            Self::Macvlan => "macvlan",
            Self::Ipvlan => "ipvlan",
            Self::None => "null",
            Self::Host => "host",
        }
    }
}

impl Network {
    /// The subnet that an address is of.
    pub fn subnet_of(&self, address: IpAddr) -> Option<&Subnet> {
        self.subnets.iter().find(|subnet| subnet.subnet.contains(address))
    }

    /// Whether it has addresses of IPv6.
    pub fn has_ipv6(&self) -> bool {
        self.subnets.iter().any(|subnet| subnet.subnet.is_ipv6())
    }

    /// The first gateway, IPv4 before IPv6.
    pub fn gateway(&self) -> Option<IpAddr> {
        self.subnets.iter().find_map(|subnet| subnet.gateway)
    }
}

/// Every form of [`Network`].
#[derive(Deserialize)]
struct Stored {
    name: String,
    #[serde(default)]
    id: String,
    #[serde(default)]
    driver: Driver,
    bridge: String,
    #[serde(default)]
    subnets: Vec<Subnet>,
    /// The one subnet of form 1.
    subnet: Option<IpNetwork>,
    /// Its gateway.
    gateway: Option<Ipv4Addr>,
    internal: bool,
    #[serde(default)]
    attachable: bool,
    #[serde(default)]
    external: bool,
    #[serde(default)]
    options: BTreeMap<String, String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    created_ns: u64,
    config_hash: String,
}

impl From<Stored> for Network {
    fn from(stored: Stored) -> Self {
        let gateway = stored.gateway.map(IpAddr::V4);
        let first = stored.subnet.map(|subnet| Subnet {
            subnet,
            gateway,
            ip_range: None,
            reserved: BTreeMap::new(),
        });
        Self {
            name: stored.name,
            id: stored.id,
            driver: stored.driver,
            bridge: stored.bridge,
            subnets: first.into_iter().chain(stored.subnets).collect(),
            internal: stored.internal,
            attachable: stored.attachable,
            external: stored.external,
            options: stored.options,
            labels: stored.labels,
            created_ns: stored.created_ns,
            config_hash: stored.config_hash,
        }
    }
}

/// A container's place in a network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// The network's key in the Compose file; `:NAME` for one that `naru network connect` has joined it to and that
    /// the file does not know.
    pub network: String,
    /// Its IPv4 address there.
    #[serde(default)]
    pub address: Option<Ipv4Addr>,
    /// Its IPv6 address there.
    #[serde(default)]
    pub address6: Option<Ipv6Addr>,
    /// Names it answers to there besides service and container name.
    pub aliases: Vec<String>,
    /// The interface's name inside; `eth0` for the first, and so on, when empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub interface: String,
    /// Hardware address that was asked for; made of the IP address when empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub mac: String,
    /// Link-local addresses besides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub link_local: Vec<IpAddr>,
    /// The network with the highest number gives the default route.
    #[serde(default)]
    pub gw_priority: i64,
    /// Kernel parameters of the interface: name, with `IFNAME` for that of the interface, and value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sysctls: Vec<(String, String)>,
    /// In whose names it may send besides its own: addresses and subnets with commas between them, or `any`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub senders: String,
    /// Names by which this container alone knows others there: each the other's name or service, `:`, and the alias.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<String>,
}

impl Attachment {
    /// Its addresses, IPv4 first.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + use<> {
        let four = self.address.map(IpAddr::V4);
        four.into_iter().chain(self.address6.map(IpAddr::V6))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_of_the_first_form_are_still_read() {
        let first = serde_json::json!({
            "name": "shop_default", "bridge": "nb-0123456789ab", "subnet": "10.213.4.0/24",
            "gateway": "10.213.4.1", "internal": true, "config_hash": "abc",
        });
        let network: Network = serde_json::from_value(first).unwrap();
        assert_eq!(network.name, "shop_default");
        assert!(network.internal && network.driver == Driver::Bridge);
        let [subnet] = network.subnets.as_slice() else { panic!("{network:?}") };
        assert_eq!(subnet.subnet.to_string(), "10.213.4.0/24");
        assert_eq!(subnet.gateway, Some([10, 213, 4, 1].into()));
    }

    #[test]
    fn a_network_is_read_as_it_was_written() {
        let network = Network {
            name: "n".into(),
            id: "ab".repeat(32),
            driver: Driver::Macvlan,
            bridge: "eth7".into(),
            subnets: vec![Subnet {
                subnet: "fd00:1::/64".parse().unwrap(),
                gateway: None,
                ip_range: Some("fd00:1::8000/113".parse().unwrap()),
                reserved: [("router".to_owned(), "fd00:1::9".parse().unwrap())].into(),
            }],
            external: true,
            options: [("parent".to_owned(), "eth7".to_owned())].into(),
            created_ns: 7,
            ..Network::default()
        };
        let text = serde_json::to_string(&network).unwrap();
        assert_eq!(serde_json::from_str::<Network>(&text).unwrap(), network);
        assert!(network.has_ipv6());
        assert!(network.subnet_of("fd00:1::5".parse().unwrap()).is_some());
        assert!(network.subnet_of("10.0.0.1".parse().unwrap()).is_none());
    }

    #[test]
    fn places_of_the_first_form_are_still_read() {
        let first = r#"{"network": "default", "address": "10.213.4.2", "aliases": ["db"]}"#;
        let place: Attachment = serde_json::from_str(first).unwrap();
        assert_eq!(place.addresses().collect::<Vec<_>>(), [IpAddr::from([10, 213, 4, 2])]);
        assert_eq!(place.address6, None);
    }
}
