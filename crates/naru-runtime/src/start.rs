//! Starting a container that somebody else created, from the caller's side.
//!
//! The container's first process holds a listening socket and nothing of its creator. Whoever can
//! reach the socket's file may start the container, so it belongs into a directory that only root
//! can enter.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::Error;
use crate::wire::{Channel, Report};

/// Makes the socket `name` in `directory` for [`Create::waits_at`](crate::Create::waits_at).
///
/// # Errors
/// `EADDRINUSE` when there is a file of that name.
pub fn listen(directory: impl AsFd, name: &str) -> Result<OwnedFd, Error> {
    let make = || {
        let socket = socket()?;
        rustix::net::bind(&socket, &address(&directory, name)?)?;
        rustix::net::listen(&socket, 8)?;
        Ok(socket)
    };
    make().map_err(|errno: Errno| Error::host(format!("make the socket {name}"), errno))
}

/// Starts the container that waits at the socket `name` in `directory`, and returns when its
/// command runs.
///
/// # Errors
/// [`Error::Setup`] with [`Stage::Exec`](crate::Stage::Exec) when the command cannot be executed.
/// [`Error::Host`] with `ENOENT` or `ECONNREFUSED` when no container waits there: it was started
/// before, or has ended.
pub fn release(directory: impl AsFd, name: &str) -> Result<(), Error> {
    let connect = || {
        let socket = socket()?;
        rustix::net::connect(&socket, &address(&directory, name)?)?;
        Ok(Channel::from_socket(socket))
    };
    let channel = connect()
        .map_err(|errno: Errno| Error::host(format!("connect to the socket {name}"), errno))?;
    channel.send_start().map_err(Error::Channel)?;
    while let Some((report, _)) = channel.receive_report().map_err(Error::Channel)? {
        if let Report::Failed(failure) = report {
            return Err(failure.into());
        }
    }
    Ok(())
}

fn socket() -> Result<OwnedFd, Errno> {
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
}

/// An address has 108 bytes, which the path of a directory may exceed; its descriptor does not.
pub(crate) fn address(directory: impl AsFd, name: &str) -> Result<SocketAddrUnix, Errno> {
    SocketAddrUnix::new(format!("/proc/self/fd/{}/{name}", directory.as_fd().as_raw_fd()))
}
