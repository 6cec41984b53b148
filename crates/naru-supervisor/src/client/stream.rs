//! The connection itself: bytes, and the descriptors that come beside them.

use std::io::{self, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

/// The most descriptors that are kept; the supervisor sends one.
const MOST: usize = 4;

/// A socket that keeps what is sent beside its bytes.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) socket: UnixStream,
    descriptors: Vec<OwnedFd>,
}

impl Stream {
    pub(super) fn new(socket: UnixStream) -> Self {
        Self { socket, descriptors: Vec::new() }
    }

    /// What came last beside the bytes that have been read.
    pub(super) fn take_descriptor(&mut self) -> Option<OwnedFd> {
        self.descriptors.pop()
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
        let mut beside = RecvAncillaryBuffer::new(&mut space);
        let mut slices = [IoSliceMut::new(buffer)];
        let received = recvmsg(&self.socket, &mut slices, &mut beside, RecvFlags::CMSG_CLOEXEC)?;
        for message in beside.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                let room = MOST - self.descriptors.len();
                self.descriptors.extend(descriptors.take(room));
            }
        }
        Ok(received.bytes)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, IoSlice};
    use std::os::fd::AsFd;

    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

    use super::*;

    #[test]
    fn a_descriptor_beside_a_line_arrives_with_it() {
        let (mut theirs, ours) = UnixStream::pair().unwrap();
        theirs.write_all(b"first\n").unwrap();
        let stderr = std::io::stderr();
        let beside = [stderr.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut rights = SendAncillaryBuffer::new(&mut space);
        assert!(rights.push(SendAncillaryMessage::ScmRights(&beside)));
        sendmsg(&theirs, &[IoSlice::new(b"second\n")], &mut rights, SendFlags::empty()).unwrap();
        let mut lines = BufReader::new(Stream::new(ours));
        let mut text = String::new();
        lines.read_line(&mut text).unwrap();
        lines.read_line(&mut text).unwrap();
        assert_eq!(text, "first\nsecond\n");
        assert!(lines.get_mut().take_descriptor().is_some());
        assert!(lines.get_mut().take_descriptor().is_none());
    }
}
