//! `driver_opts` of networks, by Docker's names. What is not known is refused by name.

use std::collections::BTreeMap;

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
    /// What interfaces inside containers are called first: `eth`.
    pub interface_prefix: String,
    /// The host's interface of macvlan and ipvlan.
    pub parent: Option<String>,
    /// How their links reach each other.
    pub mode: Option<Mode>,
}

/// How the links of a parent reach each other (ip-link(8)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the words are ip-link's")]
pub enum Mode {
    Private,
    Vepa,
    Bridge,
    Passthru,
    L2,
    L3,
    L3S,
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
    /// It is needed.
    #[error("driver {driver} needs the option {name}")]
    Missing {
        /// Its name.
        name: &'static str,
        /// The driver.
        driver: &'static str,
    },
}

impl Default for Options {
    fn default() -> Self {
        Self {
            mtu: None,
            bridge: None,
            icc: true,
            masquerade: true,
            interface_prefix: "eth".to_owned(),
            parent: None,
            mode: None,
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
        if matches!(driver, Driver::Macvlan | Driver::Ipvlan) && options.parent.is_none() {
            return Err(UnknownOption::Missing { name: "parent", driver: driver.name() });
        }
        Ok(options)
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
            // What is published goes through the proxy, and egress through the host's address: Docker's `nat`.
            "gateway_mode_ipv4" | "gateway_mode_ipv6" => Some(value == "nat"),
            _ => None,
        }
    }

    fn of_parent(&mut self, driver: Driver, name: &str, value: &str) -> Option<bool> {
        match (driver, name) {
            (_, "parent") => {
                self.parent = Some(value.to_owned()).filter(|name| is_interface_name(name));
                Some(self.parent.is_some())
            }
            (Driver::Macvlan, "macvlan_mode") => {
                self.mode = match value {
                    "" | "bridge" => Some(Mode::Bridge),
                    "private" => Some(Mode::Private),
                    "vepa" => Some(Mode::Vepa),
                    "passthru" => Some(Mode::Passthru),
                    _ => None,
                };
                Some(self.mode.is_some())
            }
            (Driver::Ipvlan, "ipvlan_mode") => {
                self.mode = match value {
                    "" | "l2" => Some(Mode::L2),
                    "l3" => Some(Mode::L3),
                    "l3s" => Some(Mode::L3S),
                    _ => None,
                };
                Some(self.mode.is_some())
            }
            _ => None,
        }
    }
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
        assert_eq!(options.mode, Some(Mode::Private));
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
        ] {
            let expected = format!("the option {} cannot be {:?}", wrong.0, wrong.1);
            assert_eq!(bridge(wrong), expected);
        }
        let expected = "driver macvlan needs the option parent";
        assert_eq!(parse(Driver::Macvlan, &[]).unwrap_err(), expected);
        let expected = "the option ipvlan_mode of driver macvlan is not possible";
        assert_eq!(refused(Driver::Macvlan, ("ipvlan_mode", "l2")), expected);
    }
}
