//! All that is due at a later time, in one heap that the loop sleeps on. Times are monotonic: a clock that
//! jumps moves no deadline.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use naru_state::ContainerId;
use tokio::time::Instant;

/// Something that is due.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    /// A container's restart, if it has not been started since (the generation).
    Restart(ContainerId, u16),
    /// A container's next probe, for this generation.
    Probe(ContainerId, u16),
    /// A container's next look for the sign that it is ready, for this generation.
    Look(ContainerId, u16),
    /// The end of the time in which a container should be ready, for this generation.
    Late(ContainerId, u16),
    /// Look again whether a container that was asked to stop can still do so.
    StopCheck(ContainerId, u16),
    /// Another try to bind a container's ports, and how many are left after it.
    Ports(ContainerId, u32),
    /// Another try to bind a container's resolver, and how many are left after it.
    Resolver(ContainerId, u32),
    /// A look at what somebody has done to links and the firewall.
    Networks,
    /// Another try to have a keeper.
    Keeper,
    /// A look for what a `pre_start` hook has said.
    Output(ContainerId),
    /// The client of a container that is to be removed had time to come back.
    Farewell(ContainerId),
    /// The copy of the states that outlives a reboot is to be brought up to date.
    Lasting,
    /// Another try to write states that could not be written.
    Unwritten,
    /// The end of waiting for a first request.
    Idle,
    /// Pages of the program that only the start has used are to go.
    Slim,
    /// What a command waits for may be settled.
    Settled,
    /// The end of a command's patience.
    Patience(u64),
}

/// The heap.
#[derive(Debug, Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<(Instant, Due)>>,
}

impl Timers {
    /// Adds `due` at `at`. It cannot be taken back: who is called looks whether it still matters.
    pub(super) fn add(&mut self, at: Instant, due: Due) {
        self.heap.push(Reverse((at, due)));
    }

    /// When the next is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes one that is due at `now`.
    pub(super) fn take(&mut self, now: Instant) -> Option<Due> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse((_, due))| due)
    }
}
