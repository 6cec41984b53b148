//! The keeper's lock: a project has one keeper, and who becomes the next one when it is gone.

use std::io;
use std::time::{Duration, Instant};

use naru_runtime::Cgroup;
use naru_state::{Lock, LockError, ProjectDirectories};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::role::Role;

/// How long a keeper that was killed may take to let go of its lock: its descriptors are closed one after the other,
/// and on a busy machine the one that tells of its death long before that of the lock.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// How long a keeper that nobody called waits for processes of an earlier one to end, or to get into their work.
const OTHERS_PATIENCE: Duration = Duration::from_millis(50);

/// What a keeper's lock says before its pid.
const HOLDER: &str = "pid ";

/// What the lock of a process says that holds it only to see whether it may be the keeper.
const CANDIDATE: &str = "candidate";

fn holder(own: &ProjectDirectories) -> String {
    format!("{HOLDER}{}: keeper of {}", std::process::id(), own.name())
}

/// The lock of the project's one keeper, or what its holder says of itself.
fn try_lock(own: &ProjectDirectories, holder: &str) -> io::Result<Result<Lock, String>> {
    match Lock::try_take(&own.keeper_lock_file(), holder) {
        Ok(lock) => Ok(Ok(lock)),
        Err(LockError::Held { holder, .. }) => Ok(Err(holder)),
        Err(error) => Err(io::Error::other(error)),
    }
}

/// The lock for a keeper that was called in the place of one that is gone: the end of that one is waited for, and no other
/// keeper's. Nothing when another one lives, which somebody else has begun; a mere candidate gives way.
pub(super) fn take_after(role: &Role, own: &ProjectDirectories) -> io::Result<Option<Lock>> {
    let deadline = Instant::now() + LOCK_PATIENCE;
    loop {
        let holder = match try_lock(own, &holder(own))? {
            Ok(lock) => return Ok(Some(lock)),
            Err(holder) => pid_of(&holder),
        };
        let is_other = |pid: i32| {
            let ends = naru_state::process::stat(pid).is_none_or(|stat| stat.is_ending);
            !ends && crate::check::role_of(pid, &role.directories).is_some()
        };
        if holder.is_some_and(is_other) || Instant::now() > deadline {
            return Ok(None);
        }
        // The lock goes before the process; a copy of it may be in a child for a moment.
        wait_for_end(holder);
    }
}

/// The keeper that holds a lock, by what it says; not a candidate.
fn pid_of(holder: &str) -> Option<i32> {
    holder.strip_prefix(HOLDER)?.split(':').next()?.parse().ok()
}

/// Waits a moment, and no longer than a process takes to end.
fn wait_for_end(process: Option<i32>) {
    const MOMENT: Duration = Duration::from_millis(1);
    let process = process.and_then(Pid::from_raw);
    let pidfd = process.map(|pid| pidfd_open(pid, PidfdFlags::empty()));
    match pidfd {
        Some(Ok(pidfd)) => {
            let moment = Timespec::try_from(MOMENT).ok();
            // Looked at again in any case.
            let _ended = poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], moment.as_ref());
        }
        _ => std::thread::sleep(MOMENT),
    }
}

/// The lock for a keeper that no supervisor has called; nothing while one of an earlier keeper lives. What that one holds
/// of containers, nobody else has: it calls a keeper that gets it, and must not find this one in its place. It need not
/// have its socket yet, so the command that started this keeper may not have found it.
pub(super) fn take_alone(role: &Role, own: &ProjectDirectories) -> io::Result<Option<Lock>> {
    let deadline = Instant::now() + OTHERS_PATIENCE;
    loop {
        let Ok(mut lock) = try_lock(own, CANDIDATE)? else { return Ok(None) };
        // Looked for with the lock held: nobody becomes a keeper meanwhile, and only keepers start supervisors.
        if !has_others(role, own) {
            lock.say(&holder(own))?;
            return Ok(Some(lock));
        }
        drop(lock);
        if Instant::now() > deadline {
            tracing::info!("the project has a supervisor");
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Whether a process of an earlier keeper or its supervisor is there, and a container that it may hold something of.
fn has_others(role: &Role, own: &ProjectDirectories) -> bool {
    if crate::observe::ids(own).is_ok_and(|ids| ids.is_empty()) {
        return false;
    }
    let group = Cgroup::new(crate::own_cgroup_path(&role.directories, &role.project));
    let all = group.and_then(|group| group.processes()).unwrap_or_default();
    let is_other = |pid: &i32| {
        pid.cast_unsigned() != std::process::id()
            && crate::check::role_of(*pid, &role.directories).is_some()
    };
    all.iter().any(is_other)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use naru_state::{Directories, ProjectName};

    use super::*;

    fn project(folder: &tempfile::TempDir) -> (Role, ProjectDirectories) {
        let path = |name| folder.path().join(name);
        let directories = Directories::new(path("data"), path("run"));
        let name = ProjectName::new("shop").unwrap();
        let own = directories.project(&name);
        fs_err::create_dir_all(own.run()).unwrap();
        (Role::first(&directories, &name).unwrap(), own)
    }

    /// A process with the command line of the project's keeper, which only waits.
    fn keeper(role: &Role, folder: &tempfile::TempDir) -> std::process::Child {
        use std::os::unix::process::CommandExt;
        fs_err::write(folder.path().join(crate::role::KEEPER), "read forever").unwrap();
        let mut command = Command::new("/bin/sh");
        command.arg0("naru").args(role.arguments(crate::role::KEEPER)).current_dir(folder.path());
        command.stdin(std::process::Stdio::piped()).spawn().unwrap()
    }

    fn hold(own: &ProjectDirectories, pid: u32) -> Lock {
        Lock::try_take(&own.keeper_lock_file(), &format!("{HOLDER}{pid}: keeper of shop")).unwrap()
    }

    #[test]
    fn the_lock_of_a_keeper_that_ends_is_waited_for_and_had_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let (role, own) = project(&folder);
        let mut dead = Command::new("true").spawn().unwrap();
        let held = hold(&own, dead.id());
        dead.wait().unwrap();
        let begin = Instant::now();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| take_after(&role, &own).unwrap());
            std::thread::sleep(Duration::from_millis(20));
            assert!(!waiting.is_finished(), "it is not had while it is held");
            drop(held);
            assert!(waiting.join().unwrap().is_some());
        });
        assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
    }

    /// Both would give up else: the candidate since it finds the called one, and the called one for the candidate.
    #[test]
    fn a_candidate_does_not_send_away_the_keeper_that_was_called() {
        let folder = tempfile::tempdir().unwrap();
        let (role, own) = project(&folder);
        let held = try_lock(&own, CANDIDATE).unwrap().unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| take_after(&role, &own).unwrap());
            std::thread::sleep(Duration::from_millis(20));
            assert!(!waiting.is_finished(), "it is not had while it is held");
            drop(held);
            assert!(waiting.join().unwrap().is_some());
        });
    }

    #[test]
    fn a_keeper_that_finds_another_one_alive_gives_up_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let (role, own) = project(&folder);
        let mut other = keeper(&role, &folder);
        let _held = hold(&own, other.id());
        let begin = Instant::now();
        assert!(take_after(&role, &own).unwrap().is_none());
        assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
        other.kill().unwrap();
        other.wait().unwrap();
    }
}
