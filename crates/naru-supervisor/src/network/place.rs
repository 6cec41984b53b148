//! A container's place in a network: its addresses, and the kernel parameters of its interface.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use naru_net::guard::{InvalidSenders, Senders};
use naru_net::pool::Addresses;
use naru_state::record::{Attachment, Network};

/// The addresses that were asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asked<'a> {
    /// Of IPv4; empty for any.
    pub v4: &'a str,
    /// Of IPv6; empty for any.
    pub v6: &'a str,
}

/// The addresses of a container in a network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Chosen {
    /// Of IPv4.
    pub v4: Option<Ipv4Addr>,
    /// Of IPv6.
    pub v6: Option<Ipv6Addr>,
}

/// What is not possible about a container's place in a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The attribute of the attachment that it is about; empty for the whole.
    pub attribute: &'static str,
    /// For people.
    pub message: String,
}

/// Addresses for a container: one of each protocol that the network has.
///
/// `taken` is what others have; gateways and reserved addresses are known from the network.
///
/// # Errors
/// When an address that was asked for is not possible, or none is free.
pub fn choose_addresses(
    network: &Network,
    asked: Asked<'_>,
    taken: &BTreeSet<IpAddr>,
) -> Result<Chosen, Problem> {
    let about = |attribute| move |message| Problem { attribute, message };
    let v4 = one(network, false, asked.v4, taken).map_err(about("ipv4_address"))?;
    let v6 = one(network, true, asked.v6, taken).map_err(about("ipv6_address"))?;
    let v4 = v4.and_then(|address| match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    });
    let v6 = v6.and_then(|address| match address {
        IpAddr::V6(address) => Some(address),
        IpAddr::V4(_) => None,
    });
    Ok(Chosen { v4, v6 })
}

fn one(
    network: &Network,
    is_v6: bool,
    asked: &str,
    taken: &BTreeSet<IpAddr>,
) -> Result<Option<IpAddr>, String> {
    let protocol = if is_v6 { "IPv6" } else { "IPv4" };
    let mut subnets =
        network.subnets.iter().filter(|subnet| subnet.subnet.is_ipv6() == is_v6).peekable();
    let special = network
        .subnets
        .iter()
        .flat_map(|subnet| subnet.gateway.into_iter().chain(subnet.reserved.values().copied()));
    let given: BTreeSet<_> = taken.iter().copied().chain(special).collect();
    if asked.is_empty() {
        if subnets.peek().is_none() {
            return Ok(None);
        }
        let free = subnets.find_map(|subnet| {
            Addresses { subnet: subnet.subnet, range: subnet.ip_range, taken: &given }.next()
        });
        let none = || format!("network {} has no free {protocol} address", network.name);
        return free.map(Some).ok_or_else(none);
    }
    let address: Option<IpAddr> =
        asked.parse().ok().filter(|address: &IpAddr| address.is_ipv6() == is_v6);
    let address = address.ok_or_else(|| format!("{asked} is not an {protocol} address"))?;
    let Some(own) = network.subnet_of(address) else {
        let all: Vec<_> = subnets.map(|subnet| subnet.subnet.to_string()).collect();
        return Err(match all.is_empty() {
            true => format!("network {} has no {protocol}", network.name),
            false => format!("{address} is not an address of {}", all.join(" or ")),
        });
    };
    // One that the user keeps for something else may be that of this very container.
    let others = given.iter().filter(|used| !own.reserved.values().any(|kept| kept == *used));
    let mut others: BTreeSet<_> = others.copied().collect();
    others.extend(taken);
    let addresses = Addresses { subnet: own.subnet, range: own.ip_range, taken: &others };
    addresses.check(address).map_err(|error| error.to_string())?;
    Ok(Some(address))
}

/// The option of an endpoint that holds kernel parameters of its interface.
const PARAMETERS: &str = "com.docker.network.endpoint.sysctls";

/// The option of an endpoint that says in whose name it may send.
const SENDERS: &str = "naru.network.endpoint.senders";

/// In whose names a container may send by an endpoint's `driver_opts`; empty for its own.
///
/// # Errors
/// When that is neither `any` nor a list of addresses and subnets.
pub fn senders(options: &std::collections::BTreeMap<String, String>) -> Result<String, String> {
    let Some(text) = options.get(SENDERS) else { return Ok(String::new()) };
    let senders: Senders = text
        .parse()
        .map_err(|error: InvalidSenders| format!("the option {SENDERS} is wrong: {error}"))?;
    Ok(senders.to_string())
}

/// Kernel parameters of an endpoint's `driver_opts`: name, with `IFNAME` for the interface, and value.
///
/// # Errors
/// When another option is given, or a parameter is not one of an interface.
pub fn parameters(
    options: &std::collections::BTreeMap<String, String>,
) -> Result<Vec<(String, String)>, String> {
    let mut found = Vec::new();
    for (name, value) in options.iter().filter(|(name, _)| *name != SENDERS) {
        if name != PARAMETERS {
            return Err(format!("the option {name} of an endpoint is not possible"));
        }
        for part in value.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let wrong = || format!("{part} is not of the form net.x.y.IFNAME.z=value");
            let (key, value) = part.split_once('=').ok_or_else(wrong)?;
            let parts: Vec<_> = key.split('.').collect();
            let is_word = |word: &&str| {
                let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
                !word.is_empty() && word.bytes().all(is_allowed)
            };
            let fits = matches!(
                parts.as_slice(),
                ["net", "ipv4" | "ipv6", "conf" | "neigh", "IFNAME", _]
                    | ["net", "mpls", "conf", "IFNAME", _]
            ) && parts.iter().all(is_word);
            if !fits {
                return Err(wrong());
            }
            found.push((key.to_owned(), value.trim().to_owned()));
        }
    }
    Ok(found)
}

/// The names of a container's interfaces: as asked for, else the prefix of the network counted from 0 and the lowest
/// free number.
pub fn interface_names<'a>(all: &[Attachment], prefix: impl Fn(usize) -> &'a str) -> Vec<String> {
    let asked: BTreeSet<&str> = all.iter().map(|own| own.interface.as_str()).collect();
    let mut names = Vec::<String>::new();
    for (index, own) in all.iter().enumerate() {
        if !own.interface.is_empty() {
            names.push(own.interface.clone());
            continue;
        }
        let prefix = prefix(index);
        let free = (0..=all.len())
            .map(|number| format!("{prefix}{number}"))
            .find(|name| !asked.contains(name.as_str()) && !names.contains(name));
        names.extend(free);
    }
    names
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn network() -> Network {
        serde_json::from_value(json!({
            "name": "shop_front", "bridge": "nb-1", "internal": false, "config_hash": "",
            "subnets": [
                {"subnet": "10.9.0.0/30", "gateway": "10.9.0.1"},
                {"subnet": "10.10.0.0/24", "gateway": "10.10.0.1", "ip_range": "10.10.0.64/26",
                 "reserved": {"printer": "10.10.0.65"}},
                {"subnet": "fd00:1::/64", "gateway": "fd00:1::1"},
            ],
        }))
        .unwrap()
    }

    fn choose(v4: &str, v6: &str, taken: &[&str]) -> Result<String, String> {
        let taken = taken.iter().map(|text| text.parse().unwrap()).collect();
        match choose_addresses(&network(), Asked { v4, v6 }, &taken) {
            Ok(Chosen { v4: Some(v4), v6: Some(v6) }) => Ok(format!("{v4} {v6}")),
            Ok(other) => Ok(format!("{other:?}")),
            Err(Problem { attribute, message }) => Err(format!("{attribute}: {message}")),
        }
    }

    #[test]
    fn a_container_has_an_address_of_each_protocol_and_a_full_subnet_is_followed_by_the_next() {
        assert_eq!(choose("", "", &[]).unwrap(), "10.9.0.2 fd00:1::2");
        let next = choose("", "", &["10.9.0.2", "fd00:1::2"]).unwrap();
        assert_eq!(next, "10.10.0.64 fd00:1::3");
        let next = choose("", "", &["10.9.0.2", "10.10.0.64"]).unwrap();
        assert_eq!(next, "10.10.0.66 fd00:1::2", "10.10.0.65 is reserved");
    }

    #[test]
    fn an_address_that_was_asked_for_is_of_a_subnet_and_free() {
        assert_eq!(choose("10.10.0.7", "fd00:1::7", &[]).unwrap(), "10.10.0.7 fd00:1::7");
        assert_eq!(choose("10.10.0.65", "", &[]).unwrap(), "10.10.0.65 fd00:1::2");
        let refused = |v4, v6, taken: &[&str]| choose(v4, v6, taken).unwrap_err();
        let taken = refused("10.10.0.7", "", &["10.10.0.7"]);
        assert_eq!(taken, "ipv4_address: 10.10.0.7 is taken already");
        let gateway = refused("", "fd00:1::1", &[]);
        assert_eq!(gateway, "ipv6_address: fd00:1::1 is taken already");
        let outside = refused("10.11.0.7", "", &[]);
        let expected = "ipv4_address: 10.11.0.7 is not an address of 10.9.0.0/30 or 10.10.0.0/24";
        assert_eq!(outside, expected);
        assert_eq!(refused("fd00:1::7", "", &[]), "ipv4_address: fd00:1::7 is not an IPv4 address");
        assert_eq!(refused("x", "", &[]), "ipv4_address: x is not an IPv4 address");
    }

    #[test]
    fn interfaces_have_the_names_that_were_asked_for_and_numbers_otherwise() {
        let named = |name: &str| Attachment { interface: name.into(), ..Attachment::default() };
        let all = [named(""), named("eth0"), named("wan"), named("")];
        let names = interface_names(&all, |_| "eth");
        assert_eq!(names, ["eth1", "eth0", "wan", "eth2"]);
    }

    #[test]
    fn kernel_parameters_of_an_endpoint_are_those_of_its_interface() {
        let of =
            |name: &str, value: &str| parameters(&[(name.to_owned(), value.to_owned())].into());
        let two = "net.ipv4.conf.IFNAME.log_martians=1, net.ipv6.conf.IFNAME.forwarding=0";
        let expected = [
            ("net.ipv4.conf.IFNAME.log_martians".to_owned(), "1".to_owned()),
            ("net.ipv6.conf.IFNAME.forwarding".to_owned(), "0".to_owned()),
        ];
        assert_eq!(of(PARAMETERS, two).unwrap(), expected);
        for wrong in [
            "net.core.somaxconn=1",
            "net.ipv4.conf.eth0.forwarding=1",
            "net.ipv4.conf.IFNAME.a/b=1",
            "x",
        ] {
            assert!(of(PARAMETERS, wrong).is_err(), "{wrong}");
        }
        let error = of("other", "1").unwrap_err();
        assert_eq!(error, "the option other of an endpoint is not possible");
    }
}
