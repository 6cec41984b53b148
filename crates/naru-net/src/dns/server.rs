//! The server of one container: questions in, answers from the zone or from the host's servers.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt::RxqOvfl};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle, JoinSet, yield_now};
use tokio::time::{sleep, timeout};

use super::batch::{self, Batch};
use super::message::{self, Malformed, Query, Reply};
use super::pace::Pace;
use super::{Answer, Error, Sockets, Upstream, View, Zone};

/// Questions of one container that wait for the host's servers at the same time.
const MOST_FORWARDED: usize = 256;
/// TCP connections of one container at the same time; one more ends the oldest.
const MOST_CLIENTS: usize = 64;
/// A TCP client that neither asks nor takes its answer for this long is let go.
const IDLE: Duration = Duration::from_secs(5);
/// After an error of the socket itself, so that a lasting one does not become a busy loop.
const PAUSE: Duration = Duration::from_millis(20);
/// The largest query by TCP that is looked at; a client that announces a longer one is let go.
const LONGEST_QUERY: usize = 4096;

/// A running server; it stops when this is dropped.
#[derive(Debug)]
pub struct Server {
    task: JoinHandle<()>,
    view: watch::Sender<View>,
    lost: Arc<AtomicU32>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
        match self.lost() {
            0 => {}
            lost => tracing::warn!(lost, "a container asked for names faster than it is answered"),
        }
    }
}

impl Server {
    /// Serves a container on the current tokio runtime, with these name servers behind it.
    ///
    /// # Errors
    /// When the sockets cannot be registered with the runtime.
    pub(crate) fn spawn(
        sockets: Sockets,
        zones: watch::Receiver<Arc<Zone>>,
        view: View,
        upstream: Upstream,
    ) -> Result<Self, Error> {
        let udp = UdpSocket::from_std(sockets.udp).map_err(Error::Serve)?;
        let tcp = TcpListener::from_std(sockets.tcp).map_err(Error::Serve)?;
        // Where the kernel does not count them, none are lost as far as anybody knows.
        let _ = setsockopt(&udp, RxqOvfl, &1);
        let (view, seen) = watch::channel(view);
        let (turn, lost) = (AtomicUsize::new(0), Arc::<AtomicU32>::default());
        let pace = Mutex::new(Pace::new(Instant::now()));
        let upstream = upstream.for_another();
        let counted = Arc::clone(&lost);
        let context = Arc::new(Context { zones, view: seen, upstream, turn, pace, lost: counted });
        let task = tokio::spawn(async move {
            tokio::join!(serve_udp(Arc::new(udp), Arc::clone(&context)), serve_tcp(tcp, context));
        });
        Ok(Self { task, view, lost })
    }

    /// From now on the container sees this.
    pub fn set_view(&self, view: View) {
        self.view.send_replace(view);
    }

    /// Questions by UDP that found no room any more: who asks faster than it is answered loses its own.
    pub fn lost(&self) -> u32 {
        self.lost.load(Ordering::Relaxed)
    }
}

/// What every question is answered from.
struct Context {
    zones: watch::Receiver<Arc<Zone>>,
    view: watch::Receiver<View>,
    upstream: Upstream,
    /// Counts answers with several addresses, to begin each with another one.
    turn: AtomicUsize,
    pace: Mutex<Pace>,
    lost: Arc<AtomicU32>,
}

impl Context {
    /// The answer that the project or the host has, or nothing when name servers are to be asked.
    fn answer_locally(&self, query: &Query) -> Option<Reply> {
        let Query { question, .. } = query;
        let answer = self.zones.borrow().lookup(question, &self.view.borrow());
        let of_host = || self.upstream.host_name(&question.name, question.kind);
        let answer = match answer {
            Answer::Host => of_host().unwrap_or(Answer::NoName),
            Answer::Forward => of_host()?,
            answer => answer,
        };
        Some(match answer {
            Answer::Addresses(mut addresses) => {
                let turn = self.turn.fetch_add(1, Ordering::Relaxed);
                let first = turn % addresses.len().max(1);
                addresses.rotate_left(first);
                Reply::Addresses(addresses)
            }
            Answer::Names(names) => Reply::Names(names),
            Answer::Nothing => Reply::Nothing,
            Answer::NoName | Answer::Host | Answer::Forward => Reply::NoName,
        })
    }

    /// After so many questions: lets others have their turn, and waits where the container asks more than its share.
    async fn pause(&self, questions: usize) {
        let pace = || self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = pace().count(questions, Instant::now());
        match wait {
            Some(wait) => sleep(wait).await,
            None if questions >= batch::MOST => yield_now().await,
            None => {}
        }
    }

    async fn forward(&self, packet: &[u8], query: &Query) -> Vec<u8> {
        match self.upstream.ask(packet, query).await {
            Some(answer) => answer,
            None => message::reply(packet, query, &Reply::Failure),
        }
    }
}

async fn serve_udp(socket: Arc<UdpSocket>, context: Arc<Context>) {
    let mut batch = Batch::new();
    let mut forwarded = JoinSet::new();
    loop {
        if batch.receive(&socket).await.is_err() {
            sleep(PAUSE).await;
            continue;
        }
        context.lost.store(batch.lost(), Ordering::Relaxed);
        while forwarded.try_join_next().is_some() {}
        for (packet, client) in batch.questions() {
            let answer = match message::parse(packet) {
                Err(Malformed::Ignore) => continue,
                Err(Malformed::Refuse(code)) => message::refuse(packet, code),
                Ok(query) => match context.answer_locally(&query) {
                    Some(reply) => message::reply_udp(packet, &query, &reply),
                    None if forwarded.len() >= MOST_FORWARDED => {
                        message::reply(packet, &query, &Reply::Failure)
                    }
                    None => {
                        let (socket, context) = (Arc::clone(&socket), Arc::clone(&context));
                        forwarded.spawn(forward(socket, context, packet.to_vec(), query, client));
                        continue;
                    }
                },
            };
            // When the socket's buffer is full the answer is lost, as datagrams are; waiting would
            // let one client that does not read hold up the others.
            drop(socket.try_send_to(&answer, client));
        }
        context.pause(batch.len()).await;
    }
}

/// Answers a question by UDP from the name servers.
async fn forward(
    socket: Arc<UdpSocket>,
    context: Arc<Context>,
    packet: Vec<u8>,
    query: Query,
    client: SocketAddr,
) {
    let answer = context.forward(&packet, &query).await;
    let answer = message::fit_udp(answer, &query);
    // A client that is gone by now does not miss its answer.
    drop(socket.send_to(&answer, client).await);
}

async fn serve_tcp(listener: TcpListener, context: Arc<Context>) {
    let mut clients = JoinSet::new();
    let mut by_age = VecDeque::new();
    loop {
        while clients.try_join_next().is_some() {}
        if by_age.len() >= MOST_CLIENTS {
            by_age.retain(|client: &AbortHandle| !client.is_finished());
        }
        if by_age.len() >= MOST_CLIENTS {
            // Who only keeps a connection must not keep others from theirs.
            by_age.pop_front().iter().for_each(AbortHandle::abort);
        }
        match listener.accept().await {
            Ok((stream, _)) => {
                let context = Arc::clone(&context);
                let client = clients.spawn(async move { serve_client(stream, &context).await });
                by_age.push_back(client);
            }
            Err(_) => sleep(PAUSE).await,
        }
    }
}

/// Answers one TCP client until it ends, errs, or is idle for too long.
async fn serve_client(mut stream: TcpStream, context: &Context) -> io::Result<()> {
    loop {
        let packet = timeout(IDLE, read_packet(&mut stream)).await??;
        let answer = match message::parse(&packet) {
            Err(Malformed::Ignore) => return Ok(()),
            Err(Malformed::Refuse(code)) => message::refuse(&packet, code),
            Ok(query) => match context.answer_locally(&query) {
                Some(reply) => message::reply(&packet, &query, &reply),
                None => context.forward(&packet, &query).await,
            },
        };
        let length = u16::try_from(answer.len()).map_err(io::Error::other)?;
        let framed = [&length.to_be_bytes(), answer.as_slice()].concat();
        timeout(IDLE, stream.write_all(&framed)).await??;
        context.pause(1).await;
    }
}

async fn read_packet(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let length = usize::from(stream.read_u16().await?);
    if length > LONGEST_QUERY {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "longer than any query"));
    }
    let mut packet = vec![0; length];
    stream.read_exact(&mut packet).await?;
    Ok(packet)
}
