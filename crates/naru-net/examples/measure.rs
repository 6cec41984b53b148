//! Measures what this crate promises in numbers, in network namespaces of its own. Needs root:
//! `cargo run --release -p naru-net --example measure [SENDERS]`, where `any` measures without looking at senders.
#![expect(clippy::print_stdout, reason = "a table for the developer")]
#![allow(clippy::unwrap_used, reason = "a measurement that fails has nothing to clean up")]

use std::error::Error;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

use naru_net::firewall::{Bridge, Firewall, Table};
use naru_net::guard::Senders;
use naru_net::ports::{Protocol, Publish};
use naru_net::proxy::Proxy;
use naru_net::{
    Endpoint, MacAddress, Network, Subnet, container, names, namespace, network, ports,
};
use nix::sched::{CloneFlags, unshare};

const CONTAINERS: u8 = 50;
const PING_PONGS: usize = 20_000;
const BULK: usize = 2 << 30;
const BLOCK: usize = 1 << 20;

fn main() -> Result<(), Box<dyn Error>> {
    unshare(CloneFlags::CLONE_NEWNET)?;
    network::loopback_up(own_namespace().as_fd())?;
    let network = network_of_the_measurement();
    let made = timed(|| network::create(&network))?;
    println!("network created                 {made:>12.1?}");

    let senders = std::env::args().nth(1).unwrap_or_default().parse()?;
    let mut joined = Vec::new();
    let mut first = None;
    for host in 2..2 + CONTAINERS {
        let netns = new_namespace();
        joined.push(timed(|| join(&network, host, &netns, &senders))?);
        first.get_or_insert(netns);
    }
    println!("container set up, median        {:>12.1?}", median(&mut joined));
    let bridge = Bridge {
        name: network.bridge.clone(),
        subnets: network.subnets.iter().map(|subnet| subnet.network).collect(),
        internal: false,
        masquerade: true,
    };
    let table = Table { id: "measure".into(), bridges: vec![bridge], ..Table::default() };
    let mut firewall = Firewall::new();
    println!("firewall table set              {:>12.1?}", timed(|| firewall.replace(&table))?);

    let container = first.unwrap();
    let server = SocketAddr::from((address(&network, 2), 80));
    namespace::within(container.as_fd(), || TcpListener::bind(server))?.map(serve)?;
    let bound = ports::bind(&Publish { host_ip: None, host_port: 8080, protocol: Protocol::Tcp })?;
    let proxy = Proxy::start()?;
    proxy.publish("measure", bound, server)?;
    let published = SocketAddr::from((Ipv4Addr::LOCALHOST, 8080));
    for (name, to) in [("direct", server), ("proxy", published)] {
        println!("{name}: 1-byte ping-pong, median {:>12.1?}", ping_pong(to));
        println!("{name}: bulk from the container {:>9.1} Gbit/s", bulk(to));
    }

    let group = network.group;
    println!("links deleted by group          {:>12.1?}", timed(|| network::delete_group(group))?);
    Ok(())
}

fn network_of_the_measurement() -> Network {
    Network {
        id: "measure_default".into(),
        bridge: names::bridge("measure_default"),
        group: names::group("measure"),
        subnets: vec![Subnet::new("10.213.0.0/24".parse().unwrap())],
        internal: false,
        mtu: None,
        interface_prefix: "eth".into(),
        kind: naru_net::Kind::Bridge,
        isolated: false,
    }
}

fn address(network: &Network, host: u8) -> Ipv4Addr {
    let [a, b, c, _] = network.subnet_v4().unwrap().network().octets();
    [a, b, c, host].into()
}

fn join(
    network: &Network,
    host: u8,
    netns: &OwnedFd,
    senders: &Senders,
) -> Result<(), container::Error> {
    let address = address(network, host);
    let endpoint = Endpoint {
        interface: "eth0",
        addresses: &[network.interface_address(address.into())],
        mac: MacAddress::of(address),
        routes: network.routes(),
        parameters: &[],
        senders,
        host_side: &names::host_side(&host.to_string(), &network.id),
        netns: netns.as_fd(),
    };
    container::set_up(netns.as_fd(), &[(network, endpoint)]).map(drop)
}

fn own_namespace() -> OwnedFd {
    fs_err::File::open("/proc/thread-self/ns/net").unwrap().into_file().into()
}

fn new_namespace() -> OwnedFd {
    let netns = thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        own_namespace()
    });
    netns.join().unwrap()
}

/// Answers every connection by what its first byte asks for: `p` for ping-pong, `b` for bulk data.
fn serve(listener: TcpListener) {
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::Builder::new().stack_size(64 << 10).spawn(|| answer(stream.unwrap())).unwrap();
        }
    });
}

fn answer(mut stream: TcpStream) {
    stream.set_nodelay(true).unwrap();
    let mut byte = [0];
    stream.read_exact(&mut byte).unwrap();
    if byte == *b"b" {
        let block = vec![1; BLOCK];
        for _ in 0..BULK / BLOCK {
            stream.write_all(&block).unwrap();
        }
    }
    while stream.write_all(&byte).is_ok() && stream.read_exact(&mut byte).is_ok() {}
}

fn start(to: SocketAddr, what: u8) -> TcpStream {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.write_all(&[what]).unwrap();
    if what == b'p' {
        stream.read_exact(&mut [0]).unwrap();
    }
    stream
}

fn ping_pong(to: SocketAddr) -> Duration {
    let mut stream = start(to, b'p');
    let mut once = || {
        let start = Instant::now();
        stream.write_all(b"x").unwrap();
        stream.read_exact(&mut [0]).unwrap();
        start.elapsed()
    };
    let mut times: Vec<_> = (0..PING_PONGS).map(|_| once()).collect();
    median(&mut times)
}

fn bulk(to: SocketAddr) -> f64 {
    let mut stream = start(to, b'b');
    let start = Instant::now();
    let mut buffer = vec![0; BLOCK];
    let mut bits = 0.0;
    let mut left = BULK;
    while left > 0 {
        let length = stream.read(&mut buffer).unwrap();
        left = left.saturating_sub(length);
        bits += f64::from(u32::try_from(length).unwrap()) * 8.0;
    }
    bits / start.elapsed().as_secs_f64() / 1e9
}

fn timed<T, E>(work: impl FnOnce() -> Result<T, E>) -> Result<Duration, E> {
    let start = Instant::now();
    work().map(|_| start.elapsed())
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
