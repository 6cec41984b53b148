//! naru's own program, in a form that a container can neither replace nor write to.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use naru_sys::mount::{Attributes, set_attributes};
use rustix::fs::{MemfdFlags, Mode, OFlags, SealFlags};
use rustix::mount::OpenTreeFlags;

use crate::Error;

const READ_ONLY: u64 = 0x1;

/// The program that sets up containers from inside: this one, on a read-only mount of its own that
/// is attached nowhere, so that `/proc/PID/exe` of a process inside leads to nothing writable.
#[derive(Debug)]
pub struct Binary {
    program: OwnedFd,
}

impl Binary {
    /// Opens the running program. Costs two system calls; a copy in sealed memory is made only
    /// where the kernel refuses the mount, for example in another mount namespace.
    ///
    /// # Errors
    /// When neither a mount nor a copy can be made.
    pub fn open() -> Result<Self, Error> {
        let program = match detached_mount() {
            Ok(program) => program,
            Err(errno) => {
                tracing::debug!(%errno, "no detached mount of the program, copying it");
                sealed_copy().map_err(|error| Error::host("copy naru's own program", error))?
            }
        };
        Ok(Self { program })
    }
}

impl AsFd for Binary {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.program.as_fd()
    }
}

fn detached_mount() -> Result<OwnedFd, rustix::io::Errno> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let program = rustix::mount::open_tree(rustix::fs::CWD, "/proc/self/exe", flags)?;
    let attributes = Attributes { set: READ_ONLY, ..Attributes::default() };
    set_attributes(program.as_fd(), false, &attributes)?;
    Ok(program)
}

fn sealed_copy() -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let copy = rustix::fs::memfd_create("naru", flags)?;
    let program =
        rustix::fs::open("/proc/self/exe", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let (mut from, mut to) = (std::fs::File::from(program), std::fs::File::from(copy));
    io::copy(&mut from, &mut to)?;
    let copy = OwnedFd::from(to);
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    rustix::fs::fcntl_add_seals(&copy, seals)?;
    Ok(copy)
}
