//! Servers that answer who they are, clients that print the answer, and a DNS question asked without any library.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

const PATIENCE: Duration = Duration::from_secs(5);

/// Answers every TCP connection with this container's host name and the peer's address, forever.
pub(crate) fn listen(port: u16) -> Result<()> {
    listen_at(Ipv4Addr::UNSPECIFIED.into(), port)
}

/// The same at one address only.
pub(crate) fn listen_at(address: IpAddr, port: u16) -> Result<()> {
    let listener = TcpListener::bind((address, port))?;
    println!("listening on {port}");
    for connection in listener.incoming() {
        let mut connection = connection?;
        let peer = connection.peer_addr()?;
        // A client that went away meanwhile is its own affair.
        connection.write_all(answer(peer).as_bytes()).ok();
    }
    Ok(())
}

/// Answers every datagram in the same way.
pub(crate) fn listen_udp(port: u16) -> Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))?;
    println!("listening on {port}");
    let mut buffer = [0; 1500];
    loop {
        let (_, peer) = socket.recv_from(&mut buffer)?;
        socket.send_to(answer(peer).as_bytes(), peer).ok();
    }
}

/// What a server at this place answers over TCP.
pub(crate) fn connect(host: &str, port: u16) -> Result<String> {
    let address = SocketAddr::new(address_of(host)?, port);
    let mut connection = TcpStream::connect_timeout(&address, PATIENCE)
        .with_context(|| format!("cannot connect to {host} ({address})"))?;
    connection.set_read_timeout(Some(PATIENCE))?;
    let mut text = String::new();
    connection.read_to_string(&mut text)?;
    Ok(text)
}

/// What a server at this place answers over UDP.
pub(crate) fn connect_udp(host: &str, port: u16) -> Result<String> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.send_to(b"who?", (address_of(host)?, port))?;
    let mut buffer = [0; 1500];
    let (length, _) = socket.recv_from(&mut buffer).context("no answer")?;
    Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

fn answer(peer: SocketAddr) -> String {
    let name = fs_err::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("hello from {} to {}\n", name.trim(), peer.ip())
}

fn address_of(host: &str) -> Result<IpAddr> {
    if let Ok(address) = host.parse() {
        return Ok(address);
    }
    if let Some(address) = in_hosts_file(host) {
        return Ok(address);
    }
    let first = resolve(host)?.first().copied();
    first.map(IpAddr::V4).with_context(|| format!("{host} has no address"))
}

fn in_hosts_file(host: &str) -> Option<IpAddr> {
    let hosts = fs_err::read_to_string("/etc/hosts").ok()?;
    hosts.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let address: IpAddr = words.next()?.parse().ok()?;
        (address.is_ipv4() && words.any(|word| word == host)).then_some(address)
    })
}

/// Asks the first name server of /etc/resolv.conf for IPv4 addresses.
pub(crate) fn resolve(name: &str) -> Result<Vec<Ipv4Addr>> {
    let settings = fs_err::read_to_string("/etc/resolv.conf")?;
    let server: IpAddr = settings
        .lines()
        .find_map(|line| line.strip_prefix("nameserver ")?.trim().parse().ok())
        .context("/etc/resolv.conf names no server")?;
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.send_to(&question(name), (server, 53))?;
    let mut buffer = [0; 4096];
    let (length, _) = socket.recv_from(&mut buffer).context("the name server does not answer")?;
    addresses(&buffer[..length]).with_context(|| format!("cannot resolve {name}"))
}

fn question(name: &str) -> Vec<u8> {
    // Id 0x6e61, recursion desired, one question.
    let mut packet = vec![0x6e, 0x61, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.').filter(|label| !label.is_empty()) {
        packet.push(u8::try_from(label.len()).unwrap_or(63));
        packet.extend(label.bytes());
    }
    packet.extend([0, 0, 1, 0, 1]);
    packet
}

fn addresses(packet: &[u8]) -> Result<Vec<Ipv4Addr>> {
    let byte = |at: usize| packet.get(at).copied().context("the answer is cut short");
    let word = |at: usize| Ok::<_, anyhow::Error>(u16::from_be_bytes([byte(at)?, byte(at + 1)?]));
    match byte(3)? & 15 {
        0 => {}
        2 => bail!("SERVFAIL"),
        3 => bail!("NXDOMAIN"),
        code => bail!("answer code {code}"),
    }
    let skip_name = |mut at: usize| loop {
        match byte(at)? {
            0 => return Ok::<_, anyhow::Error>(at + 1),
            length if length >= 0xc0 => return Ok(at + 2),
            length => at += usize::from(length) + 1,
        }
    };
    let mut at = 12;
    for _ in 0..word(4)? {
        at = skip_name(at)? + 4;
    }
    let mut found = Vec::new();
    for _ in 0..word(6)? {
        at = skip_name(at)?;
        let (kind, length) = (word(at)?, usize::from(word(at + 8)?));
        at += 10;
        if kind == 1 && length == 4 {
            found.push(Ipv4Addr::new(byte(at)?, byte(at + 1)?, byte(at + 2)?, byte(at + 3)?));
        }
        at += length;
    }
    Ok(found)
}
