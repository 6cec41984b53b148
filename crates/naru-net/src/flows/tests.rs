use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use super::*;
use crate::firewall::{Bridge, Firewall, Published, Table};
use crate::network::tests::{container, network};
use crate::ports::Protocol;
use crate::sandbox;

/// Translates port 5353 of the host to these, or to nobody.
fn translate(firewall: &mut Firewall, bridge: &crate::Network, to: Option<Ipv4Addr>) {
    let own = Bridge {
        name: bridge.bridge.clone(),
        subnets: bridge.subnets.iter().map(|subnet| subnet.network).collect(),
        internal: false,
        masquerade: true,
    };
    let published = to.map(|to| Published {
        bridge: bridge.bridge.clone(),
        protocol: Protocol::Udp,
        host_ip: None,
        host_port: 5353,
        target: (to, 53).into(),
    });
    let published = published.into_iter().collect();
    let table = Table { id: "a".into(), bridges: vec![own], published, ..Table::default() };
    firewall.replace(&table).unwrap();
}

/// Whether a datagram of this client arrives there, within a short time.
fn arrives(client: &UdpSocket, server: &UdpSocket) -> bool {
    client.send(b"x").unwrap();
    let mut byte = [0];
    let arrived = server.recv_from(&mut byte);
    arrived.is_ok_and(|(_, from)| server.send_to(b"y", from).is_ok())
}

#[test]
fn a_client_that_keeps_its_port_reaches_the_new_container_once_the_old_flow_is_forgotten() {
    sandbox::run(|| {
        let own = network(1, false);
        let other = network(2, false);
        crate::network::create(&own).unwrap();
        crate::network::create(&other).unwrap();
        let listen = |host| {
            let (netns, address) = container(&own, host);
            let server = netns.run(move || UdpSocket::bind((address, 53))).unwrap();
            server.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
            (netns, address, server)
        };
        let (_old_netns, old, old_server) = listen(2);
        let (_new_netns, new, new_server) = listen(3);
        let (neighbour, _) = container(&other, 2);
        let host = UdpSocket::bind("0.0.0.0:5353").unwrap();
        host.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        let gateway = other.gateway_v4().unwrap();
        let (client, bystander) = neighbour.run(move || {
            let client = UdpSocket::bind("0.0.0.0:0").unwrap();
            client.connect((gateway, 5353)).unwrap();
            let bystander = UdpSocket::bind("0.0.0.0:0").unwrap();
            bystander.connect((gateway, 5354)).unwrap();
            (client, bystander)
        });

        let mut firewall = Firewall::new();
        translate(&mut firewall, &own, Some(old));
        assert!(arrives(&client, &old_server));
        bystander.send(b"x").unwrap();
        let moved = |former: &[Ipv4Addr], current: &[Ipv4Addr]| {
            let of = |to: &[Ipv4Addr]| to.iter().map(|to| (*to, 53).into()).collect();
            Moved { host_ip: None, host_port: 5353, former: of(former), current: of(current) }
        };

        translate(&mut firewall, &own, Some(new));
        assert!(!arrives(&client, &new_server), "the kernel goes on with what it knows");
        drop(old_server.recv_from(&mut [0]));
        assert_eq!(forget_udp(&[moved(&[old], &[new])]).unwrap(), 1);
        assert!(arrives(&client, &new_server));

        // While nobody is there the host itself is reached.
        translate(&mut firewall, &own, None);
        assert_eq!(forget_udp(&[moved(&[new], &[])]).unwrap(), 1);
        assert!(arrives(&client, &host));
        translate(&mut firewall, &own, Some(new));
        assert_eq!(forget_udp(&[moved(&[], &[new])]).unwrap(), 1);
        // What the host says late makes the client's datagrams answers.
        host.send_to(b"z", client.local_addr().unwrap()).unwrap();
        assert!(!arrives(&client, &new_server));
        assert_eq!(forget_udp(&[moved(&[], &[new])]).unwrap(), 1);
        assert!(arrives(&client, &new_server));
    });
}

#[test]
fn flows_of_others_with_the_same_port_are_left_alone() {
    let flow =
        |to: &str, answers: &str| Flow::between(to.parse().unwrap(), answers.parse().unwrap());
    let port = Moved {
        host_ip: Some("192.0.2.1".parse().unwrap()),
        host_port: 53,
        former: vec!["10.0.0.2:53".parse().unwrap()],
        current: vec!["10.0.0.3:53".parse().unwrap()],
    };
    let anywhere = Moved { host_ip: None, ..port.clone() };
    let own = |ip: IpAddr| ip.is_loopback() || ip == IpAddr::from([192, 0, 2, 1]);
    assert!(is_stale(&flow("192.0.2.1:53", "10.0.0.2:53"), &port, own));
    assert!(is_stale(&flow("192.0.2.1:53", "192.0.2.1:53"), &port, own));
    for (to, answers) in [
        ("192.0.2.1:53", "10.0.0.3:53"),
        ("192.0.2.1:54", "10.0.0.2:53"),
        ("192.0.2.9:53", "192.0.2.9:53"),
        ("127.0.0.1:53", "127.0.0.1:53"),
        ("192.0.2.1:53", "172.17.0.2:53"),
    ] {
        assert!(!is_stale(&flow(to, answers), &port, own), "{to} {answers}");
        assert!(!is_stale(&flow(to, answers), &anywhere, own), "{to} {answers}");
    }
    assert!(is_stale(&flow("192.0.2.9:53", "10.0.0.2:53"), &anywhere, own));
    assert!(
        !is_stale(&flow("[fd00::1]:53", "[fd00::1]:53"), &anywhere, |_| true),
        "not its family"
    );
}
