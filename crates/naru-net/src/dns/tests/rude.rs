//! Clients that send nonsense, keep connections, ask too much, or go away (reliability.md, G8).

use super::*;

/// What nobody else may have to wait for: less than any of the server's timers.
const PROMPT: Duration = Duration::from_millis(10);

/// The shortest time that an answer takes meanwhile: on a busy machine some take longer, but where a client had to wait
/// for another one all would. How long the slowest hundredth takes is a row of the benchmark.
fn is_prompt(ask: impl Fn()) -> bool {
    (0..300).any(|_| {
        let start = Instant::now();
        ask();
        start.elapsed() < PROMPT
    })
}

/// Each question is answered, at the first attempt, and without waiting for what others do.
fn polite() {
    let by_udp = || assert!(lookup("web", TYPE::A).contains("10.213.1.2"));
    assert!(is_prompt(by_udp), "by UDP");
    let by_tcp = || assert!(words(&by_tcp(&question("web", TYPE::A))).contains("10.213.1.2"));
    assert!(is_prompt(by_tcp), "by TCP");
}

/// Processor time of this process, which the server is part of: utime and stime of proc_pid_stat(5), in hundredths.
fn processor_time() -> u64 {
    let stat = fs_err::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_ascii_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

fn is_idle_afterwards() {
    let before = processor_time();
    thread::sleep(Duration::from_secs(1));
    let used = processor_time() - before;
    assert!(used < 20, "{used} hundredths of an idle second");
}

#[test]
fn g8_a_thousand_cut_off_lengths_do_not_disturb_others() {
    with_server(true, no_servers, |_zones, _| {
        for _ in 0..1000 {
            let mut stream = TcpStream::connect(SERVER).unwrap();
            stream.write_all(&[0xff]).unwrap();
            rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
        }
        polite();
        is_idle_afterwards();
    });
}

#[test]
fn g8_five_hundred_idle_connections_do_not_keep_others_from_theirs() {
    with_server(true, no_servers, |_zones, _| {
        let connect = |_| TcpStream::connect(SERVER).unwrap();
        let idle: Vec<_> = (0..500).map(connect).collect();
        polite();
        is_idle_afterwards();
        drop(idle);
    });
}

#[test]
fn g8_frames_of_the_greatest_length_end_their_connection() {
    with_server(true, no_servers, |_zones, _| {
        for _ in 0..50 {
            let mut stream = TcpStream::connect(SERVER).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            // The server may have hung up before all of it is sent.
            drop(stream.write_all(&[&[0xff, 0xff], [0; 65_535].as_slice()].concat()));
            assert!(matches!(stream.read(&mut [0]), Ok(0) | Err(_)));
        }
        polite();
    });
}

#[test]
fn g8_malformed_packets_and_references_to_themselves_do_not_disturb_others() {
    with_server(true, no_servers, |_zones, _| {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        for length in 0..200_usize {
            socket.send_to(&vec![0xc0; length], SERVER).unwrap();
        }
        // A name that refers to itself, to the next reference, and to the end.
        for target in [12, 14, 200] {
            let header = [0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
            let looping = [0xc0, target, 0xc0, 12, 0, 1, 0, 1];
            let packet = [header.as_slice(), &looping].concat();
            assert_eq!(words(&by_udp(&packet)), "FormatError");
        }
        polite();
    });
}

#[test]
fn g8_a_flood_of_questions_that_nobody_answers_leaves_the_projects_names_alone() {
    let outside = || {
        std::mem::forget(UdpSocket::bind("127.0.0.1:53").unwrap());
        resolv_conf("nameserver 127.0.0.1\n")
    };
    with_server(true, outside, |_zones, _| {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        for number in 0..5000 {
            let packet = question(&format!("{number}.example.org"), TYPE::A);
            socket.send_to(&packet, SERVER).unwrap();
            if number % 100 == 0 {
                // What does not fit into the socket is lost; that is not the matter here.
                thread::sleep(Duration::from_millis(2));
            }
        }
        assert!(is_prompt(|| assert!(lookup("web", TYPE::A).contains("10.213.1.2"))));
        // What is more than the bound of pending questions fails at once, instead of waiting.
        let start = Instant::now();
        assert_eq!(lookup("one.more.example.org", TYPE::A), "ServerFailure");
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
        let descriptors = fs_err::read_dir("/proc/self/fd").unwrap().count();
        assert!(descriptors < 1000, "{descriptors} descriptors");
    });
}

#[test]
fn an_idle_tcp_client_is_let_go_after_five_seconds() {
    with_server(true, no_servers, |_zones, _| {
        let mut stream = TcpStream::connect(SERVER).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let start = Instant::now();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
        assert!(start.elapsed() > Duration::from_secs(4), "{:?}", start.elapsed());
    });
}

/// A client that may ask without waiting for answers, and the server's sockets in its namespace.
fn flooding_client() -> (UdpSocket, Sockets) {
    let container = Netns::new();
    let sockets = bind(container.as_fd()).unwrap();
    let client = container.run(|| UdpSocket::bind("127.0.0.1:0").unwrap());
    client.set_nonblocking(true).unwrap();
    set_socket_recv_buffer_size_force(&client, 16 << 20).unwrap();
    (client, sockets)
}

fn waiting_answers(client: &UdpSocket) -> usize {
    let mut buffer = [0; 512];
    std::iter::from_fn(|| client.recv(&mut buffer).ok()).count()
}

/// Runs servers for these sockets until `done`.
fn serve_until(all: Vec<Sockets>, done: impl AsyncFnOnce(&[Server])) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut zone = Zone::default();
        zone.add_network("front", "front", []);
        zone.add("front", [10, 213, 1, 2].into(), "web.front", ["web"]);
        let (_zone, zones) = watch::channel(Arc::new(zone));
        let view = View { networks: vec!["front".into()], ..View::default() };
        let upstream = Upstream::from_files("/nonexistent", "/nonexistent");
        let serve = |sockets| Server::spawn(sockets, zones.clone(), view.clone(), upstream.clone());
        let servers: Vec<_> = all.into_iter().map(|sockets| serve(sockets).unwrap()).collect();
        done(&servers).await;
    });
}

#[test]
fn g8_a_container_waits_for_no_more_than_a_few_questions_of_those_that_flood_the_server() {
    sandbox::run(|| {
        const FLOODING: usize = 5;
        let (flooding, mut sockets): (Vec<_>, Vec<_>) =
            (0..FLOODING).map(|_| flooding_client()).unzip();
        for client in &flooding {
            for _ in 0..2000 {
                client.send_to(&question("web", TYPE::A), SERVER).unwrap();
            }
        }
        let (polite, own) = flooding_client();
        sockets.push(own);
        polite.send_to(&question("web", TYPE::A), SERVER).unwrap();
        serve_until(sockets, async |_| {
            let polite = tokio::net::UdpSocket::from_std(polite).unwrap();
            polite.recv(&mut [0; 512]).await.unwrap();
            let before: usize = flooding.iter().map(waiting_answers).sum();
            // A turn of each of the others, and one more that may have begun.
            assert!(before <= 2 * FLOODING * batch::MOST, "{before} were answered before");
        });
    });
}

#[test]
fn g8_who_floods_the_server_loses_its_own_questions_and_they_are_counted() {
    sandbox::run(|| {
        const SENT: usize = 40_000;
        let (client, sockets) = flooding_client();
        for _ in 0..SENT {
            client.send_to(&question("web", TYPE::A), SERVER).unwrap();
        }
        serve_until(vec![sockets], async |servers| {
            let mut answered = 0;
            loop {
                answered += waiting_answers(&client);
                let lost = servers[0].lost() as usize;
                if answered > 0 && answered + lost >= SENT {
                    assert!(lost > 0 && answered > 4000, "{answered} answered, {lost} lost");
                    return;
                }
                // What was sent after the buffer was full is told with the next question.
                client.send_to(&question("web", TYPE::A), SERVER).unwrap();
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
    });
}

#[test]
fn containers_whose_questions_nobody_answers_leave_room_to_ask_for_others() {
    let outside = || {
        std::mem::forget(UdpSocket::bind("127.0.0.1:53").unwrap());
        name_server("127.0.0.53:53", [198, 51, 100, 1].into(), 1);
        resolv_conf("nameserver 127.0.0.1\n")
    };
    sandbox::run(move || {
        let settings = outside();
        let (clients, sockets): (Vec<_>, Vec<_>) = (0..8).map(|_| flooding_client()).unzip();
        let (polite, own) = flooding_client();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (_zone, zones) = watch::channel(Arc::default());
            let view = View { forward: true, ..View::default() };
            let upstream = Upstream::from_files(&settings, settings.with_extension("hosts"));
            let serve = |sockets| {
                Server::spawn(sockets, zones.clone(), view.clone(), upstream.clone()).unwrap()
            };
            let _servers: Vec<_> = sockets.into_iter().map(serve).collect();
            for client in &clients {
                for number in 0..400 {
                    let packet = question(&format!("{number}.example.org"), TYPE::A);
                    client.send_to(&packet, SERVER).unwrap();
                }
            }
            // Those for which there is no room have failed at once; the others wait.
            let mut failed = 0;
            while failed < 8 * (400 - 256) {
                failed += clients.iter().map(waiting_answers).sum::<usize>();
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            fs_err::write(&settings, "nameserver 127.0.0.53\n").unwrap();
            let _own = serve(own);
            polite.send_to(&question("example.org", TYPE::A), SERVER).unwrap();
            let polite = tokio::net::UdpSocket::from_std(polite).unwrap();
            let mut buffer = [0; 512];
            let length = polite.recv(&mut buffer).await.unwrap();
            assert_eq!(words(&buffer[..length]), "198.51.100.1");
        });
        fs_err::remove_file(settings).unwrap();
    });
}
