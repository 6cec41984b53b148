//! The link between keeper and supervisor: a SOCK_SEQPACKET pair (unix(7)), one JSON message a packet, with
//! descriptors beside it where the message says so.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use naru_state::ContainerId;
use naru_state::record::{Exit, Port};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The longest message; the kernel's default socket buffer holds more.
const MAX_MESSAGE: usize = 64 * 1024;

/// The most descriptors beside one message.
const MAX_DESCRIPTORS: usize = 8;

/// What the supervisor tells the keeper.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum ToKeeper {
    /// Look after this container: its output, its exit. Beside it: a terminal's master when it has one.
    Watch(Watch),
    /// Hold these listening sockets (beside it), so that they outlive the supervisor.
    Hold(Port),
    /// Let go of them.
    Release(Port),
    /// The project is down: end when the supervisor has.
    Finish,
}

/// A container to look after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Watch {
    /// The container.
    pub(crate) id: ContainerId,
    /// Its first process's pid.
    pub(crate) pid: i32,
    /// And start time.
    pub(crate) start_time: u64,
    /// Its name: the log's directory.
    pub(crate) name: String,
    /// Which start this is.
    pub(crate) generation: u16,
    /// Output comes from a terminal's master, which is beside the message, not from FIFOs.
    pub(crate) tty: bool,
}

/// What the keeper tells the supervisor.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum ToSupervisor {
    /// At the start, once for each port held; the sockets are beside it.
    Held(Port),
    /// At the start, once for each container looked after.
    Watching(ContainerId),
    /// The end of the list that follows a start.
    Ready,
    /// A container's first process ended; it is on disk as well.
    Exited(ContainerId, Exit),
}

/// One end of the link.
#[derive(Debug)]
pub(crate) struct Link(OwnedFd);

impl Link {
    /// Both ends.
    pub(crate) fn pair() -> io::Result<(Self, Self)> {
        let (a, b) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Self(a), Self(b)))
    }

    /// An end that came as a descriptor.
    pub(crate) fn from_descriptor(descriptor: OwnedFd) -> Self {
        Self(descriptor)
    }

    /// The descriptor, to hand it to a child.
    pub(crate) fn into_descriptor(self) -> OwnedFd {
        self.0
    }

    /// Sends one message.
    ///
    /// # Errors
    /// When the other side is gone.
    pub(crate) fn send(
        &self,
        message: &impl Serialize,
        beside: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        let bytes = serde_json::to_vec(message)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
        let mut rights = SendAncillaryBuffer::new(&mut space);
        if !beside.is_empty() && !rights.push(SendAncillaryMessage::ScmRights(beside)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        loop {
            match sendmsg(&self.0, &[IoSlice::new(&bytes)], &mut rights, SendFlags::NOSIGNAL) {
                Ok(_) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                // Only a non-blocking end says so: its reader is busy with hundreds of messages.
                Err(rustix::io::Errno::AGAIN) => std::thread::sleep(Duration::from_millis(1)),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Receives one message; `None` when the other side is gone.
    ///
    /// # Errors
    /// `WouldBlock` when there is none on a non-blocking end; others when what came is not a message.
    pub(crate) fn receive<T: DeserializeOwned>(&self) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
        let mut bytes = vec![0; MAX_MESSAGE];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
        let mut rights = RecvAncillaryBuffer::new(&mut space);
        let received = loop {
            let mut slices = [IoSliceMut::new(&mut bytes)];
            match recvmsg(&self.0, &mut slices, &mut rights, RecvFlags::CMSG_CLOEXEC) {
                Ok(received) => break received.bytes,
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::CONNRESET) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        };
        let mut beside = Vec::new();
        for message in rights.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                beside.extend(descriptors);
            }
        }
        if received == 0 {
            return Ok(None);
        }
        Ok(Some((serde_json::from_slice(&bytes[..received])?, beside)))
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port() -> Port {
        Port { host_ip: String::new(), host_port: 80, container_port: 80, protocol: "tcp".into() }
    }

    #[test]
    fn descriptors_travel_beside_a_message_and_the_end_of_the_other_side_is_seen() {
        let (keeper, supervisor) = Link::pair().unwrap();
        let file = std::io::stderr();
        keeper.send(&ToSupervisor::Held(port()), &[file.as_fd(), file.as_fd()]).unwrap();
        let (message, beside) = supervisor.receive::<ToSupervisor>().unwrap().unwrap();
        assert!(matches!(message, ToSupervisor::Held(held) if held == port()));
        assert_eq!(beside.len(), 2);
        drop(keeper);
        assert!(supervisor.receive::<ToSupervisor>().unwrap().is_none());
    }
}
