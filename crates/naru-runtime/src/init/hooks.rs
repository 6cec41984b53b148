//! Hooks inside the container's namespaces, run by its first process.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};

use naru_sys::process::{Fork, fork};
use oci_spec::runtime::{ContainerState, Hook};
use rustix::io::Errno;
use rustix::process::Pid;

use super::Session;
use super::command::Command;
use crate::error::{At, Failure, Stage};
use crate::hooks::{Files, label, wait};
use crate::plan::{HookPlan, ProcessPlan};

/// The shell's code for a program that cannot be executed.
const CANNOT_EXECUTE: i32 = 126;

/// The hooks before the root is changed: the caller's, who is told and gives the word when they are
/// done, then the createContainer hooks, in the directory `root`. False means that the caller is gone.
pub(super) fn before_root(
    plan: &HookPlan,
    root: &OwnedFd,
    session: &Session,
) -> Result<bool, Failure> {
    if plan.early {
        let what = || "wait for the hooks of the caller".to_owned();
        session.channel.report_hooks().at(Stage::Hook, what)?;
        if !session.channel.receive_start().at(Stage::Hook, what)? {
            return Ok(false);
        }
    }
    for (index, hook) in plan.create_container.iter().enumerate() {
        let name = label("createContainer", index);
        let enter = || {
            rustix::process::fchdir(root)
                .at(Stage::Hook, || "enter the root file system".to_owned())
        };
        run(&name, hook, (plan, &[]), enter)?;
    }
    Ok(true)
}

/// The startContainer hooks, which are confined like the program and have its environment unless they name one.
pub(super) fn before_program(
    plan: &HookPlan,
    process: &ProcessPlan,
    command: &Command,
    session: &Session,
) -> Result<(), Failure> {
    let inherited = command.environment();
    for (index, hook) in plan.start_container.iter().enumerate() {
        let name = label("startContainer", index);
        let confine = || super::identity::confine_unheard(process, &session.filter);
        run(&name, hook, (plan, inherited), confine)?;
    }
    Ok(())
}

fn run(
    name: &str,
    hook: &Hook,
    (plan, inherited): (&HookPlan, &[CString]),
    confine: impl FnOnce() -> Result<(), Failure>,
) -> Result<(), Failure> {
    let what = || format!("run the {name}, {}", hook.path().display());
    let mut state = plan.state.clone();
    state.set_status(ContainerState::Created);
    let errno = |error: std::io::Error| {
        Errno::from_raw_os_error(error.raw_os_error().unwrap_or(Errno::IO.raw_os_error()))
    };
    let files = Files::new(&state).map_err(errno).at(Stage::Hook, what)?;
    let program = Program::new(hook, inherited).at(Stage::Hook, what)?;
    let pid = match fork().at(Stage::Hook, what)? {
        Fork::Parent(pid) => Pid::from_raw(pid).ok_or(Errno::SRCH).at(Stage::Hook, what)?,
        Fork::Child => become_hook(&program, &files, confine),
    };
    let ended = wait(pid, hook).map_err(errno).at(Stage::Hook, what)?;
    match files.reason(ended) {
        None => Ok(()),
        Some(reason) => {
            let text = format!("error running {name}: {}: {reason}", hook.path().display());
            Err(Failure::new(Stage::Hook, Errno::CANCELED, text))
        }
    }
}

/// What execve(2) needs.
struct Program {
    path: CString,
    arguments: Vec<CString>,
    environment: Vec<CString>,
}

impl Program {
    fn new(hook: &Hook, inherited: &[CString]) -> Result<Self, Errno> {
        let string = |bytes: &[u8]| CString::new(bytes).map_err(|_| Errno::INVAL);
        let strings = |list: &Option<Vec<String>>| {
            let list = list.iter().flatten().map(|text| string(text.as_bytes()));
            list.collect::<Result<Vec<_>, _>>()
        };
        let path = string(hook.path().as_os_str().as_encoded_bytes())?;
        let mut arguments = strings(hook.args())?;
        if arguments.is_empty() {
            arguments.push(path.clone());
        }
        let environment = match hook.env() {
            Some(_) => strings(hook.env())?,
            None => inherited.to_vec(),
        };
        Ok(Self { path, arguments, environment })
    }
}

/// In the child: becomes the hook, or says why not.
#[expect(clippy::exit, reason = "the child exists only to become the hook")]
fn become_hook(
    program: &Program,
    files: &Files,
    confine: impl FnOnce() -> Result<(), Failure>,
) -> ! {
    let enter = || {
        rustix::stdio::dup2_stdin(files.input())?;
        rustix::stdio::dup2_stdout(files.output())?;
        rustix::stdio::dup2_stderr(files.output())
    };
    let placed = enter().at(Stage::Hook, || "place its files".to_owned());
    let failure = match placed.and_then(|()| confine()) {
        Err(failure) => failure.text,
        Ok(()) => {
            naru_sys::signals::reset_dispositions();
            naru_sys::signals::unblock_all();
            let never =
                nix::unistd::execve(&program.path, &program.arguments, &program.environment);
            match never {
                Ok(never) => match never {},
                Err(errno) => format!("it cannot be executed: {}", errno.desc()),
            }
        }
    };
    // Nobody is left to be told when this fails.
    let _ = rustix::io::write(files.output().as_fd(), failure.as_bytes());
    std::process::exit(CANNOT_EXECUTE)
}
