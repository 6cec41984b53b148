//! This command's input, passed to the container from a thread that nobody waits for: there may never be any.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::sync::mpsc::Sender;
use std::thread;

use naru_state::{ContainerId, ProjectDirectories};
use naru_supervisor::protocol::Running;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::keys::{DetachKeys, Typed};
use super::{Event, Input};

/// Where input goes; nowhere when the container has none.
pub(super) fn destination(
    input: Input,
    terminal: Option<&OwnedFd>,
    directories: &ProjectDirectories,
    running: &Running,
) -> io::Result<Option<OwnedFd>> {
    match (input, terminal) {
        (Input::Nowhere, _) => Ok(None),
        (_, Some(terminal)) => terminal.try_clone().map(Some),
        // The reading end goes: the container's is the last one, and its end is an error for who writes.
        (Input::Pipe { write, .. }, None) => Ok(Some(write)),
        (Input::Container, None) => {
            let Ok(id) = ContainerId::try_from(running.id.clone()) else { return Ok(None) };
            let path = directories.container_run(&id).join("stdin");
            // There is one where `stdin_open` asks for it.
            let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let Ok(fifo) = rustix::fs::open(path, flags, Mode::empty()) else { return Ok(None) };
            rustix::io::ioctl_fionbio(&fifo, false)?;
            Ok(Some(fifo))
        }
    }
}

/// Passes input on until it or the container ends, or somebody types the keys.
pub(super) fn pass(to: OwnedFd, keys: Option<DetachKeys>, sender: Sender<Event>) {
    thread::spawn(move || {
        let mut to = File::from(to);
        let mut keys = keys;
        let mut piece = [0; 16 << 10];
        loop {
            let length = match rustix::io::read(rustix::stdio::stdin(), &mut piece) {
                Ok(0) => return,
                Ok(length) => length,
                Err(Errno::INTR) => continue,
                Err(_) => return,
            };
            let typed = match &mut keys {
                Some(keys) => keys.take(&piece[..length]),
                None => Typed { passed: piece[..length].to_vec(), detached: false },
            };
            if to.write_all(&typed.passed).is_err() {
                return;
            }
            if typed.detached {
                drop(sender.send(Event::Detached));
                return;
            }
        }
    });
}
