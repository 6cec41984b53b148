//! The socket at which a container says that it is ready (sd_notify(3)).
//!
//! It lies in a folder of its own in the container's directory, which the container sees read-only at
//! `/run/notify`. The folder is made with the container and the socket with the start, by whoever reads
//! it from then on; both go with the container's directory.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use oci_spec::runtime::{Mount, Spec};
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use super::Error;

/// The folder in the container's directory.
const FOLDER: &str = "notify";
/// Where the container sees it, as runc has it.
const TARGET: &str = "/run/notify";
/// The socket in the folder.
const NAME: &str = "notify.sock";

/// Makes the folder of a new container; its configuration with the mount and the variable
/// `NOTIFY_SOCKET`.
pub(super) fn prepare(directory: &Path, spec: &Spec) -> Result<Spec, Error> {
    let folder = directory.join(FOLDER);
    let failed = |source| Error::File { action: "make", path: folder.clone(), source };
    fs_err::create_dir(&folder).map_err(failed)?;
    // Whoever the program runs as has to reach the socket, whatever this process's mask is.
    let mode = std::fs::Permissions::from_mode(0o755);
    fs_err::set_permissions(&folder, mode).map_err(failed)?;
    let mut spec = spec.clone();
    let mut mount = Mount::default();
    let options = ["bind", "nosuid", "noexec", "nodev", "ro"].map(str::to_owned);
    mount
        .set_destination(TARGET.into())
        .set_typ(Some("bind".to_owned()))
        .set_source(Some(folder))
        .set_options(Some(options.to_vec()));
    let mut mounts = spec.mounts().clone().unwrap_or_default();
    mounts.push(mount);
    spec.set_mounts(Some(mounts));
    if let Some(mut process) = spec.process().clone() {
        let mut variables = process.env().clone().unwrap_or_default();
        // Of two variables of one name the later counts.
        variables.push(format!("NOTIFY_SOCKET={TARGET}/{NAME}"));
        process.set_env(Some(variables));
        spec.set_process(Some(process));
    }
    Ok(spec)
}

/// Makes the socket, before the container's program runs; nothing if it has no folder for it.
///
/// `directory` is the container's. Nothing can have been done in the folder by the container, whose
/// program has not run yet.
pub(super) fn listen(directory: impl AsFd) -> Result<Option<OwnedFd>, crate::Error> {
    listen_in(directory)
        .map_err(|errno| crate::Error::host(format!("make the socket {NAME}"), errno))
}

fn listen_in(directory: impl AsFd) -> Result<Option<OwnedFd>, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let folder = match rustix::fs::openat(directory, FOLDER, flags, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(None),
        result => result?,
    };
    // That of a start which was killed before it started anything.
    match rustix::fs::unlinkat(&folder, NAME, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(errno) => return Err(errno),
    }
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?;
    rustix::net::bind(&socket, &crate::start::address(&folder, NAME)?)?;
    // Only the container sees the folder.
    rustix::fs::chmodat(&folder, NAME, Mode::from_raw_mode(0o777), AtFlags::empty())?;
    Ok(Some(socket))
}
