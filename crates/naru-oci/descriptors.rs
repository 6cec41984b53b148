//! Descriptors that are handed over to a container: standard files, `--preserve-fds` and `LISTEN_FDS`.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use anyhow::Context as _;
use naru_runtime::Stdio;
use oci_spec::runtime::Process;
use rustix::fs::{FileType, Gid, Uid};

use crate::ui::Ui;

/// The first descriptor after the standard files.
const FIRST: u32 = 3;

/// The descriptors that are handed over beyond the standard files.
#[derive(Debug, Default)]
pub(crate) struct Inherited {
    files: Vec<OwnedFd>,
    /// The first that was asked for and is not open.
    missing: Option<i32>,
}

impl Inherited {
    /// Copies `preserve` of them and those of `LISTEN_FDS`, as far as they are open: what comes after the
    /// first gap has no place. To be called before this program opens anything.
    pub(crate) fn take(preserve: u32) -> anyhow::Result<Self> {
        let mut inherited = Self::default();
        let count = preserve.checked_add(listening()).context("too many descriptors")?;
        for index in 0..count {
            let number = i32::try_from(FIRST + index).context("too many descriptors")?;
            // Above the numbers that are still to be looked at.
            let above = i32::try_from(FIRST + count).context("too many descriptors")?;
            let copy = naru_sys::process::with_inherited(number, |file| {
                rustix::io::fcntl_dupfd_cloexec(file, above)
            });
            match copy {
                Some(copy) => inherited.files.push(copy.context("cannot copy a descriptor")?),
                None => {
                    inherited.missing = Some(number);
                    break;
                }
            }
        }
        Ok(inherited)
    }
}

/// The files of a new process, and what its environment says of them.
///
/// With a terminal the standard files are not passed on. Descriptors of `LISTEN_FDS` (sd_listen_fds(3))
/// come first.
pub(crate) fn collect(
    process: &mut Process,
    inherited: Inherited,
    ui: &Ui,
) -> anyhow::Result<Stdio> {
    if let Some(number) = inherited.missing {
        ui.warning(&format!(
            "descriptor {number} is not open: it and what follows are not passed on"
        ));
    }
    let listening = listening();
    if listening > 0 {
        let mut variables = process.env().clone().unwrap_or_default();
        variables.push(format!("LISTEN_FDS={listening}"));
        variables.push("LISTEN_PID=1".to_owned());
        process.set_env(Some(variables));
    }
    let mut stdio = match process.terminal() {
        Some(true) => Stdio::null(),
        _ => Stdio::inherit()?,
    };
    stdio.further = inherited.files;
    give_to_user(&stdio, process);
    Ok(stdio)
}

/// How many descriptors a service manager has passed to this process.
fn listening() -> u32 {
    let variable = |name: &str| std::env::vars_os().find(|(known, _)| known == name);
    let count = variable("LISTEN_FDS").and_then(|(_, value)| value.to_str()?.parse().ok());
    count.unwrap_or(0)
}

/// Lets the process's user open its standard files again by their names in /proc: pipes, which the engine
/// made for it and root owns. Files and devices of the host stay as they are.
fn give_to_user(stdio: &Stdio, process: &Process) {
    let (uid, gid) = (process.user().uid(), process.user().gid());
    let files: [&Option<OwnedFd>; 3] = [&stdio.stdin, &stdio.stdout, &stdio.stderr];
    for file in files.into_iter().flatten() {
        if uid != 0 && is_pipe(file.as_fd()) {
            // Passing the descriptor works in any case.
            let _ = rustix::fs::fchown(file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        }
    }
}

fn is_pipe(file: BorrowedFd<'_>) -> bool {
    rustix::fs::fstat(file)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo)
}
