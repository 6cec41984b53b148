//! Real sockets, in a network namespace that only the test's thread is in.

use std::net::{TcpListener, UdpSocket};

use super::*;
use crate::sandbox;

fn publish(host_ip: Option<&str>, host_port: u16, protocol: Protocol) -> Publish {
    Publish { host_ip: host_ip.map(|address| address.parse().unwrap()), host_port, protocol }
}

#[test]
fn a_port_in_use_names_the_process_that_holds_it() {
    sandbox::run(|| {
        let _taken = TcpListener::bind("127.0.0.1:8080").unwrap();
        let error = bind(&publish(None, 8080, Protocol::Tcp)).unwrap_err();
        let Error::InUse { holder: Some(holder), address, .. } = &error else {
            panic!("{error:?}");
        };
        assert_eq!(holder.pid, std::process::id());
        assert_eq!(address.port(), 8080);
        let expected = format!("tcp port 0.0.0.0:8080 is in use by process {} (", holder.pid);
        assert!(error.to_string().starts_with(&expected), "{error}");
    });
}

#[test]
fn a_udp_port_in_use_names_the_process_that_holds_it() {
    sandbox::run(|| {
        let _taken = UdpSocket::bind("[::]:5353").unwrap();
        let error = bind(&publish(None, 5353, Protocol::Udp)).unwrap_err();
        assert!(matches!(error, Error::InUse { holder: Some(_), .. }), "{error:?}");
    });
}

#[test]
fn a_random_port_is_the_same_for_both_families_and_is_kept_by_a_duplicate() {
    sandbox::run(|| {
        let bound = bind(&publish(None, 0, Protocol::Tcp)).unwrap();
        assert_eq!(bound.sockets().len(), 2);
        for socket in bound.sockets() {
            assert_eq!(port_of(socket).unwrap(), bound.port());
        }
        let port = bound.port();
        let kept = bound.duplicate().unwrap();
        drop(bound);
        assert!(bind(&publish(None, port, Protocol::Tcp)).is_err());

        let inherited = Bound::from_sockets(kept.into_sockets()).unwrap();
        assert_eq!((inherited.port(), inherited.protocol()), (port, Protocol::Tcp));
        drop(inherited);
        assert!(bind(&publish(None, port, Protocol::Tcp)).is_ok());
    });
}

#[test]
fn one_address_leaves_the_port_free_on_the_others() {
    sandbox::run(|| {
        let _first = bind(&publish(Some("127.0.0.1"), 8080, Protocol::Tcp)).unwrap();
        let _second = bind(&publish(Some("127.0.0.2"), 8080, Protocol::Tcp)).unwrap();
        let _third = bind(&publish(Some("::1"), 8080, Protocol::Tcp)).unwrap();
    });
}

#[test]
fn an_address_the_host_does_not_have_is_named() {
    sandbox::run(|| {
        let error = bind(&publish(Some("203.0.113.9"), 8080, Protocol::Tcp)).unwrap_err();
        assert_eq!(error.to_string(), "203.0.113.9 is not an address of this host");
    });
}

#[test]
fn a_port_moves_between_all_addresses_and_one_while_both_are_held() {
    sandbox::run(|| {
        let all = publish(None, 8080, Protocol::Tcp);
        let one = publish(Some("127.0.0.1"), 8080, Protocol::Tcp);
        for (before, after) in [(all, one), (one, all)] {
            let old = bind(&before).unwrap();
            assert!(old.clashes(&after) && old.clashes(&before));
            assert!(bind(&after).is_err(), "by itself it is in the way");
            let new = bind_beside(&after, &[&old]).unwrap();
            let stranger = || {
                let socket = rustix::net::socket(
                    rustix::net::AddressFamily::INET,
                    rustix::net::SocketType::STREAM,
                    None,
                );
                let socket = socket.unwrap();
                rustix::net::sockopt::set_socket_reuseport(&socket, true).unwrap();
                let any: SocketAddr = "0.0.0.0:8080".parse().unwrap();
                rustix::net::bind(&socket, &any)
            };
            stranger().unwrap_err();
            drop(old);
            stranger().unwrap_err();
            drop(new);
        }
        let udp = bind(&publish(None, 8080, Protocol::Udp)).unwrap();
        assert!(!udp.clashes(&all));
        let v6 = bind(&publish(Some("::1"), 8080, Protocol::Tcp)).unwrap();
        assert!(!v6.clashes(&one) && v6.clashes(&all));
    });
}
