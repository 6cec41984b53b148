//! Setting right what was found. Each step is done for itself: what cannot be done stays found.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fs_err as fs;
use naru_image::Store;
use naru_net::network;
use naru_runtime::Cgroup;
use naru_state::{ContainerId, Directories, Lock, ProjectName, atomic, record};

use super::{Finding, Remedy};
use crate::client::Client;
use crate::protocol::{Reply, Request};

/// Sets one finding right and says how.
///
/// # Errors
/// When that is not possible; what was found is then as it was.
pub fn repair(directories: &Directories, finding: &Finding) -> io::Result<String> {
    let project = finding.project.as_ref();
    match &finding.remedy {
        Remedy::Rewrite(path) => {
            rewrite(directories, project)?;
            Ok(format!("written again from memory: {}", path.display()))
        }
        Remedy::SetAside(path) => {
            let _lock = project.map(|name| alone(directories, name)).transpose()?;
            set_aside(directories, path)
        }
        Remedy::SetContainerAside(id) => {
            let name = project.ok_or(io::ErrorKind::InvalidInput)?;
            let _lock = alone(directories, name)?;
            let group = Cgroup::new(crate::cgroup_path(directories, name, id));
            remove_group(&group.map_err(io::Error::other)?)?;
            drop(fs::remove_dir_all(directories.project(name).container_run(id)));
            set_aside(directories, &directories.project(name).container(id))
        }
        Remedy::Remove(path) => {
            remove(path)?;
            // Only when no other project is there.
            drop(fs::remove_dir(directories.run()));
            Ok("removed".to_owned())
        }
        Remedy::MakeVolume(name) => make_volume(directories, name),
        Remedy::RemoveGroup(path) => {
            remove_group(&Cgroup::new(path).map_err(io::Error::other)?)?;
            Ok("what was in it is ended".to_owned())
        }
        Remedy::RemoveLinks(group) => {
            network::delete_group(*group).map_err(io::Error::other)?;
            Ok("removed".to_owned())
        }
        Remedy::RemoveTable(id) => {
            crate::supervisor::remove_table(directories, id).map_err(io::Error::other)?;
            drop(fs::remove_dir(directories.run()));
            Ok("removed".to_owned())
        }
        Remedy::Unmount(place) => {
            rustix::mount::unmount(place, rustix::mount::UnmountFlags::DETACH)?;
            Ok("unmounted".to_owned())
        }
        Remedy::End(process) => {
            end(process)?;
            Ok("ended; the next command on the project starts another".to_owned())
        }
        Remedy::Image(flaw) => {
            let store = Store::open(&directories.images()).map_err(io::Error::other)?;
            let place = damaged(directories)?;
            store.set_aside(flaw, &place).map_err(io::Error::other)?;
            Ok(format!("set aside in {}", place.display()))
        }
        Remedy::ByHand(hint) => Err(io::Error::other(*hint)),
    }
}

/// Nobody else may change the project meanwhile.
fn alone(directories: &Directories, name: &ProjectName) -> io::Result<Lock> {
    crate::client::make_private(directories.run())?;
    let own = directories.project(name);
    crate::client::make_private(own.run())?;
    let holder = format!("pid {}: system check", std::process::id());
    Lock::try_take(&own.lock_file(), &holder).map_err(io::Error::other)
}

fn rewrite(directories: &Directories, project: Option<&ProjectName>) -> io::Result<()> {
    let name = project.ok_or(io::ErrorKind::InvalidInput)?;
    let gone = || io::Error::other("the project's supervisor has gone meanwhile");
    let mut client = Client::connect(&directories.project(name))?.ok_or_else(gone)?;
    client.send(&Request::Rewrite)?;
    loop {
        match client.next_reply()?.ok_or_else(gone)? {
            Reply::Done => return Ok(()),
            Reply::Failed(failure) => {
                let words: Vec<_> =
                    std::iter::once(failure.message).chain(failure.causes).collect();
                return Err(io::Error::other(words.join(": ")));
            }
            _ => {}
        }
    }
}

/// A directory of this very repair.
fn damaged(directories: &Directories) -> io::Result<PathBuf> {
    let place = directories.data().join("damaged").join(record::now_ns().to_string());
    fs::create_dir_all(&place)?;
    Ok(place)
}

fn set_aside(directories: &Directories, path: &Path) -> io::Result<String> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let place = damaged(directories)?.join(name);
    match fs::rename(path, &place) {
        // The run directory is on another file system.
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices && path.is_file() => {
            fs::copy(path, &place)?;
            fs::remove_file(path)?;
        }
        renamed => renamed?,
    }
    Ok(format!("set aside as {}", place.display()))
}

fn remove(path: &Path) -> io::Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn remove_group(group: &Cgroup) -> io::Result<()> {
    if group.processes().is_ok_and(|processes| !processes.is_empty()) {
        group.kill_all().map_err(io::Error::other)?;
    }
    group.remove().map_err(io::Error::other)?;
    group.remove_upwards(Duration::from_secs(1));
    Ok(())
}

/// Its record as far as its name and its containers tell; its content as it is.
fn make_volume(directories: &Directories, name: &str) -> io::Result<String> {
    let path = directories.volume(name);
    fs::create_dir_all(path.join("_data"))?;
    let file = path.join("volume.json");
    let known: Option<record::Volume> = atomic::load(&file).ok().flatten();
    if known.is_some_and(|known| known.name == name) {
        return Ok("made its folder _data".to_owned());
    }
    if file.exists() {
        set_aside(directories, &file)?;
    }
    let volume = record::Volume {
        version: record::VERSION,
        name: name.to_owned(),
        config_hash: String::new(),
        project: None,
        anonymous: ContainerId::try_from(name.to_owned()).is_ok(),
        created_ns: record::now_ns(),
        labels: Default::default(),
    };
    let volume = as_defined(directories, volume);
    atomic::save_durable(&file, &volume).map_err(io::Error::other)?;
    Ok("wrote its record again; its content is as it was".to_owned())
}

/// What the projects say of a volume of this name.
fn as_defined(directories: &Directories, mut volume: record::Volume) -> record::Volume {
    for name in crate::observe::recorded_projects(directories).unwrap_or_default() {
        let own = directories.project(&name);
        let project: Option<record::Project> = atomic::load(&own.project_file()).ok().flatten();
        let model = project.and_then(|project| {
            serde_json::from_value::<naru_compose::project::Project>(project.model).ok()
        });
        for (key, defined) in model.into_iter().flat_map(|model| model.volumes) {
            if defined.name == volume.name {
                volume.config_hash = naru_plan::hash::volume(&defined);
                volume.project = Some((name.clone(), key));
                volume.labels = defined.labels;
                return volume;
            }
        }
    }
    volume
}

/// Ends a process, if it is still the one that is meant.
pub(crate) fn end(process: &naru_state::process::Identity) -> io::Result<()> {
    let naru_state::process::Identity { boot_id, pid, start_time } = process.clone();
    let identity = naru_runtime::Identity { boot_id, pid, start_time };
    match identity.open().map_err(io::Error::other)? {
        Some(pidfd) => {
            Ok(rustix::process::pidfd_send_signal(&pidfd, rustix::process::Signal::KILL)?)
        }
        None => Ok(()),
    }
}
