//! A container's specification on disk: written at each start, read by whoever runs something inside.

use std::io;
use std::path::PathBuf;

use naru_state::{ContainerId, ProjectDirectories, atomic};
use oci_spec::runtime::Spec;

/// Keeps the specification that a container is started with, until it is started again.
///
/// # Errors
/// When it cannot be written.
pub fn save(
    directories: &ProjectDirectories,
    id: &ContainerId,
    spec: &Spec,
) -> Result<(), atomic::Error> {
    atomic::save_volatile(&path(directories, id), spec)
}

/// The specification that a container was last started with.
///
/// # Errors
/// When it cannot be read, or the container was never started.
pub fn load(directories: &ProjectDirectories, id: &ContainerId) -> Result<Spec, atomic::Error> {
    let spec = atomic::load(&path(directories, id))?;
    spec.ok_or_else(|| atomic::Error::File(io::ErrorKind::NotFound.into()))
}

fn path(directories: &ProjectDirectories, id: &ContainerId) -> PathBuf {
    directories.container(id).join("spec.json")
}
