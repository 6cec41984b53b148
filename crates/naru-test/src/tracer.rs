//! A fault at any point: a command and everything that it starts run under ptrace(2), and at a chosen system call the
//! process that makes it is killed before or after it, or the call fails.

mod call;
mod step;

use std::process::{Child, Command, Stdio};

use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

pub use call::Call;
pub use step::Step;

/// System calls after which the world is another one: files, mounts, processes, namespaces, sockets, messages.
const CHANGES: [libc::c_long; 37] = [
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_move_mount,
    libc::SYS_fsmount,
    libc::SYS_open_tree,
    libc::SYS_mount_setattr,
    libc::SYS_pivot_root,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_clone,
    libc::SYS_clone3,
    libc::SYS_mkdirat,
    libc::SYS_mknodat,
    libc::SYS_renameat2,
    libc::SYS_linkat,
    libc::SYS_symlinkat,
    libc::SYS_unlinkat,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_ftruncate,
    libc::SYS_write,
    libc::SYS_pwrite64,
    libc::SYS_writev,
    libc::SYS_splice,
    libc::SYS_copy_file_range,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_recvmsg,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_connect,
    libc::SYS_accept4,
    libc::SYS_prctl,
    libc::SYS_seccomp,
    libc::SYS_execve,
    libc::SYS_flock,
    libc::SYS_pidfd_send_signal,
];

/// The older calls of the same meaning, which new architectures do not have.
#[cfg(target_arch = "x86_64")]
const OLDER: [libc::c_long; 7] = [
    libc::SYS_mkdir,
    libc::SYS_rename,
    libc::SYS_renameat,
    libc::SYS_link,
    libc::SYS_symlink,
    libc::SYS_unlink,
    libc::SYS_rmdir,
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: [libc::c_long; 1] = [libc::SYS_renameat];

/// What is done at a system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The process is killed before it.
    Death,
    /// The process is killed when the call has done its work, before it learns of that.
    DeathAfter,
    /// The call does nothing and fails with this error number.
    Error(i32),
}

/// What came of a traced command.
#[derive(Debug)]
pub struct Death {
    /// The changes that were seen until the command ended, or until the death.
    pub changes: u64,
    /// Who was killed and at which system call, by its number; `None` when there were fewer changes.
    pub victim: Option<String>,
}

/// How a traced command ended.
#[derive(Debug)]
pub struct Traced {
    /// Who met the fault, and at which call; `None` when there was none.
    pub victim: Option<String>,
    /// The command's exit code; 128 + n for a death by signal n.
    pub code: i32,
    /// What it wrote to stderr.
    pub stderr: String,
}

/// Runs `command` until it ends, and kills the process that is about to make the `nth` change (from 1) of all that it,
/// the `others` and everybody's descendants make. What is left running goes on without a tracer.
///
/// # Panics
/// When the command cannot be run or traced.
pub fn death_at(command: &Command, others: &[rustix::process::Pid], nth: u64) -> Death {
    let mut changes = 0;
    let traced = fault_at(command, others, |call| {
        if !CHANGES.contains(&call.number) && !OLDER.contains(&call.number) {
            return None;
        }
        changes += 1;
        (changes == nth).then_some(Fault::Death)
    });
    Death { changes, victim: traced.victim }
}

/// Runs `command` until it ends, and asks `choose` at each system call that it, the `others` and everybody's descendants
/// make, until that gives a fault. What is left running goes on without a tracer.
///
/// # Panics
/// When the command cannot be run or traced.
pub fn fault_at(
    command: &Command,
    others: &[rustix::process::Pid],
    choose: impl FnMut(&Call) -> Option<Fault> + Send,
) -> Traced {
    // The kernel lets go of the tracees when the thread that traces them ends.
    std::thread::scope(|scope| scope.spawn(|| Tracer::start(command, others, choose).run()).join())
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

struct Tracer<Choose> {
    root: Child,
    stderr: std::fs::File,
    choose: Choose,
    victim: Option<String>,
    /// Whose call is under way that a fault was chosen for.
    pending: Option<(Pid, Fault)>,
}

impl<Choose: FnMut(&Call) -> Option<Fault>> Tracer<Choose> {
    /// Starts the command through a shell that waits to be traced.
    fn start(command: &Command, others: &[rustix::process::Pid], choose: Choose) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", "kill -STOP $$; exec \"$@\"", "sh"]).arg(command.get_program());
        shell.args(command.get_args()).env_clear();
        shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        if let Some(folder) = command.get_current_dir() {
            shell.current_dir(folder);
        }
        let stderr = crate::command::unnamed_file();
        shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr.try_clone().unwrap());
        let root = shell.spawn().unwrap();
        let tracer = Self { root, stderr, choose, victim: None, pending: None };
        let pid = tracer.root();
        waitpid(pid, Some(WaitPidFlag::WUNTRACED)).unwrap();
        ptrace::seize(pid, options()).unwrap();
        for thread in others.iter().flat_map(|other| threads(other.as_raw_nonzero().get())) {
            match ptrace::seize(thread, options()).and_then(|()| ptrace::interrupt(thread)) {
                // It has ended since it was listed.
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(Errno::EPERM) if has_ended(thread) => {}
                Err(error) => panic!("thread {thread} cannot be traced: {error}"),
            }
        }
        kill(pid, Signal::SIGCONT).unwrap();
        tracer
    }

    fn root(&self) -> Pid {
        Pid::from_raw(self.root.id().cast_signed())
    }

    fn run(mut self) -> Traced {
        let flags = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
        loop {
            match waitpid(Pid::from_raw(-1), Some(flags)).unwrap() {
                WaitStatus::Exited(pid, code) if pid == self.root() => return self.ended(code),
                WaitStatus::Signaled(pid, signal, _) if pid == self.root() => {
                    return self.ended(128 + signal as i32);
                }
                WaitStatus::PtraceSyscall(pid) => {
                    self.looks_at(pid);
                    self.lets_go_on(pid, None);
                }
                WaitStatus::PtraceEvent(pid, ..) => self.lets_go_on(pid, None),
                WaitStatus::Stopped(pid, signal) => self.lets_go_on(pid, Some(signal)),
                _ => {}
            }
        }
    }

    fn ended(self, code: i32) -> Traced {
        Traced { victim: self.victim, code, stderr: crate::command::content(&self.stderr) }
    }

    /// Asks what is to be done at a call that is entered, and does it; or what is left of it when it returns.
    fn looks_at(&mut self, pid: Pid) {
        if let Some((victim, fault)) = self.pending {
            if victim == pid {
                self.pending = None;
                match fault {
                    Fault::Error(errno) => call::give_back(pid, errno),
                    _ => kill(pid, Signal::SIGKILL).unwrap(),
                }
            }
            return;
        }
        if self.victim.is_some() {
            return;
        }
        let Some(call) = Call::entered(pid) else { return };
        let Some(fault) = (self.choose)(&call) else { return };
        self.victim = Some(format!("{} at {call}, {fault:?}", call.process()));
        match fault {
            Fault::Death => kill(pid, Signal::SIGKILL).unwrap(),
            Fault::DeathAfter => self.pending = Some((pid, fault)),
            Fault::Error(_) => {
                call::skip(pid);
                self.pending = Some((pid, fault));
            }
        }
    }

    /// A tracee that was killed meanwhile is as good as one that goes on. After the fault nobody looks any more.
    fn lets_go_on(&self, pid: Pid, signal: Option<Signal>) {
        let is_over = self.victim.is_some() && self.pending.is_none_or(|(victim, _)| victim != pid);
        if is_over {
            ptrace::cont(pid, signal).ok();
        } else {
            ptrace::syscall(pid, signal).ok();
        }
    }
}

fn options() -> Options {
    Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEFORK
        | Options::PTRACE_O_TRACEVFORK
        | Options::PTRACE_O_TRACEEXEC
}

/// The threads of a process; none when it has ended.
fn threads(process: i32) -> Vec<Pid> {
    let entries = fs_err::read_dir(format!("/proc/{process}/task")).into_iter().flatten();
    let names = entries.flatten().map(|entry| entry.file_name().into_string().unwrap());
    names.map(|name| Pid::from_raw(name.parse().unwrap())).collect()
}

/// Whether nothing of a thread is left but its end (proc_pid_status(5)).
fn has_ended(thread: Pid) -> bool {
    let status = fs_err::read_to_string(format!("/proc/{thread}/status"));
    status.map_or(true, |status| status.contains("State:\tZ") || status.contains("State:\tX"))
}
