//! Clients that send nonsense, keep connections, ask too much, or go away (reliability.md, G8).

use super::*;

/// How long each of many questions of a polite client takes meanwhile: the 99th percentile.
fn p99(ask: impl Fn()) -> Duration {
    let mut times: Vec<_> = (0..300)
        .map(|_| {
            let start = Instant::now();
            ask();
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[296]
}

fn polite() {
    // The promise is 10 ms; builds run beside these tests.
    let slowest = p99(|| assert!(lookup("web", TYPE::A).contains("10.213.1.2")));
    assert!(slowest < Duration::from_millis(50), "by UDP {slowest:?}");
    let by_tcp = || assert!(words(&by_tcp(&question("web", TYPE::A))).contains("10.213.1.2"));
    let slowest = p99(by_tcp);
    assert!(slowest < Duration::from_millis(50), "by TCP {slowest:?}");
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
        let slowest = p99(|| assert!(lookup("web", TYPE::A).contains("10.213.1.2")));
        assert!(slowest < Duration::from_millis(100), "{slowest:?}");
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
