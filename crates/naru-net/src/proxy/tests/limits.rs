//! What the proxy does at its limits: descriptors, time, slow readers, and who sends on after a restart.

use super::super::event_loop::Poll;
use super::super::udp::Udp;
use super::*;

#[test]
fn beyond_its_descriptors_new_connections_wait_and_all_others_live() {
    sandbox::run(|| {
        const MOST: usize = 100;
        // Two for each connection, and ten are kept free for pipes.
        const CONNECTIONS: usize = 45;
        let (told, notices) = channel();
        let tell = move |notice| told.send(notice).unwrap();
        let host = Host { proxy: Proxy::start_with(MOST, tell).unwrap(), ..host() };
        let listener = host.listen(80);
        let port = host.publish(80, Protocol::Tcp);
        let mut first = connect(port);
        first.write_all(b"x").unwrap();
        let (mut server, _) = listener.accept().unwrap();
        server.read_exact(&mut [0]).unwrap();
        let mut others: Vec<_> = (1..60).map(|_| connect(port)).collect();
        let open = || in_state("01", 80);
        eventually(|| open() == CONNECTIONS);
        thread::sleep(Duration::from_millis(100));
        assert_eq!(open(), CONNECTIONS, "the others wait");
        server.write_all(b"y").unwrap();
        first.read_exact(&mut [0]).unwrap();

        // Room for the fifteen that wait, and for a client of UDP.
        for client in others.drain(..20) {
            rustix::net::sockopt::set_socket_linger(&client, Some(Duration::ZERO)).unwrap();
        }
        eventually(|| open() == 40);
        let target = host.target(53);
        let server = host.container.run(move || UdpSocket::bind(target)).unwrap();
        server.set_read_timeout(Some(PATIENCE)).unwrap();
        let bound =
            ports::bind(&Publish { host_ip: None, host_port: 0, protocol: Protocol::Udp }).unwrap();
        let port = bound.port();
        host.proxy.publish("dns", bound, target).unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.send_to(b"x", (Ipv4Addr::LOCALHOST, port)).unwrap();
        server.recv_from(&mut [0]).unwrap();
        drop(host);
        assert_eq!(notices.iter().collect::<Vec<_>>(), [Notice::Full { descriptors: MOST }]);
    });
}

#[test]
fn clients_of_udp_have_descriptors_of_the_same_limit_and_the_longest_silent_give_way() {
    sandbox::run(|| {
        let (told, notices) = channel();
        let tell = move |notice| told.send(notice).unwrap();
        let host = Host { proxy: Proxy::start_with(20, tell).unwrap(), ..host() };
        let target = host.target(53);
        let server = host.container.run(move || UdpSocket::bind(target)).unwrap();
        let port = host.publish(53, Protocol::Udp);
        let echo = thread::spawn(move || {
            let mut byte = [0];
            loop {
                let (_, peer) = server.recv_from(&mut byte).unwrap();
                server.send_to(&byte, peer).unwrap();
                if byte == [0] {
                    break;
                }
            }
        });
        let ask = |client: &UdpSocket, question: u8| {
            client.send_to(&[question], (Ipv4Addr::LOCALHOST, port)).unwrap();
            let mut answer = [u8::MAX];
            client.recv_from(&mut answer).unwrap();
            assert_eq!(answer, [question]);
        };
        let clients: Vec<_> = (0..60).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        let flows = || {
            let table = fs_err::read_to_string("/proc/thread-self/net/udp").unwrap();
            table
                .lines()
                .filter(|line| {
                    line.split_whitespace().nth(2).is_some_and(|to| to.ends_with(":0035"))
                })
                .count()
        };
        for (question, client) in (1..).zip(&clients) {
            client.set_read_timeout(Some(PATIENCE)).unwrap();
            ask(client, question);
            assert!(flows() <= 18, "two are kept free for a pipe");
        }
        assert_eq!(flows(), 18);
        // Who gave way is a new client.
        ask(&clients[0], 0);
        echo.join().unwrap();
        drop(host);
        assert_eq!(notices.iter().collect::<Vec<_>>(), [Notice::Crowded { clients: 18 }]);
    });
}

fn eventually(holds: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(5));
    }
    assert!(holds());
}

#[test]
fn a_client_of_udp_is_forgotten_after_half_a_minute_of_silence_and_a_stream_after_two() {
    sandbox::run(|| {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        server.set_read_timeout(Some(PATIENCE)).unwrap();
        let (commands, _inbox) = channel();
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC).unwrap());
        let mut udp = Udp::new(Mailbox { commands, wake });
        let mut poll = Poll::new().unwrap();
        let publish = Publish { host_ip: None, host_port: 0, protocol: Protocol::Udp };
        let bound = ports::bind(&publish).unwrap();
        let port = bound.port();
        let target = Arc::new(Target::from(server.local_addr().unwrap()));
        let socket = bound.into_sockets().into_iter().next().unwrap();
        let number = udp.listen(&mut poll, socket, Some(target)).unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        // The second time there is an answer, and another question.
        for (is_stream, seconds) in [(false, 30), (true, 120), (false, 30)] {
            client.send_to(b"x", (Ipv4Addr::LOCALHOST, port)).unwrap();
            udp.pass_in(&mut poll, number);
            let (_, peer) = server.recv_from(&mut [0]).unwrap();
            server.send_to(b"y", peer).unwrap();
            let flow = poll.number() - 1;
            udp.pass_back(&mut poll, flow);
            client.recv_from(&mut [0]).unwrap();
            if is_stream {
                client.send_to(b"x", (Ipv4Addr::LOCALHOST, port)).unwrap();
                udp.pass_in(&mut poll, number);
                server.recv_from(&mut [0]).unwrap();
            }
            let now = Instant::now();
            udp.expire(now + Duration::from_secs(seconds - 1));
            assert_eq!(udp.clients(), 1);
            udp.expire(now + Duration::from_secs(seconds + 10));
            assert_eq!(udp.clients(), 0);
            assert_eq!(udp.next_expiry(), None, "there is nothing to wake up for");
        }
    });
}

#[test]
fn a_client_of_udp_that_keeps_its_port_reaches_the_new_container_at_once() {
    sandbox::run(|| {
        let host = host();
        let [old, new] = [53, 54].map(|port| {
            let address = host.target(port);
            let server = host.container.run(move || UdpSocket::bind(address)).unwrap();
            server.set_read_timeout(Some(PATIENCE)).unwrap();
            server
        });
        let port = host.publish(53, Protocol::Udp);
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.send_to(b"x", (Ipv4Addr::LOCALHOST, port)).unwrap();
        old.recv_from(&mut [0]).unwrap();
        host.proxy.suspend("web").unwrap();
        host.proxy.retarget("web", host.target(54)).unwrap();
        thread::sleep(Duration::from_millis(20));
        client.send_to(b"x", (Ipv4Addr::LOCALHOST, port)).unwrap();
        new.recv_from(&mut [0]).unwrap();
    });
}

#[test]
fn slow_readers_hold_little_back_lose_nothing_and_are_nobody_elses_trouble() {
    sandbox::run(|| {
        const MOST: usize = 16 << 20;
        let host = host();
        let listener = host.listen(80);
        let port = host.publish(80, Protocol::Tcp);
        let slow = [(); 3].map(|()| {
            let client = connect(port);
            // What it keeps itself is its own affair.
            rustix::net::sockopt::set_socket_recv_buffer_size(&client, 64 << 10).unwrap();
            client
        });
        let mut sent = Vec::new();
        for client in &slow {
            let mut stream = client;
            stream.write_all(b"x").unwrap();
            let (mut server, _) = listener.accept().unwrap();
            server.read_exact(&mut [0]).unwrap();
            server.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
            let (block, mut count) = (vec![7; 64 << 10], 0);
            while let Ok(length) = server.write(&block) {
                count += length;
                assert!(count < MOST, "somebody keeps all of it");
            }
            sent.push((server, count));
        }
        let begin = Instant::now();
        for _ in 0..20 {
            ping(&mut connect(port), &listener);
        }
        assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
        for (mut client, (server, count)) in slow.iter().zip(sent) {
            drop(server);
            let mut received = 0;
            let mut block = vec![0; 256 << 10];
            while let Ok(length) = client.read(&mut block) {
                if length == 0 {
                    break;
                }
                received += length;
            }
            assert_eq!(received, count);
        }
    });
}

#[test]
fn a_clients_reset_is_passed_on_as_a_reset() {
    sandbox::run(|| {
        let host = host();
        let listener = host.listen(80);
        let port = host.publish(80, Protocol::Tcp);
        let mut client = connect(port);
        client.write_all(b"x").unwrap();
        let (mut server, _) = listener.accept().unwrap();
        server.set_read_timeout(Some(PATIENCE)).unwrap();
        server.read_exact(&mut [0]).unwrap();
        rustix::net::sockopt::set_socket_linger(&client, Some(Duration::ZERO)).unwrap();
        drop(client);
        assert_eq!(server.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_server_on_all_addresses_of_ipv6_alone_is_reached_over_both_families() {
    use rustix::net::{AddressFamily, SocketType, bind, listen, socket, sockopt};
    sandbox::run(|| {
        let host = host();
        let listener: TcpListener = host.container.run(|| {
            let socket = socket(AddressFamily::INET6, SocketType::STREAM, None).unwrap();
            sockopt::set_ipv6_v6only(&socket, true).unwrap();
            bind(&socket, &"[::]:80".parse::<SocketAddr>().unwrap()).unwrap();
            listen(&socket, 16).unwrap();
            socket.into()
        });
        let port = host.publish_inside(80, Protocol::Tcp);
        for from in ["127.0.0.1", "::1"] {
            let from: IpAddr = from.parse().unwrap();
            ping(&mut TcpStream::connect((from, port)).unwrap(), &listener);
        }
    });
}
