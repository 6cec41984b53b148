//! What is run: the container's own process with another command line, environment, user or directory.

use std::os::fd::{AsFd, OwnedFd};

use naru_image::rootfs;
use naru_runtime::Stage;
use naru_supervisor::spec::process_of;
use oci_spec::runtime::{BoxBuilder, LinuxCapabilities, Process, Spec, User};
use rustix::fs::{CWD, Mode, OFlags, openat};
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
    let mut process = process_of(spec, args.command.clone()).asked("run the command")?;
    let mut environment = process.env().clone().unwrap_or_default();
    process.set_terminal(Some(terminal));
    if let Some(directory) = &args.workdir {
        if !directory.starts_with('/') {
            return Err(CommandError::user(format!(
                "--workdir must be an absolute path, not {directory:?}"
            )));
        }
        process.set_cwd(directory.into());
    }
    if let Some(user) = &args.user {
        let home = set_user(&mut process, user, pid)?;
        set(&mut environment, "HOME", &home);
    }
    if terminal {
        set(&mut environment, "TERM", "xterm");
        let size = terminal::size().map(|size| {
            let console =
                BoxBuilder::default().height(u64::from(size.ws_row)).width(u64::from(size.ws_col));
            console.build().expect("both fields are set")
        });
        process.set_console_size(size);
    }
    for variable in &args.env {
        match variable.split_once('=') {
            Some((name, value)) => set(&mut environment, name, value),
            // A name alone takes its value along, or takes the variable away.
            None => match settings.environment.get(variable) {
                Some(value) => set(&mut environment, variable, value),
                None => environment.retain(|entry| name_of(entry) != variable),
            },
        }
    }
    process.set_env(Some(environment));
    Ok(process)
}

fn name_of(entry: &str) -> &str {
    entry.split_once('=').map_or(entry, |(name, _value)| name)
}

fn set(environment: &mut Vec<String>, name: &str, value: &str) {
    environment.retain(|entry| name_of(entry) != name);
    environment.push(format!("{name}={value}"));
}

/// Makes `process` run as `user` of the container; gives the user's home directory.
fn set_user(process: &mut Process, user: &str, pid: Pid) -> Result<String, CommandError> {
    let doing = format!("run a command as user {user:?}");
    let path = format!("/proc/{}/root", pid.as_raw_nonzero());
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root: OwnedFd = openat(CWD, path, flags, Mode::empty()).host(&doing)?;
    let found = rootfs::find_user(root.as_fd(), user, &[]).asked(&doing)?;
    let mut own = User::default();
    own.set_uid(found.uid)
        .set_gid(found.gid)
        .set_additional_gids(Some(found.additional_gids.clone()))
        .set_umask(process.user().umask());
    process.set_user(own);
    if let Some(capabilities) = process.capabilities() {
        process.set_capabilities(Some(capabilities_of(found.uid, capabilities)));
    }
    Ok(found.home)
}

/// Root has every capability of the bounding set; nobody else has any.
fn capabilities_of(uid: u32, container: &LinuxCapabilities) -> LinuxCapabilities {
    let mut capabilities = container.clone();
    let own = if uid == 0 { container.bounding().clone() } else { None };
    capabilities.set_effective(own.clone()).set_permitted(own).set_ambient(None);
    capabilities
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_there_once() {
        let mut environment = vec!["A=1".to_owned(), "HOME=/".to_owned()];
        set(&mut environment, "HOME", "/root");
        assert_eq!(environment, ["A=1", "HOME=/root"]);
    }

    #[test]
    fn root_gets_the_bounding_capabilities_and_others_none() {
        use oci_spec::runtime::Capability;
        let mut container = LinuxCapabilities::default();
        container.set_bounding(Some([Capability::Chown].into()));
        let root = capabilities_of(0, &container);
        assert_eq!(root.effective(), container.bounding());
        let other = capabilities_of(1000, &container);
        assert_eq!((other.effective(), other.permitted()), (&None, &None));
        assert_eq!(other.bounding(), container.bounding());
    }
}
