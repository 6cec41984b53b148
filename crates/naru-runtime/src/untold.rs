//! Children that nobody told the caller of.
//!
//! A process that enters a container makes its copy inside as a child of the caller and then tells of it; killed between
//! the two (by the kernel for want of memory, or by the end of the control group that it has joined) it leaves a child
//! whose number the caller never learns. The copy ends by itself, since it goes on only when it has been told of; but
//! until it is reaped, the kernel does not let the container's first process end (pid_namespaces(7)).

use std::time::{Duration, Instant};

use fs_err as fs;
use rustix::process::{Pid, WaitId, WaitIdOptions};

/// How long the copy may take to see that nobody will tell of it.
const PATIENCE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_micros(200);

/// What is known of a process by /proc, also when it waits to be reaped (proc_pid_stat(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    name: String,
    is_zombie: bool,
    start_time: u64,
    /// In how many pid namespaces it has a number.
    depth: usize,
}

impl Seen {
    pub(crate) fn of(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let (before, after) = stat.rsplit_once(')')?;
        let mut fields = after.split_whitespace();
        Some(Self {
            name: before.split_once('(')?.1.to_owned(),
            is_zombie: fields.next()? == "Z",
            start_time: fields.nth(18)?.parse().ok()?,
            depth: status
                .lines()
                .find_map(|line| line.strip_prefix("NSpid:"))?
                .split_whitespace()
                .count(),
        })
    }

    /// Whether it can be the copy that the process `entering`, which has ended, made inside a container.
    fn is_copy_of(&self, entering: &Self) -> bool {
        self.name == entering.name
            && self.depth > entering.depth
            && self.start_time >= entering.start_time
    }
}

/// Reaps the copy of `entering`, which has ended without a word and was reaped. A copy that the caller was told of is
/// another program by then, or is left alone until it is.
pub(crate) fn reap_copies(entering: &Seen) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut waits = false;
        for pid in children() {
            match Seen::of(pid) {
                Some(child) if !child.is_copy_of(entering) => {}
                Some(child) if child.is_zombie => reap(pid),
                Some(_) => waits = true,
                None => {}
            }
        }
        if !waits || Instant::now() >= deadline {
            return;
        }
        std::thread::sleep(PAUSE);
    }
}

fn reap(pid: i32) {
    if let Some(pid) = Pid::from_raw(pid) {
        // Whoever was quicker has done the same.
        let _ = rustix::process::waitid(
            WaitId::Pid(pid),
            WaitIdOptions::EXITED | WaitIdOptions::NOHANG,
        );
    }
}

/// The children of all threads of this process (proc_pid_task(5), `children`); none where the kernel does not tell.
fn children() -> Vec<i32> {
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().filter_map(Result::ok);
    let lists =
        threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let lists: Vec<String> = lists.collect();
    lists
        .iter()
        .flat_map(|list| list.split_whitespace())
        .filter_map(|pid| pid.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(name: &str, start_time: u64, depth: usize) -> Seen {
        Seen { name: name.to_owned(), is_zombie: true, start_time, depth }
    }

    #[test]
    fn a_copy_is_of_the_same_program_deeper_and_not_older() {
        let entering = seen("naru", 7, 2);
        assert!(seen("naru", 7, 3).is_copy_of(&entering));
        assert!(!seen("sleep", 8, 3).is_copy_of(&entering));
        assert!(!seen("naru", 8, 2).is_copy_of(&entering));
        assert!(!seen("naru", 6, 3).is_copy_of(&entering));
    }

    #[test]
    fn a_child_that_has_ended_is_seen_until_it_is_reaped() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id().cast_signed();
        let end = Instant::now() + Duration::from_secs(10);
        while !Seen::of(pid).is_some_and(|seen| seen.is_zombie) && Instant::now() < end {
            std::thread::sleep(PAUSE);
        }
        assert!(children().contains(&pid));
        reap(pid);
        assert!(!children().contains(&pid));
        assert_eq!(Seen::of(pid), None);
        drop(child.wait());
    }
}
