//! One system call of a tracee, at the moment when it is entered.

use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use nix::libc;
use nix::sys::ptrace;
use nix::unistd::Pid;

/// The longest path that is read.
const PATH_MAX: usize = 4096;

/// A system call that a process is about to make.
#[derive(Debug)]
pub struct Call {
    pid: Pid,
    /// Its number.
    pub number: libc::c_long,
    arguments: [u64; 4],
}

impl std::fmt::Display for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "system call {}", self.number)
    }
}

impl Call {
    /// The call that this tracee is entering, when it is.
    pub(super) fn entered(pid: Pid) -> Option<Self> {
        let entering = ptrace::syscall_info(pid).ok()?.op == libc::PTRACE_SYSCALL_INFO_ENTRY;
        if entering { registers(pid) } else { None }
    }

    /// The name of the process that makes it, with what it is when it is naru's.
    pub fn process(&self) -> String {
        let read = |file| fs_err::read_to_string(format!("/proc/{}/{file}", self.pid));
        let line = read("cmdline").unwrap_or_default();
        let mut words = line.split('\0').map(|word| word.rsplit('/').next().unwrap_or(word));
        format!("{} {}", words.next().unwrap_or_default(), words.next().unwrap_or_default())
    }

    /// An argument as it is.
    pub fn argument(&self, index: usize) -> u64 {
        self.arguments[index]
    }

    /// The file behind an argument that is a descriptor.
    pub fn file(&self, index: usize) -> Option<PathBuf> {
        let descriptor = i32::try_from(self.arguments[index].cast_signed()).ok()?;
        fs_err::read_link(format!("/proc/{}/fd/{descriptor}", self.pid)).ok()
    }

    /// The path that an argument points to, from the directory behind another one or else the working directory.
    pub fn path(&self, directory: Option<usize>, index: usize) -> Option<PathBuf> {
        let path = PathBuf::from(self.text(index)?);
        if path.is_absolute() {
            return Some(path);
        }
        let base = directory.and_then(|directory| self.file(directory));
        let base = base.or_else(|| fs_err::read_link(format!("/proc/{}/cwd", self.pid)).ok())?;
        Some(base.join(path))
    }

    fn text(&self, index: usize) -> Option<String> {
        let memory = fs_err::File::open(format!("/proc/{}/mem", self.pid)).ok()?;
        let mut text = Vec::new();
        // A page at a time: the next one need not be there.
        while text.len() < PATH_MAX {
            let at = self.arguments[index] + text.len() as u64;
            let mut piece = vec![0; 4096 - usize::try_from(at % 4096).ok()?];
            let length = memory.file().read_at(&mut piece, at).ok()?;
            if let Some(end) = piece[..length].iter().position(|byte| *byte == 0) {
                text.extend_from_slice(&piece[..end]);
                return String::from_utf8(text).ok();
            }
            text.extend_from_slice(&piece[..length]);
        }
        None
    }
}

#[cfg(target_arch = "x86_64")]
fn registers(pid: Pid) -> Option<Call> {
    let all = ptrace::getregs(pid).ok()?;
    let arguments = [all.rdi, all.rsi, all.rdx, all.r10];
    Some(Call { pid, number: all.orig_rax.cast_signed(), arguments })
}

#[cfg(target_arch = "aarch64")]
fn registers(pid: Pid) -> Option<Call> {
    let all = ptrace::getregs(pid).ok()?;
    let [a, b, c, d, ..] = all.regs;
    Some(Call { pid, number: all.regs[8].cast_signed(), arguments: [a, b, c, d] })
}

/// Lets the kernel do nothing for the call that is being entered.
#[cfg(target_arch = "x86_64")]
pub(super) fn skip(pid: Pid) {
    let mut all = ptrace::getregs(pid).unwrap();
    all.orig_rax = u64::MAX;
    ptrace::setregs(pid, all).unwrap();
}

/// Lets the call that returns give an error.
#[cfg(target_arch = "x86_64")]
pub(super) fn give_back(pid: Pid, errno: i32) {
    let mut all = ptrace::getregs(pid).unwrap();
    all.rax = i64::from(-errno).cast_unsigned();
    ptrace::setregs(pid, all).unwrap();
}

#[cfg(not(target_arch = "x86_64"))]
pub(super) fn skip(_: Pid) {
    panic!("no call can be made to fail on this architecture");
}

#[cfg(not(target_arch = "x86_64"))]
pub(super) fn give_back(_: Pid, _: i32) {
    panic!("no call can be made to fail on this architecture");
}
