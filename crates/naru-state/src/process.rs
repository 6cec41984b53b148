//! Which process is meant: a pid alone is reused, so boot id and start time go with it.

use std::path::Path;
use std::sync::OnceLock;

use fs_err as fs;
use serde::{Deserialize, Serialize};

/// One process, for good: boot id, pid and start time (field 22 of `/proc/PID/stat`, in clock ticks since boot).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
    /// The pid in naru's own pid namespace.
    pub pid: i32,
    /// Clock ticks after boot at which it started.
    pub start_time: u64,
}

/// The parts of `/proc/PID/stat` that naru asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Field 3: `Z` is a zombie, `X` dead.
    pub state: char,
    /// It has begun to end (`PF_EXITING` in field 9) or has ended: what it holds goes, if it has not.
    pub is_ending: bool,
    /// Field 22.
    pub start_time: u64,
    /// Field 52: the wait status, non-zero only once the process is a zombie.
    pub exit_status: i32,
}

/// `PF_EXITING`, see `include/linux/sched.h` of the kernel.
const EXITING: u64 = 4;

impl Identity {
    /// The identity of a process that runs now; `None` when there is none of this pid.
    pub fn of(pid: i32) -> Option<Self> {
        Some(Self { boot_id: boot_id()?, pid, start_time: stat(pid)?.start_time })
    }

    /// Whether this very process still runs; a zombie does not.
    pub fn is_alive(&self) -> bool {
        boot_id().as_deref() == Some(&self.boot_id)
            && stat(self.pid).is_some_and(|stat| {
                stat.start_time == self.start_time && !matches!(stat.state, 'Z' | 'X')
            })
    }
}

/// This boot's id; `None` where `/proc` is not mounted, or cannot be read for want of descriptors. Once it was read it is
/// known: no process outlives its boot.
pub fn boot_id() -> Option<String> {
    static KNOWN: OnceLock<String> = OnceLock::new();
    if let Some(known) = KNOWN.get() {
        return Some(known.clone());
    }
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(KNOWN.get_or_init(|| text.trim().to_owned()).clone())
}

/// Reads `/proc/PID/stat` (proc_pid_stat(5)); `None` when the process is gone.
pub fn stat(pid: i32) -> Option<Stat> {
    parse(&fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).ok()?)
}

fn parse(text: &str) -> Option<Stat> {
    // The command name may hold anything, so fields are counted from its last parenthesis.
    let fields: Vec<&str> = text[text.rfind(')')? + 1..].split_ascii_whitespace().collect();
    Some(Stat {
        state: fields.first()?.chars().next()?,
        is_ending: fields.get(6)?.parse::<u64>().ok()? & EXITING != 0,
        start_time: fields.get(19)?.parse().ok()?,
        exit_status: fields.get(49)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_alive_and_one_that_started_at_another_time_is_not() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let me = Identity::of(pid).unwrap();
        assert!(me.is_alive());
        assert!(!Identity { start_time: me.start_time + 1, ..me.clone() }.is_alive());
        assert!(!Identity { boot_id: "another".into(), ..me }.is_alive());
    }

    #[test]
    fn a_command_name_with_parentheses_and_spaces_does_not_shift_the_fields() {
        let tail = (4..=52).map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
        let stat = parse(&format!("7 (a) b (c) Z {tail}\n")).unwrap();
        assert_eq!(stat, Stat { state: 'Z', is_ending: false, start_time: 22, exit_status: 52 });
    }
}
