//! Everything that isolation is made of, as the process inside sees it.

use std::collections::BTreeMap;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use serde_json::{Map, Value, json};

/// Paths that Docker hides from containers.
const MASKED: &[&str] = &[
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

/// Paths that Docker makes read-only.
const READ_ONLY: &[&str] =
    &["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// The whole report.
pub(crate) fn everything() -> Value {
    json!({
        "arguments": std::env::args().collect::<Vec<_>>(),
        "cgroup": cgroup(),
        "devices": devices(),
        "environment": std::env::vars().collect::<BTreeMap<_, _>>(),
        "fds": fds(),
        "forbidden": forbidden(),
        "hostname": text("/proc/sys/kernel/hostname"),
        "hosts": text("/etc/hosts"),
        "limits": limits(),
        "masked": MASKED.iter().map(|path| (*path, is_hidden(path))).collect::<BTreeMap<_, _>>(),
        "mounts": mounts(),
        "namespaces": namespaces(),
        "oom_score_adj": text("/proc/self/oom_score_adj"),
        "pid": std::process::id(),
        "read_only": READ_ONLY.iter().map(|path| (*path, is_read_only(path))).collect::<BTreeMap<_, _>>(),
        "resolv_conf": text("/etc/resolv.conf"),
        "status": status(),
        "working_directory": std::env::current_dir().ok(),
    })
}

fn text(path: &str) -> Option<String> {
    let text = fs_err::read_to_string(path).ok()?;
    Some(text.trim_end().to_owned())
}

/// The fields of /proc/self/status that say who we are and what we may do.
fn status() -> Value {
    let wanted = [
        "Uid",
        "Gid",
        "Groups",
        "Umask",
        "NoNewPrivs",
        "Seccomp",
        "Seccomp_filters",
        "CapInh",
        "CapPrm",
        "CapEff",
        "CapBnd",
        "CapAmb",
    ];
    let text = text("/proc/self/status").unwrap_or_default();
    let fields = text.lines().filter_map(|line| line.split_once(':'));
    let fields = fields.filter(|(name, _)| wanted.contains(name)).map(|(name, value)| {
        let words: Vec<&str> = value.split_whitespace().collect();
        (name.to_owned(), Value::String(words.join(" ")))
    });
    Value::Object(fields.collect())
}

fn namespaces() -> BTreeMap<String, String> {
    links_in("/proc/self/ns")
}

/// Open descriptors, without the one that this look needs.
fn fds() -> BTreeMap<String, String> {
    let mut fds = links_in("/proc/self/fd");
    fds.retain(|_, target| !target.starts_with("/proc/") || !target.ends_with("/fd"));
    fds
}

fn links_in(folder: &str) -> BTreeMap<String, String> {
    let entries = fs_err::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let links = entries.filter_map(|entry| {
        let target = fs_err::read_link(entry.path()).ok()?;
        Some((entry.file_name().into_string().ok()?, target.to_string_lossy().into_owned()))
    });
    links.collect()
}

fn mounts() -> BTreeMap<String, Value> {
    let table = text("/proc/self/mountinfo").unwrap_or_default();
    let mounts = table.lines().filter_map(|line| {
        let (mount, source) = line.split_once(" - ")?;
        let mount: Vec<&str> = mount.split(' ').collect();
        let source: Vec<&str> = source.split(' ').collect();
        let facts = json!({
            "type": source.first()?,
            "source": source.get(1)?,
            "options": mount.get(5)?,
            "propagation": mount.get(6..)?,
            "super_options": source.get(2)?,
        });
        Some(((*mount.get(4)?).to_owned(), facts))
    });
    mounts.collect()
}

/// Everything below /dev: device nodes with their numbers, links with their targets, folders and files by kind.
fn devices() -> BTreeMap<String, String> {
    let entries = fs_err::read_dir("/dev").into_iter().flatten().filter_map(Result::ok);
    let devices = entries.filter_map(|entry| {
        let data = fs_err::symlink_metadata(entry.path()).ok()?;
        let kind = data.file_type();
        let (major, minor) =
            (nix::sys::stat::major(data.rdev()), nix::sys::stat::minor(data.rdev()));
        let described = match () {
            () if kind.is_char_device() => format!("c {major}:{minor} {:o}", data.mode() & 0o7777),
            () if kind.is_block_device() => format!("b {major}:{minor} {:o}", data.mode() & 0o7777),
            () if kind.is_symlink() => {
                format!("-> {}", fs_err::read_link(entry.path()).ok()?.display())
            }
            () if kind.is_dir() => "folder".to_owned(),
            () => "file".to_owned(),
        };
        Some((entry.file_name().into_string().ok()?, described))
    });
    devices.collect()
}

/// Soft and hard limits by the kernel's names.
fn limits() -> Value {
    let table = text("/proc/self/limits").unwrap_or_default();
    let mut limits = Map::new();
    for line in table.lines().skip(1).filter(|line| line.len() > 66) {
        let (name, values) = line.split_at(26);
        let mut values = values.split_whitespace();
        limits.insert(
            name.trim().trim_start_matches("Max ").to_owned(),
            json!([values.next(), values.next()]),
        );
    }
    Value::Object(limits)
}

/// Membership, and the limits where they can be seen from inside.
fn cgroup() -> Value {
    let names = [
        "memory/memory.limit_in_bytes",
        "memory.max",
        "pids/pids.max",
        "pids.max",
        "cpu/cpu.cfs_quota_us",
        "cpu.max",
    ];
    let values = names.iter().filter_map(|name| {
        let value = text(&format!("/sys/fs/cgroup/{name}"))?;
        Some(((*name).to_owned(), Value::String(value)))
    });
    json!({ "membership": text("/proc/self/cgroup"), "files": values.collect::<Map<_, _>>() })
}

/// True when nothing of the path's content can be seen: it is absent, empty, or a null device.
fn is_hidden(path: &str) -> bool {
    let Ok(data) = fs_err::metadata(path) else {
        return true;
    };
    if data.is_dir() {
        return fs_err::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
    }
    data.file_type().is_char_device() && data.rdev() == nix::sys::stat::makedev(1, 3)
}

/// True when the path is absent or lies on a mount that is read-only here.
fn is_read_only(path: &str) -> bool {
    !Path::new(path).exists()
        || nix::sys::statvfs::statvfs(path)
            .is_ok_and(|data| data.flags().contains(nix::sys::statvfs::FsFlags::ST_RDONLY))
}

/// Things a container must not be able to do, each with how the kernel answered ("done" is the bad news).
fn forbidden() -> BTreeMap<&'static str, String> {
    use nix::mount::MsFlags;
    use nix::sched::CloneFlags;
    fn answer(result: nix::Result<()>) -> String {
        result.map_or_else(|errno| errno.to_string(), |()| "done".to_owned())
    }
    let nothing: Option<&str> = None;
    let own_name = text("/proc/sys/kernel/hostname").unwrap_or_default();
    let device = nix::sys::stat::makedev(8, 0);
    let node = "/tmp/naru-check-disk";
    let made = nix::sys::stat::mknod(
        node,
        nix::sys::stat::SFlag::S_IFBLK,
        nix::sys::stat::Mode::S_IRWXU,
        device,
    );
    let opened = made.and_then(|()| {
        nix::fcntl::open(node, nix::fcntl::OFlag::O_RDONLY, nix::sys::stat::Mode::empty()).map(drop)
    });
    fs_err::remove_file(node).ok();
    BTreeMap::from([
        ("new user namespace", answer(nix::sched::unshare(CloneFlags::CLONE_NEWUSER))),
        ("new mount namespace", answer(nix::sched::unshare(CloneFlags::CLONE_NEWNS))),
        (
            "mount a tmpfs",
            answer(nix::mount::mount(nothing, "/tmp", Some("tmpfs"), MsFlags::empty(), nothing)),
        ),
        // To the name it has: where it is allowed, nothing changes.
        ("set the host name", answer(nix::unistd::sethostname(&own_name))),
        ("open a disk", answer(opened)),
    ])
}
