//! Learning how processes ended: children by waitid(2), others by what the kernel still knows of them.

use std::collections::BTreeMap;
use std::os::fd::AsFd;

use naru_state::{ContainerId, process};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus};
use rustix::process::{Pid, WaitId, WaitIdOptions, WaitIdStatus, WaitOptions, waitid};

use super::link::Ended;
use super::output::Output;

impl Ended {
    /// Whether it is the process of this pid and start time.
    pub(super) fn is(&self, pid: i32, start_time: u64) -> bool {
        self.pid == pid && (self.start_time == start_time || self.start_time == 0)
    }
}

/// All children that have ended since the last call. Each is looked at while it is still a zombie, so that
/// its start time goes with its pid.
pub(super) fn children() -> Vec<Ended> {
    let mut all = Vec::new();
    let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    loop {
        match nix::sys::wait::waitid(Id::All, look) {
            Ok(WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, _, _)) => {
                all.extend(take(pid.as_raw()))
            }
            // nix does not know real-time signals, so this child is taken unseen.
            Err(nix::Error::EINVAL) => match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) => {
                    let code = status.terminating_signal().and_then(signal_code);
                    all.push(Ended { pid: pid.as_raw_pid(), start_time: 0, code });
                }
                _ => return all,
            },
            _ => return all,
        }
    }
}

fn take(pid: i32) -> Option<Ended> {
    let start_time = process::stat(pid).map_or(0, |stat| stat.start_time);
    let take = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    let status = waitid(WaitId::Pid(Pid::from_raw(pid)?), take).ok()??;
    Some(Ended { pid, start_time, code: code(&status) })
}

fn code(status: &WaitIdStatus) -> Option<u8> {
    match status.exit_status() {
        Some(code) => u8::try_from(code).ok(),
        None => status.terminating_signal().and_then(signal_code),
    }
}

fn signal_code(number: i32) -> Option<u8> {
    u8::try_from(number).ok().and_then(|number| number.checked_add(128))
}

/// Containers that have ended and are somebody else's children: a keeper before this one made them.
pub(super) fn others(outputs: &BTreeMap<ContainerId, Output>) -> Vec<Ended> {
    let Some(boot_id) = process::boot_id() else { return Vec::new() };
    let mut ended = Vec::new();
    for output in outputs.values() {
        let (Some(pidfd), watch) = (&output.pidfd, &output.watch) else { continue };
        let (pid, start_time) = (watch.pid, watch.start_time);
        let process = naru_runtime::Identity { boot_id: boot_id.clone(), pid, start_time };
        if let Some(status) = process.outcome(pidfd.as_fd()) {
            let code = status.code().and_then(|code| u8::try_from(code).ok());
            ended.push(Ended { pid, start_time, code });
        }
    }
    ended
}
