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

use crate::logging::Keep;

/// The longest message; the kernel's default socket buffer holds more.
const MAX_MESSAGE: usize = 64 * 1024;

/// The most descriptors beside one message.
const MAX_DESCRIPTORS: usize = 8;

/// What the supervisor tells the keeper; and what a keeper that takes over is told first, by the supervisor that
/// called it or by the program that became it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum ToKeeper {
    /// Look after this container: its output, its exit. Beside it: [`Handles`].
    Watch(Watch, Layout),
    /// Hold these listening sockets (beside it), so that they outlive the supervisor.
    Hold(Port),
    /// Let go of them.
    Release(Port),
    /// The supervisor has the project in hand.
    Serving,
    /// Start the next supervisor: this one ends as soon as it is told so.
    Replace,
    /// Become the program beside it, by exec, and replace the supervisor too.
    Upgrade,
    /// The project is down: end when the supervisor has.
    Finish,
    /// Taking over: the keeper's lock is beside it.
    Lock,
    /// Taking over: the end of the link to the supervisor of this pid is beside it.
    Supervisor(i32),
    /// Taking over: a child that ended before anybody asked to look after it.
    Stray(Ended),
    /// Taking over: that was all.
    Handed,
}

/// A process that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ended {
    pub(crate) pid: i32,
    /// 0 when it could not be read in time.
    pub(crate) start_time: u64,
    /// 0–255, or 128 + n for signal n; `None` when nobody can tell.
    pub(crate) code: Option<u8>,
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
    /// What is kept of it.
    #[serde(default)]
    pub(crate) keep: Keep,
}

/// What of a running container cannot be made again. Keeper and supervisor both hold all of it, so that it survives
/// either.
#[derive(Debug, Default)]
pub(crate) struct Handles {
    /// The process: how it ended can still be asked after somebody else has reaped it.
    pub(crate) pidfd: Option<OwnedFd>,
    /// Its FIFOs, whose content goes with their last descriptor; or its terminal's master.
    pub(crate) output: Vec<OwnedFd>,
    /// Its resolver's sockets: questions wait in them while nobody serves.
    pub(crate) resolver: Vec<OwnedFd>,
}

/// How many descriptors of which kind are beside a message, in the order of [`Handles`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Layout {
    pidfd: bool,
    output: u8,
    resolver: u8,
}

impl Handles {
    /// What is there.
    pub(crate) fn layout(&self) -> Layout {
        Layout::of(self.pidfd.is_some(), self.output.len(), self.resolver.len())
    }

    /// The descriptors in the order of the layout.
    pub(crate) fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        let all = self.pidfd.iter().chain(&self.output).chain(&self.resolver);
        all.map(AsFd::as_fd).collect()
    }

    /// The same, given away.
    pub(crate) fn into_descriptors(self) -> Vec<OwnedFd> {
        self.pidfd.into_iter().chain(self.output).chain(self.resolver).collect()
    }

    /// What came beside a message.
    pub(crate) fn received(layout: Layout, beside: Vec<OwnedFd>) -> Self {
        let mut beside = beside.into_iter();
        let mut take = |count: u8| beside.by_ref().take(count.into()).collect::<Vec<_>>();
        let pidfd = take(layout.pidfd.into()).pop();
        Self { pidfd, output: take(layout.output), resolver: take(layout.resolver) }
    }
}

impl Layout {
    /// So many of each kind; there are never more than a handful.
    pub(crate) fn of(pidfd: bool, output: usize, resolver: usize) -> Self {
        let count = |number| u8::try_from(number).unwrap_or(u8::MAX);
        Self { pidfd, output: count(output), resolver: count(resolver) }
    }
}

/// What the keeper tells the supervisor.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum ToSupervisor {
    /// At the start, once for each port held; the sockets are beside it.
    Held(Port),
    /// At the start, once for each container looked after. Beside it: [`Handles`].
    Watching(Watch, Layout),
    /// The end of the list that follows a start.
    Ready,
    /// A container's first process ended; it is on disk as well.
    Exited(ContainerId, Exit),
    /// A keeper that was called has taken over.
    Took,
    /// A keeper that was called has found another one in its place, and ends.
    Occupied,
    /// The next supervisor is started and waits for this one's end.
    Successor,
    /// The keeper could not become the other program.
    NotUpgraded(String),
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

    /// The end that came as standard input, moved away from there, where a child would inherit it.
    ///
    /// # Errors
    /// When there are too many descriptors.
    pub(crate) fn from_stdin() -> io::Result<Self> {
        let link = io::stdin().as_fd().try_clone_to_owned()?;
        let null = fs_err::File::open("/dev/null")?;
        nix::unistd::dup2_stdin(&null)?;
        Ok(Self(link))
    }

    /// An end that came as a descriptor.
    pub(crate) fn from_descriptor(descriptor: OwnedFd) -> Self {
        Self(descriptor)
    }

    /// The descriptor, to hand it to a child.
    pub(crate) fn into_descriptor(self) -> OwnedFd {
        self.0
    }

    /// Sends one message; waits where the other side has not read what came before.
    ///
    /// # Errors
    /// When the other side is gone.
    pub(crate) fn send(
        &self,
        message: &impl Serialize,
        beside: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        let bytes = serde_json::to_vec(message)?;
        self.send_bytes(&bytes, beside)
    }

    /// Sends the bytes of one message.
    ///
    /// # Errors
    /// When the other side is gone; `WouldBlock` on a non-blocking end whose other side has not read what came before.
    pub(crate) fn send_bytes(&self, bytes: &[u8], beside: &[BorrowedFd<'_>]) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
        let mut rights = SendAncillaryBuffer::new(&mut space);
        if !beside.is_empty() && !rights.push(SendAncillaryMessage::ScmRights(beside)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        loop {
            match sendmsg(&self.0, &[IoSlice::new(bytes)], &mut rights, SendFlags::NOSIGNAL) {
                Ok(_) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Makes sending and receiving on this end wait, or not.
    ///
    /// # Errors
    /// Never, for a socket.
    pub(crate) fn set_waiting(&self, waits: bool) -> io::Result<()> {
        Ok(rustix::io::ioctl_fionbio(&self.0, !waits)?)
    }

    /// Gives up waiting for a message after this long, with `WouldBlock`; nothing is for ever.
    ///
    /// # Errors
    /// When it is zero.
    pub(crate) fn set_patience(&self, patience: Option<Duration>) -> io::Result<()> {
        use rustix::net::sockopt::{Timeout, set_socket_timeout};
        Ok(set_socket_timeout(&self.0, Timeout::Recv, patience)?)
    }

    /// Lets as much wait unread as the kernel allows this user.
    pub(crate) fn widen(&self) {
        const WIDE: usize = 4 << 20;
        if rustix::net::sockopt::set_socket_send_buffer_size_force(&self.0, WIDE).is_err() {
            // Whatever the kernel says: what does not fit fails where it is sent.
            let _ = rustix::net::sockopt::set_socket_send_buffer_size(&self.0, WIDE);
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
                // Said once, when the other side went with something unread: what it had sent before is still here.
                Err(rustix::io::Errno::INTR | rustix::io::Errno::CONNRESET) => {}
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
    fn what_is_held_of_a_container_arrives_as_what_it_was() {
        let (keeper, supervisor) = Link::pair().unwrap();
        let file = || std::io::stderr().as_fd().try_clone_to_owned().unwrap();
        let watch = Watch {
            id: ContainerId::random().unwrap(),
            pid: 1,
            start_time: 2,
            name: "shop-web-1".into(),
            generation: 3,
            tty: false,
            keep: Keep::default(),
        };
        let handles =
            Handles { pidfd: None, output: vec![file(), file()], resolver: vec![file(), file()] };
        let message = ToKeeper::Watch(watch.clone(), handles.layout());
        supervisor.send(&message, &handles.descriptors()).unwrap();
        let (message, beside) = keeper.receive::<ToKeeper>().unwrap().unwrap();
        let ToKeeper::Watch(received, layout) = message else { panic!("{message:?}") };
        let received_handles = Handles::received(layout, beside);
        assert_eq!((received, received_handles.layout()), (watch, handles.layout()));
        assert!(received_handles.pidfd.is_none());
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
