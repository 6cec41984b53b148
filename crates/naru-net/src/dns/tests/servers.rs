//! The name servers behind: the host's and a service's own.

use super::*;

#[test]
fn other_names_go_to_the_hosts_server_on_its_loopback_interface() {
    let outside = || {
        name_server("127.0.0.53:53", [198, 51, 100, 1].into(), 1);
        resolv_conf("nameserver 127.0.0.53\n")
    };
    with_server(true, outside, |_zones, _| {
        assert_eq!(lookup("example.org", TYPE::A), "198.51.100.1");
        assert_eq!(words(&by_tcp(&question("example.org", TYPE::A))), "198.51.100.1");
        assert_eq!(lookup("nobody", TYPE::A), "NameError", "a single label never leaves");
    });
}

#[test]
fn a_long_answer_is_fetched_by_tcp() {
    let outside = || {
        name_server("127.0.0.53:53", [198, 51, 100, 1].into(), 60);
        resolv_conf("nameserver 127.0.0.53\n")
    };
    with_server(true, outside, |_zones, _| {
        let short = by_udp(&question("example.org", TYPE::A));
        assert!(Packet::parse(&short).unwrap().has_flags(PacketFlag::TRUNCATION));
        let whole = words(&by_tcp(&question("example.org", TYPE::A)));
        assert_eq!(whole.split(' ').count(), 60);
    });
}

#[test]
fn a_server_that_is_silent_or_gone_is_passed_over() {
    let outside = || {
        // Silent: bound, never read. Gone: nobody listens on 127.0.0.2.
        let silent = UdpSocket::bind("127.0.0.1:53").unwrap();
        std::mem::forget(silent);
        name_server("127.0.0.53:53", [198, 51, 100, 1].into(), 1);
        resolv_conf("nameserver 127.0.0.1\nnameserver 127.0.0.2\nnameserver 127.0.0.53\n")
    };
    with_server(true, outside, |_zones, _| {
        let start = Instant::now();
        assert_eq!(lookup("example.org", TYPE::A), "198.51.100.1");
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    });
}

#[test]
fn changed_settings_of_the_host_are_used_by_the_next_question() {
    let outside = || {
        name_server("127.0.0.1:53", [198, 51, 100, 1].into(), 1);
        name_server("127.0.0.2:53", [198, 51, 100, 2].into(), 1);
        resolv_conf("nameserver 127.0.0.1\n")
    };
    with_server(true, outside, |_zones, settings| {
        assert_eq!(lookup("example.org", TYPE::A), "198.51.100.1");
        let new = settings.with_extension("new");
        fs_err::write(&new, "nameserver 127.0.0.2\n").unwrap();
        fs_err::rename(new, settings).unwrap();
        assert_eq!(lookup("example.org", TYPE::A), "198.51.100.2");
    });
}

#[test]
fn without_servers_other_names_fail_at_once_and_own_names_go_on() {
    with_server(true, no_servers, |_zones, _| {
        let start = Instant::now();
        assert_eq!(lookup("example.org", TYPE::A), "ServerFailure");
        assert!(start.elapsed() < Duration::from_secs(1));
        assert_eq!(lookup("web", TYPE::A), "10.213.1.2 10.213.1.3");
    });
}

#[test]
fn an_internal_container_sends_nothing_to_the_hosts_server() {
    let outside = || {
        let socket = UdpSocket::bind("127.0.0.1:53").unwrap();
        thread::spawn(move || {
            socket.recv(&mut [0; 512]).unwrap();
            std::process::abort();
        });
        resolv_conf("nameserver 127.0.0.1\n")
    };
    with_server(false, outside, |_zones, _| {
        assert_eq!(lookup("x.attacker.test", TYPE::A), "NameError");
        assert_eq!(lookup("web", TYPE::A), "10.213.1.2 10.213.1.3");
    });
}

#[test]
fn names_of_the_hosts_own_file_are_known_and_a_change_of_it_is_seen() {
    with_server(true, no_servers, |_zones, settings| {
        let hosts = settings.with_extension("hosts");
        fs_err::write(&hosts, "192.0.2.7 nas nas.lan\n127.0.1.1 me\n").unwrap();
        assert_eq!(lookup("nas", TYPE::A), "192.0.2.7");
        assert_eq!(lookup("NAS.lan", TYPE::A), "192.0.2.7");
        assert_eq!(lookup("nas", TYPE::AAAA), "");
        assert_eq!(lookup("me", TYPE::A), "NameError", "that would be the container itself");
        fs_err::write(&hosts, "192.0.2.80 nas\n").unwrap();
        assert_eq!(lookup("nas", TYPE::A), "192.0.2.80");
        fs_err::remove_file(hosts).unwrap();
    });
}

#[test]
fn a_change_behind_a_link_is_seen_too() {
    let outside = || {
        name_server("127.0.0.1:53", [198, 51, 100, 1].into(), 1);
        name_server("127.0.0.2:53", [198, 51, 100, 2].into(), 1);
        let target = resolv_conf("nameserver 127.0.0.1\n");
        let link = target.with_extension("link");
        std::os::unix::fs::symlink(&target, &link).unwrap();
        link
    };
    with_server(true, outside, |_zones, settings| {
        assert_eq!(lookup("example.org", TYPE::A), "198.51.100.1");
        let target = settings.with_extension("conf");
        fs_err::write(&target, "nameserver 127.0.0.2\n").unwrap();
        assert_eq!(lookup("example.org", TYPE::A), "198.51.100.2");
        fs_err::remove_file(target).unwrap();
    });
}

/// A name server that answers each question wrongly first: another id, another question, from another port; and
/// rightly at last.
fn forger(address: &str) {
    let address: SocketAddr = address.parse().unwrap();
    let socket = UdpSocket::bind(address).unwrap();
    let elsewhere = UdpSocket::bind((address.ip(), 0)).unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
            let question = buffer[..length].to_vec();
            let answer = |last: u8| {
                let mut answer = Packet::parse(&question).unwrap().into_reply();
                let data = RData::A(A { address: u32::from_be_bytes([203, 0, 113, last]) });
                let name = answer.questions[0].qname.clone();
                answer.answers.push(ResourceRecord::new(name, CLASS::IN, 60, data));
                answer.build_bytes_vec().unwrap()
            };
            let mut other_id = answer(1);
            other_id[1] ^= 1;
            let mut other_question = answer(2);
            other_question[13] ^= 1;
            for forged in [other_id, other_question] {
                socket.send_to(&forged, peer).unwrap();
            }
            elsewhere.send_to(&answer(3), peer).unwrap();
            socket.send_to(&answer(4), peer).unwrap();
        }
    });
}

#[test]
fn answers_with_another_id_port_or_question_are_not_taken() {
    let outside = || {
        forger("127.0.0.53:53");
        resolv_conf("nameserver 127.0.0.53\n")
    };
    with_server(true, outside, |_zones, _| {
        for _ in 0..20 {
            assert_eq!(lookup("example.org", TYPE::A), "203.0.113.4");
        }
    });
}

#[test]
fn ids_and_ports_of_questions_are_not_to_be_guessed() {
    let (seen, asked) = std::sync::mpsc::channel();
    let outside = move || {
        let socket = UdpSocket::bind("127.0.0.53:53").unwrap();
        thread::spawn(move || {
            let mut buffer = [0; 512];
            while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
                seen.send((u16::from_be_bytes([buffer[0], buffer[1]]), peer.port())).unwrap();
                buffer[2] |= 0x80;
                socket.send_to(&buffer[..length], peer).unwrap();
            }
        });
        resolv_conf("nameserver 127.0.0.53\n")
    };
    with_server(true, outside, |_zones, _| {
        for _ in 0..100 {
            lookup("example.org", TYPE::A);
        }
    });
    let (mut ids, mut ports): (Vec<_>, Vec<_>) = asked.try_iter().unzip();
    for all in [&mut ids, &mut ports] {
        all.sort_unstable();
        all.dedup();
        assert!(all.len() > 90, "{} of 100 differ", all.len());
    }
}

/// A name server that knows no name, or knows one late.
fn denier(address: &str) {
    let socket = UdpSocket::bind(address).unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
            buffer[2] |= 0x80;
            buffer[3] |= 3;
            socket.send_to(&buffer[..length], peer).unwrap();
        }
    });
}

#[test]
fn no_such_name_waits_for_the_server_before_it() {
    let outside = || {
        let slow = UdpSocket::bind("127.0.0.1:53").unwrap();
        thread::spawn(move || {
            let mut buffer = [0; 512];
            let (length, peer) = slow.recv_from(&mut buffer).unwrap();
            thread::sleep(Duration::from_millis(500));
            buffer[2] |= 0x80;
            buffer[7] = 1;
            // A record for the name of the question: 192.0.2.1.
            let mut answer = buffer[..length].to_vec();
            answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 1]);
            slow.send_to(&answer, peer).unwrap();
        });
        denier("127.0.0.2:53");
        resolv_conf("nameserver 127.0.0.1\nnameserver 127.0.0.2\n")
    };
    with_server(true, outside, |_zones, _| {
        assert_eq!(lookup("intra.example", TYPE::A), "192.0.2.1");
    });
}

#[test]
fn a_silent_server_costs_its_head_start_once() {
    let outside = || {
        std::mem::forget(UdpSocket::bind("127.0.0.1:53").unwrap());
        name_server("127.0.0.53:53", [198, 51, 100, 1].into(), 1);
        resolv_conf("nameserver 127.0.0.1\nnameserver 127.0.0.53\n")
    };
    with_server(true, outside, |_zones, _| {
        assert_eq!(lookup("example.org", TYPE::A), "198.51.100.1");
        let start = Instant::now();
        for _ in 0..10 {
            assert_eq!(lookup("example.org", TYPE::A), "198.51.100.1");
        }
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    });
}

#[test]
fn the_servers_of_a_service_are_asked_from_its_container() {
    sandbox::run(|| {
        // The host's loopback interface has one at the same address, which must not be asked.
        name_server("127.0.0.53:53", [198, 51, 100, 1].into(), 60);
        let container = Netns::new();
        container.run(|| name_server("127.0.0.53:53", [198, 51, 100, 2].into(), 60));
        let sockets = bind(container.as_fd()).unwrap();
        let asking = container.spawn(|| {
            let whole = words(&by_tcp(&question("example.org", TYPE::A)));
            assert_eq!(whole.split(' ').count(), 60);
            assert!(whole.starts_with("198.51.100.2"), "{whole}");
            for _ in 0..50 {
                by_udp(&question("example.org", TYPE::A));
            }
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let upstream = Upstream::of_service([[127, 0, 0, 53].into()], &sockets).unwrap();
            let (_zone, zones) = watch::channel(Arc::default());
            let view = View { forward: true, ..View::default() };
            let _server = Server::spawn(sockets, zones, view, upstream).unwrap();
            while !asking.is_finished() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        asking.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

/// A name server that answers with letters of another case, after a while; counts its questions.
fn slow_and_loud(address: &str, pause: Duration) -> Arc<AtomicUsize> {
    let socket = UdpSocket::bind(address).unwrap();
    let asked = Arc::<AtomicUsize>::default();
    let count = Arc::clone(&asked);
    thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
            count.fetch_add(1, Ordering::Relaxed);
            thread::sleep(pause);
            let mut answer = buffer[..length].to_ascii_uppercase();
            answer[..2].copy_from_slice(&buffer[..2]);
            answer[2] |= 0x80;
            answer[7] = 1;
            answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 1]);
            socket.send_to(&answer, peer).unwrap();
        }
    });
    asked
}

#[test]
fn a_question_that_many_ask_at_once_is_asked_once_and_answered_as_each_wrote_it() {
    static ASKED: std::sync::OnceLock<Arc<AtomicUsize>> = std::sync::OnceLock::new();
    let outside = || {
        let asked = slow_and_loud("127.0.0.53:53", Duration::from_millis(300));
        ASKED.set(asked).unwrap();
        resolv_conf("nameserver 127.0.0.53\n")
    };
    with_server(true, outside, |_zones, _| {
        let clients: Vec<_> = (0..20_u8)
            .map(|number| {
                let client = UdpSocket::bind("127.0.0.1:0").unwrap();
                client.set_read_timeout(Some(PATIENCE)).unwrap();
                let mut packet = question("eXample.oRg", TYPE::A);
                packet[1] = number;
                client.send_to(&packet, SERVER).unwrap();
                (client, packet)
            })
            .collect();
        for (client, packet) in clients {
            let mut buffer = [0; 512];
            let length = client.recv(&mut buffer).unwrap();
            assert_eq!(buffer[..2], packet[..2], "each gets his own id");
            assert_eq!(buffer[12..packet.len()], packet[12..], "and the name as he wrote it");
            assert_eq!(words(&buffer[..length]), "192.0.2.1");
        }
    });
    assert_eq!(ASKED.get().unwrap().load(Ordering::Relaxed), 1);
}

#[test]
fn a_name_server_that_asks_back_what_it_is_asked_is_not_asked_without_end() {
    sandbox::run(|| {
        let container = Netns::new();
        let sockets = bind(container.as_fd()).unwrap();
        // It stands behind the host's settings, and has naru's server in its container behind itself.
        let server = UdpSocket::bind("127.0.0.53:53").unwrap();
        let back = container.run(|| UdpSocket::bind("127.0.0.1:0").unwrap());
        let asked = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&asked);
        thread::spawn(move || {
            let mut buffer = [0; 512];
            while let Ok((length, _)) = server.recv_from(&mut buffer) {
                count.fetch_add(1, Ordering::Relaxed);
                back.send_to(&buffer[..length], SERVER).unwrap();
            }
        });
        let settings = resolv_conf("nameserver 127.0.0.53\n");
        let resolver = Resolver::start().unwrap();
        let (_zone, zones) = watch::channel(Arc::default());
        let view = View { forward: true, ..View::default() };
        let upstream = Upstream::from_files(&settings, settings.with_extension("hosts"));
        let _server = resolver.serve(sockets, zones, view, upstream).unwrap();
        assert_eq!(container.run(|| lookup("example.org", TYPE::A)), "ServerFailure");
        // Once, and again each time that its answer did not come.
        let asked = asked.load(Ordering::Relaxed);
        assert!((1..=3).contains(&asked), "asked {asked} times");
        fs_err::remove_file(settings).unwrap();
    });
}

#[test]
fn nobody_asks_itself_and_who_has_no_other_server_has_none() {
    sandbox::run(|| {
        let container = Netns::new();
        let sockets = bind(container.as_fd()).unwrap();
        let upstream = Upstream::of_service([ADDRESS.into()], &sockets).unwrap();
        let resolver = Resolver::start().unwrap();
        let (_zone, zones) = watch::channel(Arc::default());
        let view = View { forward: true, ..View::default() };
        let _server = resolver.serve(sockets, zones, view, upstream).unwrap();
        assert_eq!(container.run(|| lookup("example.org", TYPE::A)), "ServerFailure");
    });
}

#[test]
fn a_link_that_is_led_elsewhere_is_followed() {
    let outside = || {
        name_server("127.0.0.1:53", [198, 51, 100, 1].into(), 1);
        name_server("127.0.0.2:53", [198, 51, 100, 2].into(), 1);
        let target = resolv_conf("nameserver 127.0.0.1\n");
        let link = target.with_extension("link");
        std::os::unix::fs::symlink(&target, &link).unwrap();
        link
    };
    with_server(true, outside, |_zones, settings| {
        assert_eq!(lookup("example.org", TYPE::A), "198.51.100.1");
        // As systemd-resolved and NetworkManager do it: a new link is put in the place of the old one.
        let other = resolv_conf("nameserver 127.0.0.2\n");
        let new = settings.with_extension("new");
        std::os::unix::fs::symlink(&other, &new).unwrap();
        let old = fs_err::read_link(&settings).unwrap();
        fs_err::rename(new, &settings).unwrap();
        assert_eq!(lookup("example.org", TYPE::A), "198.51.100.2");
        // For a moment it leads nowhere: the last settings stay in force.
        fs_err::remove_file(other).unwrap();
        assert_eq!(lookup("example.org", TYPE::A), "198.51.100.2");
        fs_err::remove_file(old).unwrap();
    });
}

#[test]
fn a_server_of_the_link_is_asked_through_its_interface() {
    let outside = || {
        let run = |words: &str| {
            let status = std::process::Command::new("ip").args(words.split(' ')).status();
            assert!(status.unwrap().success(), "ip {words}");
        };
        // Two links with the same address: only the zone tells which.
        for (number, last) in [(1, 1_u8), (2, 2)] {
            run(&format!("link add zone{number} up type veth peer name other{number}"));
            run(&format!("link set other{number} up"));
            run(&format!("address add fe80::53/64 dev zone{number} nodad"));
            name_server(
                &format!("[fe80::53%{}]:53", index(number)),
                [198, 51, 100, last].into(),
                1,
            );
        }
        resolv_conf("nameserver fe80::53%zone2\n")
    };
    with_server(true, outside, |_zones, _| {
        assert_eq!(lookup("example.org", TYPE::A), "198.51.100.2");
    });
}

fn index(number: u8) -> u32 {
    nix::net::if_::if_nametoindex(format!("zone{number}").as_str()).unwrap()
}

#[test]
fn when_all_servers_fail_so_does_the_question_and_at_once() {
    let outside = || {
        // Nobody listens on the first; the second refuses.
        let socket = UdpSocket::bind("127.0.0.2:53").unwrap();
        thread::spawn(move || {
            let mut buffer = [0; 512];
            while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
                buffer[2] |= 0x80;
                buffer[3] |= 2;
                socket.send_to(&buffer[..length], peer).unwrap();
            }
        });
        resolv_conf("nameserver 127.0.0.1\nnameserver 127.0.0.2\n")
    };
    with_server(true, outside, |_zones, _| {
        let start = Instant::now();
        assert_eq!(lookup("example.org", TYPE::A), "ServerFailure");
        assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    });
}
