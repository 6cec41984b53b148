//! What a hostile program in a container tries: each word is one mechanism and prints what it got, never what it
//! changed. Used by `naru-check attack …` and by the checker of the runtime's kernel tests, which takes this file in.
//!
//! Whatever succeeds here does no harm outside of the tests' own files: a value is written as it was read, and programs
//! are opened for writing without being written to.

use std::collections::{BTreeSet, VecDeque};
use std::io::Write as _;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fs_err as fs;
use naru_sys::attempt::{Answer, system_call};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

/// Carries out one attack; false when there is none of that name.
pub(crate) fn act(words: &[&str]) -> bool {
    match words {
        ["swap", first, second] => swap(first, second),
        ["fds"] => list_descriptors(),
        ["sleep"] => loop {
            std::thread::park();
        },
        ["exe-overwrite", seconds] => overwrite_programs(seconds_of(seconds)),
        ["watch", seconds, secret] => watch(seconds_of(seconds), secret),
        ["sys", number, arguments @ ..] => call(number, arguments),
        ["sweep", last] => sweep(last),
        ["caps"] => print_capabilities(),
        ["sock32", family] => socket_32(family),
        ["forkbomb", count] => fork_bomb(count),
        ["hog", megabytes] => hog(megabytes),
        ["flood", bytes] => flood(bytes),
        ["write-below", folder] => write_below(Path::new(folder)),
        ["release-agent"] => release_agent(),
        ["undo"] => undo_masks(),
        ["reopen", path] => print(path, reopen(Path::new(path))),
        ["mode", path, mode] => print(path, change_mode(path, mode)),
        ["owner", path, id] => print(path, change_owner(path, id)),
        ["connect-abstract"] => connect_abstract(),
        ["frame", interface, bytes] => print("frame", send_frame(interface, bytes)),
        _ => return false,
    }
    true
}

/// Sends a whole frame, given in hexadecimal digits.
fn send_frame(interface: &str, digits: &str) -> Result<(), Errno> {
    let pairs = digits.as_bytes().chunks(2);
    let bytes = pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    let frame: Vec<u8> = bytes.collect::<Option<_>>().ok_or(Errno::INVAL)?;
    let socket = naru_sys::network::packet_socket(interface)?;
    rustix::io::write(&socket, &frame).map(drop)
}

fn seconds_of(text: &str) -> Duration {
    Duration::from_secs_f64(text.parse().unwrap_or(1.0))
}

/// Until the time is over, or somebody has made a file `/stop`.
fn goes_on(begin: Instant, limit: Duration) -> bool {
    begin.elapsed() < limit && !Path::new("/stop").exists()
}

fn print(what: &str, result: Result<(), Errno>) {
    match result {
        Ok(()) => println!("{what}: done"),
        Err(errno) => println!("{what}: errno {}", errno.raw_os_error()),
    }
}

/// Exchanges two names for ever (`RENAME_EXCHANGE`).
fn swap(first: &str, second: &str) {
    println!("swapping");
    std::io::stdout().flush().ok();
    loop {
        // The other side may have removed one for a moment.
        let _ = rustix::fs::renameat_with(CWD, first, CWD, second, RenameFlags::EXCHANGE);
    }
}

/// Process ids that can be seen, without our own.
fn others() -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let own = std::process::id();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| *pid != own)
        .collect()
}

/// Descriptors of every process that can be seen, our own included, with what they lead to.
fn list_descriptors() {
    for pid in others().into_iter().chain([std::process::id()]) {
        for (number, target) in descriptors_of(pid) {
            println!("{pid} {number} {}", target.display());
        }
    }
}

fn descriptors_of(pid: u32) -> Vec<(String, PathBuf)> {
    let folder = format!("/proc/{pid}/fd");
    let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let target = fs::read_link(entry.path()).ok()?;
            // The one that lists them.
            let is_listing = target.ends_with("fd") && target.starts_with("/proc");
            (!is_listing).then(|| (entry.file_name().to_string_lossy().into_owned(), target))
        })
        .collect()
}

/// Opens the program of every other process for writing, through a descriptor that is kept until the program is no
/// longer executed. Counts what it got; programs of the container do not count.
fn overwrite_programs(limit: Duration) {
    println!("waiting");
    std::io::stdout().flush().ok();
    let begin = Instant::now();
    let (mut writable, mut seen) = (0, 0);
    let mut kept: VecDeque<OwnedFd> = VecDeque::new();
    while goes_on(begin, limit) {
        for pid in others() {
            let path = OFlags::PATH | OFlags::CLOEXEC;
            let Ok(place) = rustix::fs::open(format!("/proc/{pid}/exe"), path, Mode::empty())
            else {
                continue;
            };
            if !is_ours(&through(&place)) {
                seen += 1;
                kept.push_back(place);
            }
        }
        for place in &kept {
            writable += usize::from(is_writable(&through(place)));
        }
        kept.drain(..kept.len().saturating_sub(64));
    }
    println!("seen {seen} writable {writable}");
}

/// The path of what a descriptor holds.
fn through(place: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", place.as_raw_fd()))
}

/// Whether a process's program is a file that the container has by that name, or cannot be looked at.
fn is_ours(program: &Path) -> bool {
    let Ok(path) = fs::read_link(program) else { return true };
    // One that has ended meanwhile shows nothing any more.
    let Ok(running) = fs::metadata(program) else { return true };
    fs::metadata(path)
        .is_ok_and(|named| (running.dev(), running.ino()) == (named.dev(), named.ino()))
}

/// Whether a program can be written to, or could as soon as nobody executes it (which is `ETXTBSY` until then): it is
/// neither on a read-only mount nor sealed.
fn is_writable(path: &Path) -> bool {
    let is_read_only = rustix::fs::statvfs(path)
        .is_ok_and(|data| data.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY));
    let is_sealed = fs::File::open(path).is_ok_and(|file| {
        let seals = rustix::fs::fcntl_get_seals(&file);
        seals.is_ok_and(|seals| seals.contains(rustix::fs::SealFlags::WRITE))
    });
    let open = || rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()).is_ok();
    !is_sealed && (!is_read_only || open())
}

/// Looks at every process that appears, for as long as said, and prints what should have been hidden: a root or working
/// directory from which `secret`, a file of the host, can be opened; a program that is not one of the container's; a
/// descriptor of something outside.
fn watch(limit: Duration, secret: &str) {
    println!("watching");
    std::io::stdout().flush().ok();
    let begin = Instant::now();
    let mut found = BTreeSet::new();
    let mut rounds = 0_u64;
    while goes_on(begin, limit) {
        rounds += 1;
        for pid in others() {
            for way in ["root", "cwd"] {
                if fs::File::open(format!("/proc/{pid}/{way}{secret}")).is_ok() {
                    found.insert(format!("{way} of the host"));
                }
            }
            let program = PathBuf::from(format!("/proc/{pid}/exe"));
            if !is_ours(&program) {
                found.insert("program of the host".to_owned());
            }
            for (_, target) in descriptors_of(pid) {
                let text = target.to_string_lossy().into_owned();
                // A program's own file in /proc is gone as soon as it has ended.
                let own = format!("/proc/{pid}/");
                let is_usual = ["pipe:", "/memfd:", "/dev/", "/null", own.as_str()]
                    .iter()
                    .any(|usual| text.starts_with(usual));
                if !is_usual && !target.exists() {
                    let kind = text.split(['[', ':']).next().unwrap_or_default().to_owned();
                    found.insert(format!("descriptor {kind}"));
                }
            }
        }
    }
    println!("looked {}", rounds.min(1));
    for what in found {
        println!("leak: {what}");
    }
}

fn call(number: &str, arguments: &[&str]) {
    let parse = |text: &str| match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    let mut values = [0; 6];
    for (value, text) in values.iter_mut().zip(arguments) {
        *value = parse(text).unwrap_or_default();
    }
    println!("{}", answer(system_call(number.parse().unwrap_or(-1), values)));
}

/// Calls everything from 0 to `last` without arguments, and prints each number with its answer.
fn sweep(last: &str) {
    for number in 0..=last.parse().unwrap_or(470) {
        println!("{number} {}", answer(system_call(number, [0; 6])));
    }
}

fn answer(answer: Result<Answer, Errno>) -> String {
    match answer {
        Ok(Answer::Returned(value)) => format!("returned {value}"),
        Ok(Answer::Failed(errno)) => format!("errno {}", errno.raw_os_error()),
        Ok(Answer::NoReturn) => "no return".to_owned(),
        Err(errno) => format!("not made {}", errno.raw_os_error()),
    }
}

fn print_capabilities() {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().filter(|line| line.starts_with("Cap")).for_each(|line| println!("{line}"));
}

/// The i386 ways to a socket, socket(2) and socketcall(2), past a filter that knows the native numbers only.
#[cfg(target_arch = "x86_64")]
fn socket_32(family: &str) {
    let family = family.parse().unwrap_or(2);
    for (name, number) in [("getpid", 20), ("socket", 359), ("socketcall", 102)] {
        let made = naru_sys::attempt::system_call_32(number, [family, 1, 0]);
        println!("{name} {}", answer(made));
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn socket_32(_family: &str) {
    println!("no 32-bit system calls on this machine");
}

/// Starts processes that start processes, until `count` are there or no more can be had.
fn fork_bomb(count: &str) {
    let wanted: usize = count.parse().unwrap_or(100);
    let mut children = Vec::new();
    let mut refused = 0;
    while children.len() < wanted && refused < 100 {
        let mut child = std::process::Command::new("/proc/self/exe");
        std::os::unix::process::CommandExt::arg0(
            &mut child,
            std::env::args().next().unwrap_or_default(),
        );
        match child.args(["attack", "sleep"]).stdin(std::process::Stdio::null()).spawn() {
            Ok(child) => children.push(child),
            Err(_) => refused += 1,
        }
    }
    println!("started {} refused {refused}", children.len());
    for child in &mut children {
        child.kill().ok();
        child.wait().ok();
    }
}

/// Touches memory page by page.
fn hog(megabytes: &str) {
    let mut memory = vec![0_u8; megabytes.parse::<usize>().unwrap_or(0) << 20];
    memory.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
    println!("had {}", memory.iter().filter(|byte| **byte == 1).count());
}

/// Writes so many bytes to stdout in lines of 100.
fn flood(bytes: &str) {
    let line = [b'x'; 99].into_iter().chain([b'\n']).collect::<Vec<u8>>();
    let block = line.repeat(655);
    let mut left: usize = bytes.parse().unwrap_or(0);
    let mut stdout = std::io::stdout();
    while left > 0 {
        let length = left.min(block.len());
        if stdout.write_all(&block[..length]).is_err() {
            return;
        }
        left -= length;
    }
}

/// Opens every file below a folder for writing, and prints those it got.
fn write_below(folder: &Path) {
    let (mut tried, mut waiting) = (0, vec![folder.to_owned()]);
    while let Some(path) = waiting.pop() {
        let Ok(data) = fs::symlink_metadata(&path) else { continue };
        if data.is_dir() {
            let made = path.join("naru-attack");
            if fs::create_dir(&made).is_ok() {
                println!("made {}", made.display());
                fs::remove_dir(&made).ok();
            }
            waiting.extend(
                fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()),
            );
        } else if data.is_file() {
            tried += 1;
            if rustix::fs::open(&path, OFlags::WRONLY, Mode::empty()).is_ok() {
                println!("opened {}", path.display());
            }
        }
    }
    println!("tried {tried}");
}

/// The way out through cgroup v1's release_agent: mounting a hierarchy anew, with a user namespace of our own, and
/// writing to one that can be found.
fn release_agent() {
    let mount = || {
        rustix::mount::mount(
            "cgroup",
            "/tmp",
            "cgroup",
            rustix::mount::MountFlags::empty(),
            c"memory",
        )
    };
    print("mount", mount());
    let flags = nix::sched::CloneFlags::CLONE_NEWUSER
        | nix::sched::CloneFlags::CLONE_NEWNS
        | nix::sched::CloneFlags::CLONE_NEWCGROUP;
    let unshared =
        nix::sched::unshare(flags).map_err(|errno| Errno::from_raw_os_error(errno as i32));
    print("unshare", unshared);
    print("mount again", mount());
    for top in ["/sys/fs/cgroup", "/proc/1/root/sys/fs/cgroup"] {
        let hierarchies =
            fs::read_dir(top).into_iter().flatten().flatten().map(|entry| entry.path());
        for hierarchy in hierarchies.chain([PathBuf::from(top)]) {
            let file = hierarchy.join("release_agent");
            if let Ok(now) = fs::read(&file) {
                // What is there already, so that nothing changes if it goes through.
                let written = std::fs::OpenOptions::new()
                    .write(true)
                    .open(&file)
                    .and_then(|mut f| f.write_all(&now));
                println!("{} is there, written: {}", file.display(), written.is_ok());
            }
        }
    }
}

/// Tries to take masks and read-only paths away.
fn undo_masks() {
    use rustix::mount::{
        MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
    };
    for path in ["/proc/kcore", "/proc/keys", "/proc/sys", "/sys/firmware", "/proc", "/sys", "/dev"]
    {
        print(&format!("umount {path}"), rustix::mount::unmount(path, UnmountFlags::DETACH));
    }
    let flags = MountFlags::BIND;
    print("remount /proc/sys", rustix::mount::mount_remount("/proc/sys", flags, c""));
    print("remount /sys", rustix::mount::mount_remount("/sys", flags, c""));
    print("bind /proc", rustix::mount::mount_bind("/proc", "/tmp"));
    print("move /proc/sys", rustix::mount::mount_move("/proc/sys", "/tmp"));
    print("share /", rustix::mount::mount_change("/", MountPropagationFlags::SHARED));
    let tree = rustix::mount::open_tree(CWD, "/proc", OpenTreeFlags::OPEN_TREE_CLONE);
    print("open_tree /proc", tree.map(drop));
    let moved = rustix::mount::move_mount(CWD, "/proc/sys", CWD, "/tmp", MoveMountFlags::empty());
    print("move_mount /proc/sys", moved);
    let attributes = naru_sys::mount::Attributes { clear: 1, ..Default::default() };
    let opened = rustix::fs::open("/proc/sys", OFlags::PATH, Mode::empty());
    let changed =
        opened.and_then(|file| naru_sys::mount::set_attributes(file.as_fd(), false, &attributes));
    print("mount_setattr /proc/sys", changed);
    print(
        "fsopen proc",
        rustix::mount::fsopen("proc", rustix::mount::FsOpenFlags::empty()).map(drop),
    );
    print("pivot_root", rustix::process::pivot_root("/tmp", "/tmp"));
    let path = OFlags::RDONLY | OFlags::CLOEXEC;
    let entered = rustix::fs::open("/proc/self/ns/mnt", path, Mode::empty())
        .and_then(|own| rustix::thread::move_into_link_name_space(own.as_fd(), None));
    print("setns", entered);
}

/// Opens a file for writing and writes to it what it holds already; without waiting, should it be a terminal.
fn reopen(path: &Path) -> Result<(), Errno> {
    let open = |flags| {
        let flags = flags | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        rustix::fs::open(path, flags, Mode::empty())
    };
    let mut now = vec![0; 4096];
    let length = rustix::io::read(open(OFlags::RDONLY)?, &mut now)?;
    rustix::io::write(open(OFlags::WRONLY)?, &now[..length]).map(drop)
}

fn change_mode(path: &str, mode: &str) -> Result<(), Errno> {
    let mode = u32::from_str_radix(mode, 8).unwrap_or(0o666);
    rustix::fs::chmod(path, Mode::from_bits_truncate(mode))
}

fn change_owner(path: &str, id: &str) -> Result<(), Errno> {
    let id: u32 = id.parse().unwrap_or(1000);
    let (uid, gid) = (rustix::fs::Uid::from_raw(id), rustix::fs::Gid::from_raw(id));
    rustix::fs::chownat(CWD, path, Some(uid), Some(gid), AtFlags::empty())
}

/// Connects to every socket with an abstract name that can be seen, and prints those that answer.
fn connect_abstract() {
    use std::os::linux::net::SocketAddrExt as _;
    let table = fs::read_to_string("/proc/net/unix").unwrap_or_default();
    let names = table.lines().filter_map(|line| line.split_whitespace().nth(7)?.strip_prefix('@'));
    for name in names.collect::<BTreeSet<_>>() {
        let address = std::os::unix::net::SocketAddr::from_abstract_name(name);
        let connected =
            address.and_then(|address| std::os::unix::net::UnixStream::connect_addr(&address));
        println!("@{name} {}", if connected.is_ok() { "connected" } else { "refused" });
    }
}
