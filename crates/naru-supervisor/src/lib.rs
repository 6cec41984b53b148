//! Keeps a project running: the supervisor's loop, the keeper, the control socket, and `Service → OCI Spec`.
//!
//! A running project has two processes. The **keeper** ([`run_role_if_asked`]) is the parent of everything:
//! small, synchronous, it moves output into logs and records exits. The **supervisor** is its child: it
//! observes, plans (`naru-plan`), applies, checks health and restarts, answers DNS and publishes ports. It
//! rebuilds its picture from records and the kernel, so it may be killed at any time.
//!
//! This crate never parses YAML and never prints. Front ends use [`client::Client`] and [`observe`].

pub mod boot;
pub mod check;
pub mod client;
mod forward;
mod keeper;
pub mod logging;
pub mod network;
pub mod observe;
pub mod protocol;
mod role;
pub mod spec;
mod supervisor;

use std::process::ExitCode;
use std::time::Duration;

use naru_state::{ContainerId, Directories, Lock, ProjectName};

use role::Role;
pub use supervisor::has_bridges;

/// First argument of the process that takes a project's links away while nobody waits for it.
pub(crate) const UNLINK_ROLE: &str = "unlink:";

/// When this process was started as a project's keeper or supervisor, runs it and gives its exit code.
/// `main` calls this before it looks at its arguments.
pub fn run_role_if_asked() -> Option<ExitCode> {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, role, group] = arguments.as_slice()
        && role == UNLINK_ROLE
    {
        return Some(supervisor::unlink(group));
    }
    let (word, role) = Role::parse(arguments.get(1..)?)?;
    // The kernel calls a program that was executed by way of /proc/self/exe `exe`.
    let _named = nix::sys::prctl::set_name(c"naru");
    let ended = match word {
        role::KEEPER => keeper::run(role),
        _ => supervisor::run(role),
    };
    match ended {
        Ok(()) => Some(ExitCode::SUCCESS),
        Err(error) => {
            tracing::error!(%error, word, "ended");
            Some(ExitCode::FAILURE)
        }
    }
}

/// The control group of a container: `/naru/<root id>/<project>/<container id>`.
pub fn cgroup_path(
    directories: &Directories,
    project: &ProjectName,
    container: &ContainerId,
) -> String {
    format!("{}/{container}", project_cgroup_path(directories, project))
}

/// The control group that holds all of a project.
pub(crate) fn project_cgroup_path(directories: &Directories, project: &ProjectName) -> String {
    format!("/naru/{}/{}", directories.root_id(), naru_state::fit(project.as_str(), 100))
}

/// The group of a project's two processes, beside those of its containers.
pub(crate) fn own_cgroup_path(directories: &Directories, project: &ProjectName) -> String {
    format!("{}/naru", project_cgroup_path(directories, project))
}

/// Removes the group of a project's two processes, and those above it that are empty then.
pub(crate) fn remove_own_group(directories: &Directories, project: &ProjectName) {
    // Where control groups cannot be read there is none to remove.
    if let Ok(group) = naru_runtime::Cgroup::new(own_cgroup_path(directories, project)) {
        group.remove_upwards(Duration::from_secs(1));
    }
}

/// Removes what the two processes of a project leave when both are killed after everything else of it has gone, and a
/// command that was killed while it started them: their control group and their volatile files. What somebody is in or
/// holds stays.
pub fn remove_remains(directories: &Directories, project: &ProjectName) {
    remove_own_group(directories, project);
    let own = directories.project(project);
    if !own.run().exists() {
        // Only when no other project runs.
        drop(fs_err::remove_dir(directories.run()));
        return;
    }
    let holder = format!("pid {}: down of {project}", std::process::id());
    // Who has it is at work, and will see to its files.
    let held = [own.keeper_lock_file(), own.lock_file()].map(|lock| Lock::try_take(&lock, &holder));
    if held.iter().any(Result::is_err) {
        return;
    }
    // What cannot be removed is volatile all the same.
    drop(fs_err::remove_dir_all(own.run()));
    drop(fs_err::remove_dir(directories.run()));
}
