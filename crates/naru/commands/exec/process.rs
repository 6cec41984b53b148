//! What is run: the container's own process with another command line, environment, user or directory.

use naru_runtime::Stage;
use naru_supervisor::spec::{Further, further_process, set_variable};
use oci_spec::runtime::{BoxBuilder, Process, Spec};
use rustix::process::Pid;

use super::Args;
use crate::error::{Blame, CommandError};
use crate::settings::Settings;
use crate::terminal;
use crate::ui::Printer;

/// The command was found and cannot be executed.
const CANNOT_EXECUTE: u8 = 126;
/// There is no such command.
const NOT_FOUND: u8 = 127;

/// The process that `args` ask for in the container of `spec`, whose first process is `pid`.
pub(super) fn build(
    args: &Args,
    spec: &Spec,
    pid: Pid,
    terminal: bool,
    settings: &Settings,
) -> Result<Process, CommandError> {
    let further = Further {
        command: args.command.clone(),
        user: args.user.clone(),
        directory: args.workdir.clone(),
        environment: args.env.iter().map(|variable| own_variable(variable, settings)).collect(),
        privileged: args.privileged,
    };
    let mut process =
        further_process(spec, pid.as_raw_nonzero().get(), &further).asked("run the command")?;
    process.set_terminal(Some(terminal));
    if terminal {
        let mut environment = process.env().clone().unwrap_or_default();
        if !further.environment.iter().any(|(name, _)| name == "TERM") {
            set_variable(&mut environment, "TERM", "xterm");
        }
        process.set_env(Some(environment));
        let size = terminal::size().map(|size| {
            let console =
                BoxBuilder::default().height(u64::from(size.ws_row)).width(u64::from(size.ws_col));
            console.build().expect("both fields are set")
        });
        process.set_console_size(size);
    }
    Ok(process)
}

/// `NAME=VALUE`; a name alone takes its value along from here, or takes the variable away.
fn own_variable(variable: &str, settings: &Settings) -> (String, Option<String>) {
    match variable.split_once('=') {
        Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
        None => (variable.to_owned(), settings.environment.get(variable).cloned()),
    }
}

/// The exit code when the process could not be started; what is the command's own fault has a code of its own.
pub(super) fn cannot_start(
    error: naru_runtime::Error,
    command: &[String],
    doing: &str,
    printer: &Printer,
) -> Result<u8, CommandError> {
    let is_command = matches!(error.stage(), Some(Stage::Command | Stage::Exec));
    let code = match error.errno().map(rustix::io::Errno::from_raw_os_error) {
        Some(rustix::io::Errno::NOENT) if is_command => NOT_FOUND,
        Some(_) if is_command => CANNOT_EXECUTE,
        _ => return Err(error).host(doing),
    };
    let name = command.first().map_or("", String::as_str);
    let why = match code {
        NOT_FOUND if !name.contains('/') => {
            "it is in no directory of the container's PATH".to_owned()
        }
        NOT_FOUND => "there is no such file in the container".to_owned(),
        _ => format!("{:#}", anyhow::Error::new(error)),
    };
    printer.error(&format!("cannot execute {name:?}: {why}"));
    Ok(code)
}
