//! Named and anonymous volumes: a directory and a record each.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use fs_err as fs;
use naru_state::{Directories, ProjectName, atomic, record};

use super::Supervisor;
use super::event::Event;
use super::operation::StepOf;
use crate::protocol::Failure;

impl Supervisor {
    /// Makes a named volume.
    pub(super) fn create_volume(&mut self, key: &str, name: &str) -> Result<(), Failure> {
        let model = self.model.volumes.get(key).cloned().unwrap_or_default();
        let volume = record::Volume {
            version: record::VERSION,
            name: name.to_owned(),
            config_hash: naru_plan::hash::volume(&model),
            project: Some((self.project.clone(), key.to_owned())),
            anonymous: false,
            created_ns: record::now_ns(),
            labels: model.labels,
        };
        create(&self.directories, &volume)
            .map_err(|error| Failure::from_error(&error).at(format!("volumes.{key}")))
    }

    /// Takes a volume away with its data.
    pub(super) fn remove_volume(&mut self, name: &str, step: StepOf) {
        let path = self.directories.volume(name);
        let events = self.events.clone();
        tokio::task::spawn_blocking(move || {
            let removed = remove(&path).map_err(|error| Failure::from_error(&error));
            drop(events.send(Event::StepEnded(step.operation, step.step, removed)));
        });
    }
}

/// Makes the directory of a volume and its record.
pub(super) fn create(
    directories: &Directories,
    volume: &record::Volume,
) -> Result<(), atomic::Error> {
    let directory = directories.volume(&volume.name);
    let made = fs::create_dir_all(directory.join("_data"));
    made.map_err(atomic::Error::File)?;
    atomic::save_volatile(&directory.join("volume.json"), volume)
}

/// A volume made for one container's mount alone.
pub(super) fn create_anonymous(
    directories: &Directories,
    project: &ProjectName,
    target: &str,
) -> Result<String, atomic::Error> {
    let id = naru_state::ContainerId::random().map_err(atomic::Error::File)?;
    let volume = record::Volume {
        version: record::VERSION,
        name: id.as_str().to_owned(),
        config_hash: String::new(),
        project: Some((project.clone(), target.to_owned())),
        anonymous: true,
        created_ns: record::now_ns(),
        labels: BTreeMap::new(),
    };
    create(directories, &volume)?;
    Ok(volume.name)
}

/// A volume that is in no file, unless there is one of that name.
pub(super) fn create_foreign(directories: &Directories, name: &str) -> Result<(), atomic::Error> {
    if directories.volume(name).join("volume.json").exists() {
        return Ok(());
    }
    let volume = record::Volume {
        version: record::VERSION,
        name: name.to_owned(),
        config_hash: String::new(),
        project: None,
        anonymous: false,
        created_ns: record::now_ns(),
        labels: BTreeMap::new(),
    };
    create(directories, &volume)
}

/// Removes a volume; that there is none is no error.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// All volumes of this root.
pub(super) fn all(directories: &Directories) -> io::Result<Vec<record::Volume>> {
    let entries = match fs::read_dir(directories.volumes()) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut volumes = Vec::new();
    for entry in entries {
        // One whose record is missing or damaged was never finished.
        volumes.extend(atomic::load(&entry?.path().join("volume.json")).ok().flatten());
    }
    Ok(volumes)
}
