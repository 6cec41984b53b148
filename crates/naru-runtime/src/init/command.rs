//! The command: where it is, where it starts, and becoming it.

use std::convert::Infallible;
use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, FileType};
use rustix::io::Errno;

use super::tree::Tree;
use super::{Session, files, identity};
use crate::error::{At, Failure, Stage};
use crate::plan::{ProcessPlan, StdioPlan};

/// The number of the first descriptor after the standard files.
const FIRST_FURTHER: i32 = 3;

/// What execve(2) needs, found before the process gives up its rights.
#[derive(Debug)]
pub(super) struct Command {
    path: CString,
    arguments: Vec<CString>,
    environment: Vec<CString>,
}

/// Puts the standard files in place: the terminal, or what was sent, or the null device. What is handed over
/// beyond them waits above its place until everything else is closed.
pub(super) fn place_stdio(
    plan: &StdioPlan,
    terminal: Option<&OwnedFd>,
    null: &OwnedFd,
    session: &mut Session,
) -> Result<(), Failure> {
    for (number, slot) in plan.files.into_iter().enumerate() {
        let sent = match slot {
            Some(slot) if terminal.is_none() => Some(session.take(slot)?),
            _ => None,
        };
        let file = sent.as_ref().or(terminal).unwrap_or(null);
        let placed = match number {
            0 => rustix::stdio::dup2_stdin(file),
            1 => rustix::stdio::dup2_stdout(file),
            _ => rustix::stdio::dup2_stderr(file),
        };
        placed.at(Stage::Stdio, || format!("place descriptor {number}"))?;
    }
    if plan.further.is_empty() {
        return Ok(());
    }
    let what = || "keep the descriptors to hand over".to_owned();
    let count = i32::try_from(plan.further.len()).map_err(|_| Errno::MFILE);
    let above = FIRST_FURTHER + count.at(Stage::Stdio, what)?;
    session.channel.move_above(above).at(Stage::Stdio, what)?;
    for slot in &plan.further {
        let sent = session.take(*slot)?;
        let kept = rustix::io::fcntl_dupfd_cloexec(&sent, above).at(Stage::Stdio, what)?;
        session.further.push(kept);
    }
    Ok(())
}

/// Makes the working directory, if it is missing, as the OCI runtimes do.
pub(super) fn make_directory(tree: &Tree, cwd: &Path) -> Result<(), Failure> {
    match tree.directory(cwd, 0o755) {
        Ok(_) => Ok(()),
        // It is on something that cannot be written, or no directory at all: entering it tells.
        Err(Errno::ROFS | Errno::NOTDIR | Errno::INVAL | Errno::ACCESS) => Ok(()),
        Err(errno) => {
            let what = || format!("make the working directory {}", cwd.display());
            Err(errno).at(Stage::Directory, what)
        }
    }
}

/// Becomes the user, in the working directory: entered with the rights of root where these are enough, or with
/// those of the user, who may be let in where root is not (a file system that maps root to nobody).
pub(super) fn become_user_in_directory(process: &ProcessPlan) -> Result<(), Failure> {
    match enter_directory(&process.cwd) {
        Err(failure) if failure.errno == Errno::ACCESS.raw_os_error() => {
            identity::become_user(process)?;
            enter_directory(&process.cwd)
        }
        entered => entered.and_then(|()| identity::become_user(process)),
    }
}

/// Enters the working directory, which must be inside the container.
fn enter_directory(cwd: &Path) -> Result<(), Failure> {
    let what = || format!("enter the working directory {}", cwd.display());
    rustix::process::chdir(cwd).at(Stage::Directory, what)?;
    let inside = rustix::process::getcwd(Vec::new()).at(Stage::Directory, what)?;
    if !inside.as_bytes().starts_with(b"/") {
        let text = format!("the working directory {} is outside the container", cwd.display());
        return Err(Failure::new(Stage::Directory, Errno::NOENT, text));
    }
    Ok(())
}

impl Command {
    /// Looks for the command with the process's present user and directory.
    pub(super) fn find(plan: &ProcessPlan) -> Result<Self, Failure> {
        let name = plan.args.first().map(String::as_str).unwrap_or_default();
        let what = || format!("find the command {name}");
        let search = plan.env.iter().rev().find_map(|variable| variable.strip_prefix("PATH="));
        let path = look_up(name, search.unwrap_or_default()).at(Stage::Command, what)?;
        let strings = |list: &[String]| {
            let convert = |text: &String| CString::new(text.as_str()).map_err(|_| Errno::INVAL);
            list.iter().map(convert).collect::<Result<Vec<_>, _>>()
        };
        let path = CString::new(path.as_os_str().as_encoded_bytes()).map_err(|_| Errno::INVAL);
        Ok(Self {
            path: path.at(Stage::Command, what)?,
            arguments: strings(&plan.args).at(Stage::Command, what)?,
            environment: strings(&environment(plan)).at(Stage::Command, what)?,
        })
    }

    /// The environment it will have.
    pub(super) fn environment(&self) -> &[CString] {
        &self.environment
    }

    /// Becomes the command, with the descriptors that are handed over.
    pub(super) fn execute(&self, session: &Session) -> Result<Infallible, Failure> {
        for (number, file) in (FIRST_FURTHER..).zip(&session.further) {
            naru_sys::process::place(file.as_fd(), number)
                .at(Stage::Stdio, || format!("place descriptor {number}"))?;
        }
        naru_sys::signals::reset_dispositions();
        naru_sys::signals::unblock_all();
        nix::unistd::execve(&self.path, &self.arguments, &self.environment)
            .map_err(|errno| Errno::from_raw_os_error(errno as i32))
            .at(Stage::Exec, || format!("execute {}", self.path.to_string_lossy()))
    }
}

/// The environment of the plan; programs expect `HOME` in it, and not an empty one, as every runtime gives it.
fn environment(plan: &ProcessPlan) -> Vec<String> {
    let mut environment = plan.env.clone();
    environment.retain(|variable| variable != "HOME=");
    if !environment.iter().any(|variable| variable.starts_with("HOME=")) {
        environment.push(format!("HOME={}", files::home_of(plan.uid)));
    }
    environment
}

/// The program's path: `name` itself when it has a slash, else the first match in `search`.
/// A match that may not be executed is `EACCES`, if there is no better one; none is `ENOENT`.
fn look_up(name: &str, search: &str) -> Result<PathBuf, Errno> {
    if name.contains('/') {
        let path = PathBuf::from(name);
        check_executable(&path)?;
        return Ok(path);
    }
    let mut failure = Errno::NOENT;
    for directory in search.split(':').filter(|directory| !directory.is_empty()) {
        let path = Path::new(directory).join(name);
        match check_executable(&path) {
            Ok(()) => return Ok(path),
            Err(Errno::ACCESS) => failure = Errno::ACCESS,
            Err(_) => {}
        }
    }
    Err(failure)
}

fn check_executable(path: &Path) -> Result<(), Errno> {
    let stat = rustix::fs::stat(path)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(Errno::ACCESS);
    }
    rustix::fs::accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS)
}
