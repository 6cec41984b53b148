//! The conversation between the caller and the process inside: one `SOCK_SEQPACKET` pair.
//!
//! The caller sends the plan (a header with the descriptors, then chunks) and, when the program
//! may run, one byte. The process inside answers with the terminal's master, `ready` and, if
//! anything fails, one failure. That the program runs is seen by the end of file, because the
//! socket is close-on-exec.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use serde::{Deserialize, Serialize};

use crate::error::Failure;

/// Packets stay well below the smallest usual send buffer.
const CHUNK: usize = 32 * 1024;
/// A plan is an environment and a list of mounts; more than this is a mistake.
const LIMIT: u64 = 64 * 1024 * 1024;
/// `SCM_MAX_FD`: standard files, a root, namespaces, and what the user hands over.
const DESCRIPTORS: usize = 253;
const HEADER: usize = 16;
const START: &[u8] = b"start";

/// One end of the socket pair.
#[derive(Debug)]
pub(crate) struct Channel {
    socket: Option<OwnedFd>,
}

/// What the process inside says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Report {
    /// The process that made its way into the container has left the rest to a copy of itself inside, which has this
    /// number; its pidfd is attached to this packet.
    Entered { pid: i32 },
    /// The master of the terminal is attached to this packet.
    Terminal,
    /// A bind mount of something in the container, attached to this packet, is to have the ids of the mount with this
    /// number; the process has not the rights, the caller has, and is waited for.
    Map { mount: usize },
    /// The mounts are made, the root is not changed: the caller's hooks may run, and are waited for.
    Hooks,
    /// Everything is set up. With the things that could not be had in full.
    Ready { warnings: Vec<String> },
    /// The process is about to end because of this.
    Failed(Failure),
}

/// What the process inside receives first.
#[derive(Debug)]
pub(crate) struct Envelope {
    /// The plan as JSON.
    pub(crate) plan: Vec<u8>,
    /// The seccomp program's bytes, or nothing.
    pub(crate) filter: Vec<u8>,
    /// The descriptors in the order in which the plan counts them.
    pub(crate) descriptors: Vec<OwnedFd>,
}

impl Channel {
    /// A connected pair, both close-on-exec.
    pub(crate) fn pair() -> Result<(Self, OwnedFd), Errno> {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Self { socket: Some(ours) }, theirs))
    }

    /// The end that the process inside inherited.
    pub(crate) fn from_socket(socket: OwnedFd) -> Self {
        Self { socket: Some(socket) }
    }

    /// Sends the plan with everything that belongs to it.
    pub(crate) fn send_plan(
        &self,
        plan: &[u8],
        filter: &[u8],
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(), Errno> {
        let mut header = [0; HEADER];
        header[..8].copy_from_slice(&(plan.len() as u64).to_ne_bytes());
        header[8..].copy_from_slice(&(filter.len() as u64).to_ne_bytes());
        self.send(&header, descriptors)?;
        for chunk in plan.chunks(CHUNK).chain(filter.chunks(CHUNK)) {
            self.send(chunk, &[])?;
        }
        Ok(())
    }

    /// Receives what [`send_plan`](Self::send_plan) sent.
    pub(crate) fn receive_plan(&self) -> Result<Envelope, Errno> {
        let mut header = [0; HEADER];
        let (length, descriptors) = self.receive(&mut header)?;
        if length != HEADER {
            return Err(Errno::PROTO);
        }
        let size = |bytes: &[u8]| bytes.try_into().map(u64::from_ne_bytes).unwrap_or(u64::MAX);
        let plan = self.receive_bytes(size(&header[..8]))?;
        let filter = self.receive_bytes(size(&header[8..]))?;
        Ok(Envelope { plan, filter, descriptors })
    }

    /// Lets the process inside run its program.
    pub(crate) fn send_start(&self) -> Result<(), Errno> {
        self.send(START, &[])
    }

    /// Waits for the word to go on; false means that the caller is gone or changed its mind.
    pub(crate) fn receive_start(&self) -> Result<bool, Errno> {
        let mut buffer = [0; 16];
        let (length, _) = self.receive(&mut buffer)?;
        Ok(&buffer[..length] == START)
    }

    /// Tells the caller that it is the time of its hooks.
    pub(crate) fn report_hooks(&self) -> Result<(), Errno> {
        self.report(&Report::Hooks, &[])
    }

    /// Asks the caller to let a mount have the ids of the plan's mount `mount`; false means that the caller is gone.
    pub(crate) fn ask_for_ids(&self, mount: usize, tree: BorrowedFd<'_>) -> Result<bool, Errno> {
        self.report(&Report::Map { mount }, &[tree])?;
        self.receive_start()
    }

    /// Tells the caller something, with a descriptor or none.
    pub(crate) fn report(
        &self,
        report: &Report,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(), Errno> {
        let bytes = serde_json::to_vec(report).map_err(|_| Errno::PROTO)?;
        self.send(&bytes, descriptors)
    }

    /// The next report; nothing when the other end is closed.
    pub(crate) fn receive_report(&self) -> Result<Option<(Report, Vec<OwnedFd>)>, Errno> {
        let mut buffer = vec![0; CHUNK];
        let (length, descriptors) = match self.receive(&mut buffer) {
            Ok(received) => received,
            Err(Errno::CONNRESET) => return Ok(None),
            Err(errno) => return Err(errno),
        };
        if length == 0 {
            return Ok(None);
        }
        let report = serde_json::from_slice(&buffer[..length]).map_err(|_| Errno::PROTO)?;
        Ok(Some((report, descriptors)))
    }

    /// Keeps the numbers below `first` free of this end.
    pub(crate) fn move_above(&mut self, first: i32) -> Result<(), Errno> {
        if let Some(socket) = &self.socket {
            self.socket = Some(rustix::io::fcntl_dupfd_cloexec(socket, first)?);
        }
        Ok(())
    }

    /// Says that nothing more comes from this end, which goes on receiving.
    pub(crate) fn end_sending(&self) {
        if let Some(socket) = &self.socket {
            // Fails only where the other end is closed.
            let _ended = rustix::net::shutdown(socket, rustix::net::Shutdown::Write);
        }
    }

    /// Closes this end.
    pub(crate) fn close(&mut self) {
        self.socket = None;
    }

    fn receive_bytes(&self, size: u64) -> Result<Vec<u8>, Errno> {
        if size > LIMIT {
            return Err(Errno::MSGSIZE);
        }
        let size = usize::try_from(size).map_err(|_| Errno::MSGSIZE)?;
        let mut bytes = vec![0; size];
        let mut filled = 0;
        while filled < size {
            let (length, _) = self.receive(&mut bytes[filled..])?;
            if length == 0 {
                return Err(Errno::CONNRESET);
            }
            filled += length;
        }
        Ok(bytes)
    }

    fn send(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<(), Errno> {
        let socket = self.socket.as_ref().ok_or(Errno::BADF)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(Errno::TOOBIG);
        }
        loop {
            match sendmsg(socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL) {
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
    }

    fn receive(&self, bytes: &mut [u8]) -> Result<(usize, Vec<OwnedFd>), Errno> {
        let socket = self.socket.as_ref().ok_or(Errno::BADF)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = loop {
            let parts = &mut [IoSliceMut::new(bytes)];
            match recvmsg(socket, parts, &mut control, RecvFlags::CMSG_CLOEXEC) {
                Ok(received) => break received,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        };
        let mut descriptors = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                descriptors.extend(rights);
            }
        }
        Ok((received.bytes, descriptors))
    }
}
