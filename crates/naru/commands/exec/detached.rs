//! `exec -d`. Whoever starts a process has to collect it when it ends; were that nobody, it would stay in the
//! container as a zombie, since few first processes collect what they did not start. So this command runs
//! itself once more in the background, and that stays as long as the process does.

use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use naru_runtime::Process;

use crate::error::{Blame, CommandError};
use crate::settings::Settings;
use crate::ui;

/// Set for the second run of the command.
const IN_BACKGROUND: &str = "NARU_EXEC_IN_BACKGROUND";

/// What the second run says when the process has started.
const STARTED: u8 = b'.';

/// Whether this is the second run.
pub(super) fn is_in_background(settings: &Settings) -> bool {
    settings.environment.contains_key(IN_BACKGROUND)
}

/// Runs the command again in the background and returns when the process has started; gives the exit code.
///
/// # Errors
/// When it cannot be run again.
pub(super) fn begin(doing: &str) -> Result<u8, CommandError> {
    let mut child = Command::new("/proc/self/exe")
        .arg0("naru")
        .args(std::env::args_os().skip(1))
        .env(IN_BACKGROUND, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .host(doing)?;
    let mut answer = Vec::new();
    if let Some(mut stdout) = child.stdout.take() {
        stdout.by_ref().take(1).read_to_end(&mut answer).host(doing)?;
    }
    if answer == [STARTED] {
        return Ok(0);
    }
    // It has told the user why.
    let status = child.wait().host(doing)?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

/// The second run: leaves the user's session, says that the process has started, and stays until it ends.
///
/// # Errors
/// When the process cannot be waited for.
pub(super) fn attend(process: &Process) -> anyhow::Result<u8> {
    nix::unistd::setsid()?;
    ui::pass_through(false, &[STARTED])?;
    let null = fs_err::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    let replaced =
        rustix::stdio::dup2_stdout(&null).and_then(|()| rustix::stdio::dup2_stderr(&null));
    replaced.map_err(io::Error::from)?;
    let status = process.wait()?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(0))
}
