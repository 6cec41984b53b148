//! Real traffic: clients in the host's namespace or a neighbour's, servers in a container's.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::thread;
use std::time::{Duration, Instant};

use super::*;
use crate::network;
use crate::network::tests::{container, network};
use crate::ports::{self, Protocol, Publish};
use crate::sandbox::{self, Netns};

mod limits;

const PATIENCE: Duration = Duration::from_secs(10);

/// A host with one network and one container, and a proxy that runs on the host.
struct Host {
    proxy: Proxy,
    container: Netns,
    address: Ipv4Addr,
}

fn host() -> Host {
    let network = network(1, false);
    network::create(&network).unwrap();
    let (container, address) = container(&network, 2);
    Host { proxy: Proxy::start().unwrap(), container, address }
}

impl Host {
    fn listen(&self, port: u16) -> TcpListener {
        let address = (self.address, port);
        self.container.run(move || TcpListener::bind(address)).unwrap()
    }

    fn target(&self, port: u16) -> SocketAddr {
        (self.address, port).into()
    }

    /// Publishes a container's port and returns the port on the host.
    fn publish(&self, port: u16, protocol: Protocol) -> u16 {
        let bound = ports::bind(&Publish { host_ip: None, host_port: 0, protocol }).unwrap();
        let host_port = bound.port();
        self.proxy.publish("web", bound, self.target(port)).unwrap();
        host_port
    }
}

impl Host {
    /// [`Host::publish`], with the container's loopback interface as the last place.
    fn publish_inside(&self, port: u16, protocol: Protocol) -> u16 {
        let bound = ports::bind(&Publish { host_ip: None, host_port: 0, protocol }).unwrap();
        let host_port = bound.port();
        self.proxy.publish("web", bound, self.inside(port)).unwrap();
        host_port
    }

    fn inside(&self, port: u16) -> Target {
        let namespace = self.container.0.try_clone().unwrap();
        Target { addresses: vec![self.target(port)], loopback: Some(Loopback { namespace, port }) }
    }

    fn listen_at(&self, address: &str) -> TcpListener {
        let address: SocketAddr = address.parse().unwrap();
        self.container.run(move || TcpListener::bind(address)).unwrap()
    }
}

/// One byte to the server and one back.
fn ping(client: &mut TcpStream, listener: &TcpListener) -> SocketAddr {
    client.write_all(b"x").unwrap();
    let (mut server, peer) = listener.accept().unwrap();
    server.read_exact(&mut [0]).unwrap();
    server.write_all(b"y").unwrap();
    client.read_exact(&mut [0]).unwrap();
    peer
}

/// Connections of this namespace in a state, by their number in `/proc/net/tcp`, towards a port.
fn in_state(state: &str, remote_port: u16) -> usize {
    let table = fs_err::read_to_string("/proc/thread-self/net/tcp").unwrap();
    let fields = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let port = format!(":{remote_port:04X}");
    fields.filter(|f| f.len() > 3 && f[2].ends_with(&port) && f[3] == state).count()
}

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251).to_le_bytes()[0] ^ (at >> 12).to_le_bytes()[0]).collect()
}

#[test]
fn ten_megabytes_arrive_byte_for_byte_in_both_directions() {
    sandbox::run(|| {
        let host = host();
        let listener = host.listen(80);
        let port = host.publish(80, Protocol::Tcp);
        let sent = pattern(10 << 20);
        let echo = thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut input = stream.try_clone().unwrap();
            let mut output = stream;
            std::io::copy(&mut input, &mut output).unwrap();
        });
        let client = connect(port);
        let mut writer = client.try_clone().unwrap();
        let data = sent.clone();
        let sender = thread::spawn(move || {
            writer.write_all(&data).unwrap();
            writer.shutdown(Shutdown::Write).unwrap();
        });
        let mut received = Vec::new();
        (&client).read_to_end(&mut received).unwrap();
        assert!(received == sent, "{} of {} bytes", received.len(), sent.len());
        sender.join().unwrap();
        echo.join().unwrap();
    });
}

#[test]
fn a_reader_that_pauses_gets_everything() {
    sandbox::run(|| {
        let host = host();
        let listener = host.listen(80);
        let port = host.publish(80, Protocol::Tcp);
        let sent = pattern(10 << 20);
        let data = sent.clone();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(&data).unwrap();
        });
        let mut client = connect(port);
        let mut received = Vec::new();
        let mut buffer = vec![0; 300_000];
        loop {
            let length = client.read(&mut buffer).unwrap();
            if length == 0 {
                break;
            }
            received.extend_from_slice(&buffer[..length]);
            thread::sleep(Duration::from_millis(3));
        }
        assert!(received == sent, "{} of {} bytes", received.len(), sent.len());
        server.join().unwrap();
    });
}

#[test]
fn a_client_that_ends_its_sending_still_gets_the_answer() {
    sandbox::run(|| {
        let host = host();
        let listener = host.listen(80);
        let port = host.publish(80, Protocol::Tcp);
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = String::new();
            stream.read_to_string(&mut request).unwrap();
            stream.write_all(format!("answer to {request}").as_bytes()).unwrap();
        });
        let mut client = connect(port);
        client.write_all(b"question").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "answer to question");
        server.join().unwrap();
    });
}

#[test]
fn a_server_that_ends_its_sending_still_gets_the_rest() {
    sandbox::run(|| {
        let host = host();
        let listener = host.listen(80);
        let port = host.publish(80, Protocol::Tcp);
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            let mut rest = String::new();
            stream.read_to_string(&mut rest).unwrap();
            rest
        });
        let mut client = connect(port);
        assert_eq!(client.read(&mut [0]).unwrap(), 0);
        client.write_all(b"more").unwrap();
        drop(client);
        assert_eq!(server.join().unwrap(), "more");
    });
}

#[test]
fn a_reset_is_passed_on_as_a_reset() {
    sandbox::run(|| {
        let host = host();
        let listener = host.listen(80);
        let port = host.publish(80, Protocol::Tcp);
        let mut client = connect(port);
        client.write_all(b"x").unwrap();
        let (mut server, _) = listener.accept().unwrap();
        server.read_exact(&mut [0]).unwrap();
        rustix::net::sockopt::set_socket_linger(&server, Some(Duration::ZERO)).unwrap();
        drop(server);
        assert_eq!(client.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_connection_made_before_the_server_listens_is_held() {
    sandbox::run(|| {
        let host = host();
        let port = host.publish(80, Protocol::Tcp);
        let mut client = connect(port);
        client.write_all(b"early").unwrap();
        thread::sleep(Duration::from_millis(300));
        let listener = host.listen(80);
        let (mut server, _) = listener.accept().unwrap();
        let mut message = [0; 5];
        server.read_exact(&mut message).unwrap();
        assert_eq!(&message, b"early");
    });
}

#[test]
fn without_a_server_a_connection_is_reset_after_a_second() {
    sandbox::run(|| {
        let host = host();
        let port = host.publish(80, Protocol::Tcp);
        let start = Instant::now();
        let mut client = connect(port);
        let error = client.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        let waited = start.elapsed();
        assert!(waited > Duration::from_millis(900), "held for {waited:?}");
        assert!(waited < Duration::from_secs(5), "held for {waited:?}");
    });
}

#[test]
fn both_families_and_all_own_addresses_answer() {
    sandbox::run(|| {
        let host = host();
        let listener = host.listen(80);
        let port = host.publish(80, Protocol::Tcp);
        for address in ["127.0.0.1", "::1", "10.213.1.1"] {
            let address: IpAddr = address.parse().unwrap();
            let mut client = TcpStream::connect((address, port)).unwrap();
            let (mut server, peer) = listener.accept().unwrap();
            assert_eq!(peer.ip(), IpAddr::from([10, 213, 1, 1]), "the container sees the gateway");
            server.write_all(b"x").unwrap();
            client.read_exact(&mut [0]).unwrap();
        }
    });
}

#[test]
fn a_restarted_container_resets_old_connections_and_gets_new_ones() {
    sandbox::run(|| {
        let host = host();
        let old = host.listen(80);
        let new = host.listen(81);
        let port = host.publish(80, Protocol::Tcp);
        let mut client = connect(port);
        let (mut server, _) = old.accept().unwrap();
        client.write_all(b"x").unwrap();
        server.read_exact(&mut [0]).unwrap();
        host.proxy.retarget("web", host.target(81)).unwrap();
        assert_eq!(client.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
        let _client = connect(port);
        new.accept().unwrap();
    });
}

#[test]
fn a_withdrawn_port_is_free_and_a_duplicate_keeps_it() {
    sandbox::run(|| {
        let host = host();
        let listener = host.listen(80);
        let wanted = Publish { host_ip: None, host_port: 8080, protocol: Protocol::Tcp };
        let bound = ports::bind(&wanted).unwrap();
        let kept = bound.duplicate().unwrap();
        host.proxy.publish("web", bound, host.target(80)).unwrap();
        let mut client = connect(8080);
        client.write_all(b"x").unwrap();
        let (mut server, _) = listener.accept().unwrap();
        server.read_exact(&mut [0]).unwrap();
        host.proxy.withdraw("web").unwrap();
        assert_eq!(client.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert!(ports::bind(&wanted).is_err(), "the duplicate holds the port");

        // What arrives meanwhile waits for the next one to serve the port.
        let mut waiting = connect(8080);
        waiting.write_all(b"still here").unwrap();
        let second = host.listen(81);
        host.proxy.publish("web", kept, host.target(81)).unwrap();
        let (mut server, _) = second.accept().unwrap();
        server.read_exact(&mut [0; 10]).unwrap();

        drop(host.proxy);
        ports::bind(&wanted).unwrap();
    });
}

#[test]
fn a_thousand_connections_at_once_are_all_answered() {
    sandbox::run(|| {
        let host = host();
        let listener = host.listen(80);
        // Beyond the server's own queue (128 by default) its kernel answers with SYN cookies, and
        // loses connections on which the server speaks first.
        rustix::net::listen(&listener, 4096).unwrap();
        let port = host.publish(80, Protocol::Tcp);
        let server = thread::spawn(move || {
            let mut held = Vec::new();
            for _ in 0..1000 {
                let (mut stream, _) = listener.accept().unwrap();
                stream.write_all(b"x").unwrap();
                held.push(stream);
            }
            held
        });
        let clients: Vec<_> = (0..1000).map(|_| connect(port)).collect();
        for mut client in &clients {
            client.read_exact(&mut [0]).unwrap();
        }
        assert_eq!(server.join().unwrap().len(), 1000);
    });
}

/// The congestion control that the kernel has for the sockets of this namespace's connections, by their remote port.
fn control_of(stream: &TcpStream) -> String {
    rustix::net::sockopt::tcp_congestion(stream).unwrap()
}

#[test]
fn what_stays_on_the_host_is_not_paced_and_neighbours_have_the_hosts_congestion_control() {
    sandbox::run(|| {
        let own = "/proc/sys/net/ipv4/tcp_congestion_control";
        if fs_err::write(own, "bbr").is_err() {
            return;
        }
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        assert!(link::is_paced(&listener));
        let address = listener.local_addr().unwrap();
        let client = TcpStream::connect((Ipv4Addr::LOCALHOST, address.port())).unwrap();
        let (accepted, peer) = listener.accept().unwrap();
        assert_eq!(control_of(&accepted), "bbr");
        link::prepare_client(&accepted, Some("192.0.2.1:9".parse::<SocketAddr>().unwrap().into()));
        assert_eq!(control_of(&accepted), "bbr", "a neighbour");
        link::prepare_client(&accepted, Some(peer.into()));
        assert_eq!(control_of(&accepted), "reno");
        link::prepare_server(&client);
        assert_eq!(control_of(&client), "reno");
    });
}

#[test]
fn datagrams_come_back_from_the_address_they_were_sent_to() {
    sandbox::run(|| {
        let host = host();
        let target = host.target(53);
        let server = host.container.run(move || UdpSocket::bind(target)).unwrap();
        let port = host.publish(53, Protocol::Udp);
        let echo = thread::spawn(move || {
            let mut buffer = [0; 2000];
            for _ in 0..6 {
                let (length, peer) = server.recv_from(&mut buffer).unwrap();
                server.send_to(&buffer[..length], peer).unwrap();
            }
        });
        for (own, to) in [("127.0.0.1", "127.0.0.1"), ("127.0.0.1", "127.0.0.5"), ("::1", "::1")] {
            let client = UdpSocket::bind((own.parse::<IpAddr>().unwrap(), 0)).unwrap();
            client.set_read_timeout(Some(PATIENCE)).unwrap();
            let to = SocketAddr::new(to.parse().unwrap(), port);
            for message in [b"one".as_slice(), &[7; 1400]] {
                client.send_to(message, to).unwrap();
                let mut buffer = [0; 2000];
                let (length, from) = client.recv_from(&mut buffer).unwrap();
                assert_eq!((&buffer[..length], from), (message, to));
            }
        }
        echo.join().unwrap();
    });
}

#[test]
fn a_neighbour_reaches_published_ports_only() {
    sandbox::run(|| {
        let host = host();
        let listener = host.listen(80);
        let lan = network(7, false);
        network::create(&lan).unwrap();
        let (neighbour, _) = container(&lan, 2);
        let loopback = Publish {
            host_ip: Some(Ipv4Addr::LOCALHOST.into()),
            host_port: 8081,
            protocol: Protocol::Tcp,
        };
        let port = host.publish(80, Protocol::Tcp);
        let bound = ports::bind(&loopback).unwrap();
        host.proxy.publish("private", bound, host.target(80)).unwrap();
        let gateway = lan.gateway_v4().unwrap();
        neighbour.run(move || {
            TcpStream::connect((gateway, port)).unwrap();
            TcpStream::connect((gateway, 8081)).unwrap_err();
        });
        listener.accept().unwrap();
    });
}

#[test]
fn servers_on_the_loopback_interface_only_are_reached_and_that_is_told_once() {
    for address in ["127.0.0.1:80", "[::1]:80"] {
        sandbox::run(move || {
            let (told, notices) = channel();
            let host = Host {
                proxy: Proxy::start_telling(move |n| told.send(n).unwrap()).unwrap(),
                ..host()
            };
            let listener = host.listen_at(address);
            let port = host.publish_inside(80, Protocol::Tcp);
            for from in ["::1", "127.0.0.1", "::1"] {
                let from: IpAddr = from.parse().unwrap();
                let mut client = TcpStream::connect((from, port)).unwrap();
                assert!(ping(&mut client, &listener).ip().is_loopback());
            }
            let expected =
                Notice::OnLoopbackOnly { id: "web".into(), address: address.parse().unwrap() };
            drop(host);
            assert_eq!(notices.iter().collect::<Vec<_>>(), [expected]);
        });
    }
}

#[test]
fn a_server_on_all_addresses_is_reached_at_its_own_and_not_through_loopback() {
    sandbox::run(|| {
        let host = host();
        let listener = host.listen_at("0.0.0.0:80");
        let port = host.publish_inside(80, Protocol::Tcp);
        assert_eq!(ping(&mut connect(port), &listener).ip(), IpAddr::from([10, 213, 1, 1]));
    });
}

#[test]
fn a_hundred_connections_wait_for_a_server_that_comes_late_on_loopback() {
    sandbox::run(|| {
        let host = host();
        let port = host.publish_inside(80, Protocol::Tcp);
        let mut clients: Vec<_> = (0..100).map(|_| connect(port)).collect();
        for client in &mut clients {
            client.write_all(b"early").unwrap();
        }
        thread::sleep(Duration::from_millis(300));
        let listener = host.listen_at("127.0.0.1:80");
        for _ in &clients {
            let (mut server, _) = listener.accept().unwrap();
            server.read_exact(&mut [0; 5]).unwrap();
            server.write_all(b"y").unwrap();
        }
        for client in &mut clients {
            client.read_exact(&mut [0]).unwrap();
        }
    });
}

#[test]
fn datagrams_find_a_server_on_loopback() {
    for address in ["127.0.0.1:53", "[::1]:53"] {
        sandbox::run(move || {
            let host = host();
            let address: SocketAddr = address.parse().unwrap();
            let server = host.container.run(move || UdpSocket::bind(address)).unwrap();
            let port = host.publish_inside(53, Protocol::Udp);
            let client = UdpSocket::bind("127.0.0.1:0").unwrap();
            client.set_read_timeout(Some(PATIENCE)).unwrap();
            for message in [b"one", b"two"] {
                client.send_to(message, (Ipv4Addr::LOCALHOST, port)).unwrap();
                let mut buffer = [0; 10];
                let (length, peer) = server.recv_from(&mut buffer).unwrap();
                server.send_to(&buffer[..length], peer).unwrap();
                let (length, _) = client.recv_from(&mut buffer).unwrap();
                assert_eq!(&buffer[..length], message);
            }
        });
    }
}

#[test]
fn clients_that_end_first_leave_no_time_wait_towards_the_container() {
    sandbox::run(|| {
        let host = host();
        let listener = host.listen(80);
        let port = host.publish(80, Protocol::Tcp);
        let server = thread::spawn(move || {
            for _ in 0..200 {
                let (mut stream, _) = listener.accept().unwrap();
                std::io::copy(&mut stream.try_clone().unwrap(), &mut stream).unwrap();
            }
        });
        for _ in 0..200 {
            let mut client = connect(port);
            client.write_all(b"x").unwrap();
            client.read_exact(&mut [0]).unwrap();
        }
        server.join().unwrap();
        let deadline = Instant::now() + PATIENCE;
        while in_state("06", 80) > 0 && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(in_state("06", 80), 0);
        assert!(in_state("06", port) > 0, "this test would see one");
    });
}

#[test]
fn while_a_container_is_away_connections_wait_and_its_namespace_is_let_go() {
    sandbox::run(|| {
        let host = host();
        let old = host.listen_at("127.0.0.1:80");
        let port = host.publish_inside(80, Protocol::Tcp);
        let mut client = connect(port);
        client.write_all(b"x").unwrap();
        let (mut server, _) = old.accept().unwrap();
        server.read_exact(&mut [0]).unwrap();
        host.proxy.suspend("web").unwrap();
        assert_eq!(client.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
        let mut waiting = connect(port);
        waiting.write_all(b"x").unwrap();
        let link =
            fs_err::read_link(format!("/proc/self/fd/{}", host.container.0.as_raw_fd())).unwrap();
        let holders = || {
            let all = fs_err::read_dir("/proc/self/fd").unwrap().flatten();
            all.filter(|entry| fs_err::read_link(entry.path()).is_ok_and(|to| to == link)).count()
        };
        let deadline = Instant::now() + PATIENCE;
        while holders() > 1 && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(holders(), 1, "the test's own");
        let new = host.listen_at("127.0.0.1:81");
        host.proxy.retarget("web", host.inside(81)).unwrap();
        ping(&mut waiting, &new);
    });
}

/// A socket that listens beside others at the same address.
fn queue(address: SocketAddr) -> OwnedFd {
    use rustix::net::{AddressFamily, SocketType, bind, listen, socket, sockopt};
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    sockopt::set_socket_reuseport(&socket, true).unwrap();
    bind(&socket, &address).unwrap();
    listen(&socket, 4096).unwrap();
    socket
}

#[test]
fn five_thousand_idle_connections_are_held_and_one_more_is_answered() {
    sandbox::run(|| {
        let host = host();
        // Nobody accepts them: that would take further descriptors. Two queues hold twice the kernel's most.
        let address = host.target(80);
        let _queues = host.container.run(move || [(), ()].map(|()| queue(address)));
        let port = host.publish(80, Protocol::Tcp);
        let connect_from = |index: u32| {
            // The ports of one address would be scarce.
            let address = Ipv4Addr::from([127, 0, 0, 2 + u8::try_from(index % 8).unwrap()]);
            TcpStream::connect((address, port)).unwrap()
        };
        let held: Vec<_> = (0..5000).map(connect_from).collect();
        let deadline = Instant::now() + PATIENCE;
        while in_state("01", 80) < held.len() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(in_state("01", 80), held.len(), "all have reached the container");
        let other = host.listen(81);
        let bound = ports::bind(&Publish { host_ip: None, host_port: 0, protocol: Protocol::Tcp });
        let bound = bound.unwrap();
        let port = bound.port();
        host.proxy.publish("other", bound, host.target(81)).unwrap();
        ping(&mut connect(port), &other);
        let pipes = fs_err::read_dir("/proc/self/fd").unwrap().flatten().filter(|entry| {
            fs_err::read_link(entry.path())
                .is_ok_and(|to| to.to_string_lossy().starts_with("pipe:"))
        });
        assert!(pipes.count() < 50, "an idle connection has no pipe");
    });
}
