//! The host's name servers: asked one after the other, a little overlapping, the first good answer counts.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::rand::{GetRandomFlags, getrandom};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::message::{self, Query};
use super::resolv::{HOST_FILE, Watched};

const PORT: u16 = 53;
/// After this time without an answer the next server is asked as well.
const HEAD_START: Duration = Duration::from_millis(300);
/// After this time a server is asked again: the packet may be lost.
const RESEND: Duration = Duration::from_millis(1500);
/// Clients wait 5 s; the failure shall reach them before.
const PATIENCE: Duration = Duration::from_secs(4);

/// The name servers of a `resolv.conf`, read again when the file changes.
#[derive(Debug, Clone)]
pub struct Upstream(Arc<Mutex<Watched>>);

impl Default for Upstream {
    fn default() -> Self {
        Self::from_file(HOST_FILE)
    }
}

impl Upstream {
    /// The servers named in this file.
    pub fn from_file(path: impl Into<PathBuf>) -> Self {
        Self(Arc::new(Mutex::new(Watched::new(path))))
    }

    fn servers(&self) -> Vec<SocketAddr> {
        // The lock is held for a stat and at most one small read, and never across an await.
        let mut watched = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        watched.servers().iter().map(|server| SocketAddr::new(*server, PORT)).collect()
    }

    /// The first good answer to a query, with the query's id; else the first bad one; else nothing.
    pub(crate) async fn ask(&self, packet: &[u8], query: &Query) -> Option<Vec<u8>> {
        let mut answer = timeout(PATIENCE, self.race(packet, query)).await.ok()??;
        message::set_id(&mut answer, query.id);
        Some(answer)
    }

    async fn race(&self, packet: &[u8], query: &Query) -> Option<Vec<u8>> {
        let servers = self.servers();
        let mut servers = servers.into_iter();
        let mut asked = JoinSet::new();
        let mut bad = None;
        loop {
            let server = servers.next();
            let is_last = server.is_none();
            if let Some(server) = server {
                let (packet, query) = (packet.to_vec(), query.clone());
                asked.spawn(async move { exchange(server, packet, &query).await });
            } else if asked.is_empty() {
                return bad;
            }
            let head_start = sleep(if is_last { PATIENCE } else { HEAD_START });
            tokio::select! {
                Some(outcome) = asked.join_next() => match outcome {
                    Ok(Ok(answer)) if message::is_failure(&answer) => bad = bad.or(Some(answer)),
                    Ok(Ok(answer)) => return Some(answer),
                    // The server cannot be reached: on to the next one at once.
                    Ok(Err(_)) | Err(_) => {}
                },
                () = head_start => {}
            }
        }
    }
}

/// One question to one server, by UDP, and by TCP when the answer was cut short.
async fn exchange(server: SocketAddr, mut packet: Vec<u8>, query: &Query) -> io::Result<Vec<u8>> {
    let mut id = [0; 2];
    getrandom(&mut id, GetRandomFlags::empty())?;
    message::set_id(&mut packet, u16::from_be_bytes(id));
    let answer = by_udp(server, &packet, query).await?;
    if message::is_truncated(&answer) {
        // A server without TCP leaves its short answer, which tells the client as much.
        return Ok(by_tcp(server, &packet, query).await.unwrap_or(answer));
    }
    Ok(answer)
}

/// A socket of its own for every question: the random port is the second half of the protection
/// against forged answers.
async fn by_udp(server: SocketAddr, packet: &[u8], query: &Query) -> io::Result<Vec<u8>> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    let mut buffer = vec![0; query.udp_size];
    loop {
        socket.send(packet).await?;
        let answer = async {
            loop {
                let length = socket.recv(&mut buffer).await?;
                // Anything else is late or forged.
                if message::answers(&buffer[..length], packet, query) {
                    return Ok(buffer[..length].to_vec());
                }
            }
        };
        if let Ok(answer) = timeout(RESEND, answer).await {
            return answer;
        }
    }
}

async fn by_tcp(server: SocketAddr, packet: &[u8], query: &Query) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(packet.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), packet].concat()).await?;
    let mut answer = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut answer).await?;
    if message::answers(&answer, packet, query) {
        Ok(answer)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidData, "an answer to another question"))
    }
}
