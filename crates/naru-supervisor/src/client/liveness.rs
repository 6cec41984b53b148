//! Whether the supervisor at the other end is there: one that is stopped accepts connections and says nothing.

use std::io::{self, BufRead, BufReader};
use std::os::unix::net::UnixStream;

use naru_state::{ProjectDirectories, process};

use super::SILENCE;
use super::stream::Stream;
use crate::protocol::{Hello, Reply};

/// The first line of a connection; `None` when the supervisor ended before it said anything.
///
/// # Errors
/// When it says nothing for too long, or what is no greeting.
pub(super) fn hear_hello(
    lines: &mut BufReader<Stream>,
    own: &ProjectDirectories,
) -> io::Result<Option<Hello>> {
    lines.get_ref().socket.set_read_timeout(Some(SILENCE))?;
    let mut line = Vec::new();
    match lines.read_until(b'\n', &mut line) {
        Ok(_) if line.last() != Some(&b'\n') => Ok(None),
        Ok(_) => match serde_json::from_slice(&line) {
            Ok(Reply::Hello(hello)) => Ok(Some(hello)),
            _ => Err(io::Error::other("what listens at the control socket is no supervisor")),
        },
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(None),
        Err(error) if is_silence(&error) => Err(silent(&lines.get_ref().socket, own)),
        Err(error) => Err(error),
    }
}

/// Asks beside a connection that has been silent for long; one whose supervisor has ended sees that by itself.
///
/// # Errors
/// When the supervisor does not answer.
pub(super) fn check(own: &ProjectDirectories) -> io::Result<()> {
    let Some(stream) = super::open(own)? else { return Ok(()) };
    hear_hello(&mut BufReader::new(Stream::new(stream)), own).map(drop)
}

/// Whether a read ended because nothing came in time.
pub(super) fn is_silence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// Says who is silent, and what is known of why.
fn silent(stream: &UnixStream, own: &ProjectDirectories) -> io::Error {
    let pid = rustix::net::sockopt::socket_peercred(stream)
        .map_or(0, |peer| peer.pid.as_raw_nonzero().get());
    let (project, seconds) = (own.name(), SILENCE.as_secs());
    let mut text =
        format!("the supervisor of project {project} (pid {pid}) has not answered for {seconds} s");
    if process::stat(pid).is_some_and(|stat| matches!(stat.state, 'T' | 't')) {
        text += &format!("; it is stopped, and `kill -CONT {pid}` lets it go on");
    }
    io::Error::new(io::ErrorKind::TimedOut, text)
}
