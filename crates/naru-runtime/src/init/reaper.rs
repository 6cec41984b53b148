//! naru's own pid 1 (`init: true`): starts the command, forwards signals to it, reaps everything
//! and exits with the command's code.

use naru_sys::process::{Fork, fork};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions};

use super::command::Command;
use super::{Session, identity};
use crate::error::{At, Failure, Stage};
use crate::plan::ProcessPlan;

/// Signals that tell about the receiver itself and are not passed on.
const OWN: [i32; 7] = [
    nix::libc::SIGCHLD,
    nix::libc::SIGFPE,
    nix::libc::SIGILL,
    nix::libc::SIGSEGV,
    nix::libc::SIGBUS,
    nix::libc::SIGABRT,
    nix::libc::SIGTRAP,
];

/// Runs the command under this process and returns its code.
///
/// Both are confined the same way: this process keeps no right that the command does not have.
pub(super) fn run(
    plan: &ProcessPlan,
    command: &Command,
    session: &mut Session,
) -> Result<i32, Failure> {
    identity::confine(plan, session)?;
    let main = match fork().at(Stage::Reaper, || "start the command".to_owned())? {
        Fork::Child => match lead(plan).and_then(|()| command.execute(session)) {
            Ok(never) => match never {},
            Err(failure) => return Err(failure),
        },
        Fork::Parent(pid) => Pid::from_raw(pid)
            .ok_or(Errno::SRCH)
            .at(Stage::Reaper, || "start the command".to_owned())?,
    };
    // The caller sees the end of the conversation when the command's copy closes by its exec.
    session.channel.close();
    loop {
        match naru_sys::signals::wait_for_any() {
            Ok(signal) if signal == nix::libc::SIGCHLD => {
                if let Some(code) = reap(main) {
                    return Ok(code);
                }
            }
            Ok(signal) if !OWN.contains(&signal) => forward(main, signal),
            // A fault of its own, or an interruption.
            Ok(_) | Err(_) => {}
        }
    }
}

/// The command leads a process group, in the foreground of its terminal.
fn lead(plan: &ProcessPlan) -> Result<(), Failure> {
    let what = || "make a process group".to_owned();
    rustix::process::setpgid(None, None).at(Stage::Reaper, what)?;
    if plan.terminal.is_some() {
        let group = rustix::process::getpgid(None).at(Stage::Reaper, what)?;
        let stdin = std::io::stdin();
        rustix::termios::tcsetpgrp(stdin, group).at(Stage::Reaper, what)?;
    }
    Ok(())
}

fn forward(main: Pid, signal: i32) {
    if let Some(signal) = Signal::from_named_raw(signal) {
        // The command may have ended in this moment; its SIGCHLD comes next.
        let _ = rustix::process::kill_process(main, signal);
    }
}

/// Reaps all that have ended; the command's code if it is among them.
fn reap(main: Pid) -> Option<i32> {
    let mut code = None;
    while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
        if pid == main {
            let signaled = status.terminating_signal().map(|signal| 128 + signal);
            code = status.exit_status().or(signaled);
        }
    }
    code
}
