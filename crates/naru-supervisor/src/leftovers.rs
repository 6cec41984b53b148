//! Probes that nobody waits for any more, because the supervisor that did has ended.

use fs_err as fs;
use naru_state::process;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::role::Role;

/// Ends those children of this process that are in a container of the project and not among `spared`: a probe of a
/// supervisor that is gone would run for ever where nobody ends it at its time limit.
pub(crate) fn end(role: &Role, spared: &[i32]) {
    let within = format!("{}/", crate::project_cgroup_path(&role.directories, &role.project));
    for pid in children().into_iter().filter(|pid| !spared.contains(pid)) {
        let own = pidfd(pid).filter(|_| is_within(pid, &within));
        // One that has just ended is what is wanted.
        let _sent = own.map(|own| pidfd_send_signal(own, Signal::KILL));
    }
}

fn pidfd(pid: i32) -> Option<std::os::fd::OwnedFd> {
    // A child's pid is its own until this process has reaped it.
    pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()
}

/// This process's children, of all its threads (proc_pid_task_children(5)).
fn children() -> Vec<i32> {
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().filter_map(Result::ok);
    let lists =
        threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| list.split(' ').filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}

/// Whether a process is in one of the project's containers: in a group below the project's that is not naru's own.
fn is_within(pid: i32, project: &str) -> bool {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    process::stat(pid).is_some()
        && groups.lines().any(|line| {
            let below = line.split_once(project).map(|(_, below)| below);
            below.is_some_and(|below| below != "naru" && !below.is_empty())
        })
}
