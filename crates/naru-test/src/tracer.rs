//! A death at any point: a command and everything that it starts run under ptrace(2), which counts the system calls that
//! change the world, and the process that is about to make the n-th is killed before it does.

use std::process::{Child, Command, Stdio};

use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

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

/// What came of a traced command.
#[derive(Debug)]
pub struct Death {
    /// The changes that were seen until the command ended, or until the death.
    pub changes: u64,
    /// Who was killed and at which system call, by its number; `None` when there were fewer changes.
    pub victim: Option<String>,
}

/// Runs `command` until it ends, and kills the process that is about to make the `nth` change (from 1) of all that it,
/// the `others` and everybody's descendants make. What is left running goes on without a tracer. Its output is thrown
/// away.
///
/// # Panics
/// When the command cannot be run or traced.
pub fn death_at(command: &Command, others: &[rustix::process::Pid], nth: u64) -> Death {
    // The kernel lets go of the tracees when the thread that traces them ends.
    std::thread::scope(|scope| scope.spawn(|| Tracer::start(command, others, nth).run()).join())
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

struct Tracer {
    root: Child,
    nth: u64,
    death: Death,
}

impl Tracer {
    /// Starts the command through a shell that waits to be traced.
    fn start(command: &Command, others: &[rustix::process::Pid], nth: u64) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", "kill -STOP $$; exec \"$@\"", "sh"]).arg(command.get_program());
        shell.args(command.get_args()).env_clear();
        shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        if let Some(folder) = command.get_current_dir() {
            shell.current_dir(folder);
        }
        shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let root = shell.spawn().unwrap();
        let tracer = Self { root, nth, death: Death { changes: 0, victim: None } };
        let pid = tracer.root();
        waitpid(pid, Some(WaitPidFlag::WUNTRACED)).unwrap();
        ptrace::seize(pid, options()).unwrap();
        for thread in others.iter().flat_map(|other| threads(other.as_raw_nonzero().get())) {
            ptrace::seize(thread, options()).unwrap();
            ptrace::interrupt(thread).unwrap();
        }
        kill(pid, Signal::SIGCONT).unwrap();
        tracer
    }

    fn root(&self) -> Pid {
        Pid::from_raw(self.root.id().cast_signed())
    }

    fn run(mut self) -> Death {
        let flags = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
        loop {
            match waitpid(Pid::from_raw(-1), Some(flags)).unwrap() {
                WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..)
                    if pid == self.root() =>
                {
                    return self.death;
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

    /// Counts a change, and kills whoever is about to make the n-th.
    fn looks_at(&mut self, pid: Pid) {
        let Some(call) = entered(pid).filter(|call| CHANGES.contains(call) || OLDER.contains(call))
        else {
            return;
        };
        if self.death.victim.is_some() {
            return;
        }
        self.death.changes += 1;
        if self.death.changes == self.nth {
            let name = fs_err::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            self.death.victim = Some(format!("{} at system call {call}", name.trim()));
            kill(pid, Signal::SIGKILL).unwrap();
        }
    }

    /// A tracee that was killed meanwhile is as good as one that goes on. After the death nobody counts any more.
    fn lets_go_on(&self, pid: Pid, signal: Option<Signal>) {
        if self.death.victim.is_some() {
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

fn threads(process: i32) -> Vec<Pid> {
    let entries = fs_err::read_dir(format!("/proc/{process}/task")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.map(|name| Pid::from_raw(name.parse().unwrap())).collect()
}

/// The number of the system call that this tracee is entering, when it is.
fn entered(pid: Pid) -> Option<libc::c_long> {
    let entering = ptrace::syscall_info(pid).ok()?.op == libc::PTRACE_SYSCALL_INFO_ENTRY;
    if entering { number(pid) } else { None }
}

#[cfg(target_arch = "x86_64")]
fn number(pid: Pid) -> Option<libc::c_long> {
    Some(ptrace::getregs(pid).ok()?.orig_rax.cast_signed())
}

#[cfg(target_arch = "aarch64")]
fn number(pid: Pid) -> Option<libc::c_long> {
    Some(ptrace::getregs(pid).ok()?.regs[8].cast_signed())
}
