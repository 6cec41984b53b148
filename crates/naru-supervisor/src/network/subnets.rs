//! Which subnets a network gets: those that were asked for, checked, and chosen ones where none were.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnetwork::IpNetwork;
use naru_compose::project::{IpamPool, Network};
use naru_net::{occupied::Occupied, pool};
use naru_state::record::{Driver, Subnet};

/// What a choice is made from.
#[derive(Debug, Clone, Copy)]
pub struct Choice<'a> {
    /// What is in use on the host.
    pub occupied: &'a Occupied,
    /// The network's own bridge, which may be there already.
    pub own: Option<&'a str>,
    /// A random number, for a subnet of IPv6.
    pub random: u64,
}

/// What is wrong with what was asked for.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Wrong {
    /// What it is.
    pub message: String,
    /// Below the network's key: `ipam.config.0.subnet`; may be empty.
    pub attribute: String,
    /// By what a subnet is taken.
    pub source: Option<naru_net::occupied::Conflict>,
}

impl Wrong {
    pub(super) fn new(attribute: impl Into<String>, message: impl Into<String>) -> Self {
        Self { message: message.into(), attribute: attribute.into(), source: None }
    }

    /// Another error, about an attribute.
    pub(super) fn of(attribute: &str, error: &dyn std::error::Error) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            message = format!("{message}: {cause}");
            source = cause.source();
        }
        Self::new(attribute, message)
    }
}

/// The driver that a name stands for.
///
/// # Errors
/// When naru has no such driver.
pub fn driver(name: &str) -> Result<Driver, Wrong> {
    match name {
        "" | "default" | "bridge" => Ok(Driver::Bridge),
        "macvlan" => Ok(Driver::Macvlan),
        "ipvlan" => Ok(Driver::Ipvlan),
        "none" | "null" => Ok(Driver::None),
        "host" => Ok(Driver::Host),
        "overlay" => Err(Wrong::new("driver", "the network driver overlay needs a swarm")),
        other => Err(Wrong::new("driver", format!("the network driver {other} is not possible"))),
    }
}

/// The subnets of a network, those of IPv4 first.
///
/// # Errors
/// When something of what was asked for is not possible, or no subnet is free.
pub fn choose_subnets(model: &Network, choice: &Choice<'_>) -> Result<Vec<Subnet>, Wrong> {
    let wants_v4 = model.enable_ipv4 != Some(false);
    let has_v6 = model.ipam.config.iter().any(|pool| pool.subnet.contains(':'));
    let wants_v6 = model.enable_ipv6.unwrap_or(has_v6);
    if !wants_v4 && !wants_v6 {
        return Err(Wrong::new("enable_ipv4", "IPv4 or IPv6 must be enabled"));
    }
    let mut subnets = Vec::new();
    for (index, pool) in model.ipam.config.iter().enumerate() {
        let subnet = asked(pool, &format!("ipam.config.{index}"))?;
        let Some(subnet) = subnet else { continue };
        let is_wanted = if subnet.subnet.is_ipv6() { wants_v6 } else { wants_v4 };
        if !is_wanted {
            continue;
        }
        if let Some(other) = subnets.iter().find(|other: &&Subnet| overlap(&subnet, other)) {
            let message = format!("subnets {} and {} overlap", other.subnet, subnet.subnet);
            return Err(Wrong::new(format!("ipam.config.{index}.subnet"), message));
        }
        if driver(&model.driver)? == Driver::Bridge {
            check_free(&subnet, choice, &format!("ipam.config.{index}.subnet"))?;
        }
        subnets.push(subnet);
    }
    if wants_v4 && subnets.iter().all(|subnet| subnet.subnet.is_ipv6()) {
        let picked = pool::pick(&pool::Pool::default(), choice.occupied, &model.name)
            .map_err(|error| Wrong::new("", error.to_string()))?;
        subnets.push(with_gateway(picked.into()));
    }
    if wants_v6 && subnets.iter().all(|subnet| subnet.subnet.is_ipv4()) {
        subnets.push(with_gateway(pool::unique_local(choice.random).into()));
    }
    subnets.sort_by_key(|subnet| subnet.subnet.is_ipv6());
    Ok(subnets)
}

fn with_gateway(subnet: IpNetwork) -> Subnet {
    let gateway = Some(pool::gateway(subnet));
    Subnet { subnet, gateway, ip_range: None, reserved: BTreeMap::new() }
}

/// One entry of `ipam.config`, its parts held against its subnet; nothing for an empty one.
fn asked(pool: &IpamPool, at: &str) -> Result<Option<Subnet>, Wrong> {
    if pool.subnet.is_empty() {
        return match [("gateway", &pool.gateway), ("ip_range", &pool.ip_range)]
            .into_iter()
            .find(|(_, text)| !text.is_empty())
        {
            Some((key, text)) => {
                let message = format!("no matching subnet for {} {text}", key.replace('_', "-"));
                Err(Wrong::new(format!("{at}.{key}"), message))
            }
            None => Ok(None),
        };
    }
    let wrong = |key: &str, message: String| Wrong::new(format!("{at}.{key}"), message);
    let subnet: IpNetwork = pool
        .subnet
        .parse()
        .map_err(|_| wrong("subnet", format!("{} is not a subnet", pool.subnet)))?;
    let subnet = whole(subnet);
    let address = |key: &str, text: &str| -> Result<IpAddr, Wrong> {
        let address = text.parse();
        let address =
            address.map_err(|_| wrong(key, format!("{text} is not an address of {subnet}")))?;
        match subnet.contains(address) {
            true => Ok(address),
            false => Err(wrong(key, format!("no matching subnet for {key} {text}"))),
        }
    };
    let mut reserved = BTreeMap::new();
    for (name, text) in &pool.aux_addresses {
        reserved.insert(name.clone(), address("aux_addresses", text)?);
    }
    let gateway = match pool.gateway.as_str() {
        "" => first_free(subnet, &reserved),
        text => address("gateway", text)?,
    };
    let ip_range = match pool.ip_range.as_str() {
        "" => None,
        text => {
            let range: Option<IpNetwork> = text.parse().ok();
            let range = range.map(whole).filter(|range| within(*range, subnet));
            let message = || format!("no matching subnet for range {text}");
            Some(range.ok_or_else(|| wrong("ip_range", message()))?)
        }
    };
    Ok(Some(Subnet { subnet, gateway: Some(gateway), ip_range, reserved }))
}

/// The same network, by its own address.
fn whole(network: IpNetwork) -> IpNetwork {
    IpNetwork::new(network.network(), network.prefix()).unwrap_or(network)
}

fn within(range: IpNetwork, subnet: IpNetwork) -> bool {
    range.prefix() >= subnet.prefix() && subnet.contains(range.network())
}

/// The first address that is not kept for something else.
fn first_free(subnet: IpNetwork, reserved: &BTreeMap<String, IpAddr>) -> IpAddr {
    let taken = reserved.values().copied().collect();
    let addresses = pool::Addresses { subnet, range: None, taken: &taken };
    addresses.next().unwrap_or_else(|| pool::gateway(subnet))
}

fn overlap(one: &Subnet, other: &Subnet) -> bool {
    one.subnet.contains(other.subnet.network()) || other.subnet.contains(one.subnet.network())
}

fn check_free(subnet: &Subnet, choice: &Choice<'_>, at: &str) -> Result<(), Wrong> {
    pool::check(subnet.subnet, choice.occupied, choice.own).map_err(|error| {
        let message = error.to_string();
        let source = match error {
            pool::Error::Taken { source, .. } => Some(source),
            _ => None,
        };
        Wrong { message, attribute: at.to_owned(), source }
    })
}

#[cfg(test)]
mod tests {
    use naru_net::occupied::Use;
    use serde_json::json;

    use super::*;

    fn choose(model: serde_json::Value) -> Result<Vec<Subnet>, String> {
        let mut model: Network = serde_json::from_value(model).unwrap();
        model.name = "shop_default".into();
        let route = Use::Route { interface: Some("wg0".into()) };
        let uses = vec![
            ("10.8.0.0/16".parse().unwrap(), route),
            ("fd00:7::/64".parse().unwrap(), Use::Recorded),
        ];
        let choice = Choice { occupied: &Occupied { uses }, own: None, random: 9 };
        choose_subnets(&model, &choice).map_err(|wrong| format!("{}: {wrong}", wrong.attribute))
    }

    fn texts(model: serde_json::Value) -> Vec<String> {
        let show = |subnet: &Subnet| match subnet.gateway {
            Some(gateway) => format!("{} via {gateway}", subnet.subnet),
            None => subnet.subnet.to_string(),
        };
        choose(model).unwrap().iter().map(show).collect()
    }

    #[test]
    fn without_a_word_a_network_has_one_subnet_of_ipv4() {
        let chosen = choose(json!({})).unwrap();
        let [subnet] = chosen.as_slice() else { panic!("{chosen:?}") };
        assert!(subnet.subnet.is_ipv4() && subnet.subnet.prefix() == 24);
    }

    #[test]
    fn ipv6_is_an_own_subnet_or_the_one_asked_for() {
        let chosen = texts(json!({"enable_ipv6": true}));
        assert_eq!(chosen[1], "fd00:0:0:9::/64 via fd00:0:0:9::1");
        let only = json!({"enable_ipv6": true, "enable_ipv4": false});
        assert_eq!(texts(only).len(), 1);
        let config = json!({"config": [{"subnet": "2001:db8::/64", "gateway": "2001:db8::fe"}]});
        let asked = texts(json!({"ipam": config, "enable_ipv6": true}));
        assert_eq!(asked[1], "2001:db8::/64 via 2001:db8::fe");
        assert_eq!(texts(json!({"ipam": config, "enable_ipv6": false})).len(), 1);
        let neither = choose(json!({"enable_ipv4": false})).unwrap_err();
        assert_eq!(neither, "enable_ipv4: IPv4 or IPv6 must be enabled");
    }

    #[test]
    fn several_subnets_keep_their_ranges_gateways_and_reserved_addresses() {
        let config = json!({"config": [
            {"subnet": "fd00:1::/64"},
            {"subnet": "10.9.0.7/24", "ip_range": "10.9.0.128/25",
             "aux_addresses": {"a": "10.9.0.1", "b": "10.9.0.9"}},
            {"subnet": "10.10.0.0/24", "gateway": "10.10.0.254"}
        ]});
        let chosen = choose(json!({"ipam": config})).unwrap();
        let shown = texts(json!({"ipam": config}));
        let expected = [
            "10.9.0.0/24 via 10.9.0.2",
            "10.10.0.0/24 via 10.10.0.254",
            "fd00:1::/64 via fd00:1::1",
        ];
        assert_eq!(shown, expected);
        assert_eq!(chosen[0].ip_range, Some("10.9.0.128/25".parse().unwrap()));
        assert_eq!(chosen[0].reserved["b"].to_string(), "10.9.0.9");
    }

    #[test]
    fn what_does_not_fit_a_subnet_is_refused_at_its_place() {
        let refused =
            |pool: serde_json::Value| choose(json!({"ipam": {"config": [pool]}})).unwrap_err();
        let check =
            |pool, expected: &str| assert_eq!(refused(pool), format!("ipam.config.0.{expected}"));
        check(json!({"subnet": "10.9.0.0/33"}), "subnet: 10.9.0.0/33 is not a subnet");
        check(
            json!({"subnet": "10.9.0.0/24", "gateway": "10.8.0.1"}),
            "gateway: no matching subnet for gateway 10.8.0.1",
        );
        check(
            json!({"subnet": "10.9.0.0/24", "ip_range": "10.9.0.0/23"}),
            "ip_range: no matching subnet for range 10.9.0.0/23",
        );
        check(
            json!({"subnet": "10.9.0.0/24", "aux_addresses": {"a": "10.8.0.1"}}),
            "aux_addresses: no matching subnet for aux_addresses 10.8.0.1",
        );
        check(json!({"gateway": "10.8.0.1"}), "gateway: no matching subnet for gateway 10.8.0.1");
        check(
            json!({"subnet": "10.8.7.0/24"}),
            "subnet: subnet 10.8.7.0/24 is in use on this host",
        );
        check(
            json!({"subnet": "fd00:7::/48"}),
            "subnet: subnet fd00:7::/48 is in use on this host",
        );
        let twice =
            json!({"ipam": {"config": [{"subnet": "10.9.0.0/24"}, {"subnet": "10.9.0.128/25"}]}});
        assert_eq!(
            choose(twice).unwrap_err(),
            "ipam.config.1.subnet: subnets 10.9.0.0/24 and 10.9.0.128/25 overlap"
        );
    }

    #[test]
    fn a_driver_that_naru_does_not_have_is_named() {
        assert_eq!(
            driver("overlay").unwrap_err().to_string(),
            "the network driver overlay needs a swarm"
        );
        assert_eq!(driver("").unwrap(), Driver::Bridge);
    }
}
