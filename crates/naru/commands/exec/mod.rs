//! `naru exec`: a further process in a running container. It needs no supervisor: the container's
//! specification is in the run directory, and the process is this command's own child.

mod detached;
mod process;
mod streams;
mod told;

use std::fs::File;
use std::os::fd::OwnedFd;

use naru_runtime::{Binary, Cgroup, Exec, Parent, Stdio};
use naru_supervisor::observe::{self, Seen};
use naru_supervisor::spec;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::services;
use crate::conversation::revive;
use crate::error::{Blame, CommandError};
use crate::settings::{Settings, Target};
use crate::ui::Printer;

/// Execute a command in a running container
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The service
    #[arg(value_name = "SERVICE")]
    service: String,
    /// The command and its arguments
    #[arg(
        value_name = "COMMAND",
        trailing_var_arg = true,
        allow_hyphen_values = true,
        required = true
    )]
    command: Vec<String>,
    /// Run the command in the background
    #[arg(short, long)]
    detach: bool,
    /// Set an environment variable
    #[arg(short, long, value_name = "KEY=VALUE")]
    env: Vec<String>,
    /// Index of the container if the service has several
    #[arg(long, value_name = "N", default_value_t = 0)]
    index: u32,
    /// Don't allocate a terminal (default: one is allocated when stdin and stdout are terminals)
    #[arg(short = 'T', long = "no-tty", alias = "no-TTY", conflicts_with = "tty")]
    no_tty: bool,
    /// Allocate a terminal
    #[arg(short, long, hide = true)]
    tty: bool,
    /// Keep stdin open, which it always is
    #[arg(short, long, hide = true)]
    interactive: bool,
    /// Run the command as this user: name or number, with or without :group
    #[arg(short, long, value_name = "USER")]
    user: Option<String>,
    /// Give the command every capability
    #[arg(long)]
    privileged: bool,
    /// Directory to run the command in
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
}

/// Runs the command.
pub(crate) fn run(args: &Args, settings: &Settings, printer: &Printer) -> Result<u8, CommandError> {
    settings.no_dry_run("exec")?;
    let target = settings.target(&[])?;
    revive(&settings.directories, &target.name, printer);
    let container = find(args, &target)?;
    let name = &container.record.name;
    let doing = format!("run a command in container {name}");
    if args.detach && !detached::is_in_background(settings) {
        return detached::begin(&doing);
    }
    let spec = spec::load(&target.directories, &container.record.id).host(&doing)?;
    let pid = pid_of(&container)
        .ok_or_else(|| CommandError::user(format!("container {name} is not running")))?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).host(&doing)?;
    // Opened after the process was identified, and identified again: a pid may be taken by another one.
    if pid_of(&container).is_none() {
        return Err(CommandError::user(format!("container {name} is not running")));
    }
    let terminal = wants_terminal(args, printer)?;
    let process = process::build(args, &spec, pid, terminal, settings)?;
    let (stdio, ends) = pipes(terminal || args.detach).host(&doing)?;
    let id = &container.record.id;
    let path = naru_supervisor::cgroup_path(&settings.directories, &target.name, id);
    let cgroup = Cgroup::new(path).host(&doing)?;
    let started = naru_runtime::exec(Exec {
        spec: &spec,
        container: std::os::fd::AsFd::as_fd(&pidfd),
        process: &process,
        cgroup: &cgroup,
        stdio,
        parent: Parent::Own,
        binary: &Binary::open().host(&doing)?,
        state: None,
    });
    let told = told::Told::new(target.directories.events_file(), &container, &args.command);
    if started.is_ok() {
        told.begun();
    }
    let ended = |code: &u8| told.ended(*code);
    match started {
        Ok(process) if args.detach => detached::attend(&process).host(&doing).inspect(ended),
        Ok(process) => streams::attend(process, ends).host(&doing).inspect(ended),
        Err(error) => process::cannot_start(error, &args.command, &doing, printer),
    }
}

/// The container: of the given number, else the first that runs.
fn find(args: &Args, target: &Target) -> Result<Seen, CommandError> {
    let service = &args.service;
    services::check(std::slice::from_ref(service), target)?;
    let mut containers: Vec<Seen> = observe::containers(&target.directories)
        .host(format!("look at project {}", target.name))?
        .into_iter()
        .filter(|seen| seen.record.service == *service && seen.is_running())
        .filter(|seen| args.index == 0 || seen.record.number == args.index)
        .collect();
    // What `run` has made comes last.
    containers.sort_by_key(|seen| (seen.record.is_one_off(), seen.record.number));
    containers.into_iter().next().ok_or_else(|| match args.index {
        0 => CommandError::user(format!("service \"{service}\" is not running"))
            .hint(format!("`naru up -d {service}` starts it")),
        index => {
            CommandError::user(format!("service \"{service}\" is not running container #{index}"))
        }
    })
}

fn pid_of(container: &Seen) -> Option<Pid> {
    let process = container.state.process.as_ref().filter(|process| process.is_alive())?;
    Pid::from_raw(process.pid)
}

fn wants_terminal(args: &Args, printer: &Printer) -> Result<bool, CommandError> {
    use std::io::IsTerminal;
    let stdin = std::io::stdin().is_terminal();
    match (args.tty, args.no_tty || args.detach) {
        (true, false) if !stdin => Err(CommandError::user("the input device is not a TTY")),
        (true, _) => Ok(true),
        (false, true) => Ok(false),
        (false, false) => Ok(stdin && printer.stdout_terminal),
    }
}

/// This side's ends of the process's standard files.
#[derive(Debug, Default)]
struct Ends {
    stdin: Option<File>,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
}

/// Pipes for all three standard files, unless there is to be none.
fn pipes(none: bool) -> std::io::Result<(Stdio, Ends)> {
    if none {
        return Ok((Stdio::null(), Ends::default()));
    }
    let pipe = || rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC);
    let ((in_read, in_write), (out_read, out_write), (err_read, err_write)) =
        (pipe()?, pipe()?, pipe()?);
    let stdio = Stdio {
        stdin: Some(in_read),
        stdout: Some(out_write),
        stderr: Some(err_write),
        ..Stdio::null()
    };
    let ends =
        Ends { stdin: Some(File::from(in_write)), stdout: Some(out_read), stderr: Some(err_read) };
    Ok((stdio, ends))
}
