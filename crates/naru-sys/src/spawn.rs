//! Starting a program in new namespaces from a threaded process, without copying its memory.

use std::ffi::{CStr, c_char, c_int, c_long, c_void};
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

use rustix::io::Errno;

/// The descriptor at which the new program finds the socket of [`Spawn::socket`].
pub const SOCKET: RawFd = 3;

/// The child's stack: it runs one function that makes a few system calls.
const STACK_SIZE: usize = 64 * 1024;

/// A program to start: everything is prepared by the caller, the child allocates nothing.
#[derive(Debug)]
pub struct Spawn<'a> {
    /// The program, an `O_PATH` descriptor or better.
    pub program: BorrowedFd<'a>,
    /// Its arguments, the program's name first.
    pub arguments: &'a [&'a CStr],
    /// Its environment.
    pub environment: &'a [&'a CStr],
    /// The one descriptor it gets beside 0, 1 and 2, as number [`SOCKET`].
    pub socket: BorrowedFd<'a>,
    /// `CLONE_NEW*` flags.
    pub namespaces: u64,
    /// The child's parent is the caller's parent (`CLONE_PARENT`).
    pub sibling: bool,
    /// Directory of the cgroup v2 the child starts in (`CLONE_INTO_CGROUP`).
    pub cgroup: Option<BorrowedFd<'a>>,
    /// Namespaces to join first, in this order, by a process in between that ends at once: the child
    /// is then born into the pid namespace among them, and what it makes belongs to the user namespace.
    pub join: &'a [BorrowedFd<'a>],
    /// The child keeps its capabilities over the exec although its user is not root: the first
    /// process of a user namespace whose ids are not mapped yet.
    pub keep_capabilities: bool,
}

/// A process that [`spawn`] made.
#[derive(Debug)]
pub struct Spawned {
    /// Its number in the caller's pid namespace.
    pub pid: i32,
    /// Its descriptor, close-on-exec.
    pub pidfd: OwnedFd,
}

/// Why [`spawn`] failed.
#[derive(Debug)]
pub enum SpawnError {
    /// No process was made.
    Clone(Errno),
    /// The namespace at this place of [`Spawn::join`] cannot be joined; no process was made.
    Join(Errno, usize),
    /// The process was made, could not run the program and has ended; it may need a wait.
    Exec(Errno, Spawned),
    /// The process was made and killed before its first instruction; it may need a wait. Newer
    /// kernels (seen on 6.18) do that when the group of [`Spawn::cgroup`] and the caller's group
    /// were not killed (`cgroup.kill`) equally often.
    Killed(Spawned),
}

/// What the child needs, on the caller's stack, which is stopped until the child has exec'ed.
struct Child {
    program: c_int,
    arguments: *const *const c_char,
    environment: *const *const c_char,
    socket: c_int,
    keep_capabilities: bool,
    errno: c_int,
    has_run: bool,
    between: Option<Between>,
}

/// What the process in between does: joins, then makes the real child.
struct Between {
    namespaces: *const c_int,
    count: usize,
    /// How many were joined.
    joined: usize,
    args: *mut libc::clone_args,
    child: *mut Child,
    result: c_long,
}

/// Starts `spawn.program` in a child that shares the caller's memory until it has exec'ed.
///
/// The child gets its socket as descriptor 3, all other descriptors above 2 become close-on-exec,
/// and `execveat` runs the program; nothing else happens, so this is sound in a process with
/// threads. All signals are blocked in the new program, which has to unblock them.
///
/// See [clone3(2)](https://man7.org/linux/man-pages/man2/clone.2.html) (Linux 5.3; with
/// `cgroup` 5.7), [close_range(2)](https://man7.org/linux/man-pages/man2/close_range.2.html)
/// (`CLOSE_RANGE_CLOEXEC`, 5.11) and
/// [execveat(2)](https://man7.org/linux/man-pages/man2/execveat.2.html) (3.19).
///
/// # Errors
/// With [`SpawnError::Exec`] and [`SpawnError::Killed`] the failed process is still to be waited for by its parent.
pub fn spawn(spawn: &Spawn<'_>) -> Result<Spawned, SpawnError> {
    let arguments = pointers(spawn.arguments);
    let environment = pointers(spawn.environment);
    let mut child = Child {
        program: spawn.program.as_raw_fd(),
        arguments: arguments.as_ptr(),
        environment: environment.as_ptr(),
        socket: spawn.socket.as_raw_fd(),
        keep_capabilities: spawn.keep_capabilities,
        errno: 0,
        has_run: false,
        between: None,
    };
    let mut stack: Vec<MaybeUninit<u128>> = Vec::with_capacity(STACK_SIZE / size_of::<u128>());
    let mut pidfd: c_int = -1;
    let mut args = vfork_args(&mut stack);
    args.flags |= u64::from(libc::CLONE_PIDFD.cast_unsigned()) | spawn.namespaces;
    args.pidfd = (&raw mut pidfd) as u64;
    if spawn.sibling {
        args.flags |= u64::from(libc::CLONE_PARENT.cast_unsigned());
    } else {
        args.exit_signal = u64::from(libc::SIGCHLD.cast_unsigned());
    }
    if let Some(cgroup) = spawn.cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = u64::from(cgroup.as_raw_fd().cast_unsigned());
    }

    let signals = crate::signals::block_all();
    let result = if spawn.join.is_empty() {
        // SAFETY: `args` describes a stack of STACK_SIZE bytes that lives until this function
        // returns, aligned to 16 bytes by its element type; CLONE_VFORK stops this thread until the
        // child has exec'ed or exited, so `child`, `pidfd` and the pointer arrays outlive its use.
        unsafe { clone3(&raw mut args, &raw mut child) }
    } else {
        join_and_clone(spawn.join, &mut args, &mut child)?
    };
    drop(signals);

    let pid = match i32::try_from(result) {
        Ok(pid) if pid > 0 => pid,
        _ => return Err(SpawnError::Clone(negative(result))),
    };
    // SAFETY: clone3 succeeded, so CLONE_PIDFD stored a new descriptor that nobody else owns: the
    // process in between, if there was one, shares this process's table of descriptors.
    let pidfd = unsafe { OwnedFd::from_raw_fd(ptr::read_volatile(&raw const pidfd)) };
    // SAFETY: the child, which shares this memory, may have written the field; it has exec'ed or
    // ended by now, and the volatile read keeps the compiler from assuming the initial value.
    let errno = unsafe { ptr::read_volatile(&raw const child.errno) };
    // SAFETY: as for the field before.
    let has_run = unsafe { ptr::read_volatile(&raw const child.has_run) };
    let spawned = Spawned { pid, pidfd };
    match errno {
        _ if !has_run => Err(SpawnError::Killed(spawned)),
        0 => Ok(spawned),
        errno => Err(SpawnError::Exec(Errno::from_raw_os_error(errno), spawned)),
    }
}

/// Arguments for a child that borrows this memory, on a stack of [`STACK_SIZE`] bytes.
fn vfork_args(stack: &mut Vec<MaybeUninit<u128>>) -> libc::clone_args {
    // SAFETY: all fields of clone_args are integers, for which zero is a value.
    let mut args: libc::clone_args = unsafe { mem::zeroed() };
    args.flags = u64::from((libc::CLONE_VM | libc::CLONE_VFORK).cast_unsigned());
    args.stack = stack.as_mut_ptr() as u64;
    args.stack_size = STACK_SIZE as u64;
    args
}

/// Calls clone3 from a process in between that has joined `namespaces`; its result is returned.
///
/// That process is this one's child, also when the real child is to be a sibling, which it cannot
/// be made from here: `CLONE_PARENT` from there means this process.
fn join_and_clone(
    namespaces: &[BorrowedFd<'_>],
    args: &mut libc::clone_args,
    child: &mut Child,
) -> Result<c_long, SpawnError> {
    let parent = u64::from(libc::CLONE_PARENT.cast_unsigned());
    if args.flags & parent != 0 {
        return Err(SpawnError::Clone(Errno::INVAL));
    }
    args.flags |= parent;
    args.exit_signal = 0;
    let numbers: Vec<c_int> = namespaces.iter().map(AsRawFd::as_raw_fd).collect();
    let mut stack: Vec<MaybeUninit<u128>> = Vec::with_capacity(STACK_SIZE / size_of::<u128>());
    let mut outer = vfork_args(&mut stack);
    outer.flags |= u64::from(libc::CLONE_FILES.cast_unsigned());
    outer.exit_signal = u64::from(libc::SIGCHLD.cast_unsigned());
    let mut between = Child {
        between: Some(Between {
            namespaces: numbers.as_ptr(),
            count: numbers.len(),
            joined: 0,
            args: ptr::from_mut(args),
            child: ptr::from_mut(child),
            result: 0,
        }),
        ..*child
    };
    // SAFETY: as in `spawn`: the stack is unused and lives on, and this thread is stopped until the
    // process in between has ended, which it does only after the real child has exec'ed or ended.
    let pid = unsafe { clone3(&raw mut outer, &raw mut between) };
    if pid < 0 {
        return Err(SpawnError::Clone(negative(pid)));
    }
    // SAFETY: no status is asked for. When somebody else has reaped the process, nothing is missed.
    unsafe { libc::waitpid(libc::pid_t::try_from(pid).unwrap_or(0), ptr::null_mut(), 0) };
    // SAFETY: the process in between, which shared this memory, has written the field and ended.
    let between = unsafe { ptr::read_volatile(&raw const between.between) };
    match between {
        Some(between) if between.joined < between.count => {
            Err(SpawnError::Join(negative(between.result), between.joined))
        }
        Some(between) => Ok(between.result),
        None => Err(SpawnError::Clone(Errno::INVAL)),
    }
}

/// The error of a system call that was made without the C library.
fn negative(result: c_long) -> Errno {
    Errno::from_raw_os_error(i32::try_from(-result).unwrap_or(libc::EINVAL))
}

const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// The strings as a null-terminated array of pointers.
fn pointers(strings: &[&CStr]) -> Vec<*const c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect()
}

/// The whole life of the process in between: join, make the child, tell its number, end.
///
/// # Safety
/// All pointers of `between` must be valid, and nobody else may use what they point to.
unsafe fn between_main(between: &mut Between) -> ! {
    // SAFETY: the caller's thread is stopped, so the memory is this process's alone; joining
    // changes only this process, which has one thread and shares nothing but memory and descriptors.
    unsafe {
        let mut result: c_long = 0;
        while between.joined < between.count {
            let namespace = *between.namespaces.add(between.joined);
            if libc::syscall(libc::SYS_setns, namespace, 0) < 0 {
                result = -c_long::from(*libc::__errno_location());
                break;
            }
            ptr::write_volatile(&raw mut between.joined, between.joined + 1);
        }
        if between.joined == between.count {
            result = clone3(between.args, between.child);
        }
        ptr::write_volatile(&raw mut between.result, result);
        loop {
            libc::syscall(libc::SYS_exit_group, 0);
        }
    }
}

/// Makes the capabilities of this process, which it has all by being the first in a user namespace,
/// survive an execve(2): inheritable and ambient.
///
/// # Safety
/// Only for the child of [`spawn`]: nothing is allocated.
unsafe fn keep_capabilities() -> bool {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: c_int,
    }
    /// `struct __user_cap_data_struct`, twice: effective, permitted, inheritable.
    type Sets = [[u32; 3]; 2];
    const VERSION_3: u32 = 0x2008_0522;
    const LAST: c_long = 63;

    let mut header = Header { version: VERSION_3, pid: 0 };
    let mut sets: Sets = [[0; 3]; 2];
    // SAFETY: the header says version 3, for which both calls use two data structures.
    unsafe {
        if libc::syscall(libc::SYS_capget, &raw mut header, sets.as_mut_ptr()) < 0 {
            return false;
        }
        for set in &mut sets {
            set[2] = set[1];
        }
        if libc::syscall(libc::SYS_capset, &raw mut header, sets.as_ptr()) < 0 {
            return false;
        }
        for number in 0..=LAST {
            // Numbers that the kernel does not know, or that the process lacks, are refused.
            let raise = c_long::from(libc::PR_CAP_AMBIENT_RAISE);
            libc::syscall(libc::SYS_prctl, libc::PR_CAP_AMBIENT, raise, number, 0, 0);
        }
    }
    true
}

/// The whole life of the child: place the socket, let nothing else through, become the program.
extern "C" fn child_main(child: *mut Child) -> ! {
    // SAFETY: `child` points into the stack frame of `spawn`, which is stopped by CLONE_VFORK
    // until this process has exec'ed or exited. The system calls read only memory that `spawn`
    // prepared, and work on this process's own copy of the descriptor table.
    unsafe {
        let child = &mut *child;
        if let Some(between) = &mut child.between {
            between_main(between);
        }
        ptr::write_volatile(&raw mut child.has_run, true);
        let ready = !child.keep_capabilities || keep_capabilities();
        let placed = if child.socket == SOCKET {
            libc::syscall(libc::SYS_fcntl, SOCKET, libc::F_SETFD, 0)
        } else {
            let mut program = child.program;
            if program == SOCKET {
                let moved = libc::syscall(libc::SYS_fcntl, program, libc::F_DUPFD_CLOEXEC, 4);
                program = c_int::try_from(moved).unwrap_or(-1);
            }
            child.program = program;
            libc::syscall(libc::SYS_dup3, child.socket, SOCKET, 0)
        };
        if ready && placed >= 0 {
            libc::syscall(libc::SYS_close_range, SOCKET + 1, c_int::MAX, libc::CLOSE_RANGE_CLOEXEC);
            libc::syscall(
                libc::SYS_execveat,
                child.program,
                c"".as_ptr(),
                child.arguments,
                child.environment,
                libc::AT_EMPTY_PATH,
            );
        }
        ptr::write_volatile(&raw mut child.errno, *libc::__errno_location());
        loop {
            libc::syscall(libc::SYS_exit_group, 127);
        }
    }
}

/// Calls clone3 and, in the child, [`child_main`] on the child's own stack.
///
/// # Safety
/// `args` must describe an unused stack, aligned to 16 bytes, and contain `CLONE_VFORK`; what
/// `child` points to must be valid until the call returns.
#[cfg(target_arch = "x86_64")]
unsafe fn clone3(args: *mut libc::clone_args, child: *mut Child) -> c_long {
    let result: c_long;
    // SAFETY: the kernel clobbers rax, rcx and r11 only. The child starts after `syscall` with the
    // new stack and the parent's registers, calls a function that never returns and so never
    // touches the parent's stack frame.
    unsafe {
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r12",
            "call {entry}",
            "ud2",
            "2:",
            entry = sym child_main,
            inlateout("rax") libc::SYS_clone3 => result,
            in("rdi") args.cast::<c_void>(),
            in("rsi") size_of::<libc::clone_args>(),
            in("r12") child.cast::<c_void>(),
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    result
}

/// Calls clone3 and, in the child, [`child_main`] on the child's own stack.
///
/// # Safety
/// `args` must describe an unused stack, aligned to 16 bytes, and contain `CLONE_VFORK`; what
/// `child` points to must be valid until the call returns.
#[cfg(target_arch = "aarch64")]
unsafe fn clone3(args: *mut libc::clone_args, child: *mut Child) -> c_long {
    let result: c_long;
    // SAFETY: the kernel changes x0 only. The child starts after `svc` with the new stack and the
    // parent's registers, calls a function that never returns and so never touches the parent's
    // stack frame.
    unsafe {
        std::arch::asm!(
            "svc 0",
            "cbnz x0, 2f",
            "mov x29, xzr",
            "mov x0, x20",
            "bl {entry}",
            "brk 1",
            "2:",
            entry = sym child_main,
            in("x8") libc::SYS_clone3,
            inlateout("x0") args.cast::<c_void>() => result,
            in("x1") size_of::<libc::clone_args>(),
            in("x20") child.cast::<c_void>(),
            lateout("x30") _,
        );
    }
    result
}
