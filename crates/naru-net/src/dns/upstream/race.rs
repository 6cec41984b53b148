//! One question to several servers.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rustix::rand::{GetRandomFlags, getrandom};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::{PATIENCE, Upstream};
use crate::dns::message::{self, Query};

/// After this time without an answer the next server is asked as well.
const HEAD_START: Duration = Duration::from_millis(300);
/// How long "no such name" waits for the servers before it in the list, which may know names of their own (VPN).
const RESPECT: Duration = Duration::from_millis(700);
/// After this time a server is asked again: the packet may be lost.
const RESEND: Duration = Duration::from_millis(1500);
/// The longest answer by UDP that is read; servers are told a smaller size.
const LONGEST_ANSWER: usize = 4096;

/// How it stands: servers by their place in the list.
#[derive(Default)]
struct Standing {
    /// Who was asked, and when.
    asked: Vec<Instant>,
    pending: BTreeSet<usize>,
    /// The first answer that is an error.
    failure: Option<Vec<u8>>,
    /// The first "no such name", from whom, and until when it waits for those before.
    denial: Option<(usize, Vec<u8>, Instant)>,
}

impl Upstream {
    /// The answer that counts: the first that is none of an error; a denial once those before have had their time.
    pub(super) async fn race(&self, packet: &[u8], query: &Query) -> Option<Vec<u8>> {
        let servers = self.servers();
        let mut outcomes = JoinSet::new();
        let mut now = Standing::default();
        loop {
            if let Some((index, answer, _)) = now
                .denial
                .take_if(|(index, _, until)| !self.waits(&now.pending, &servers, *index, *until))
            {
                return Some(self.won(&servers, &now, index, answer));
            }
            let index = now.asked.len();
            let mut wait = PATIENCE;
            if let Some(server) = servers.get(index).copied() {
                let (own, packet, query) = (self.clone(), packet.to_vec(), query.clone());
                outcomes.spawn(async move { (index, own.exchange(server, packet, &query).await) });
                now.asked.push(Instant::now());
                now.pending.insert(index);
                if index + 1 < servers.len() {
                    wait = if self.is_silent(server) { Duration::ZERO } else { HEAD_START };
                }
            } else if outcomes.is_empty() {
                return now.denial.map(|(_, answer, _)| answer).or(now.failure);
            }
            let denied = now.denial.as_ref().map_or_else(Instant::now, |(_, _, until)| *until);
            tokio::select! {
                Some(Ok((index, outcome))) = outcomes.join_next() => {
                    now.pending.remove(&index);
                    match outcome {
                        // The server cannot be reached: on to the next one at once.
                        Err(_) => {}
                        Ok(answer) if message::is_failure(&answer) => {
                            now.failure.get_or_insert(answer);
                        }
                        Ok(answer) if message::is_denial(&answer) => {
                            let until = Instant::now() + RESPECT;
                            now.denial.get_or_insert((index, answer, until));
                        }
                        Ok(answer) => return Some(self.won(&servers, &now, index, answer)),
                    }
                }
                () = sleep(wait) => {}
                () = sleep_until(denied), if now.denial.is_some() => {}
            }
        }
    }

    /// Whether a denial still waits for a server before it.
    fn waits(
        &self,
        pending: &BTreeSet<usize>,
        servers: &[SocketAddr],
        index: usize,
        until: Instant,
    ) -> bool {
        let mut before = pending.range(..index);
        Instant::now() < until && before.any(|earlier| !self.is_silent(servers[*earlier]))
    }

    /// Notes who was silent meanwhile.
    fn won(
        &self,
        servers: &[SocketAddr],
        now: &Standing,
        index: usize,
        answer: Vec<u8>,
    ) -> Vec<u8> {
        let is_late = |other: &&usize| now.asked[**other].elapsed() >= HEAD_START;
        let silent = now.pending.iter().filter(is_late).map(|other| servers[*other]);
        self.remember(servers[index], silent);
        answer
    }

    /// One question to one server, by UDP, and by TCP when the answer was cut short.
    async fn exchange(
        &self,
        server: SocketAddr,
        mut packet: Vec<u8>,
        query: &Query,
    ) -> io::Result<Vec<u8>> {
        let _room = self.room()?;
        let mut id = [0; 2];
        getrandom(&mut id, GetRandomFlags::empty())?;
        message::set_id(&mut packet, u16::from_be_bytes(id));
        let answer = self.by_udp(server, message::for_udp(packet.clone(), query), query).await?;
        if message::is_truncated(&answer) {
            // A server without TCP leaves its short answer, which tells the client as much.
            return Ok(self.by_tcp(server, &packet, query).await.unwrap_or(answer));
        }
        Ok(answer)
    }

    /// A socket of its own for every question: the random port is the second half of the protection
    /// against forged answers.
    async fn by_udp(
        &self,
        server: SocketAddr,
        packet: Vec<u8>,
        query: &Query,
    ) -> io::Result<Vec<u8>> {
        let socket = self.behind.source.udp(server)?;
        socket.connect(server).await?;
        let mut buffer = vec![0; LONGEST_ANSWER];
        loop {
            socket.send(&packet).await?;
            let answer = async {
                loop {
                    let length = socket.recv(&mut buffer).await?;
                    // Anything else is late or forged.
                    if message::answers(&buffer[..length], &packet, query) {
                        return Ok(buffer[..length].to_vec());
                    }
                }
            };
            if let Ok(answer) = timeout(RESEND, answer).await {
                return answer;
            }
        }
    }

    async fn by_tcp(
        &self,
        server: SocketAddr,
        packet: &[u8],
        query: &Query,
    ) -> io::Result<Vec<u8>> {
        let mut stream = self.behind.source.tcp(server)?.connect(server).await?;
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
}
