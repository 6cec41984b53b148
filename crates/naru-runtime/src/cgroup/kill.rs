//! Killing all processes of a group.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::time::Duration;

use rustix::io::Errno;

use super::{Cgroup, cgroup_error, collect_processes, files};
use crate::Error;

/// Rounds of freeze, kill, thaw on kernels without `cgroup.kill`.
const KILL_ROUNDS: usize = 20;

impl Cgroup {
    /// Kills every process in the group and below, and returns when the kernel accepted it; it
    /// does not wait until they are gone. Frozen ones are killed too.
    ///
    /// By `cgroup.kill` (Linux 5.14); before that by rounds of freezing the group, killing what is in it and
    /// thawing it, until nothing is left.
    ///
    /// # Errors
    /// When processes are left after several rounds, or the kernel's files cannot be used.
    pub fn kill_all(&self) -> Result<(), Error> {
        if let Some(unified) = self.unified() {
            let file = unified.join("cgroup.kill");
            match files::write(&file, "1") {
                Ok(()) => return self.kill_outside(&unified),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(cgroup_error("kill", &file, source)),
            }
        }
        self.kill_in_rounds()
    }

    /// As [`kill_all`](Self::kill_all) on kernels before 5.14, which have no `cgroup.kill`; works on all.
    ///
    /// # Errors
    /// When processes are left after several rounds, or the kernel's files cannot be used.
    pub fn kill_in_rounds(&self) -> Result<(), Error> {
        if self.hierarchies.is_empty() {
            return Ok(());
        }
        let frozen = self.try_freeze(true);
        let result = self.kill_rounds();
        if frozen {
            self.try_freeze(false);
        }
        result
    }

    /// After `cgroup.kill` of a hybrid host: whatever left the v2 group but not the v1 groups.
    fn kill_outside(&self, unified: &Path) -> Result<(), Error> {
        if self.hierarchies.len() == 1 {
            return Ok(());
        }
        let mut killed = BTreeSet::new();
        collect_processes(unified, &mut killed)?;
        for pid in self.processes()? {
            if !killed.contains(&pid) {
                kill(pid);
            }
        }
        Ok(())
    }

    fn kill_rounds(&self) -> Result<(), Error> {
        for _ in 0..KILL_ROUNDS {
            let pids = self.processes()?;
            let alive = pids.into_iter().filter(|pid| !is_zombie(*pid));
            if alive.map(kill).count() == 0 {
                return Ok(());
            }
            self.try_freeze(false);
            std::thread::sleep(Duration::from_millis(1));
            self.try_freeze(true);
        }
        let source = io::Error::from_raw_os_error(Errno::BUSY.raw_os_error());
        Err(cgroup_error("kill all processes of", &self.path(), source))
    }
}

fn kill(pid: i32) {
    if let Some(pid) = rustix::process::Pid::from_raw(pid) {
        // The process may be gone already, which is what is wanted.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

/// v2 lists zombies whose thread group has more to it; they are dead all the same.
fn is_zombie(pid: i32) -> bool {
    let stat = files::read(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    matches!(state, None | Some('Z' | 'X'))
}
