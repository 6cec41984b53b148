//! Namespaces that exist, from the caller's side: opening them, and being born into them.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::thread;

use rustix::fs::{Mode, OFlags};
use rustix::thread::ThreadNameSpaceType;

use crate::Error;
use crate::plan::{Joined, Namespaces, flags};

/// A namespace that exists, held open.
#[derive(Debug)]
pub(crate) struct Opened {
    /// As in the specification.
    pub(crate) name: &'static str,
    /// Its `CLONE_NEW*` flag.
    pub(crate) flag: u32,
    path: PathBuf,
    pub(crate) file: OwnedFd,
}

impl fmt::Display for Opened {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the {} namespace {}", self.name, self.path.display())
    }
}

/// Opens the namespaces to join and makes sure that each is what it is said to be.
pub(crate) fn open(namespaces: &Namespaces) -> Result<Vec<Opened>, Error> {
    namespaces.joined.iter().map(open_one).collect()
}

fn open_one(joined: &Joined) -> Result<Opened, Error> {
    let Joined { name, flag, path } = joined;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| {
        Error::host(format!("open the {name} namespace {}", path.display()), errno)
    })?;
    if naru_sys::namespace::kind(file.as_fd()) != Ok(*flag) {
        let reason = format!("{} is no {name} namespace", path.display());
        return Err(Error::invalid("linux.namespaces", reason));
    }
    Ok(Opened { name, flag: *flag, path: path.clone(), file })
}

/// Those to join before the clone, in their order, and those that the process joins itself.
///
/// Being born into a pid namespace is the only way into it. With a user namespace, everything else is
/// joined before it, with the rights of the host; the process itself would have no right to what is
/// not its own. The mount and time namespaces need a process that shares no memory.
pub(crate) fn split<'a>(
    namespaces: &Namespaces,
    opened: &'a [Opened],
) -> (Vec<&'a Opened>, Vec<&'a Opened>) {
    let user = flags::USER.cast_unsigned();
    let alone = (flags::MOUNT | flags::TIME).cast_unsigned();
    let early = |one: &&Opened| {
        one.flag == flags::PID.cast_unsigned()
            || namespaces.owns(flags::USER) && one.flag & alone == 0
    };
    let (mut before, inside): (Vec<_>, Vec<_>) = opened.iter().partition(early);
    before.sort_by_key(|one| one.flag == user);
    (before, inside)
}

/// Calls `begin` on a thread whose children are born into the pid namespace of `namespace`, a
/// namespace or a pidfd; the thread ends with the call, so nothing else of the calling process is
/// changed.
pub(crate) fn inside_pid_namespace<T: Send>(
    namespace: BorrowedFd<'_>,
    begin: impl FnOnce() -> Result<T, Error> + Send,
) -> Result<T, Error> {
    let enter = || {
        let kind = ThreadNameSpaceType::PROCESS_ID;
        rustix::thread::move_into_thread_name_spaces(namespace, kind).map_err(Error::Clone)?;
        begin()
    };
    thread::scope(|scope| {
        let builder = thread::Builder::new().name("naru".to_owned()).stack_size(256 * 1024);
        let thread = builder
            .spawn_scoped(scope, enter)
            .map_err(|error| Error::host("start a thread", error))?;
        let panicked = || io::Error::other("the thread panicked");
        thread.join().map_err(|_| Error::host("enter the pid namespace", panicked()))?
    })
}
