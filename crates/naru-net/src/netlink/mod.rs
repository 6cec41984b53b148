//! The only module that knows the netlink libraries: links, addresses, routes and nftables.
//!
//! Requests are synchronous and short. A [`Socket`] belongs to the network namespace of the thread
//! that first uses it.

pub(crate) mod address;
pub(crate) mod conntrack;
pub(crate) mod forwarding_table;
pub(crate) mod link;
pub(crate) mod nft;
pub(crate) mod route;
pub(crate) mod traffic;
pub(crate) mod upper;

use std::fmt;
use std::io;
use std::thread;

use netlink_bindings::traits::NetlinkRequest;
use netlink_socket2::{NetlinkReply, NetlinkSocket, ReplyError};
use nix::libc;

/// Stack of a thread that only closes a socket.
const CLOSER_STACK: usize = 64 * 1024;

/// `AF_INET` in the width that message headers have.
const INET: u8 = 2;

/// `AF_INET6` in the same.
const INET6: u8 = 10;

/// The kernel's refusal of one netlink request, with its own explanation where it gave one.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct Refused {
    text: String,
    errno: Option<i32>,
}

impl Refused {
    /// What the kernel says of a link that has gone meanwhile.
    pub(crate) fn no_such_device() -> Self {
        io::Error::from_raw_os_error(libc::ENODEV).into()
    }

    /// The error number, when the refusal came from the kernel.
    pub fn errno(&self) -> Option<i32> {
        self.errno
    }

    /// Whether the kernel says the object does not exist.
    pub(crate) fn is_absent(&self) -> bool {
        matches!(self.errno, Some(libc::ENODEV | libc::ENOENT | libc::ENXIO))
    }

    /// Whether the kernel or its configuration withholds this subsystem from us.
    pub(crate) fn is_withheld(&self) -> bool {
        matches!(
            self.errno,
            Some(
                libc::EPERM
                    | libc::EACCES
                    | libc::EOPNOTSUPP
                    | libc::EPROTONOSUPPORT
                    | libc::EAFNOSUPPORT
            )
        )
    }
}

impl From<ReplyError> for Refused {
    fn from(error: ReplyError) -> Self {
        let text = error.to_string();
        // The library notes the absence of an explanation; that is noise to a user.
        let text = text.strip_suffix(" (no extended ack)").unwrap_or(&text).to_owned();
        Self { text, errno: error.as_io_error().raw_os_error() }
    }
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Self { text: error.to_string(), errno: error.raw_os_error() }
    }
}

/// A netlink connection to the kernel, opened on first use.
pub(crate) struct Socket(NetlinkSocket);

impl Default for Socket {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Socket")
    }
}

impl Socket {
    /// A connection for the network namespace of the thread that makes the first request.
    pub(crate) fn new() -> Self {
        Self(NetlinkSocket::new())
    }

    /// Closes the connection in a thread that nobody waits for. After a firewall transaction the kernel
    /// lets `close` wait until no packet uses the old rules any more, for 7 to 23 ms.
    pub(crate) fn close_aside(self) {
        // Without a thread the connection is closed here, only later.
        drop(thread::Builder::new().stack_size(CLOSER_STACK).spawn(move || drop(self)));
    }

    /// Sends a request that is answered by an acknowledgement only.
    fn acknowledged<R: NetlinkRequest>(&mut self, request: &R) -> Result<(), Refused> {
        match self.0.request(request) {
            Ok(mut reply) => return Ok(reply.recv_ack()?),
            Err(error) => may_be_sent_again(error)?,
        }
        Ok(self.0.request(request)?.recv_ack()?)
    }

    /// Sends a request and gives every reply to `each`.
    fn replies<R: NetlinkRequest>(
        &mut self,
        request: &R,
        mut each: impl FnMut(R::ReplyType<'_>),
    ) -> Result<(), Refused> {
        let mut take = |mut replies: NetlinkReply<'_, R>| -> Result<(), Refused> {
            while let Some(reply) = replies.recv() {
                each(reply?);
            }
            Ok(())
        };
        match self.0.request(request) {
            Ok(replies) => return take(replies),
            Err(error) => may_be_sent_again(error)?,
        }
        take(self.0.request(request)?)
    }
}

/// Why a request never reached the kernel; nothing if it may the next time. The library calls every failure to open its
/// socket EPERM, a lack of descriptors too: what it was is seen by opening another.
fn may_be_sent_again(error: io::Error) -> Result<(), Refused> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
    if error.raw_os_error() != Some(libc::EPERM) {
        return Err(error.into());
    }
    match socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None) {
        Ok(_socket) => Ok(()),
        Err(real) => Err(io::Error::from(real).into()),
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    use super::*;

    #[test]
    fn a_lack_of_descriptors_is_not_called_a_lack_of_rights() {
        let before = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: Some(0), ..before }).unwrap();
        let refused = link::list(&mut Socket::new()).map(drop);
        setrlimit(Resource::Nofile, before).unwrap();
        assert_eq!(refused.unwrap_err().errno(), Some(libc::EMFILE));
    }
}
