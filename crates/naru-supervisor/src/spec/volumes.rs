//! The volumes that an image asks for.

use std::collections::BTreeSet;

use naru_compose::project::Service;

use super::{Error, Image};

/// The paths of the image's VOLUMEs that nothing in the file is mounted at: each gets a volume of the
/// container's own. They are cleaned as in a root file system, so none leads anywhere else.
pub fn anonymous_volumes(service: &Service, image: &Image<'_>) -> Vec<String> {
    let mounts = service.volumes.iter().map(|mount| mount.target.as_str());
    let memory = service.tmpfs.iter().map(|entry| entry.split(':').next().unwrap_or(entry));
    let covered: BTreeSet<String> = mounts.chain(memory).map(clean).collect();
    let wanted: BTreeSet<String> = image.volumes().iter().map(|path| clean(path)).collect();
    wanted.into_iter().filter(|path| path != "/" && !covered.contains(path)).collect()
}

/// An image cannot replace its own root directory.
pub(super) fn check(image: &Image<'_>) -> Result<(), Error> {
    let is_bad = |path: &&String| clean(path) == "/" || path.contains('\0');
    match image.volumes().iter().find(is_bad) {
        Some(path) => {
            Err(Error::invalid("image", format!("its VOLUME {path:?} cannot be mounted")))
        }
        None => Ok(()),
    }
}

/// An absolute path without `.`, `..` and doubled or trailing slashes.
pub(super) fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}
