//! Stopping: the stop signal, then up to the grace period, then the end of every process of the cgroup.
//!
//! A process that cannot receive the signal is not waited for: the first process of a pid namespace gets no
//! signal that it has no handler for (pid_namespaces(7)), so a `sleep` as pid 1 would sit out the whole
//! grace period. Its children, which can, are sent the signal instead, and waited for while they have a
//! handler that may be at work. A first process has a moment to react to their end, as a shell does: it goes on to its
//! next command. One that becomes another program meanwhile, one that handles the signal, is sent it again.

use std::os::fd::AsFd;
use std::time::Duration;

use fs_err as fs;
use naru_state::ContainerId;
use naru_state::record::Phase;
use rustix::process::{Pid, Signal, kill_process, pidfd_send_signal};
use tokio::time::Instant;

use super::Supervisor;
use super::container::Stopping;
use super::operation::StepOf;
use super::timers::Due;
use crate::protocol::{Kind, Step};

/// How often it is looked whether anybody is left who can react.
const LOOK: Duration = Duration::from_millis(20);

/// How long a first process that cannot receive the signal has for what it does at the end of those that could.
const REACTS: Duration = Duration::from_millis(250);

/// When it is said for the first time whom a stop waits for, and how often after that.
const FIRST_WORD: Duration = Duration::from_secs(1);
const FURTHER_WORDS: Duration = Duration::from_secs(5);

/// How long the keeper may take to tell of an end.
const TOLD: Duration = Duration::from_secs(2);

/// What can be said of a process's reaction to a signal from `/proc/PID/status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reaction {
    /// It has a handler, or has it blocked to read it from a descriptor.
    Handles,
    /// It ignores it, or dies of it if it is not the first process.
    None,
}

impl Supervisor {
    /// Stops one container; the step ends when its process has.
    pub(super) fn stop(&mut self, id: &ContainerId, timeout: Option<Duration>, step: StepOf) {
        let Some(live) = self.containers.get_mut(id) else { return self.end_step(step, Ok(())) };
        live.state.stopped_by_user = true;
        live.state.waits_for = None;
        live.is_held = false;
        if let Some(starting) = &mut live.starting {
            // A policy's restart that is under way is let to end: what it makes would be nobody's otherwise.
            starting.stops.push((step, timeout));
            return;
        }
        if live.running.is_none() {
            if live.state.phase == Phase::Restarting {
                live.state.phase = Phase::Exited;
            }
            let ports = live.record.ports.clone();
            self.release_ports(&ports);
            self.must_last(id);
            self.changed(id);
            return self.end_step(step, Ok(()));
        }
        if let Some(stopping) = &mut live.stopping {
            stopping.steps.push(step);
            return;
        }
        if self.begin_pre_stop(id, step, timeout) {
            return self.changed(id);
        }
        if let Some(live) = self.containers.get_mut(id) {
            live.stopping = Some(Stopping::begun_by(step));
        }
        self.signal_stop(id, timeout);
    }

    /// Sends the stop signal to a container that is stopping; its grace period begins.
    pub(super) fn signal_stop(&mut self, id: &ContainerId, timeout: Option<Duration>) {
        let Some(live) = self.containers.get_mut(id) else { return };
        let grace = live.grace(timeout);
        let deadline = Instant::now() + grace;
        let (Some(running), Some(stopping)) = (&live.running, &mut live.stopping) else { return };
        (stopping.deadline, stopping.grace) = (deadline, grace);
        stopping.hooks = None;
        let generation = live.state.generation;
        let number = live.record.stop_signal;
        let pid = running.process.pid;
        let before = reaction(pid, number);
        if let Some(signal) = Signal::from_named_raw(number) {
            // A process that has just ended needs no signal: its exit is on its way.
            let _sent = pidfd_send_signal(&running.pidfd, signal);
            if before == Reaction::None {
                // Deaf before and after: the kernel has dropped the signal.
                stopping.is_deaf = reaction(pid, number) == Reaction::None;
                let has_others = self.signal_others(id, signal);
                let live = self.containers.get_mut(id);
                if let Some(stopping) = live.and_then(|live| live.stopping.as_mut())
                    && has_others
                {
                    stopping.reacts_until = (Instant::now() + REACTS).min(deadline);
                }
            }
        }
        self.tell_signal(id, number);
        self.changed(id);
        self.stop_check(id, generation);
    }

    /// Sends a signal to a container's first process, and to the others where that one cannot receive it.
    pub(super) fn pass_signal(&self, id: &ContainerId, signal: Signal) {
        let running = self.containers.get(id).and_then(|live| live.running.as_ref());
        let Some(running) = running else { return };
        let reaction = reaction(running.process.pid, signal.as_raw());
        // A process that has just ended needs no signal: its exit is on its way.
        let _sent = pidfd_send_signal(&running.pidfd, signal);
        let is_ending = [Signal::HUP, Signal::INT, Signal::QUIT, Signal::TERM].contains(&signal);
        if reaction == Reaction::None && is_ending {
            let _has_others = self.signal_others(id, signal);
        }
    }

    /// Sends the signal to all processes of the container but the first; whether there are any.
    fn signal_others(&self, id: &ContainerId, signal: Signal) -> bool {
        let others = self.others(id);
        for pid in &others {
            // They come and go; pids of a cgroup that was just read are its own.
            let _sent = Pid::from_raw(*pid).map(|pid| kill_process(pid, signal));
        }
        !others.is_empty()
    }

    fn others(&self, id: &ContainerId) -> Vec<i32> {
        let first = self.containers.get(id).and_then(|live| live.running.as_ref());
        let first = first.map(|running| running.process.pid);
        let all = self.cgroup(id).processes().unwrap_or_default();
        all.into_iter().filter(|pid| Some(*pid) != first).collect()
    }

    /// Looks whether a stopping container still has somebody who may react, and ends it if not.
    pub(super) fn stop_check(&mut self, id: &ContainerId, generation: u16) {
        let Some(live) = self.containers.get(id) else { return };
        let (Some(running), Some(stopping)) = (&live.running, &live.stopping) else { return };
        if live.state.generation != generation {
            return;
        }
        let signal = live.record.stop_signal;
        let now = Instant::now();
        let handles = |pid| reaction(pid, signal) == Reaction::Handles;
        let first = running.process.pid;
        if stopping.is_deaf && now < stopping.deadline && handles(first) {
            self.signal_again(id);
            return self.stop_check(id, generation);
        }
        let may_react = now < stopping.reacts_until
            || handles(first)
            || self.others(id).into_iter().any(handles);
        if now < stopping.deadline && may_react {
            let next = (now + LOOK).min(stopping.deadline);
            self.timers.add(next, Due::StopCheck(id.clone(), generation));
            return self.say_waiting(id, now);
        }
        if now >= stopping.deadline && stopping.killed.is_none() {
            let grace = stopping.grace.as_secs_f32();
            self.say_stopping(id, format!("killed after its {grace} s"));
        }
        self.end(id, now);
    }

    /// Sends the stop signal to a first process that could not receive it and has come to handle it.
    fn signal_again(&mut self, id: &ContainerId) {
        let Some(live) = self.containers.get_mut(id) else { return };
        let (Some(running), Some(stopping)) = (&live.running, &mut live.stopping) else { return };
        stopping.is_deaf = false;
        if let Some(signal) = Signal::from_named_raw(live.record.stop_signal) {
            // A process that has just ended needs no signal.
            let _sent = pidfd_send_signal(&running.pidfd, signal);
        }
    }

    /// Says whom a stop waits for: after a second, and then every five.
    fn say_waiting(&mut self, id: &ContainerId, now: Instant) {
        let Some(live) = self.containers.get_mut(id) else { return };
        let Some(stopping) = &mut live.stopping else { return };
        let waited = stopping.grace.saturating_sub(stopping.deadline - now);
        let next = if stopping.said.is_zero() { FIRST_WORD } else { stopping.said + FURTHER_WORDS };
        if waited < next {
            return;
        }
        stopping.said = Duration::from_secs(waited.as_secs());
        let signal = nix::sys::signal::Signal::try_from(live.record.stop_signal);
        let signal = signal.map_or("stop signal", nix::sys::signal::Signal::as_str);
        let (waited, grace) = (waited.as_secs(), stopping.grace.as_secs_f32());
        let text = format!("waiting for its {signal} handler, {waited} s of {grace} s");
        self.say_stopping(id, text);
    }

    /// Tells the command under way about a container that it stops.
    fn say_stopping(&self, id: &ContainerId, text: String) {
        let (Some(operation), Some(live)) = (&self.operation, self.containers.get(id)) else {
            return;
        };
        operation.tell(Kind::Container, &live.record.name, Step::Stopping, Some(text));
    }

    /// Ends every process of a container, and looks again: its end is reported even when nobody tells of it.
    fn end(&mut self, id: &ContainerId, now: Instant) {
        if let Err(error) = self.cgroup(id).kill_all() {
            tracing::warn!(container = %id, %error, "a container's processes could not all be ended");
        }
        let Some(live) = self.containers.get_mut(id) else { return };
        let (Some(running), Some(stopping)) = (&live.running, &mut live.stopping) else { return };
        // Also where the cgroup could not do it: the kernel ends the others with the first. One that waits to be reaped
        // can be sent a signal.
        let gone = pidfd_send_signal(&running.pidfd, Signal::KILL).is_err()
            || naru_runtime::has_ended(running.pidfd.as_fd());
        let is_first = stopping.killed.is_none();
        let killed = *stopping.killed.get_or_insert(now);
        if gone && now - killed >= TOLD {
            tracing::error!(container = %live.record.name, "nobody told of its end");
            let process = running.process.clone();
            let time_ns = naru_state::record::now_ns();
            let exit =
                naru_state::record::Exit { process, code: None, out_of_memory: false, time_ns };
            return self.exited(id, exit);
        }
        self.timers.add(now + TOLD, Due::StopCheck(id.clone(), live.state.generation));
        if is_first {
            self.tell_signal(id, Signal::KILL.as_raw());
        }
    }
}

/// Reads the signal masks of proc_pid_status(5). SIGKILL needs no handler.
fn reaction(pid: i32, signal: i32) -> Reaction {
    let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) else {
        return Reaction::None;
    };
    if status.lines().any(|line| line.starts_with("State:\tZ")) {
        return Reaction::None;
    }
    match parse_reaction(&status, signal) {
        Reaction::None if waits_for_signals(pid) => Reaction::Handles,
        reaction => reaction,
    }
}

/// Whether a thread of it is in sigwait(3): while it is, the kernel shows the signals it waits for as neither blocked
/// nor caught. Programs that are made to be process 1 work like this (tini, dumb-init).
fn waits_for_signals(pid: i32) -> bool {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten();
    threads.filter_map(Result::ok).any(|thread| {
        let call = fs::read_to_string(thread.path().join("syscall")).unwrap_or_default();
        call.split(' ').next().and_then(|number| number.parse().ok())
            == Some(naru_sys::signals::WAIT_CALL)
    })
}

fn parse_reaction(status: &str, signal: i32) -> Reaction {
    let bit = 1_u64 << (signal.clamp(1, 64) - 1);
    let has = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
            .is_some_and(|mask| mask & bit != 0)
    };
    if has("SigCgt:") || has("SigBlk:") { Reaction::Handles } else { Reaction::None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caught_or_blocked_signal_is_waited_for_and_no_other() {
        let status =
            "SigBlk:\t0000000000000002\nSigIgn:\t0000000000001000\nSigCgt:\t0000000000004000\n";
        assert_eq!(parse_reaction(status, 15), Reaction::Handles);
        assert_eq!(parse_reaction(status, 2), Reaction::Handles);
        assert_eq!(parse_reaction(status, 13), Reaction::None);
        assert_eq!(parse_reaction(status, 3), Reaction::None);
    }
}
