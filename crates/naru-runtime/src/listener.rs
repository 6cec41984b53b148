//! The agent of a system call filter, from the caller's side: a connection for the one message that hands
//! it the filter's listener (OCI config-linux, "The Container Process State").

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use oci_spec::runtime::{ContainerProcessState, LinuxSeccomp, SECCOMP_FD_NAME, State};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::Error;
use crate::plan::{ListenerPlan, Slot};
use crate::seccomp::notifies;

/// Connects to the agent of `seccomp`, if that has one.
pub(crate) fn connect(seccomp: Option<&LinuxSeccomp>) -> Result<Option<OwnedFd>, Error> {
    let seccomp = seccomp.filter(|seccomp| notifies(seccomp));
    let Some(path) = seccomp.and_then(|seccomp| seccomp.listener_path().as_ref()) else {
        return Ok(None);
    };
    let connection = connect_to(path);
    connection.map(Some).map_err(|errno| Error::Agent(path.clone(), errno))
}

fn connect_to(path: &Path) -> Result<OwnedFd, Errno> {
    let (family, kind) = (AddressFamily::UNIX, SocketType::STREAM);
    let socket = rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, None)?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(socket)
}

/// What the process is to tell the agent over `connection`.
pub(crate) fn plan(seccomp: &LinuxSeccomp, state: State, connection: Slot) -> ListenerPlan {
    let mut message = ContainerProcessState::default();
    message.set_version(state.version().clone());
    message.set_fds(vec![SECCOMP_FD_NAME.to_owned()]);
    message.set_metadata(seccomp.listener_metadata().clone());
    message.set_state(state);
    ListenerPlan { connection, message }
}

/// Adds the connection to the envelope; without a state there is nothing to tell the agent.
pub(crate) fn enclose<'a>(
    connection: Option<&'a OwnedFd>,
    seccomp: Option<&LinuxSeccomp>,
    state: Option<State>,
    envelope: &mut Vec<BorrowedFd<'a>>,
) -> Result<Option<ListenerPlan>, Error> {
    let (Some(connection), Some(seccomp)) = (connection, seccomp) else { return Ok(None) };
    let reason = "there is no state of the container to tell the agent";
    let state = state.ok_or_else(|| Error::invalid("linux.seccomp.listenerPath", reason))?;
    envelope.push(connection.as_fd());
    Ok(Some(plan(seccomp, state, envelope.len() - 1)))
}
