//! A further process in a container: what `exec`, hooks and health checks start from.

use std::os::fd::{AsFd, OwnedFd};

use naru_image::rootfs;
use oci_spec::runtime::{BoxBuilder, LinuxCapabilities, Process, Spec, User};
use rustix::fs::{CWD, Mode, OFlags, openat};

use super::{Error, capabilities};

/// What a further process has of its own; everything else it has from the container's first one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Further {
    /// Program and arguments.
    pub command: Vec<String>,
    /// `name`, `uid`, `name:group` or `uid:gid`.
    pub user: Option<String>,
    /// Where it starts, an absolute path in the container.
    pub directory: Option<String>,
    /// Variables over the container's; without a value they are taken away.
    pub environment: Vec<(String, Option<String>)>,
    /// With every capability.
    pub privileged: bool,
}

/// A process like the container's first one, but without a terminal, that runs another command.
///
/// # Errors
/// When the container's specification has no process or the command is empty.
pub fn process_of(spec: &Spec, command: Vec<String>) -> Result<Process, Error> {
    let Some(first) = spec.process() else {
        return Err(Error::invalid("process", "is missing in the container's specification"));
    };
    if command.first().is_none_or(String::is_empty) {
        return Err(Error::NoCommand);
    }
    let mut process = first.clone();
    process.set_args(Some(command));
    process.set_terminal(Some(false));
    process.set_console_size(None);
    Ok(process)
}

/// A further process of the container of `spec`, whose first process is `pid`: a user's name is looked up in
/// the root file system as that process sees it.
///
/// # Errors
/// As [`process_of`], and when the user is not found or the directory is not an absolute path.
pub fn further_process(spec: &Spec, pid: i32, further: &Further) -> Result<Process, Error> {
    let mut process = process_of(spec, further.command.clone())?;
    let mut environment = process.env().clone().unwrap_or_default();
    if let Some(directory) = &further.directory {
        if !directory.starts_with('/') {
            let problem = format!("must be an absolute path, not {directory:?}");
            return Err(Error::invalid("working_dir", problem));
        }
        process.set_cwd(directory.into());
    }
    if let Some(user) = &further.user {
        let home = set_user(&mut process, user, pid)?;
        set_variable(&mut environment, "HOME", &home);
    }
    if further.privileged {
        process.set_capabilities(Some(capabilities::every()));
    }
    for (name, value) in &further.environment {
        match value {
            Some(value) => set_variable(&mut environment, name, value),
            None => environment.retain(|entry| name_of(entry) != name),
        }
    }
    process.set_env(Some(environment));
    Ok(process)
}

fn name_of(entry: &str) -> &str {
    entry.split_once('=').map_or(entry, |(name, _value)| name)
}

/// Sets a variable of an environment, in which it is once then.
pub fn set_variable(environment: &mut Vec<String>, name: &str, value: &str) {
    environment.retain(|entry| name_of(entry) != name);
    environment.push(format!("{name}={value}"));
}

/// Makes `process` run as `user` of the container; gives the user's home directory.
fn set_user(process: &mut Process, user: &str, pid: i32) -> Result<String, Error> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root: OwnedFd = openat(CWD, format!("/proc/{pid}/root"), flags, Mode::empty())
        .map_err(|_| Error::invalid("user", "cannot be looked up: the container has ended"))?;
    let found = rootfs::find_user(root.as_fd(), user, &[])
        .map_err(|source| Error::User { user: user.to_owned(), source: Box::new(source) })?;
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

/// Sets the size that a terminal has at the start: rows and columns.
pub fn set_console_size(spec: &mut Spec, (rows, columns): (u16, u16)) {
    let size = BoxBuilder::default().height(u64::from(rows)).width(u64::from(columns)).build();
    if let Some(process) = spec.process_mut() {
        process.set_console_size(size.ok());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_there_once() {
        let mut environment = vec!["A=1".to_owned(), "HOME=/".to_owned()];
        set_variable(&mut environment, "HOME", "/root");
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

    #[test]
    fn what_is_changed_is_the_further_processs_own_and_the_rest_the_containers() {
        let spec = naru_runtime::profile::default_spec();
        let further = Further {
            command: vec!["id".to_owned()],
            directory: Some("/srv".to_owned()),
            environment: vec![("A".to_owned(), Some("b".to_owned())), ("PATH".to_owned(), None)],
            privileged: true,
            ..Further::default()
        };
        let process = further_process(&spec, 1, &further).unwrap();
        assert_eq!(process.args().as_deref(), Some(&["id".to_owned()][..]));
        assert_eq!(process.cwd().to_str(), Some("/srv"));
        assert!(process.env().as_ref().unwrap().contains(&"A=b".to_owned()));
        assert!(!process.env().as_ref().unwrap().iter().any(|entry| entry.starts_with("PATH=")));
        let capabilities = process.capabilities().as_ref().unwrap();
        assert!(capabilities.effective().as_ref().unwrap().len() > 30);
        let relative = Further { directory: Some("srv".to_owned()), ..further };
        let error = further_process(&spec, 1, &relative).unwrap_err();
        assert_eq!(error.to_string(), "working_dir: must be an absolute path, not \"srv\"");
    }
}
