//! `driver_opts` of networks, by Docker's names. What is not known is refused by name.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use naru_net::{IpvlanFlag, IpvlanMode, Kind, MacvlanMode, Parent, Upper};
use naru_state::record::Driver;

/// What the options of a network's driver say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Largest packet.
    pub mtu: Option<u32>,
    /// Name of the bridge's interface.
    pub bridge: Option<String>,
    /// Containers of the network reach each other.
    pub icc: bool,
    /// What leaves the network has the host's address.
    pub masquerade: bool,
    /// The host's address that ports are published at which name none.
    pub host_address: Option<Ipv4Addr>,
    /// What interfaces inside containers are called first: `eth`.
    pub interface_prefix: String,
    /// The host's interface of macvlan and ipvlan; one of naru's own that leads nowhere when absent.
    pub parent: Option<String>,
    /// How links of macvlan reach each other.
    pub macvlan_mode: MacvlanMode,
    /// What links of ipvlan do.
    pub ipvlan_mode: IpvlanMode,
    /// How they reach each other.
    pub ipvlan_flag: IpvlanFlag,
}

/// An option that is not possible.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnknownOption {
    /// Nobody knows it.
    #[error("the option {name} of driver {driver} is not possible")]
    Name {
        /// Its name.
        name: String,
        /// The driver.
        driver: &'static str,
    },
    /// Its value is not possible.
    #[error("the option {name} cannot be {value:?}")]
    Value {
        /// Its name.
        name: String,
        /// The value.
        value: String,
    },
}

impl Default for Options {
    fn default() -> Self {
        Self {
            mtu: None,
            bridge: None,
            icc: true,
            masquerade: true,
            host_address: None,
            interface_prefix: "eth".to_owned(),
            parent: None,
            macvlan_mode: MacvlanMode::default(),
            ipvlan_mode: IpvlanMode::default(),
            ipvlan_flag: IpvlanFlag::default(),
        }
    }
}

impl Options {
    /// Reads options.
    ///
    /// # Errors
    /// At the first that is not possible.
    pub fn parse(driver: Driver, given: &BTreeMap<String, String>) -> Result<Self, UnknownOption> {
        let mut options = Self::default();
        for (name, value) in given {
            let known = match driver {
                Driver::Macvlan | Driver::Ipvlan => options.of_parent(driver, name, value),
                _ => options.of_bridge(name, value),
            };
            match known.or_else(|| options.of_any(name, value)) {
                Some(true) => {}
                Some(false) => {
                    let (name, value) = (name.clone(), value.clone());
                    return Err(UnknownOption::Value { name, value });
                }
                None => {
                    let (name, driver) = (name.clone(), driver.name());
                    return Err(UnknownOption::Name { name, driver });
                }
            }
        }
        Ok(options)
    }

    /// What a network with these options is made of.
    pub fn kind(&self, driver: Driver) -> Kind {
        let parent = if self.parent.is_some() { Parent::OfHost } else { Parent::Own };
        match driver {
            Driver::Macvlan => Kind::Upper(Upper::Macvlan(self.macvlan_mode), parent),
            Driver::Ipvlan => {
                Kind::Upper(Upper::Ipvlan(self.ipvlan_mode, self.ipvlan_flag), parent)
            }
            Driver::Bridge | Driver::None | Driver::Host => Kind::Bridge,
        }
    }

    /// Takes an option of every driver: nothing when it is none, false when it cannot have this value.
    fn of_any(&mut self, name: &str, value: &str) -> Option<bool> {
        match name {
            "com.docker.network.driver.mtu" => {
                self.mtu = value.parse().ok().filter(|mtu| (68..=65_535).contains(mtu));
                Some(self.mtu.is_some())
            }
            "com.docker.network.container_iface_prefix" => {
                value.clone_into(&mut self.interface_prefix);
                Some(is_interface_name(&format!("{value}99")))
            }
            _ => None,
        }
    }

    fn of_bridge(&mut self, name: &str, value: &str) -> Option<bool> {
        match name.strip_prefix("com.docker.network.bridge.")? {
            "name" => {
                self.bridge = Some(value.to_owned()).filter(|name| is_interface_name(name));
                Some(self.bridge.is_some())
            }
            "enable_icc" => Some(set(&mut self.icc, value)),
            "enable_ip_masquerade" => Some(set(&mut self.masquerade, value)),
            "host_binding_ipv4" => {
                let address: Option<Ipv4Addr> = value.parse().ok();
                self.host_address = address.filter(|address| !address.is_unspecified());
                Some(address.is_some())
            }
            // What is published goes through the proxy, and egress through the host's address: Docker's `nat`.
            "gateway_mode_ipv4" | "gateway_mode_ipv6" => Some(value == "nat"),
            _ => None,
        }
    }

    fn of_parent(&mut self, driver: Driver, name: &str, value: &str) -> Option<bool> {
        match (driver, name) {
            // As with Docker, the empty one is none.
            (_, "parent") if value.is_empty() => Some(true),
            (_, "parent") => {
                self.parent = Some(value.to_owned()).filter(|name| is_interface_name(name));
                Some(self.parent.is_some())
            }
            (Driver::Macvlan, "macvlan_mode") => {
                let modes = [
                    ("bridge", MacvlanMode::Bridge),
                    ("private", MacvlanMode::Private),
                    ("vepa", MacvlanMode::Vepa),
                    ("passthru", MacvlanMode::Passthru),
                ];
                Some(one_of(&mut self.macvlan_mode, value, &modes))
            }
            (Driver::Ipvlan, "ipvlan_mode") => {
                let modes =
                    [("l2", IpvlanMode::L2), ("l3", IpvlanMode::L3), ("l3s", IpvlanMode::L3S)];
                Some(one_of(&mut self.ipvlan_mode, value, &modes))
            }
            (Driver::Ipvlan, "ipvlan_flag") => {
                let flags = [
                    ("bridge", IpvlanFlag::Bridge),
                    ("private", IpvlanFlag::Private),
                    ("vepa", IpvlanFlag::Vepa),
                ];
                Some(one_of(&mut self.ipvlan_flag, value, &flags))
            }
            _ => None,
        }
    }
}

/// Takes the meaning of a word, where it is known; of none, what it was.
fn one_of<T: Copy>(place: &mut T, word: &str, known: &[(&str, T)]) -> bool {
    let found = known.iter().find(|(name, _)| *name == word).map(|(_, meaning)| *meaning);
    *place = found.unwrap_or(*place);
    found.is_some() || word.is_empty()
}

/// The words that Go reads as a boolean value, as Docker does.
fn set(place: &mut bool, value: &str) -> bool {
    let read = match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    };
    *place = read.unwrap_or(*place);
    read.is_some()
}

/// Whether the kernel takes a text as the name of an interface, and it is no path and no pattern.
pub fn is_interface_name(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte);
    !text.is_empty()
        && text.len() <= 15
        && text.bytes().all(is_allowed)
        && !matches!(text, "." | ".." | "all" | "default" | "lo")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(driver: Driver, given: &[(&str, &str)]) -> Result<Options, String> {
        let given = given.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        Options::parse(driver, &given).map_err(|error| error.to_string())
    }

    #[test]
    fn dockers_options_are_understood() {
        let options = parse(
            Driver::Bridge,
            &[
                ("com.docker.network.driver.mtu", "1400"),
                ("com.docker.network.bridge.name", "br-shop"),
                ("com.docker.network.bridge.enable_icc", "false"),
                ("com.docker.network.bridge.enable_ip_masquerade", "0"),
                ("com.docker.network.bridge.gateway_mode_ipv4", "nat"),
                ("com.docker.network.container_iface_prefix", "lan"),
            ],
        )
        .unwrap();
        let expected = Options {
            mtu: Some(1400),
            bridge: Some("br-shop".into()),
            icc: false,
            masquerade: false,
            interface_prefix: "lan".into(),
            ..Options::default()
        };
        assert_eq!(options, expected);
        let given = [("parent", "eth0.50"), ("macvlan_mode", "private")];
        let options = parse(Driver::Macvlan, &given).unwrap();
        assert_eq!(options.parent.as_deref(), Some("eth0.50"));
        let private = Upper::Macvlan(MacvlanMode::Private);
        assert_eq!(options.kind(Driver::Macvlan), Kind::Upper(private, Parent::OfHost));
        let given = [("ipvlan_mode", "l3"), ("ipvlan_flag", "vepa")];
        let options = parse(Driver::Ipvlan, &given).unwrap();
        let routed = Upper::Ipvlan(IpvlanMode::L3, IpvlanFlag::Vepa);
        assert_eq!(options.kind(Driver::Ipvlan), Kind::Upper(routed, Parent::Own));
    }

    #[test]
    fn an_option_that_is_not_possible_is_named() {
        let refused = |driver, given: (&str, &str)| parse(driver, &[given]).unwrap_err();
        let bridge = |given| refused(Driver::Bridge, given);
        assert_eq!(bridge(("foo", "1")), "the option foo of driver bridge is not possible");
        let routed = ("com.docker.network.bridge.gateway_mode_ipv6", "routed");
        let expected =
            "the option com.docker.network.bridge.gateway_mode_ipv6 cannot be \"routed\"";
        assert_eq!(bridge(routed), expected);
        for wrong in [
            ("com.docker.network.driver.mtu", "67"),
            ("com.docker.network.bridge.name", "a/b"),
            ("com.docker.network.bridge.name", "much-too-long-name"),
            ("com.docker.network.bridge.enable_icc", "maybe"),
            ("com.docker.network.bridge.host_binding_ipv4", "::1"),
        ] {
            let expected = format!("the option {} cannot be {:?}", wrong.0, wrong.1);
            assert_eq!(bridge(wrong), expected);
        }
        let expected = "the option macvlan_mode cannot be \"l2\"";
        assert_eq!(refused(Driver::Macvlan, ("macvlan_mode", "l2")), expected);
        let expected = "the option parent cannot be \"lo\"";
        assert_eq!(refused(Driver::Macvlan, ("parent", "lo")), expected);
        let expected = "the option ipvlan_mode of driver macvlan is not possible";
        assert_eq!(refused(Driver::Macvlan, ("ipvlan_mode", "l2")), expected);
    }
}
