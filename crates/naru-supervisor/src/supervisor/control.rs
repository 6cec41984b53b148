//! The control socket: accepts clients, turns lines into events and replies into lines.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::{Arc, Weak};
use std::time::Duration;

use fs_err as fs;
use naru_state::ProjectDirectories;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Interest};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::event::Event;
use crate::protocol::{Failure, Hello, Reply, Request};

/// Where replies to one client go; sending to a client that has gone is no error.
pub(super) type Client = UnboundedSender<Reply>;

/// Counts the clients that are connected.
#[derive(Debug, Default)]
pub(super) struct Clients(Arc<()>);

impl Clients {
    /// What each connection takes a share of.
    pub(super) fn downgrade(&self) -> Weak<()> {
        Arc::downgrade(&self.0)
    }

    /// Whether anybody is connected.
    pub(super) fn is_any(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }
}

/// How long no client is accepted after one could not be.
const PAUSE: Duration = Duration::from_millis(20);

/// Makes the socket. It lies in a directory that only its owner can enter.
pub(super) fn bind(directories: &ProjectDirectories) -> io::Result<UnixListener> {
    let directory = fs::File::open(directories.run())?;
    match fs::remove_file(directories.control_socket()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    UnixListener::bind(format!("/proc/self/fd/{}/control.sock", directory.as_raw_fd()))
}

/// Accepts clients until the supervisor ends; each is counted while it is connected.
pub(super) async fn accept(
    listener: UnixListener,
    events: UnboundedSender<Event>,
    clients: Weak<()>,
) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) if is_allowed(&stream) => {
                let (events, counted) = (events.clone(), clients.upgrade());
                tokio::spawn(async move {
                    serve(stream, events).await;
                    drop(counted);
                });
            }
            Ok(_) => {}
            // No descriptor is free, for a moment as far as anybody knows: the client waits in the socket.
            Err(error) => {
                tracing::warn!(%error, "a client has to wait");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Root, and whom the supervisor runs as.
fn is_allowed(stream: &UnixStream) -> bool {
    let own = rustix::process::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| peer.uid() == 0 || peer.uid() == own)
}

async fn serve(stream: UnixStream, events: UnboundedSender<Event>) {
    let peer = stream.peer_cred().ok().and_then(|peer| peer.pid());
    let (read, mut write) = stream.into_split();
    let (client, replies) = unbounded_channel();
    let writer = tokio::spawn(async move { answer(&mut write, replies).await });
    drop(client.send(Reply::Hello(Hello::own())));
    let mut lines = BufReader::new(read).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        match serde_json::from_str::<Request>(&line) {
            Ok(Request::Upgrade) => match program_of(peer) {
                Ok(program) => drop(events.send(Event::Upgrade(program, client.clone()))),
                Err(error) => {
                    refuse(&client, "the program that is to take over cannot be opened", &error);
                }
            },
            Ok(Request::Run(mut run)) => {
                match run.stdin.map(|number| file_of(peer, number)).transpose() {
                    Ok(input) => {
                        run.input = input.map(Arc::new);
                        drop(events.send(Event::Asked(Request::Run(run), client.clone())));
                    }
                    Err(error) => refuse(&client, "the container's input cannot be opened", &error),
                }
            }
            Ok(request) => drop(events.send(Event::Asked(request, client.clone()))),
            Err(error) => {
                refuse(
                    &client,
                    "this naru does not understand the request of another version",
                    &error,
                );
            }
        }
    }
    // Who has gone reads nothing more; what still holds its sender learns that it is closed.
    drop(client);
    writer.abort();
}

fn refuse(client: &Client, message: &str, error: &dyn std::error::Error) {
    let causes = vec![error.to_string()];
    let failure = Failure { message: message.to_owned(), causes, ..Failure::default() };
    drop(client.send(Reply::Failed(failure)));
}

/// The reading end of a pipe that the client has open.
fn file_of(peer: Option<i32>, number: i32) -> io::Result<OwnedFd> {
    let peer = peer.ok_or(io::ErrorKind::NotFound)?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let path = format!("/proc/{peer}/fd/{number}");
    let pipe = rustix::fs::openat(CWD, path, flags, Mode::empty())?;
    if !rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(&pipe)?.st_mode).is_fifo() {
        return Err(io::Error::other("it is not a pipe"));
    }
    rustix::io::ioctl_fionbio(&pipe, false)?;
    Ok(pipe)
}

/// The program that the client runs: its very file, whatever happens to its name meanwhile.
fn program_of(peer: Option<i32>) -> io::Result<OwnedFd> {
    let peer = peer.ok_or(io::ErrorKind::NotFound)?;
    Ok(fs::File::open(format!("/proc/{peer}/exe"))?.into_parts().0.into())
}

async fn answer(
    write: &mut OwnedWriteHalf,
    mut replies: UnboundedReceiver<Reply>,
) -> io::Result<()> {
    while let Some(reply) = replies.recv().await {
        let mut line = serde_json::to_vec(&reply)?;
        line.push(b'\n');
        let mut sent = 0;
        if let Reply::Running(running) = &reply
            && let Some(terminal) = &running.terminal
        {
            sent = send_beside(write.as_ref(), &line, terminal).await?;
        }
        write.write_all(&line[sent..]).await?;
    }
    Ok(())
}

/// Sends the beginning of a line with a descriptor beside it; gives how much of it.
async fn send_beside(stream: &UnixStream, line: &[u8], beside: &OwnedFd) -> io::Result<usize> {
    let beside = [beside.as_fd()];
    loop {
        stream.writable().await?;
        let sent = stream.try_io(Interest::WRITABLE, || {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut rights = SendAncillaryBuffer::new(&mut space);
            rights.push(SendAncillaryMessage::ScmRights(&beside));
            Ok(sendmsg(stream, &[IoSlice::new(line)], &mut rights, SendFlags::NOSIGNAL)?)
        });
        match sent {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            sent => return sent,
        }
    }
}
