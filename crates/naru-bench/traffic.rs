//! Traffic for the rows about published ports: a server that runs in a container, and clients with a clock.

use std::collections::HashMap;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::net::{AddressFamily, SocketType, bind, connect, ipproto, socket};

/// First byte of a connection over which bytes go to and fro.
const PING: u8 = b'p';
/// First byte of a connection over which the server sends as much as it can.
const BULK: u8 = b'b';
/// First byte of a connection that is answered with one byte.
const ONCE: u8 = b'o';

/// Bytes written or read at once.
const BLOCK: usize = 256 * 1024;

/// How long a client waits for anything.
const PATIENCE: Duration = Duration::from_secs(30);

/// Answers connections to this port, on all addresses, by what their first byte asks for. Never ends.
pub(crate) fn serve(port: u16) -> Result<()> {
    let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))
        .or_else(|_| TcpListener::bind((std::net::Ipv4Addr::UNSPECIFIED, port)))?;
    rustix::net::listen(&listener, 4096)?;
    listener.set_nonblocking(true)?;
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, &listener, EventData::new_u64(0), EventFlags::IN)?;
    let (mut clients, mut next) = (HashMap::new(), 1);
    let mut events = Vec::with_capacity(256);
    loop {
        events.clear();
        epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut events), None)?;
        for event in &events {
            let number = event.data.u64();
            if number == 0 {
                while let Ok((client, _)) = listener.accept() {
                    // One that is gone already is its own affair.
                    let watch = || {
                        client.set_nodelay(true)?;
                        client.set_nonblocking(true)?;
                        epoll::add(&epoll, &client, EventData::new_u64(next), EventFlags::IN)?;
                        std::io::Result::Ok(())
                    };
                    if watch().is_ok() {
                        clients.insert(next, client);
                        next += 1;
                    }
                }
                continue;
            }
            let Some(client) = clients.get_mut(&number) else { continue };
            let mut byte = [0];
            match client.read(&mut byte) {
                Ok(1) if byte[0] == ONCE => drop(client.write(b"y")),
                Ok(1) => {
                    let _ = epoll::delete(&epoll, &*client);
                    if let Some(client) = clients.remove(&number) {
                        thread::spawn(move || attend(client, byte[0]));
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                _ => drop(clients.remove(&number)),
            }
        }
    }
}

/// One connection with a thread of its own.
fn attend(mut client: TcpStream, what: u8) {
    if client.set_nonblocking(false).is_err() {
        return;
    }
    let mut byte = [what];
    if what == BULK {
        let block = vec![1; BLOCK];
        while client.write_all(&block).is_ok() {}
        return;
    }
    while client.write_all(&byte).is_ok() && client.read_exact(&mut byte).is_ok() {}
}

/// The median time of a byte to the server and back, in microseconds.
pub(crate) fn ping(to: SocketAddr, times: usize) -> Result<f64> {
    let mut client = open(to)?;
    client.write_all(&[PING])?;
    client.read_exact(&mut [0])?;
    let mut all = Vec::with_capacity(times);
    for _ in 0..times {
        let begin = Instant::now();
        client.write_all(b"x")?;
        client.read_exact(&mut [0])?;
        all.push(begin.elapsed());
    }
    all.sort_unstable();
    let median = all.get(all.len() / 2).context("no time was taken")?;
    Ok(median.as_secs_f64() * 1e6)
}

/// How long so many bytes from the server take, in microseconds.
pub(crate) fn bulk(to: SocketAddr, bytes: u64) -> Result<f64> {
    let mut client = open(to)?;
    client.write_all(&[BULK])?;
    let mut buffer = vec![0; BLOCK];
    let begin = Instant::now();
    let mut left = bytes;
    while left > 0 {
        let taken = client.read(&mut buffer)?;
        ensure!(taken > 0, "the server has ended {left} bytes too early");
        left = left.saturating_sub(u64::try_from(taken)?);
    }
    Ok(begin.elapsed().as_secs_f64() * 1e6)
}

/// How long so many connections from several addresses take, a byte to and fro on each, in microseconds. One that is
/// refused, reset or not answered is a failure.
pub(crate) fn burst(
    to: SocketAddr,
    from: &[IpAddr],
    connections: usize,
    at_once: usize,
) -> Result<f64> {
    ensure!(!from.is_empty(), "no address to come from");
    let (each, share) = (connections / from.len(), (at_once / from.len()).max(1));
    let begin = Instant::now();
    let workers: Vec<_> = from
        .iter()
        .map(|&from| {
            let mut left = each;
            thread::spawn(move || -> Result<()> {
                while left > 0 {
                    let count = left.min(share);
                    volley(to, from, count)?;
                    left -= count;
                }
                Ok(())
            })
        })
        .collect();
    for worker in workers {
        worker.join().map_err(|_| anyhow::anyhow!("a client has panicked"))??;
    }
    Ok(begin.elapsed().as_secs_f64() * 1e6)
}

fn volley(to: SocketAddr, from: IpAddr, count: usize) -> Result<()> {
    let mut clients = Vec::with_capacity(count);
    for number in 0..count {
        let client = open_from(to, from);
        clients.push(client.with_context(|| format!("connection {number} from {from}"))?);
    }
    for client in &mut clients {
        client.write_all(&[ONCE])?;
    }
    for client in &mut clients {
        client.read_exact(&mut [0]).context("no answer")?;
    }
    Ok(())
}

fn open(to: SocketAddr) -> Result<TcpStream> {
    let client = TcpStream::connect(to).with_context(|| format!("cannot connect to {to}"))?;
    client.set_nodelay(true)?;
    client.set_read_timeout(Some(PATIENCE))?;
    Ok(client)
}

fn open_from(to: SocketAddr, from: IpAddr) -> Result<TcpStream> {
    let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let own: OwnedFd = socket(family, SocketType::STREAM, Some(ipproto::TCP))?;
    nix::sys::socket::setsockopt(&own, nix::sys::socket::sockopt::IpBindAddressNoPort, &true)?;
    bind(&own, &SocketAddr::new(from, 0))?;
    connect(&own, &to)?;
    let client = TcpStream::from(own);
    client.set_read_timeout(Some(PATIENCE))?;
    if client.peer_addr().is_err() {
        bail!("the connection is gone");
    }
    Ok(client)
}
