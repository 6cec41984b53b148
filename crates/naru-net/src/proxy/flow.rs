//! One direction of a connection: bytes from one socket to the other.

use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown};
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};

/// Size of the buffer that small messages go through. A read that fills it means bulk data.
const SCRATCH: usize = 16 * 1024;
/// Size of the pipes that bulk data goes through: few large ones, then smaller ones, since a pipe holds as much when its
/// reader is slow.
const PIPE: usize = 512 * 1024;
const SMALL_PIPE: usize = 128 * 1024;
const MOST_LARGE_PIPES: usize = 64;
/// Bytes that one connection may move before the others have their turn.
const BUDGET: usize = 1024 * 1024;
/// Empty pipes kept for the next bulk transfer.
const MOST_IDLE_PIPES: usize = 32;

/// One of the two sockets of a connection, and what the kernel last said of it.
#[derive(Debug)]
pub(super) struct Side {
    pub(super) socket: OwnedFd,
    pub(super) readable: bool,
    pub(super) writable: bool,
    /// The other end has ended or broken: reading on finds out.
    pub(super) ending: bool,
}

impl Side {
    pub(super) fn new(socket: OwnedFd) -> Self {
        Self { socket, readable: false, writable: false, ending: false }
    }
}

/// What all flows share.
pub(super) struct Resources {
    scratch: Box<[u8; SCRATCH]>,
    idle_pipes: Vec<Pipe>,
    /// Pipes that exist, idle or in use.
    pipes: usize,
    /// Those of them that are large.
    large_pipes: usize,
    most_pipes: usize,
    /// Bulk data has moved.
    pub(super) moved_bulk: bool,
}

struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
    size: usize,
}

impl Resources {
    pub(super) fn new(most_pipes: usize) -> Self {
        let scratch = Box::new([0; SCRATCH]);
        let idle_pipes = Vec::new();
        Self { scratch, idle_pipes, pipes: 0, large_pipes: 0, most_pipes, moved_bulk: false }
    }

    /// Descriptors that are kept free for pipes.
    pub(super) fn most_descriptors(&self) -> usize {
        self.most_pipes * 2
    }

    /// An empty pipe, or nothing when there are enough: the flow then uses memory.
    fn take(&mut self) -> Option<Pipe> {
        if let Some(pipe) = self.idle_pipes.pop() {
            return Some(pipe);
        }
        if self.pipes >= self.most_pipes {
            return None;
        }
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).ok()?;
        let size = if self.large_pipes < MOST_LARGE_PIPES { PIPE } else { SMALL_PIPE };
        // Refused beyond the user's quota of pipe memory: the default size works as well.
        let _ = fcntl_setpipe_size(&write, size);
        self.pipes += 1;
        self.large_pipes += usize::from(size == PIPE);
        Some(Pipe { read, write, size })
    }

    fn give_back(&mut self, pipe: Pipe) {
        if self.idle_pipes.len() < MOST_IDLE_PIPES {
            self.idle_pipes.push(pipe);
        } else {
            self.close(pipe);
        }
    }

    fn close(&mut self, pipe: Pipe) {
        self.pipes -= 1;
        self.large_pipes -= usize::from(pipe.size == PIPE);
    }

    /// Closes the pipes that nobody uses.
    pub(super) fn close_idle_pipes(&mut self) {
        for pipe in std::mem::take(&mut self.idle_pipes) {
            self.close(pipe);
        }
    }
}

/// Bytes taken from one socket and not yet given to the other.
enum Held {
    Nothing,
    Memory { bytes: Vec<u8>, at: usize },
    Pipe { pipe: Pipe, length: usize },
}

/// One direction.
pub(super) struct Flow {
    held: Held,
    /// The last read filled the buffer: a pipe pays.
    bulk: bool,
    /// The source has ended.
    ended: bool,
    /// The end has been passed on.
    pub(super) closed: bool,
}

/// What became of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Nothing more can be done until the kernel reports an event.
    Waits,
    /// There is more to do, but others have their turn first.
    Unfinished,
}

impl Flow {
    pub(super) fn new() -> Self {
        Self { held: Held::Nothing, bulk: false, ended: false, closed: false }
    }

    /// Moves what can be moved. An error means that one of the sockets is broken.
    pub(super) fn advance(
        &mut self,
        from: &mut Side,
        to: &mut Side,
        resources: &mut Resources,
    ) -> Result<Turn, Errno> {
        let mut budget = BUDGET;
        let turn = loop {
            let moved = match &self.held {
                Held::Nothing if self.closed => break Turn::Waits,
                Held::Nothing if self.ended => {
                    // Half-close: the other direction may go on for long.
                    shutdown(&to.socket, Shutdown::Write)?;
                    self.closed = true;
                    break Turn::Waits;
                }
                Held::Nothing if from.readable => self.fill(from, to, resources),
                Held::Memory { .. } | Held::Pipe { .. } if to.writable => self.drain(to, resources),
                _ => break Turn::Waits,
            };
            match moved {
                Ok(moved) => {
                    budget = budget.saturating_sub(moved);
                    if budget == 0 {
                        break Turn::Unfinished;
                    }
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        };
        Ok(turn)
    }

    /// Takes bytes from the source; those of a small message are passed on at once.
    fn fill(
        &mut self,
        from: &mut Side,
        to: &mut Side,
        resources: &mut Resources,
    ) -> Result<usize, Errno> {
        if self.bulk
            && let Some(pipe) = resources.take()
        {
            return self.fill_pipe(pipe, from, resources);
        }
        let taken = match recv(&from.socket, resources.scratch.as_mut_slice(), RecvFlags::empty()) {
            Ok((taken, _)) => taken,
            Err(Errno::AGAIN) => {
                from.readable = false;
                return Ok(0);
            }
            Err(error) => return Err(error),
        };
        self.ended = taken == 0;
        self.bulk = taken == SCRATCH;
        if taken < SCRATCH && !from.ending {
            // Nothing is left; what comes now is a new event.
            from.readable = false;
        }
        let bytes = &resources.scratch[..taken];
        let mut passed = 0;
        while to.writable && passed < taken {
            match send(&to.socket, &bytes[passed..], SendFlags::NOSIGNAL) {
                Ok(sent) => passed += sent,
                Err(Errno::AGAIN) => to.writable = false,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
        if passed < taken {
            self.held = Held::Memory { bytes: bytes[passed..].to_vec(), at: 0 };
        }
        Ok(taken)
    }

    fn fill_pipe(
        &mut self,
        pipe: Pipe,
        from: &mut Side,
        resources: &mut Resources,
    ) -> Result<usize, Errno> {
        let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
        resources.moved_bulk = true;
        match splice(&from.socket, None, &pipe.write, None, pipe.size, flags) {
            Ok(0) => {
                self.ended = true;
                resources.give_back(pipe);
                Ok(0)
            }
            Ok(length) => {
                // Small messages go through memory again, which costs fewer calls.
                self.bulk = length >= SCRATCH;
                self.held = Held::Pipe { pipe, length };
                Ok(0)
            }
            // The pipe is empty, so it is the socket that has nothing, for a moment.
            Err(Errno::AGAIN) => {
                from.readable = false;
                resources.give_back(pipe);
                Ok(0)
            }
            Err(error) => {
                resources.give_back(pipe);
                Err(error)
            }
        }
    }

    /// Gives held bytes to the destination.
    fn drain(&mut self, to: &mut Side, resources: &mut Resources) -> Result<usize, Errno> {
        let outcome = match &mut self.held {
            Held::Nothing => return Ok(0),
            Held::Memory { bytes, at } => {
                send(&to.socket, &bytes[*at..], SendFlags::NOSIGNAL).inspect(|sent| *at += sent)
            }
            Held::Pipe { pipe, length } => {
                let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
                splice(&pipe.read, None, &to.socket, None, *length, flags)
                    .inspect(|sent| *length -= sent)
            }
        };
        self.release_if_empty(resources);
        match outcome {
            Err(Errno::AGAIN) => {
                to.writable = false;
                Ok(0)
            }
            outcome => outcome,
        }
    }

    fn release_if_empty(&mut self, resources: &mut Resources) {
        let empty = match &self.held {
            Held::Nothing => false,
            Held::Memory { bytes, at } => *at == bytes.len(),
            Held::Pipe { length, .. } => *length == 0,
        };
        if empty {
            self.release(resources);
        }
    }

    /// Gives up what is held. A pipe that still has bytes in it is closed with them.
    pub(super) fn release(&mut self, resources: &mut Resources) {
        if let Held::Pipe { pipe, length } = std::mem::replace(&mut self.held, Held::Nothing) {
            if length == 0 {
                resources.give_back(pipe);
            } else {
                resources.close(pipe);
            }
        }
    }
}
