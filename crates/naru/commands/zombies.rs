//! Processes that have ended and that their container's first process does not collect.

use fs_err as fs;
use naru_supervisor::observe::Seen;

/// So many are no coincidence: any program may have one or two for a moment.
const MANY: usize = 10;

/// What there is to say of a container about them.
pub(super) fn note(seen: &Seen) -> Option<String> {
    let process = seen.state.process.as_ref().filter(|process| process.is_alive())?;
    let pid = process.pid;
    // Who has lost its parent is the first process's child. Kernels without CONFIG_PROC_CHILDREN do not tell.
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    let count = children.split_whitespace().filter(|child| has_ended(child)).count();
    let name = &seen.record.name;
    (count >= MANY).then(|| {
        format!(
            "{name} has {count} zombies: its first process does not collect what has ended; set `init: true`"
        )
    })
}

/// The state stands behind the name, which may hold anything (proc_pid_stat(5)).
fn has_ended(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('Z'))
}
