//! Questions taken out of a container's socket several at a time.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;

use nix::cmsg_space;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrIn, recvmmsg};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// Questions of one container that are answered before somebody else has his turn.
pub(super) const MOST: usize = 16;

/// The largest question by UDP that is looked at; what is longer is cut and then refused.
const LONGEST: usize = 2048;

/// Room for questions, and those that were received last.
#[derive(Debug)]
pub(super) struct Batch {
    buffer: Vec<u8>,
    received: Vec<(usize, SocketAddr)>,
    lost: u32,
}

impl Batch {
    pub(super) fn new() -> Self {
        Self { buffer: vec![0; MOST * LONGEST], received: Vec::with_capacity(MOST), lost: 0 }
    }

    /// Waits for questions and takes those that are there, at most [`MOST`].
    ///
    /// # Errors
    /// When the socket itself has one.
    pub(super) async fn receive(&mut self, socket: &UdpSocket) -> io::Result<()> {
        socket.async_io(Interest::READABLE, || self.take(socket)).await
    }

    fn take(&mut self, socket: &UdpSocket) -> io::Result<()> {
        self.received.clear();
        let mut headers = MultiHeaders::<SockaddrIn>::preallocate(MOST, Some(cmsg_space!(u32)));
        let mut places: Vec<_> =
            self.buffer.chunks_exact_mut(LONGEST).map(|place| [IoSliceMut::new(place)]).collect();
        let flags = MsgFlags::MSG_DONTWAIT;
        let messages = recvmmsg(socket.as_raw_fd(), &mut headers, places.iter_mut(), flags, None)?;
        for message in messages {
            // A socket of IPv4 gives addresses of IPv4.
            let Some(client) = message.address else { continue };
            self.received.push((message.bytes, SocketAddr::V4(client.into())));
            for also in message.cmsgs()? {
                if let ControlMessageOwned::RxqOvfl(lost) = also {
                    self.lost = lost;
                }
            }
        }
        Ok(())
    }

    /// The questions, each with who asks.
    pub(super) fn questions(&self) -> impl Iterator<Item = (&[u8], SocketAddr)> {
        let places = self.buffer.chunks_exact(LONGEST).zip(&self.received);
        places.map(|(place, (length, client))| (&place[..*length], *client))
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.received.len()
    }

    /// Questions that found no room in the socket since it was made, as far as the kernel has told.
    pub(super) fn lost(&self) -> u32 {
        self.lost
    }
}
