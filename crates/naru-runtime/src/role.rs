//! The second life of the program: as the first process of a container or as its entry.

use std::ffi::CStr;

use naru_sys::spawn::SOCKET;
use rustix::net::{SocketType, sockopt};

use crate::init;

/// What the program was executed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Container,
    Exec,
}

impl Role {
    /// The argument that says so.
    pub(crate) fn argument(self) -> &'static CStr {
        match self {
            Self::Container => c"container-init",
            Self::Exec => c"container-exec",
        }
    }

    fn from_arguments() -> Option<Self> {
        let mut arguments = std::env::args_os().skip(1);
        let (argument, rest) = (arguments.next()?, arguments.next());
        let argument = argument.to_str()?;
        let roles = [Self::Container, Self::Exec];
        roles.into_iter().find(|role| rest.is_none() && role.argument().to_str() == Ok(argument))
    }
}

/// Whether this process was executed by [`create`](crate::create) or [`exec`](crate::exec) to
/// become a process of a container: the right argument, and the socket in its place.
#[must_use]
pub fn is_role() -> bool {
    Role::from_arguments().is_some() && has_socket()
}

/// Becomes a process of a container, if that is what this process was executed for.
///
/// To be called first of all in `main`, before threads, signal handlers or open files; it then
/// does not return.
pub fn run_role_if_asked() {
    if is_role() {
        init::run();
    }
}

fn has_socket() -> bool {
    naru_sys::process::with_inherited(SOCKET, |socket| {
        sockopt::socket_type(socket) == Ok(SocketType::SEQPACKET)
    })
    .unwrap_or(false)
}
