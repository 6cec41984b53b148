//! Giving a group to the container's user (OCI runtime specification, config-linux, "Cgroup ownership").

use std::path::Path;

use rustix::fs::Uid;
use rustix::io::Errno;

use super::{Cgroup, cgroup_error, files};
use crate::Error;

/// Where the kernel lists the files that the owner of a group may write (Linux 4.15).
const LIST: &str = "/sys/kernel/cgroup/delegate";

/// Those of a kernel that does not list them.
const FILES: &str = "cgroup.procs cgroup.subtree_control cgroup.threads";

impl Cgroup {
    /// Gives the v2 group to a user of the host: the directory and what the kernel lets an owner change, so that the
    /// user can make groups below it. Its limits stay root's. Where there is v1, nothing is given away.
    ///
    /// # Errors
    /// When the owner cannot be changed.
    pub(crate) fn give_to(&self, uid: u32) -> Result<(), Error> {
        let ([only], Some(group)) = (self.hierarchies.as_slice(), self.unified()) else {
            return Ok(());
        };
        debug_assert!(only.is_unified());
        let give = |path: &Path| match rustix::fs::chown(path, Some(Uid::from_raw(uid)), None) {
            // A file of a controller that the group does not have.
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(cgroup_error("change the owner of", path, errno.into())),
        };
        give(&group)?;
        let list = files::read(LIST).unwrap_or_else(|_| FILES.to_owned());
        list.split_whitespace().try_for_each(|name| give(&group.join(name)))
    }
}
