//! Real links, in network namespaces of the tests' own.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fs_err as fs;

use super::*;
use crate::netlink::{Socket, address};
use crate::sandbox::{self, Netns, current};
use crate::{container as one_visit, names, occupied, pool};

/// A network `10.213.<number>.0/24` of the project `test`.
pub(crate) fn network(number: u8, internal: bool) -> Network {
    let id = format!("test_{number}");
    let subnet = IpNetwork::new(IpAddr::from([10, 213, number, 0]), 24).unwrap();
    Network {
        bridge: names::bridge(&id),
        id,
        group: names::group("test"),
        subnets: vec![Subnet::new(subnet)],
        internal,
        mtu: None,
        interface_prefix: "eth".into(),
        kind: Kind::Bridge,
        isolated: false,
    }
}

/// A namespace attached to the network as its host number `host`.
pub(crate) fn container(network: &Network, host: u8) -> (Netns, Ipv4Addr) {
    let netns = Netns::new();
    let address = join(network, host, "eth0", &netns);
    (netns, address)
}

/// The same, that may send in these names.
pub(crate) fn container_as(network: &Network, host: u8, senders: &Senders) -> Netns {
    let netns = Netns::new();
    join_as(network, host, "eth0", &netns, senders);
    netns
}

/// Attaches an existing namespace.
pub(crate) fn join(network: &Network, host: u8, interface: &str, netns: &Netns) -> Ipv4Addr {
    join_as(network, host, interface, netns, &Senders::Own)
}

fn join_as(
    network: &Network,
    host: u8,
    interface: &str,
    netns: &Netns,
    senders: &Senders,
) -> Ipv4Addr {
    let mut octets = subnet(network).network().octets();
    octets[3] = host;
    let address = Ipv4Addr::from(octets);
    let routes = if interface == "eth0" { network.routes() } else { DefaultRoutes::default() };
    let addresses = [in_24(address)];
    let endpoint = Endpoint {
        interface,
        routes,
        senders,
        host_side: &names::host_side(&host.to_string(), &network.id),
        ..endpoint(network, &addresses, netns)
    };
    attach(network, &endpoint).unwrap();
    address
}

/// The IPv4 subnet of a network of a test.
pub(crate) fn subnet(network: &Network) -> Ipv4Network {
    network.subnet_v4().unwrap()
}

fn in_24(address: Ipv4Addr) -> IpNetwork {
    IpNetwork::new(address.into(), 24).unwrap()
}

/// `eth0` with the way out through the network and the host's end `nv-other`.
fn endpoint<'a>(network: &Network, addresses: &'a [IpNetwork], netns: &'a Netns) -> Endpoint<'a> {
    Endpoint {
        interface: "eth0",
        addresses,
        mac: MacAddress::of_first(addresses.iter().map(IpNetwork::ip)),
        routes: network.routes(),
        parameters: &[],
        senders: &Senders::Own,
        host_side: "nv-other",
        netns: netns.as_fd(),
    }
}

#[test]
fn a_container_that_deletes_its_link_while_it_is_attached_gets_an_error() {
    sandbox::run(|| {
        let network = network(1, false);
        create(&network).unwrap();
        let netns = Netns::new();
        let addresses = [in_24([10, 213, 1, 2].into())];
        let endpoint = endpoint(&network, &addresses, &netns);
        let refused = |source| Error::Attach { network: "test".into(), end: "eth0".into(), source };
        let gone = netns.run(|| attach::set_up_inside(&endpoint, refused)).unwrap_err();
        let Error::Attach { source, .. } = gone else { panic!("{gone}") };
        assert_eq!(source.errno(), Some(nix::libc::ENODEV), "{source}");

        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let delete = || {
                while !is_over.load(Ordering::Relaxed) {
                    detach_inside(netns.as_fd(), "eth0").unwrap();
                }
            };
            scope.spawn(delete);
            let deadline = Instant::now() + Duration::from_secs(2);
            let failures = (0..100).take_while(|_| Instant::now() < deadline);
            let failures = failures.filter(|_| attach(&network, &endpoint).is_err()).count();
            is_over.store(true, Ordering::Relaxed);
            assert_ne!(failures, 0, "it was in the way");
        });
        detach("nv-other").unwrap();
        attach(&network, &endpoint).unwrap();
        assert!(has_interface(netns.as_fd(), "eth0").unwrap());
    });
}

/// Sends one message over a connection between two namespaces and gets it back.
pub(crate) fn talk(
    server: &Netns,
    address: impl Into<IpAddr>,
    client: &Netns,
) -> std::io::Result<()> {
    let address = address.into();
    let listener = server.run(|| TcpListener::bind((address, 0))).unwrap();
    let port = listener.local_addr().unwrap().port();
    client.run(move || {
        let mut stream =
            TcpStream::connect_timeout(&(address, port).into(), Duration::from_millis(400))?;
        stream.write_all(b"hello")?;
        let (mut accepted, _) = listener.accept()?;
        let mut message = [0; 5];
        accepted.read_exact(&mut message)?;
        assert_eq!(&message, b"hello");
        Ok(())
    })
}

#[test]
fn containers_of_a_network_reach_each_other_and_the_host() {
    sandbox::run(|| {
        let network = network(1, false);
        create(&network).unwrap();
        let (one, address) = container(&network, 2);
        let (two, _) = container(&network, 3);
        talk(&one, address, &two).unwrap();

        let listener = TcpListener::bind((network.gateway_v4().unwrap(), 0)).unwrap();
        let gateway = listener.local_addr().unwrap();
        two.run(|| TcpStream::connect_timeout(&gateway, Duration::from_secs(1))).unwrap();
    });
}

#[test]
fn a_container_has_its_addresses_its_route_and_no_ipv6_but_loopback() {
    sandbox::run(|| {
        let network = network(1, false);
        create(&network).unwrap();
        let (netns, address) = container(&network, 2);
        netns.run(|| {
            let mut socket = Socket::new();
            let links = link::list(&mut socket).unwrap();
            let names: Vec<_> = links.iter().map(|link| link.name.as_str()).collect();
            assert_eq!(names, ["lo", "eth0"]);
            let addresses = address::list(&mut socket).unwrap();
            assert!(addresses.iter().any(|(_, own)| *own == in_24(address)));
            let routes = route::list(&mut socket).unwrap();
            assert!(routes.iter().any(|(_, to)| to.prefix() == 0), "no default route: {routes:?}");
            let mac = fs::read_to_string("/proc/thread-self/net/if_inet6").unwrap();
            assert!(mac.lines().all(|line| line.ends_with("lo")), "{mac}");
            assert!(mac.contains("00000000000000000000000000000001"), "::1 is missing");
        });
    });
}

/// A network with addresses of both protocols, or of IPv6 alone.
pub(crate) fn with_ipv6(number: u8, has_ipv4: bool) -> Network {
    let mut network = network(number, false);
    network.subnets.retain(|_| has_ipv4);
    network.subnets.push(Subnet::new(format!("fd00:213:{number}::/64").parse().unwrap()));
    network
}

#[test]
fn addresses_of_ipv6_work_the_moment_they_are_there_and_no_router_is_believed() {
    sandbox::run(|| {
        let network = with_ipv6(1, true);
        create(&network).unwrap();
        let (one, two) = (Netns::without_loopback(), Netns::without_loopback());
        let own = |host: u8| {
            let v6 = format!("fd00:213:1::{host}/64").parse().unwrap();
            [in_24([10, 213, 1, host].into()), v6]
        };
        let (first, second) = (own(2), own(3));
        let join = |netns, addresses, host_side| {
            let endpoint = Endpoint { host_side, ..endpoint(&network, addresses, netns) };
            one_visit::set_up(netns.as_fd(), &[(&network, endpoint)]).unwrap();
        };
        join(&one, &first, "nv-1");
        join(&two, &second, "nv-2");
        for address in [first[0].ip(), first[1].ip()] {
            talk(&one, address, &two).unwrap();
            talk(&one, address, &Netns(current())).unwrap();
        }
        let gateway = TcpListener::bind((network.gateway_v6().unwrap(), 0)).unwrap();
        let gateway = gateway.local_addr().unwrap();
        one.run(|| {
            TcpStream::connect_timeout(&gateway, Duration::from_secs(1)).unwrap();
            let routes = fs::read_to_string("/proc/thread-self/net/ipv6_route").unwrap();
            let has_default = |line: &str| {
                line.starts_with("00000000000000000000000000000000 00") && line.ends_with("eth0")
            };
            assert!(routes.lines().any(has_default), "{routes}");
            for setting in ["accept_ra", "accept_dad"] {
                let path = format!("/proc/sys/net/ipv6/conf/eth0/{setting}");
                assert_eq!(fs::read_to_string(path).unwrap().trim(), "0");
            }
        });
        let path = format!("/proc/sys/net/ipv6/conf/{}/accept_ra", network.bridge);
        assert_eq!(fs::read_to_string(path).unwrap().trim(), "0");
    });
}

#[test]
fn containers_of_an_isolated_network_reach_the_host_and_not_each_other() {
    sandbox::run(|| {
        let network = Network { isolated: true, ..network(1, false) };
        create(&network).unwrap();
        let (one, address) = container(&network, 2);
        let (two, _) = container(&network, 3);
        talk(&one, address, &Netns(current())).unwrap();
        talk(&one, address, &two).unwrap_err();
        let host_side = names::host_side("2", &network.id);
        assert!(rejoin(&network, &host_side).unwrap());
        talk(&one, address, &two).unwrap_err();
    });
}

#[test]
fn the_way_out_moves_to_another_interface() {
    sandbox::run(|| {
        let (first, second) = (network(1, false), network(2, false));
        create(&first).unwrap();
        create(&second).unwrap();
        let netns = Netns::new();
        join(&first, 2, "eth0", &netns);
        join(&second, 2, "eth1", &netns);
        let through = || netns.run(|| fs::read_to_string("/proc/thread-self/net/route").unwrap());
        let is_default = |line: &&str| line.split_whitespace().nth(1) == Some("00000000");
        let way = |text: &str| {
            let lines: Vec<_> = text.lines().filter(is_default).collect();
            assert_eq!(lines.len(), 1, "{text}");
            lines[0].split_whitespace().next().unwrap().to_owned()
        };
        assert_eq!(way(&through()), "eth0");
        set_default_routes(netns.as_fd(), "eth1", second.routes()).unwrap();
        assert_eq!(way(&through()), "eth1");
        set_default_routes(netns.as_fd(), "eth7", second.routes()).unwrap();
        assert_eq!(way(&through()), "eth1");
    });
}

#[test]
fn a_network_can_do_without_ipv4() {
    sandbox::run(|| {
        let network = with_ipv6(1, false);
        create(&network).unwrap();
        let (one, two) = (Netns::new(), Netns::new());
        let own = |host| [format!("fd00:213:1::{host}/64").parse::<IpNetwork>().unwrap()];
        let (first, second) = (own(2), own(3));
        attach(&network, &endpoint(&network, &first, &one)).unwrap();
        let second = Endpoint { host_side: "nv-2", ..endpoint(&network, &second, &two) };
        attach(&network, &second).unwrap();
        talk(&one, first[0].ip(), &two).unwrap();
    });
}

#[test]
fn kernel_parameters_of_an_interface_are_set_before_it_is_up_and_a_wrong_one_is_named() {
    sandbox::run(|| {
        let network = network(1, false);
        create(&network).unwrap();
        let (one, two) = (Netns::new(), Netns::new());
        let addresses = [in_24([10, 213, 1, 2].into())];
        let set = [("net/ipv4/conf/eth0/log_martians".to_owned(), "1".to_owned())];
        let endpoint = Endpoint { parameters: &set, ..endpoint(&network, &addresses, &one) };
        attach(&network, &endpoint).unwrap();
        let path = "/proc/sys/net/ipv4/conf/eth0/log_martians";
        assert_eq!(one.run(|| fs::read_to_string(path).unwrap()).trim(), "1");
        let wrong = [("net/ipv4/conf/eth0/no_such_thing".to_owned(), "1".to_owned())];
        let (host_side, netns) = ("nv-2", two.as_fd());
        let endpoint = Endpoint { parameters: &wrong, host_side, netns, ..endpoint };
        let error = attach(&network, &endpoint).unwrap_err().to_string();
        assert!(error.contains("net/ipv4/conf/eth0/no_such_thing"), "{error}");
    });
}

#[test]
fn the_host_side_takes_no_ipv6_address() {
    sandbox::run(|| {
        let network = network(1, false);
        create(&network).unwrap();
        let (_netns, _) = container(&network, 2);
        let addresses = fs::read_to_string("/proc/thread-self/net/if_inet6").unwrap();
        assert!(addresses.lines().all(|line| line.ends_with("lo")), "{addresses}");
    });
}

#[test]
fn an_internal_network_gives_no_default_route() {
    sandbox::run(|| {
        let network = network(1, true);
        create(&network).unwrap();
        let (netns, _) = container(&network, 2);
        let routes = netns.run(|| route::list(&mut Socket::new()).unwrap());
        assert!(routes.iter().all(|(_, to)| to.prefix() != 0), "{routes:?}");
    });
}

#[test]
fn one_request_deletes_all_links_of_a_project_and_no_others() {
    sandbox::run(|| {
        let (first, second) = (network(1, false), network(2, false));
        let other = Network { group: names::group("other"), ..network(3, false) };
        for network in [&first, &second, &other] {
            create(network).unwrap();
        }
        let containers = [container(&first, 2), container(&second, 2), container(&other, 2)];
        assert_eq!(links_of_group(first.group).unwrap().len(), 4);

        delete_group(first.group).unwrap();
        assert!(wait_unlisted(first.group, Duration::from_secs(5)).unwrap());
        assert_eq!(links_of_group(other.group).unwrap().len(), 2);
        let left = containers[0].0.run(|| link::list(&mut Socket::new()).unwrap().len());
        assert_eq!(left, 1, "the container's end is gone too");
        delete_group(first.group).unwrap();
        assert!(delete_group(0).is_err());
    });
}

#[test]
fn a_failed_attachment_leaves_no_link() {
    sandbox::run(|| {
        let network = network(1, false);
        create(&network).unwrap();
        let (netns, address) = container(&network, 2);
        let addresses = [in_24(address)];
        let endpoint = endpoint(&network, &addresses, &netns);
        let before = links_of_group(network.group).unwrap().len();
        let error = attach(&network, &endpoint).unwrap_err();
        assert!(error.to_string().contains("eth0"), "{error}");
        assert_eq!(links_of_group(network.group).unwrap().len(), before);

        detach(&names::host_side("2", &network.id)).unwrap();
        remove(&network).unwrap();
        remove(&network).unwrap();
        assert!(matches!(attach(&network, &endpoint), Err(Error::NoBridge { .. })));
    });
}

#[test]
fn a_subnet_keeps_clear_of_what_the_host_has() {
    sandbox::run(|| {
        let network = network(1, false);
        create(&network).unwrap();
        let occupied = occupied::occupied(&[]).unwrap();
        let clash = occupied.conflict(subnet(&network).into(), None).unwrap();
        assert!(clash.to_string().contains(&network.bridge), "{clash}");
        assert_eq!(occupied.conflict(subnet(&network).into(), Some(&network.bridge)), None);
    });
}

#[test]
fn five_hundred_projects_have_networks_at_once_and_none_overlaps_another_or_a_route() {
    // T-I2 and T-I3
    sandbox::run(|| {
        let vpn = Network { bridge: "tun7".into(), ..network(99, false) };
        create(&vpn).unwrap();
        let arguments = ["route", "add", "10.213.4.0/24", "dev", "tun7"];
        assert!(Command::new("ip").args(arguments).status().unwrap().success());
        let mut taken: Vec<Ipv4Network> = vec!["10.213.4.0/24".parse().unwrap(), subnet(&vpn)];
        let mut occupied = occupied::Occupied::default();
        for number in 0..500 {
            let id = format!("project{number}_default");
            // A look at the kernel takes its time with so many: now and then is enough for a test.
            if number % 25 == 0 {
                occupied = occupied::occupied(&[]).unwrap();
            }
            let picked = pool::pick(&pool::Pool::default(), &occupied, &id).unwrap();
            let clash = taken.iter().find(|other| other.overlaps(picked));
            assert_eq!(clash, None, "{picked} of {id}");
            taken.push(picked);
            occupied.uses.push((picked.into(), occupied::Use::Recorded));
            let subnets = vec![Subnet::new(picked.into())];
            create(&Network { bridge: names::bridge(&id), id, subnets, ..network(1, false) })
                .unwrap();
        }
    });
}

/// A router advertisement with the prefix 2001:db8:bad::/64, sent to all nodes on `eth0`.
fn advertise() {
    use rustix::net::{AddressFamily, SendFlags, SocketType, ipproto, sendto, socket, sockopt};
    let socket = socket(AddressFamily::INET6, SocketType::RAW, Some(ipproto::ICMPV6)).unwrap();
    sockopt::set_ipv6_multicast_hops(&socket, 255).unwrap();
    let mut packet = vec![134, 0, 0, 0, 64, 0, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0];
    packet.extend([3, 4, 64, 0xc0, 0, 1, 0x51, 0x80, 0, 1, 0x51, 0x80, 0, 0, 0, 0]);
    packet.extend("2001:db8:bad::".parse::<std::net::Ipv6Addr>().unwrap().octets());
    let index = link::index_of(&mut Socket::new(), "eth0").unwrap().unwrap();
    let everybody = "ff02::1".parse().unwrap();
    let to = std::net::SocketAddrV6::new(everybody, 0, 0, index);
    sendto(&socket, &packet, SendFlags::empty(), &to).unwrap();
}

#[test]
fn neither_the_host_nor_a_container_takes_a_containers_router_advertisement() {
    // G4
    sandbox::run(|| {
        let network = with_ipv6(1, true);
        create(&network).unwrap();
        let member = |host: u8, senders: &Senders| {
            let netns = Netns::new();
            let v6 = format!("fd00:213:1::{host}/64").parse().unwrap();
            let addresses = [in_24([10, 213, 1, host].into()), v6];
            let host_side = format!("nv-{host}");
            let endpoint = endpoint(&network, &addresses, &netns);
            let endpoint = Endpoint { host_side: &host_side, senders, ..endpoint };
            attach(&network, &endpoint).unwrap();
            netns
        };
        let evil = member(2, &Senders::Anybody);
        let (sibling, believer) = (member(3, &Senders::Own), member(4, &Senders::Own));
        believer.run(|| fs::write("/proc/sys/net/ipv6/conf/eth0/accept_ra", "1").unwrap());
        let has = || {
            let addresses = fs::read_to_string("/proc/thread-self/net/if_inet6").unwrap();
            addresses.contains("20010db80bad")
        };
        let deadline = Instant::now() + Duration::from_secs(5);
        while !believer.run(has) {
            assert!(Instant::now() < deadline, "who asks for advertisements gets them");
            evil.run(advertise);
            thread::sleep(Duration::from_millis(10));
        }
        assert!(!has(), "the host");
        assert!(!sibling.run(has), "a sibling");
        let routes = sibling.run(|| route::list(&mut Socket::new()).unwrap());
        let ways_out = routes.iter().filter(|(_, to)| to.is_ipv6() && to.prefix() == 0).count();
        assert_eq!(ways_out, 1, "only the network's own: {routes:?}");
    });
}

#[test]
fn halves_of_the_default_route_leave_room_and_places_do_not() {
    sandbox::run(|| {
        let vpn = Network { bridge: "tun7".into(), ..network(99, false) };
        create(&vpn).unwrap();
        let route = |to: &str| {
            let arguments = ["route", "add", to, "dev", "tun7"];
            assert!(Command::new("ip").args(arguments).status().unwrap().success());
        };
        route("0.0.0.0/1");
        route("128.0.0.0/1");
        let pick = || {
            let occupied = occupied::occupied(&[]).unwrap();
            pool::pick(&pool::Pool::default(), &occupied, "shop_default").unwrap()
        };
        let first = pick();
        route(&first.to_string());
        let second = pick();
        assert!(!first.overlaps(second), "{first} and {second}");
        route("10.0.0.0/8");
        assert_ne!(pick().network().octets()[0], 10);

        let occupied = occupied::occupied(&[]).unwrap();
        let error = pool::check("10.1.0.0/24".parse().unwrap(), &occupied, None).unwrap_err();
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(source, "the route to 10.0.0.0/8 through interface tun7");
    });
}

#[test]
fn the_first_packet_after_attaching_is_not_lost() {
    sandbox::run(|| {
        for number in 1..=20 {
            let network = network(number, false);
            create(&network).unwrap();
            let (netns, address) = container(&network, 2);
            // A lost packet is sent again after a second.
            let to = (address, 9);
            let refused = TcpStream::connect_timeout(&to.into(), Duration::from_millis(900));
            assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
            let to = (network.gateway_v4().unwrap(), 9);
            let refused = netns
                .run(move || TcpStream::connect_timeout(&to.into(), Duration::from_millis(900)));
            assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        }
    });
}

#[test]
fn a_restarted_container_is_reached_while_the_old_link_still_exists() {
    sandbox::run(|| {
        let network = network(1, false);
        create(&network).unwrap();
        let attach_as = |host_side: &str| {
            let netns = Netns::new();
            let address = Ipv4Addr::new(10, 213, 1, 2);
            let addresses = [in_24(address)];
            let endpoint = Endpoint { host_side, ..endpoint(&network, &addresses, &netns) };
            attach(&network, &endpoint).unwrap();
            (netns, address)
        };
        let (old, address) = attach_as("nv-old");
        let host = Netns(current());
        talk(&old, address, &host).unwrap();
        let (new, address) = attach_as("nv-new");
        talk(&new, address, &host).unwrap();
    });
}

#[test]
fn one_visit_sets_up_loopback_all_networks_and_the_name_servers_sockets() {
    sandbox::run(|| {
        let (front, back) = (network(1, false), network(2, true));
        create(&front).unwrap();
        create(&back).unwrap();
        let netns = Netns::without_loopback();
        let (one, two) = ([in_24([10, 213, 1, 2].into())], [in_24([10, 213, 2, 2].into())]);
        let first = Endpoint { host_side: "nv-1", ..endpoint(&front, &one, &netns) };
        let second = endpoint(&back, &two, &netns);
        let second = Endpoint { interface: "eth1", host_side: "nv-2", ..second };
        let endpoints = [(&front, first), (&back, second)];
        assert!(one_visit::set_up(netns.as_fd(), &endpoints).unwrap().is_some());
        let host = Netns(current());
        talk(&netns, [10, 213, 1, 2], &host).unwrap();
        talk(&netns, [10, 213, 2, 2], &host).unwrap();
        talk(&netns, Ipv4Addr::LOCALHOST, &netns).unwrap();

        let other = Netns::without_loopback();
        let again = [(&front, Endpoint { netns: other.as_fd(), ..endpoints[0].1 })];
        let error = one_visit::set_up(other.as_fd(), &again).unwrap_err();
        assert!(matches!(error, one_visit::Error::Join { endpoint: 0, .. }), "{error:?}");
        let other = Netns::without_loopback();
        assert!(one_visit::set_up(other.as_fd(), &[]).unwrap().is_none());
    });
}

#[test]
fn a_name_in_use_is_an_error_and_leaves_its_owner_alone() {
    sandbox::run(|| {
        let network = network(1, false);
        create(&network).unwrap();
        let (first, address) = container(&network, 2);
        let second = Netns::new();
        let addresses = [in_24(address)];
        let endpoint = Endpoint {
            host_side: &names::host_side("2", &network.id),
            ..endpoint(&network, &addresses, &second)
        };
        attach(&network, &endpoint).unwrap_err();
        talk(&first, address, &Netns(current())).unwrap();
    });
}

#[test]
fn attaching_twenty_containers_takes_milliseconds_each() {
    sandbox::run(|| {
        let network = network(1, false);
        create(&network).unwrap();
        let namespaces: Vec<_> = (0..20).map(|_| Netns::new()).collect();
        let mut times: Vec<_> = namespaces
            .iter()
            .zip(2..)
            .map(|(netns, host)| {
                let start = Instant::now();
                join(&network, host, "eth0", netns);
                start.elapsed()
            })
            .collect();
        times.sort_unstable();
        // The promise is 2 ms, which the example `measure` shows; a loaded machine is given more.
        assert!(times[10] < Duration::from_millis(500), "median {:?}", times[10]);
    });
}
