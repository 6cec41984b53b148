//! The control socket: accepts clients, turns lines into events and replies into lines.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use fs_err as fs;
use naru_state::ProjectDirectories;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::event::Event;
use crate::protocol::{Failure, Hello, Reply, Request};

/// Where replies to one client go; sending to a client that has gone is no error.
pub(super) type Client = UnboundedSender<Reply>;

/// Makes the socket. It lies in a directory that only its owner can enter.
pub(super) fn bind(directories: &ProjectDirectories) -> io::Result<UnixListener> {
    let directory = fs::File::open(directories.run())?;
    match fs::remove_file(directories.control_socket()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    UnixListener::bind(format!("/proc/self/fd/{}/control.sock", directory.as_raw_fd()))
}

/// Accepts clients until the supervisor ends.
pub(super) async fn accept(listener: UnixListener, events: UnboundedSender<Event>) {
    while let Ok((stream, _)) = listener.accept().await {
        if is_allowed(&stream) {
            tokio::spawn(serve(stream, events.clone()));
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
    drop(client);
    drop(writer.await);
}

fn refuse(client: &Client, message: &str, error: &dyn std::error::Error) {
    let causes = vec![error.to_string()];
    let failure = Failure { message: message.to_owned(), causes, ..Failure::default() };
    drop(client.send(Reply::Failed(failure)));
}

/// The program that the client runs: its very file, whatever happens to its name meanwhile.
fn program_of(peer: Option<i32>) -> io::Result<OwnedFd> {
    let peer = peer.ok_or(io::ErrorKind::NotFound)?;
    Ok(fs::File::open(format!("/proc/{peer}/exe"))?.into_parts().0.into())
}

async fn answer(
    write: &mut (impl tokio::io::AsyncWrite + Unpin),
    mut replies: UnboundedReceiver<Reply>,
) -> io::Result<()> {
    while let Some(reply) = replies.recv().await {
        let mut line = serde_json::to_vec(&reply)?;
        line.push(b'\n');
        write.write_all(&line).await?;
    }
    Ok(())
}
