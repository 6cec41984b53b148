//! The program inside: each command prints one thing it sees or the error it gets.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::process::{Command, ExitCode};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType};
use rustix::process::{Pid, Signal};

/// Runs `COMMAND ARGUMENT…`; several commands are separated by `+`, their output by blank lines.
pub(crate) fn run(arguments: &[String]) -> ExitCode {
    for (number, command) in arguments.split(|argument| argument == "+").enumerate() {
        if number > 0 {
            println!();
        }
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        if let Some(code) = command_of(&words) {
            return code;
        }
    }
    ExitCode::SUCCESS
}

fn command_of(words: &[&str]) -> Option<ExitCode> {
    match words {
        ["exit", code] => return Some(ExitCode::from(code.parse::<u8>().unwrap())),
        ["signal", number] => signal_self(number.parse().unwrap()),
        ["forever"] => std::thread::sleep(Duration::from_secs(600)),
        ["spin"] => loop {
            std::hint::spin_loop();
        },
        ["stdin"] => drop(std::io::stdin().read_to_end(&mut Vec::new())),
        ["say", text] => println!("{text}"),
        ["status"] => print(fs_err::read_to_string("/proc/self/status")),
        ["cat", path] => print(fs_err::read_to_string(path)),
        ["write", path, text] => print(write(path, text)),
        ["create", path] => print(fs_err::File::create(path).map(|_| "ok".to_owned())),
        ["stat", path] => print(stat(path)),
        ["ls", path] => print(list(path)),
        ["link", path] => print(link(path)),
        ["fds"] => println!("{}", descriptors()),
        ["id"] => println!("{}", id()),
        ["cwd"] => println!("{}", std::env::current_dir().unwrap().display()),
        ["env"] => std::env::vars().for_each(|(name, value)| println!("{name}={value}")),
        ["namespaces"] => namespaces(),
        ["hostname"] => println!("{}", rustix::system::uname().nodename().to_string_lossy()),
        ["socket", family] => print(socket(family.parse().unwrap())),
        ["mount"] => print(mount()),
        ["mount-at", path] => print(mount_at(path)),
        ["schedule"] => println!("{}", schedule()),
        ["machine"] => println!("{}", rustix::system::uname().machine().to_string_lossy()),
        ["mkdir", path] => print(fs_err::create_dir(path).map(|()| "ok".to_owned())),
        ["unshare"] => print(unshare()),
        ["tty"] => println!("{}", tty()),
        ["clock"] => println!("{} {}", uptime().0, uptime().1),
        ["hook", path] => hook(path),
        ["orphan"] => orphan(),
        ["allocate", megabytes] => allocate(megabytes.parse().unwrap()),
        ["limit"] => {
            println!("{:?}", rustix::process::getrlimit(rustix::process::Resource::Nofile))
        }
        ["wait-for-signal"] => return Some(wait_for_signal()),
        ["attack", attack @ ..] if crate::attack::act(attack) => {}
        other => panic!("unknown command {other:?}"),
    }
    None
}

fn print(result: std::io::Result<String>) {
    match result {
        Ok(text) => println!("{}", text.trim_end()),
        Err(error) => println!("errno {}", errno(&error)),
    }
    std::io::stdout().flush().unwrap();
}

/// The number, also of an error that `fs_err` has given the path's name.
pub(crate) fn errno(error: &std::io::Error) -> i32 {
    let text = error.to_string();
    let number = || text.rsplit_once("(os error ")?.1.trim_end_matches(')').parse().ok();
    error.raw_os_error().or_else(number).unwrap_or(0)
}

fn signal_self(number: i32) {
    let signal = Signal::from_named_raw(number).unwrap();
    rustix::process::kill_process(rustix::process::getpid(), signal).unwrap();
    std::thread::sleep(Duration::from_secs(5));
}

fn write(path: &str, text: &str) -> std::io::Result<String> {
    let mut file = fs_err::OpenOptions::new().write(true).open(path)?;
    file.write_all(text.as_bytes()).map(|()| "ok".to_owned())
}

fn stat(path: &str) -> std::io::Result<String> {
    let found = fs_err::symlink_metadata(path)?;
    let (kind, mode) = (found.file_type(), found.permissions().mode() & 0o7777);
    let kind = if kind.is_char_device() {
        "char"
    } else if kind.is_dir() {
        "dir"
    } else if kind.is_symlink() {
        "link"
    } else {
        "file"
    };
    let (major, minor) = (rustix::fs::major(found.rdev()), rustix::fs::minor(found.rdev()));
    Ok(format!("{kind} {mode:o} {}:{} {major}:{minor}", found.uid(), found.gid()))
}

fn list(path: &str) -> std::io::Result<String> {
    let entries = fs_err::read_dir(path)?;
    let names = entries.map(|entry| entry.map(|entry| entry.file_name().into_string().unwrap()));
    let mut names = names.collect::<Result<Vec<_>, _>>()?;
    names.sort();
    Ok(names.join(" "))
}

fn link(path: &str) -> std::io::Result<String> {
    Ok(fs_err::read_link(path)?.to_string_lossy().into_owned())
}

/// Open descriptors, without the one that lists them.
fn descriptors() -> String {
    let numbers = fs_err::read_dir("/proc/self/fd").unwrap();
    let names = numbers.map(|entry| entry.unwrap().path());
    let open = names.filter(|path| fs_err::read_link(path).is_ok_and(|to| !to.ends_with("fd")));
    let mut numbers: Vec<String> =
        open.map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect();
    numbers.sort();
    numbers.join(" ")
}

fn id() -> String {
    let status = fs_err::read_to_string("/proc/self/status").unwrap();
    let groups = crate::bundle::field(&status, "Groups").to_owned();
    let mask = crate::bundle::field(&status, "Umask").to_owned();
    let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    format!("{uid}:{gid} [{groups}] {mask}")
}

fn namespaces() {
    for name in ["cgroup", "ipc", "mnt", "net", "pid", "time", "uts"] {
        let link = fs_err::read_link(format!("/proc/self/ns/{name}")).unwrap();
        println!("{}", link.display());
    }
}

fn socket(family: u16) -> std::io::Result<String> {
    let family = AddressFamily::from_raw(family);
    rustix::net::socket(family, SocketType::DGRAM, None)?;
    Ok("ok".to_owned())
}

fn mount() -> std::io::Result<String> {
    let flags = rustix::mount::MountFlags::empty();
    rustix::mount::mount("none", "/tmp", "tmpfs", flags, None)?;
    Ok("ok".to_owned())
}

fn mount_at(path: &str) -> std::io::Result<String> {
    let flags = rustix::mount::MountFlags::empty();
    rustix::mount::mount("none", path, "tmpfs", flags, None)?;
    Ok("ok".to_owned())
}

/// As the kernel tells it in /proc/self/stat, and by ioprio_get(2).
fn schedule() -> String {
    let stat = fs_err::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let io = naru_sys::process::io_priority().unwrap();
    format!("policy {} priority {} nice {} io {io}", fields[38], fields[37], fields[16])
}

fn unshare() -> std::io::Result<String> {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWUSER)?;
    Ok("ok".to_owned())
}

fn tty() -> String {
    let stdin = std::io::stdin();
    let size = rustix::termios::tcgetwinsize(&stdin).unwrap();
    let terminals = [0, 1, 2].map(|number| match number {
        0 => rustix::termios::isatty(stdin.as_fd()),
        1 => rustix::termios::isatty(std::io::stdout()),
        _ => rustix::termios::isatty(std::io::stderr()),
    });
    let controlling = fs_err::File::open("/dev/tty").is_ok();
    let name = rustix::termios::ttyname(&stdin, Vec::new()).unwrap();
    let name = name.to_string_lossy();
    format!("{terminals:?} {}x{} {controlling} {name}", size.ws_row, size.ws_col)
}

/// Whole seconds of the clocks that a time namespace moves: monotonic, boot time.
pub(crate) fn uptime() -> (i64, i64) {
    use rustix::time::{ClockId, clock_gettime};
    (clock_gettime(ClockId::Monotonic).tv_sec, clock_gettime(ClockId::Boottime).tv_sec)
}

/// Writes what a hook reads and who it is to a file.
fn hook(path: &str) {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).unwrap();
    text += "\n";
    text += &fs_err::read_to_string("/proc/self/status").unwrap();
    text += &std::env::vars().map(|(name, value)| format!("{name}={value} ")).collect::<String>();
    fs_err::write(path, text).unwrap();
}

/// Leaves a process behind whose parent is gone.
#[expect(clippy::zombie_processes, reason = "that is the point")]
fn orphan() {
    let mut child = Command::new("/proc/self/exe");
    std::os::unix::process::CommandExt::arg0(&mut child, crate::bundle::CHECKER);
    let child = child.args(["say", "orphan"]).spawn().unwrap();
    println!("left {}", child.id());
}

/// Touches memory page by page.
fn allocate(megabytes: usize) {
    let mut memory = vec![0_u8; megabytes << 20];
    memory.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
    println!("{}", memory.iter().filter(|byte| **byte == 1).count());
    // What follows goes on with the memory in use.
    std::mem::forget(memory);
}

/// Says that it is ready, and exits with the number of the first signal.
fn wait_for_signal() -> ExitCode {
    let all = nix::sys::signal::SigSet::all();
    all.thread_block().unwrap();
    println!("ready {}", Pid::as_raw(Some(rustix::process::getpid())));
    std::io::stdout().flush().unwrap();
    let signal = all.wait().unwrap();
    ExitCode::from(u8::try_from(signal as i32).unwrap())
}
