//! Taking over from another keeper: one that was killed, on the word of the supervisor that called this one; or the
//! program that this very process was before it became another one by exec.
//!
//! Both ways are one: the messages of [`ToKeeper`] up to [`ToKeeper::Handed`], on a link that is standard input.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

use naru_state::record::Port;

use super::Keeper;
use super::link::{Ended, Handles, Link, ToKeeper, Watch};
use crate::role::{KEEPER, Role};

/// How long the next message may be in coming.
const PATIENCE: Duration = Duration::from_secs(2);

/// All that was handed over.
#[derive(Debug, Default)]
pub(super) struct Inherited {
    /// The keeper's lock, where it goes on in this process.
    pub(super) lock: Option<OwnedFd>,
    /// The supervisor's pid and link, where that is not who hands over.
    pub(super) supervisor: Option<(i32, OwnedFd)>,
    pub(super) watches: Vec<(Watch, Handles)>,
    pub(super) held: Vec<(Port, Vec<OwnedFd>)>,
    pub(super) strays: Vec<Ended>,
}

impl Inherited {
    /// Hears what is handed over. Who was killed in the middle of it has handed over what came.
    pub(super) fn receive(link: &Link) -> io::Result<Self> {
        link.set_patience(Some(PATIENCE))?;
        let mut inherited = Self::default();
        while let Ok(Some((message, mut beside))) = link.receive::<ToKeeper>() {
            match message {
                ToKeeper::Lock => inherited.lock = beside.pop(),
                ToKeeper::Supervisor(pid) => {
                    inherited.supervisor = beside.pop().map(|link| (pid, link));
                }
                ToKeeper::Watch(watch, layout) => {
                    inherited.watches.push((watch, Handles::received(layout, beside)));
                }
                ToKeeper::Hold(port) => inherited.held.push((port, beside)),
                ToKeeper::Stray(ended) => inherited.strays.push(ended),
                ToKeeper::Handed => return Ok(inherited),
                other => tracing::warn!(?other, "has no place in a takeover"),
            }
        }
        tracing::warn!("who handed over ended in the middle of it");
        Ok(inherited)
    }
}

impl Keeper {
    /// Becomes the program `binary` in place: process, children and descriptors stay.
    ///
    /// # Errors
    /// It returns only with one; nothing has changed then.
    pub(super) fn become_program(&self, binary: &OwnedFd) -> io::Error {
        self.try_become(binary).err().unwrap_or_else(|| io::ErrorKind::Other.into())
    }

    fn try_become(&self, binary: &OwnedFd) -> io::Result<()> {
        let (from, to) = Link::pair()?;
        from.widen();
        from.set_waiting(false)?;
        self.hand_over(&from)?;
        let role = Role { takes_over: true, ..self.role.clone() };
        let words = std::iter::once("naru".into()).chain(role.arguments(KEEPER));
        let arguments: Vec<_> =
            words.map(|word| CString::new(word.into_vec())).collect::<Result<_, _>>()?;
        let environment = std::env::vars_os().map(|(mut name, value)| {
            name.push("=");
            name.push(value);
            CString::new(name.into_vec())
        });
        let environment: Vec<_> = environment.collect::<Result<_, _>>()?;
        // Everything else is closed by the exec, and what was handed over waits in this link.
        nix::unistd::dup2_stdin(&to)?;
        let refused = nix::unistd::fexecve(binary, &arguments, &environment);
        nix::unistd::dup2_stdin(&fs_err::File::open("/dev/null")?)?;
        Ok(refused.map(drop)?)
    }

    fn hand_over(&self, to: &Link) -> io::Result<()> {
        to.send(&ToKeeper::Lock, &[self.lock.descriptor()])?;
        to.send(&ToKeeper::Supervisor(self.supervisor.pid), &[self.supervisor.link.as_fd()])?;
        for (port, sockets) in &self.held {
            let sockets: Vec<_> = sockets.iter().map(AsFd::as_fd).collect();
            to.send(&ToKeeper::Hold(port.clone()), &sockets)?;
        }
        for output in self.outputs.values() {
            let (layout, beside) = output.handles();
            to.send(&ToKeeper::Watch(output.watch.clone(), layout), &beside)?;
        }
        for stray in &self.strays {
            to.send(&ToKeeper::Stray(*stray), &[])?;
        }
        to.send(&ToKeeper::Handed, &[])
    }
}
