//! Real sockets: a container asks, a name server on the host's loopback interface stands behind.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use simple_dns::rdata::{A, RData};
use simple_dns::{CLASS, Name, Packet, PacketFlag, QTYPE, RCODE, ResourceRecord, TYPE};
use tokio::sync::watch;

use super::*;
use crate::sandbox::{self, Netns};

mod rude;
mod servers;

const SERVER: (Ipv4Addr, u16) = (ADDRESS, PORT);
const PATIENCE: Duration = Duration::from_secs(10);

fn question(name: &str, kind: TYPE) -> Vec<u8> {
    let mut packet = Packet::new_query(7);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let name = Name::new(name).unwrap();
    let question = simple_dns::Question::new(name, QTYPE::TYPE(kind), CLASS::IN.into(), false);
    packet.questions.push(question);
    packet.build_bytes_vec().unwrap()
}

fn by_udp(packet: &[u8]) -> Vec<u8> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.send_to(packet, SERVER).unwrap();
    let mut buffer = vec![0; 4096];
    let length = socket.recv(&mut buffer).unwrap();
    buffer[..length].to_vec()
}

fn by_tcp(packet: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(SERVER).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = u16::try_from(packet.len()).unwrap();
    stream.write_all(&[&length.to_be_bytes(), packet].concat()).unwrap();
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut answer).unwrap();
    answer
}

/// The answer in words: addresses, or the code.
fn words(answer: &[u8]) -> String {
    let packet = Packet::parse(answer).unwrap();
    if packet.rcode() != RCODE::NoError {
        return format!("{:?}", packet.rcode());
    }
    let words = packet.answers.iter().map(|record| match &record.rdata {
        RData::A(address) => Ipv4Addr::from(address.address).to_string(),
        RData::PTR(name) => name.0.to_string(),
        other => format!("{other:?}"),
    });
    words.collect::<Vec<_>>().join(" ")
}

fn lookup(name: &str, kind: TYPE) -> String {
    words(&by_udp(&question(name, kind)))
}

/// A `resolv.conf` of the test's own.
fn resolv_conf(text: &str) -> PathBuf {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("naru-resolv-{}-{number}.conf", std::process::id());
    let path = std::env::temp_dir().join(name);
    fs_err::write(&path, text).unwrap();
    path
}

/// A name server that gives `count` addresses for every name, by UDP as many as fit.
fn name_server(address: &str, first: Ipv4Addr, count: u32) {
    let address: SocketAddr = address.parse().unwrap();
    let udp = UdpSocket::bind(address).unwrap();
    let tcp = TcpListener::bind(address).unwrap();
    let answer = move |packet: &[u8]| {
        let mut answer = Packet::parse(packet).unwrap().into_reply();
        let name = answer.questions[0].qname.clone();
        for number in 0..count {
            let address = A { address: u32::from(first) + number };
            let record = ResourceRecord::new(name.clone(), CLASS::IN, 60, RData::A(address));
            answer.answers.push(record);
        }
        answer.build_bytes_vec().unwrap()
    };
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok((length, peer)) = udp.recv_from(&mut buffer) {
            let mut bytes = answer(&buffer[..length]);
            if bytes.len() > 512 {
                bytes.truncate(length);
                bytes[2] |= 0x02;
                bytes[6..8].fill(0);
            }
            udp.send_to(&bytes, peer).unwrap();
        }
    });
    thread::spawn(move || {
        while let Ok((mut stream, _)) = tcp.accept() {
            let mut length = [0; 2];
            stream.read_exact(&mut length).unwrap();
            let mut packet = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut packet).unwrap();
            let bytes = answer(&packet);
            let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
            stream.write_all(&[&length, bytes.as_slice()].concat()).unwrap();
        }
    });
}

/// Runs `inside` in a container that is on the network `front`, with a server behind 127.0.0.11;
/// `outside` runs in the host's namespace beforehand and names the `resolv.conf`.
fn with_server(
    forward: bool,
    outside: impl FnOnce() -> PathBuf + Send + 'static,
    inside: impl FnOnce(watch::Sender<Arc<Zone>>, PathBuf) + Send + 'static,
) {
    sandbox::run(move || {
        let settings = outside();
        let container = Netns::new();
        let sockets = bind(container.as_fd()).unwrap();
        let mut zone = Zone::default();
        zone.add_network("front", "shop_front", ["10.213.1.0/24".parse().unwrap()]);
        zone.add("front", [10, 213, 1, 2].into(), "shop-web-1.front", ["web"]);
        zone.add("front", [10, 213, 1, 3].into(), "shop-web-2.front", ["web"]);
        let (sender, zones) = watch::channel(Arc::new(zone));
        let view = View { networks: vec!["front".into()], forward, ..View::default() };

        let path = settings.clone();
        let asking = container.spawn(move || inside(sender, path));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let upstream = Upstream::from_files(&settings, settings.with_extension("hosts"));
            let server = Server::spawn(sockets, zones, view, upstream).unwrap();
            while !asking.is_finished() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            drop(server);
        });
        fs_err::remove_file(settings).unwrap();
        asking.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

fn no_servers() -> PathBuf {
    resolv_conf("")
}

#[test]
fn names_of_the_project_are_answered_by_udp_and_tcp_in_turn() {
    with_server(true, no_servers, |_zones, _| {
        assert_eq!(lookup("web", TYPE::A), "10.213.1.2 10.213.1.3");
        assert_eq!(lookup("WEB", TYPE::A), "10.213.1.3 10.213.1.2");
        assert_eq!(words(&by_tcp(&question("web", TYPE::A))), "10.213.1.2 10.213.1.3");
        assert_eq!(lookup("web", TYPE::AAAA), "");
        assert_eq!(lookup("3.1.213.10.in-addr.arpa", TYPE::PTR), "shop-web-2.front");
        assert_eq!(lookup("nobody", TYPE::A), "NameError");
    });
}

#[test]
fn questions_are_answered_while_whoever_runs_the_resolver_is_busy() {
    sandbox::run(|| {
        let container = Netns::new();
        let sockets = bind(container.as_fd()).unwrap();
        let resolver = Resolver::start().unwrap();
        let (_zone, zones) = watch::channel(Arc::default());
        let upstream = Upstream::from_files("/nonexistent", "/nonexistent");
        let server = resolver.serve(sockets, zones, View::default(), upstream).unwrap();
        // This thread does nothing but ask, and so blocks.
        assert_eq!(container.run(|| lookup("web", TYPE::A)), "NameError");
        drop(server);
        let gone = Instant::now() + PATIENCE;
        while container.run(|| UdpSocket::bind((ADDRESS, HIGH_PORT)).is_err()) {
            assert!(Instant::now() < gone, "a server that was dropped keeps its sockets");
        }
        drop(resolver);
    });
}

#[test]
fn port_53_stays_free_for_a_server_in_the_container() {
    with_server(true, no_servers, |_zones, _| {
        let own = UdpSocket::bind("0.0.0.0:53").unwrap();
        let _tcp = TcpListener::bind("0.0.0.0:53").unwrap();
        thread::spawn(move || {
            let mut buffer = [0; 512];
            while let Ok((length, peer)) = own.recv_from(&mut buffer) {
                own.send_to(&buffer[..length], peer).unwrap();
            }
        });
        assert!(lookup("web", TYPE::A).contains("10.213.1.2"), "naru's answers at its address");
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client.send_to(b"own", "127.0.0.1:53").unwrap();
        assert_eq!(client.recv(&mut [0; 16]).unwrap(), 3, "the own server answers at every other");
    });
}

#[test]
fn sockets_that_nobody_held_are_made_again_while_the_high_port_is_taken() {
    sandbox::run(|| {
        let container = Netns::new();
        let before = bind(container.as_fd()).unwrap();
        let after = bind(container.as_fd()).unwrap();
        assert_ne!(after.udp.local_addr().unwrap(), before.udp.local_addr().unwrap());
        let echo = after.udp;
        echo.set_nonblocking(false).unwrap();
        let answering = thread::spawn(move || {
            let mut buffer = [0; 512];
            let (length, peer) = echo.recv_from(&mut buffer).unwrap();
            echo.send_to(&buffer[..length], peer).unwrap();
        });
        let answer = container.run(|| by_udp(&question("web", TYPE::A)));
        assert_eq!(answer, question("web", TYPE::A));
        answering.join().unwrap();
    });
}

#[test]
fn where_no_rules_can_be_set_port_53_itself_is_bound_and_the_reason_is_known() {
    use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
    sandbox::run(|| {
        let container = Netns::new();
        let sockets = container.run(|| {
            let only = CapabilitySet::NET_BIND_SERVICE;
            let sets = CapabilitySets { effective: only, permitted: only, inheritable: only };
            set_capabilities(None, sets).unwrap();
            bind_inside().unwrap()
        });
        assert_eq!(sockets.udp.local_addr().unwrap().port(), PORT);
        assert_eq!(sockets.tcp.local_addr().unwrap().port(), PORT);
        let reason = sockets.reduced().unwrap();
        assert!(reason.contains("not permitted"), "{reason}");
    });
}

#[test]
fn no_connection_is_tracked_for_questions() {
    with_server(true, no_servers, |_zones, _| {
        for _ in 0..50 {
            lookup("web", TYPE::A);
        }
        // The file is there where connections can be tracked at all.
        if let Ok(count) = fs_err::read_to_string("/proc/sys/net/netfilter/nf_conntrack_count") {
            assert_eq!(count.trim(), "0");
        }
    });
}

#[test]
fn a_new_zone_is_used_by_the_next_question() {
    with_server(true, no_servers, |zones, _| {
        assert_eq!(lookup("db", TYPE::A), "NameError");
        zones.send_modify(|zone| {
            Arc::make_mut(zone).add("front", [10, 213, 1, 9].into(), "shop-db-1.front", ["db"]);
        });
        assert_eq!(lookup("db", TYPE::A), "10.213.1.9");
    });
}

#[test]
fn two_thousand_questions_are_answered_within_milliseconds_each() {
    with_server(true, no_servers, |_zones, _| {
        let mut times: Vec<_> = (0..2000)
            .map(|_| {
                let start = Instant::now();
                by_udp(&question("web", TYPE::A));
                start.elapsed()
            })
            .collect();
        times.sort_unstable();
        assert!(times[1000] < Duration::from_millis(100), "median {:?}", times[1000]);
    });
}
