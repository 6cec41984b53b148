//! Networks whose containers each have a link on one interface of the host, their parent: macvlan and ipvlan.
//!
//! naru has no bridge, no firewall rules and no address there: containers are neighbours of the host's own neighbours,
//! and the host itself does not reach them (the kernel keeps a parent and its links apart).

use std::thread;
use std::time::{Duration, Instant};

use nix::libc;

use super::attach::{described, set_up_inside, wait_reachable};
use super::links::delete_own;
use super::setting::{born, set_parameter};
use super::{Endpoint, Error, Network, Parent};
use crate::names;
use crate::netlink::upper::{self, MacvlanMode, NewUpper, Upper};
use crate::netlink::{Refused, Socket, link};

/// How long a link waits for one that is in its way.
const PATIENCE: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(2);

/// Makes sure that the parent is there: one of naru's own, or a VLAN of an interface.
///
/// # Errors
/// When the kernel has no such links; when there is no such interface; when it cannot be made.
pub(super) fn create(network: &Network, upper: Upper, parent: Parent) -> Result<(), Error> {
    let mut socket = Socket::new();
    let refused = |source| failed(network, source);
    if !upper::is_known(&mut socket, upper).map_err(refused)? {
        return Err(Error::UnknownKind { network: network.id.clone(), kind: upper.kind() });
    }
    let there = link::state(&mut socket, &network.bridge).map_err(refused)?;
    match (parent, there) {
        (Parent::OfHost, Some(_)) => Ok(()),
        (Parent::OfHost, None) => create_vlan(&mut socket, network),
        (Parent::Own, Some(state)) if state.group == network.group => {
            set_up_pair(&mut socket, network)
        }
        (Parent::Own, _) => {
            let far = names::far_end(&network.bridge);
            let ends = (network.bridge.as_str(), far.as_str());
            upper::create_pair(&mut socket, ends, network.group, network.mtu).map_err(refused)?;
            set_up_pair(&mut socket, network)
                .inspect_err(|_| drop(delete_own(&network.bridge, network.group)))
        }
    }
}

fn failed(network: &Network, source: Refused) -> Error {
    let (network, parent) = (network.id.clone(), network.bridge.clone());
    Error::MakeParent { network, parent, source }
}

/// `eth0.50` is the VLAN 50 of `eth0`.
fn create_vlan(socket: &mut Socket, network: &Network) -> Result<(), Error> {
    let name = network.bridge.as_str();
    let refused = |source| failed(network, source);
    let missing =
        |parent: &str| Error::NoParent { network: network.id.clone(), parent: parent.to_owned() };
    let id = |text: &str| text.parse().ok().filter(|id| (1..=4094).contains(id));
    let parts = name.rsplit_once('.').and_then(|(base, number)| Some((base, id(number)?)));
    let (base, id) = parts.ok_or_else(|| missing(name))?;
    let index = link::index_of(socket, base).map_err(refused)?.ok_or_else(|| missing(base))?;
    match upper::create_vlan(socket, (name, network.group), index, id) {
        Err(error) if error.errno() == Some(libc::EOPNOTSUPP) => {
            return Err(Error::UnknownKind { network: network.id.clone(), kind: "vlan" });
        }
        made => made.map_err(refused)?,
    }
    quiet(name)
        .and_then(|()| link::set_up(socket, name, link::LinkLocal::None).map_err(refused))
        .inspect_err(|_| drop(delete_own(name, network.group)))
}

fn set_up_pair(socket: &mut Socket, network: &Network) -> Result<(), Error> {
    for name in [&names::far_end(&network.bridge), &network.bridge] {
        quiet(name)?;
        link::set_up(socket, name, link::LinkLocal::None)
            .map_err(|source| failed(network, source))?;
    }
    Ok(())
}

/// The host itself says nothing there.
fn quiet(name: &str) -> Result<(), Error> {
    set_parameter(name, &format!("net/ipv6/conf/{name}/disable_ipv6"), "1").map(drop)
}

/// Joins a container, by a thread that is inside its namespace, through a socket of the host's.
///
/// # Errors
/// When any step fails; the link is then deleted again.
pub(super) fn attach(
    socket: &mut Socket,
    network: &Network,
    upper: Upper,
    endpoint: &Endpoint<'_>,
) -> Result<(), Error> {
    let refused = |source: Refused| Error::Upper {
        link: format!("{} link {} on {}", upper.kind(), described(endpoint), network.bridge),
        reason: reason(upper, &source),
        source,
    };
    let parent = link::index_of(socket, &network.bridge).map_err(refused)?;
    let parent = parent.ok_or_else(|| Error::NoParent {
        network: network.id.clone(),
        parent: network.bridge.clone(),
    })?;
    let new = NewUpper {
        upper,
        parent,
        name: endpoint.interface,
        mac: endpoint.mac,
        mtu: network.mtu,
        netns: endpoint.netns,
    };
    let mut attempt = || {
        born(endpoint, || upper::create(socket, &new).map_err(refused))?;
        // The first error is the one to tell.
        set_up_inside(endpoint, refused)
            .inspect_err(|_| drop(link::delete(&mut Socket::new(), endpoint.interface)))
    };
    let deadline = Instant::now() + PATIENCE;
    loop {
        match attempt() {
            Err(Error::Upper { source, .. }) if is_taken(upper, &source) => {
                if Instant::now() >= deadline {
                    return Err(refused(source));
                }
                thread::sleep(PAUSE);
            }
            outcome => {
                wait_reachable(endpoint);
                return outcome;
            }
        }
    }
}

/// Whether another link is in the way: that of the container before this one, perhaps, which the kernel takes its time
/// to delete.
fn is_taken(upper: Upper, refused: &Refused) -> bool {
    let is_alone = upper == Upper::Macvlan(MacvlanMode::Passthru);
    refused.errno() == Some(libc::EADDRINUSE) || (is_alone && refused.errno() == Some(libc::EINVAL))
}

/// What a refusal means.
fn reason(upper: Upper, refused: &Refused) -> &'static str {
    match (refused.errno(), upper) {
        (Some(libc::EINVAL), Upper::Macvlan(MacvlanMode::Passthru)) => {
            ": in mode passthru one container has the parent for itself"
        }
        (Some(libc::EBUSY), _) => ": the parent is a port of a bridge or has links of another kind",
        (Some(libc::ENETDOWN), _) => ": the parent is down",
        (Some(libc::EADDRINUSE), _) => ": somebody has its address already",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use ipnetwork::IpNetwork;

    use crate::network::tests::{network as of_bridge, talk};
    use crate::network::{Kind, create, detach_inside, has_interface, links, remove, restore};
    use crate::sandbox::{self, Netns};
    use crate::{DefaultRoutes, MacAddress, Upper};

    use super::*;

    /// A macvlan network on a parent of its own, or on one of the host.
    fn network(parent: Option<&str>) -> Network {
        let bridge = of_bridge(7, true);
        let own = parent.map_or(Parent::Own, |_| Parent::OfHost);
        Network {
            kind: Kind::Upper(Upper::Macvlan(MacvlanMode::Bridge), own),
            bridge: parent.map_or(bridge.bridge.clone(), str::to_owned),
            ..bridge
        }
    }

    fn join(network: &Network, host: u8) -> (Netns, [IpNetwork; 1]) {
        let netns = Netns::new();
        let own = [IpNetwork::new([10, 213, 7, host].into(), 24).unwrap()];
        let endpoint = Endpoint {
            interface: "eth0",
            addresses: &own,
            mac: MacAddress::of_first([own[0].ip()]),
            routes: DefaultRoutes::default(),
            parameters: &[],
            senders: &crate::guard::Senders::Own,
            host_side: "",
            netns: netns.as_fd(),
        };
        crate::network::attach(network, &endpoint).unwrap();
        (netns, own)
    }

    fn names() -> Vec<String> {
        let links = links::listed().unwrap();
        links.into_iter().filter(|link| link.name != "lo").map(|link| link.name).collect()
    }

    #[test]
    fn links_on_a_parent_that_leads_nowhere_reach_each_other_and_nothing_is_left_of_it() {
        sandbox::run(|| {
            let network = network(None);
            create(&network).unwrap();
            restore(&network).unwrap();
            let (server, address) = join(&network, 2);
            let (client, _) = join(&network, 3);
            talk(&server, address[0].ip(), &client).unwrap();
            assert!(has_interface(client.as_fd(), "eth0").unwrap());
            detach_inside(client.as_fd(), "eth0").unwrap();
            assert!(!has_interface(client.as_fd(), "eth0").unwrap());
            remove(&network).unwrap();
            assert_eq!(names(), Vec::<String>::new());
            assert!(!has_interface(server.as_fd(), "eth0").unwrap(), "it went with its parent");
        });
    }

    #[test]
    fn an_interface_of_the_host_is_no_networks_to_delete_and_one_that_is_missing_is_named() {
        sandbox::run(|| {
            let on_host = network(Some("host0"));
            let missing = create(&on_host).unwrap_err().to_string();
            let expected =
                "network test_7 has no parent host0: there is no such interface on this host";
            assert_eq!(missing, expected);
            upper::create_pair(&mut Socket::new(), ("host0", "host1"), 0, None).unwrap();
            create(&on_host).unwrap();
            remove(&on_host).unwrap();
            assert_eq!(names(), ["host1", "host0"]);
            for name in ["host0.0", "host0.4095", "host0.x", "other.5"] {
                let refused = create(&network(Some(name))).unwrap_err();
                assert!(matches!(refused, Error::NoParent { .. }), "{refused}");
            }
        });
    }

    #[test]
    fn a_bridge_that_is_called_as_an_interface_of_the_host_leaves_that_alone() {
        sandbox::run(|| {
            upper::create_pair(&mut Socket::new(), ("host0", "host1"), 0, None).unwrap();
            let bridge = Network { bridge: "host0".into(), ..of_bridge(7, false) };
            assert!(create(&bridge).is_err() && restore(&bridge).is_err());
            remove(&bridge).unwrap();
            assert_eq!(names(), ["host1", "host0"]);
        });
    }
}
