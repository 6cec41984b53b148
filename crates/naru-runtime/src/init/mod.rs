//! Inside the container: a fresh, single-threaded exec of naru's program that sets itself up by
//! the plan and then becomes the container's program.
//!
//! It runs with all signals blocked, is not dumpable, and has no descriptor but its standard files
//! and the socket. Everything that can fail is told over the socket, with its stage.

mod cgroups;
mod command;
mod container;
mod copy_up;
mod devices;
mod entry;
mod files;
mod hooks;
mod identity;
mod kernel;
mod masks;
mod mounts;
mod namespaces;
mod reaper;
mod root;
mod start;
mod terminal;
mod tree;

use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::process::DumpableBehavior;

use crate::error::{At, Failure, Stage};
use crate::plan::Plan;
use crate::seccomp::Program;
use crate::wire::{Channel, Report};

/// What the caller has sent, and the socket to answer on.
pub(crate) struct Session {
    pub(crate) channel: Channel,
    pub(crate) filter: Vec<naru_sys::seccomp::Instruction>,
    descriptors: Vec<Option<OwnedFd>>,
    /// Descriptors to hand over to the program, kept above their places.
    pub(crate) further: Vec<OwnedFd>,
    pub(crate) warnings: Vec<String>,
}

/// Exit code of a set-up that failed, or was given up: nobody but the caller, who knows why, sees it.
const FAILED: i32 = SET_UP_FAILED as i32;

/// The exit code of a container's first process that has never run its program: its set-up failed, or who made it was gone
/// before it gave the word.
pub const SET_UP_FAILED: u8 = 125;

/// Sets the process up and becomes the program of the plan.
#[expect(clippy::exit, reason = "the process exists only to become the container's")]
pub(crate) fn run() -> ! {
    let code = match naru_sys::process::take_inherited(naru_sys::spawn::SOCKET) {
        Ok(socket) => serve(Channel::from_socket(socket)),
        Err(_) => FAILED,
    };
    std::process::exit(code)
}

/// Returns only when the set-up failed, or as the exit code of the reaper.
fn serve(channel: Channel) -> i32 {
    let mut session = Session {
        channel,
        filter: Vec::new(),
        descriptors: Vec::new(),
        further: Vec::new(),
        warnings: Vec::new(),
    };
    match follow(&mut session) {
        Ok(code) => code,
        Err(failure) => {
            // A caller that is gone needs no reason any more.
            let _ = session.channel.report(&Report::Failed(failure), &[]);
            FAILED
        }
    }
}

fn follow(session: &mut Session) -> Result<i32, Failure> {
    let plan_stage = |what: &'static str| move || what.to_owned();
    hide()?;
    rustix::thread::set_name(c"naru").at(Stage::Plan, plan_stage("name the process"))?;
    naru_sys::process::close_on_exec_from(naru_sys::spawn::SOCKET)
        .at(Stage::Plan, plan_stage("close descriptors"))?;
    rustix::process::umask(rustix::fs::Mode::empty());

    let envelope =
        session.channel.receive_plan().at(Stage::Plan, plan_stage("receive the plan"))?;
    let plan: Plan = serde_json::from_slice(&envelope.plan)
        .map_err(|_| Failure::new(Stage::Plan, Errno::PROTO, "cannot read the plan"))?;
    session.filter = Program::from_bytes(&envelope.filter);
    session.descriptors = envelope.descriptors.into_iter().map(Some).collect();
    match plan {
        Plan::Container(plan) => container::set_up(&plan, session),
        Plan::Exec(plan) => entry::enter(&plan, session),
    }
}

/// Takes the process out of the sight of others with the same ids. The kernel forgets it when ids or capabilities
/// change (`fs.suid_dumpable`), so it is said again then.
fn hide() -> Result<(), Failure> {
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .at(Stage::Plan, || "hide the process".to_owned())
}

impl Session {
    /// The descriptor at this place of the envelope; each can be taken once.
    pub(crate) fn take(&mut self, slot: usize) -> Result<OwnedFd, Failure> {
        let descriptor = self.descriptors.get_mut(slot).and_then(Option::take);
        descriptor
            .ok_or_else(|| Failure::new(Stage::Plan, Errno::BADF, "a descriptor was not received"))
    }

    /// Tells the caller that everything is set up.
    pub(crate) fn ready(&mut self) -> Result<(), Failure> {
        let warnings = std::mem::take(&mut self.warnings);
        self.channel
            .report(&Report::Ready { warnings }, &[])
            .at(Stage::Plan, || "tell that the set-up is done".to_owned())
    }
}
