//! Taking a container away: its files, its cgroup, its volumes when asked. Its log stays.

use std::io;
use std::path::PathBuf;

use fs_err as fs;
use naru_runtime::Cgroup;
use naru_state::{ContainerId, ProjectDirectories, log, record};

use super::Supervisor;
use super::container::Live;
use super::event::Event;
use super::operation::StepOf;
use crate::logging::{self, Keep};
use crate::protocol::{Failure, Reply};

impl Supervisor {
    /// The control group of a container.
    pub(super) fn cgroup(&self, id: &ContainerId) -> Cgroup {
        let path = crate::cgroup_path(&self.directories, &self.project, id);
        // Fails for relative paths and `..` only, and neither names nor ids can hold those.
        Cgroup::within(&self.hierarchies, path).unwrap_or_else(|_| Cgroup::none())
    }

    /// Removes a container that does not run.
    pub(super) fn remove_container(
        &mut self,
        id: &ContainerId,
        anonymous_volumes: bool,
        step: StepOf,
    ) {
        self.tell(id, "destroy");
        let Some(live) = self.containers.remove(id) else { return self.end_step(step, Ok(())) };
        self.may_last();
        self.end_forwarding(id);
        self.release_unused_ports(&live.record.ports);
        self.refresh_names();
        let volumes = match anonymous_volumes {
            true => live.record.anonymous_volumes.clone(),
            false => Vec::new(),
        };
        let volumes: Vec<_> = volumes.iter().map(|name| self.directories.volume(name)).collect();
        let (own, cgroup, events, id) =
            (self.own.clone(), self.cgroup(id), self.events.clone(), id.clone());
        let log = own_log(&self.own, &live.record);
        let client = self.operation.as_ref().map(|operation| operation.client.clone());
        tokio::task::spawn_blocking(move || {
            let lost = if log.is_none() { bring_back(&own, &live) } else { None };
            if let Some((lost, client)) = lost.zip(client) {
                drop(client.send(Reply::Notice(lost)));
            }
            let mut removed = remove_files(&own, &cgroup, &id).and(remove_log(log));
            for volume in volumes {
                removed = removed.and(super::volumes::remove(&volume));
            }
            let result = removed.map_err(|error| Failure::from_error(&error));
            drop(events.send(Event::StepEnded(step.operation, step.step, result)));
        });
    }

    /// Gives a container its real name.
    pub(super) fn rename_container(&mut self, id: &ContainerId, name: &str) -> Result<(), Failure> {
        let Some(live) = self.containers.get_mut(id) else { return Ok(()) };
        let old = std::mem::replace(&mut live.record.name, name.to_owned());
        let record = live.record.clone();
        self.tell_of(id, "rename", naru_state::record::now_ns(), &[("oldName", format!("/{old}"))]);
        let saved = self.save(&self.own.container_file(id), &record);
        saved.map_err(|error| Failure::from_error(&error))
    }
}

/// Brings what a container had last written on a full disk into its log, before its files go; where there is no room yet,
/// those make some. Gives what is to be said of what is lost.
fn bring_back(own: &ProjectDirectories, live: &Live) -> Option<String> {
    let record = &live.record;
    let (aside, directory) = (own.aside(&record.id), logging::directory(own, record));
    let limits = Keep::of(record).limits;
    let back = || log::bring_back(&aside, &directory, limits, live.state.generation);
    let Err(error) = back() else { return None };
    tracing::warn!(container = %record.name, %error, "its last output has no room");
    let files = fs::read_dir(own.container(&record.id)).into_iter().flatten().flatten();
    // The record says what it is to whoever finds it half removed.
    let is_record = |path: &PathBuf| *path == own.container_file(&record.id);
    for path in files.map(|entry| entry.path()).filter(|path| !is_record(path)) {
        // What stays is removed with its directory, or that is the error.
        let _made_room = fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path));
    }
    let error = back().err()?;
    let bytes = log::lies_aside(&aside, &directory);
    Some(format!(
        "container {}: the last {bytes} bytes of its output are lost: {error}",
        record.name
    ))
}

/// The log that goes with its container: of one that is no replica, so that not each call of `run` leaves one.
pub(super) fn own_log(own: &ProjectDirectories, record: &record::Container) -> Option<PathBuf> {
    record.is_one_off().then(|| own.log(&record.name))
}

/// Removes such a log.
pub(super) fn remove_log(log: Option<PathBuf>) -> io::Result<()> {
    log.map_or(Ok(()), |log| log::Writer::clear(&log))
}

/// Removes a container's directories and cgroup.
pub(super) fn remove_files(
    own: &ProjectDirectories,
    cgroup: &Cgroup,
    id: &ContainerId,
) -> io::Result<()> {
    // A supervisor that died while it started the container knows nothing of its processes.
    if cgroup.processes().is_ok_and(|processes| !processes.is_empty()) {
        cgroup.kill_all().map_err(io::Error::other)?;
    }
    let group = cgroup.remove().map_err(io::Error::other);
    let mut result = group;
    for path in [own.container_run(id), own.container(id)] {
        match fs::remove_dir_all(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                result = result.and(Err(error))
            }
            _ => {}
        }
    }
    result
}
