//! Starting the two processes of a project, and having them replaced.

use std::io;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fs_err as fs;
use naru_state::record::Phase;
use naru_state::{Directories, ProjectDirectories, ProjectName, process};

use super::{Client, open};
use crate::observe::{self, Recorded};
use crate::protocol::{Hello, Reply, Request};
use crate::role::{KEEPER, Role, SUPERVISOR};

/// How long the two processes may take to answer after they were started.
const START_DEADLINE: Duration = Duration::from_secs(10);

/// How long a keeper that ended at once may have been right about another one being there; it doubles.
const FIRST_TRY: Duration = Duration::from_millis(10);

/// And the longest; after one that failed in any case.
const TRY_AGAIN: Duration = Duration::from_millis(100);

/// How many keepers may fail before that is said.
const TRIES: u32 = 3;

/// The longest pause between two looks.
const LONGEST_PAUSE: Duration = Duration::from_millis(10);

/// Connects, and starts keeper and supervisor first when the project has none.
pub(super) fn find_or_start(
    directories: &Directories,
    project: &ProjectName,
) -> io::Result<Client> {
    let own = directories.project(project);
    if let Some(client) = Client::connect(&own)? {
        return Ok(client);
    }
    let mut keeper = start_afresh(directories, project)?;
    let deadline = Instant::now() + START_DEADLINE;
    let mut pause = Duration::from_micros(200);
    let mut begun = Instant::now();
    let mut patience = FIRST_TRY;
    let mut failures = 0;
    loop {
        if let Some(client) = Client::connect(&own)? {
            return Ok(client);
        }
        let now = Instant::now();
        let status = keeper.as_mut().map(Child::try_wait).transpose()?;
        let is_over = status.is_none_or(|status| status.is_some());
        let code = status.flatten().map(|status| status.code());
        // One that ended well found another keeper in its place, which may have been about to end with its project; and a
        // project that ends takes the run directory from under a new keeper. One that was killed says nothing.
        let wait = match code {
            Some(None) => Duration::ZERO,
            Some(Some(1..)) => TRY_AGAIN,
            _ => patience,
        };
        if is_over && now > begun + wait {
            failures += u32::from(matches!(code, Some(Some(1..))));
            if failures >= TRIES {
                return Err(no_supervisor(&own));
            }
            keeper = start_afresh(directories, project)?;
            patience = (patience * 2).min(TRY_AGAIN);
            begun = now;
        }
        if now > deadline {
            return Err(no_supervisor(&own));
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Sees to it that what runs of a project is looked after: where both processes have died, they are started again, take
/// over what they find, and the records tell the truth when this returns. Where they are there, or nothing runs,
/// nothing is done.
///
/// # Errors
/// When they cannot be started.
pub fn revive(directories: &Directories, project: &ProjectName) -> io::Result<()> {
    let own = directories.project(project);
    if open(&own)?.is_some() || !needs_somebody(&own) {
        return Ok(());
    }
    find_or_start(directories, project).map(drop)
}

/// Whether a container runs or is to be restarted, as far as is written down, or output of one is still to come to its log.
fn needs_somebody(own: &ProjectDirectories) -> bool {
    let boot_id = process::boot_id();
    let is_of_this_boot = |recorded: &Recorded| {
        let Recorded { state, .. } = recorded;
        let ended = state.exit.as_ref().map(|exit| &exit.process);
        let process = state.process.as_ref().or(ended);
        process.is_some_and(|process| boot_id.as_ref() == Some(&process.boot_id))
    };
    let needs = |recorded: &Recorded| {
        let is_active = matches!(recorded.state.phase, Phase::Running | Phase::Restarting)
            && is_of_this_boot(recorded);
        is_active || own.aside(&recorded.record.id).exists()
    };
    observe::recorded(own).is_ok_and(|all| all.iter().any(needs))
}

/// Lets this program take the place of a project's keeper and supervisor, in place: no container, no descriptor and no
/// connection that waits is touched; connections that go through the supervisor's proxy are reset. Gives who ran the
/// project before; `None` when the project has no processes.
///
/// # Errors
/// When they refuse, or do not answer.
pub fn upgrade(directories: &ProjectDirectories) -> io::Result<Option<Hello>> {
    let own = Hello::own();
    let deadline = Instant::now() + START_DEADLINE;
    let mut before = None;
    while Instant::now() < deadline {
        let Some(mut client) = Client::connect_to_any(directories)? else {
            if before.is_none() {
                return Ok(None);
            }
            // Between two supervisors.
            std::thread::sleep(LONGEST_PAUSE);
            continue;
        };
        if client.hello == own {
            return Ok(Some(before.unwrap_or(own)));
        }
        before.get_or_insert_with(|| client.hello.clone());
        // One that is already asked ends while it is asked: the next look finds who comes then.
        let _asked = client.send(&Request::Upgrade);
        if let Some(Reply::Failed(failure)) = client.next_reply()? {
            let words: Vec<_> = std::iter::once(failure.message).chain(failure.causes).collect();
            return Err(io::Error::other(words.join(": ")));
        }
    }
    Err(io::Error::new(io::ErrorKind::TimedOut, "the processes before are still there"))
}

/// Makes a directory that only its owner can enter.
pub(crate) fn make_private(path: &std::path::Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| {
        let text = format!("failed to create directory `{}`: {error}", path.display());
        io::Error::new(error.kind(), text)
    })
}

/// Why there is no supervisor: the end of what it said about that.
fn no_supervisor(own: &ProjectDirectories) -> io::Error {
    let log = own.run().join("supervisor.log");
    let said = fs::read_to_string(&log).unwrap_or_default();
    let last = last_error(&said).map(|error| format!(": {error}")).unwrap_or_default();
    io::Error::other(format!("the supervisor did not come up (see {}){last}", log.display()))
}

/// What a supervisor said of its end, which a keeper's words may follow; else the last line.
fn last_error(said: &str) -> Option<&str> {
    let of_supervisor = format!(" word={SUPERVISOR:?}");
    let error = said.lines().rev().find_map(|line| {
        let (_, error) = line.strip_suffix(&of_supervisor)?.split_once(" error=")?;
        Some(error)
    });
    error.or_else(|| said.lines().last())
}

/// Ends the processes of a project whose run directory was taken from under them: nobody can talk to them, and two
/// supervisors of one project must not be. Their containers run on.
fn end_unreachable(directories: &Directories, project: &ProjectName) {
    let own = directories.project(project);
    // Without containers it is the directory that has gone with the project, and its processes are about to.
    if own.keeper_lock_file().exists() || observe::ids(&own).is_ok_and(|ids| ids.is_empty()) {
        return;
    }
    let group = naru_runtime::Cgroup::new(crate::own_cgroup_path(directories, project));
    for pid in group.and_then(|group| group.processes()).unwrap_or_default() {
        let is_it = |(_, name): &(_, String)| name == project.as_str();
        let Some(process) = process::Identity::of(pid) else { continue };
        if crate::check::role_of(pid, directories).as_ref().is_some_and(is_it) {
            // One that ends by itself is just as good.
            let _ended = crate::check::end(&process);
        }
    }
}

/// Makes the run directories and starts a keeper there; `None` when they were removed meanwhile.
fn start_afresh(directories: &Directories, project: &ProjectName) -> io::Result<Option<Child>> {
    // A supervisor would refuse to begin, where nobody sees why.
    observe::recorded(&directories.project(project)).map_err(io::Error::other)?;
    end_unreachable(directories, project);
    make_private(directories.run())?;
    make_private(directories.project(project).run())?;
    match start(&Role::first(directories, project)?, None) {
        Ok(keeper) => Ok(Some(keeper)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Starts a keeper, which starts a supervisor or takes over by way of `link`. It must outlive this process and its
/// terminal; whoever waits for this process's children reaps it should it end first.
pub(crate) fn start(role: &Role, link: Option<OwnedFd>) -> io::Result<Child> {
    use std::os::unix::process::CommandExt;
    // Whoever waits for the caller's own descriptors to close, a pipe's reader or a lock, waits for the caller only.
    naru_sys::process::close_on_exec_from(3)?;
    let log = role.directories.project(&role.project).run().join("supervisor.log");
    let log = fs::OpenOptions::new().create(true).append(true).open(log)?;
    Command::new("/proc/self/exe")
        .arg0("naru")
        .args(role.arguments(KEEPER))
        .current_dir("/")
        .stdin(link.map_or_else(Stdio::null, Stdio::from))
        .stdout(Stdio::null())
        .stderr(log.into_parts().0)
        .spawn()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_supervisors_own_word_is_told_rather_than_the_keepers() {
        let said = "1 INFO naru: began\n\
                    2 ERROR naru_supervisor: ended error=failed to create directory `/d`: full word=\"supervisor:\"\n\
                    3 ERROR naru_supervisor: ended error=cannot be kept alive word=\"keeper:\"\n";
        assert_eq!(last_error(said), Some("failed to create directory `/d`: full"));
        assert_eq!(last_error("something else\n"), Some("something else"));
    }
}
