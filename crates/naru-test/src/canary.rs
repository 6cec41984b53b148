//! Files of the host that no attack may read or change, and what else an attack would leave its traces on.
//!
//! A test begins with [`Canary::begin`], attacks, and ends with [`Canary::end`], which fails on any difference and on
//! any word of the secret in what a container said. The rules of the firewall are looked at by the
//! [leak probe](crate::leak), which test hosts have.

use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{FileType, major, minor};

/// Files whose content and attributes stay as they are.
const FILES: [&str; 6] = [
    "/etc/passwd",
    "/etc/group",
    "/etc/hosts",
    "/etc/resolv.conf",
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/modprobe",
];

/// A secret in a folder of root's, and how things were when it was made. Dropped, it removes its folder.
#[derive(Debug)]
pub struct Canary {
    folder: PathBuf,
    secret: String,
    programs: Vec<PathBuf>,
    before: Vec<String>,
}

impl Canary {
    /// Makes the folder with a file `f` that holds the secret and an empty folder `d`, and remembers the state of the
    /// host. `programs` are what an attack might overwrite: naru's own.
    ///
    /// # Panics
    /// Without root.
    pub fn begin(programs: &[&Path]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let mut random = DefaultHasher::new();
        (std::process::id(), std::time::Instant::now()).hash_debug(&mut random);
        fs_err::read_link("/proc/self/ns/pid").unwrap().hash(&mut random);
        let number = random.finish() ^ u64::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = PathBuf::from(format!("/root/naru-canary-{number:016x}"));
        let secret = format!("SECRET-{number:016x}");
        fs_err::create_dir_all(folder.join("d")).unwrap();
        fs_err::write(folder.join("f"), &secret).unwrap();
        let programs = programs.iter().map(|path| (*path).to_owned()).collect();
        let mut canary = Self { folder, secret, programs, before: Vec::new() };
        canary.before = canary.facts();
        canary
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file with the secret.
    pub fn file(&self) -> PathBuf {
        self.folder.join("f")
    }

    /// The empty folder.
    pub fn directory(&self) -> PathBuf {
        self.folder.join("d")
    }

    /// Fails when something of the host is different, or when one of `said` (what containers printed, logs) holds the
    /// secret.
    ///
    /// # Panics
    /// Then.
    #[track_caller]
    pub fn end(self, said: &[&str]) {
        for text in said {
            assert!(!text.contains(&self.secret), "a container has the host's secret: {text}");
        }
        let after = self.facts();
        let gone: Vec<_> = self.before.iter().filter(|fact| !after.contains(fact)).collect();
        let new: Vec<_> = after.iter().filter(|fact| !self.before.contains(fact)).collect();
        assert!(
            gone.is_empty() && new.is_empty(),
            "the host was changed:\n- {gone:#?}\n+ {new:#?}"
        );
    }

    fn facts(&self) -> Vec<String> {
        let mut facts = Vec::new();
        let mut waiting = vec![self.folder.clone()];
        while let Some(path) = waiting.pop() {
            facts.push(fact(&path));
            if path.is_dir() {
                let entries = fs_err::read_dir(&path).unwrap();
                waiting.extend(entries.map(|entry| entry.unwrap().path()));
            }
        }
        facts.extend(FILES.iter().map(|path| fact(Path::new(path))));
        facts.extend(self.programs.iter().map(|path| fact(path)));
        facts.extend(devices());
        let mounts = fs_err::read_to_string("/proc/self/mountinfo").unwrap();
        let folder = self.folder.to_string_lossy();
        facts.extend(mounts.lines().filter(|line| line.contains(&*folder)).map(str::to_owned));
        facts
    }
}

impl Drop for Canary {
    fn drop(&mut self) {
        drop(fs_err::remove_dir_all(&self.folder));
    }
}

/// Hashes what can only be printed.
trait HashDebug {
    fn hash_debug(&self, into: &mut DefaultHasher);
}

impl<T: std::fmt::Debug> HashDebug for T {
    fn hash_debug(&self, into: &mut DefaultHasher) {
        format!("{self:?}").hash(into);
    }
}

/// Everything about a file that an attack would change.
fn fact(path: &Path) -> String {
    let Ok(data) = fs_err::symlink_metadata(path) else {
        return format!("{} is not there", path.display());
    };
    let mut text = format!("{} {:o} {}:{}", path.display(), data.mode(), data.uid(), data.gid());
    let times = (data.mtime(), data.mtime_nsec(), data.ctime(), data.ctime_nsec());
    // The files of procfs have no times of their own.
    if data.dev() != 0 && !path.starts_with("/proc") {
        write!(text, " inode {} times {times:?}", data.ino()).unwrap();
    }
    if data.is_file() && data.len() < 1 << 20 {
        let mut hash = DefaultHasher::new();
        fs_err::read(path).unwrap_or_default().hash(&mut hash);
        write!(text, " content {:x}", hash.finish()).unwrap();
    } else if data.is_file() {
        write!(text, " size {}", data.len()).unwrap();
    }
    text
}

/// The nodes and links of /dev; what other programs of the machine make and remove meanwhile does not count.
fn devices() -> Vec<String> {
    let passing = ["loop", "dm-", "ram", "vcs", "nbd"];
    let entries = fs_err::read_dir("/dev").unwrap().map(Result::unwrap);
    let mut facts = Vec::new();
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Ok(data) = fs_err::symlink_metadata(entry.path()) else { continue };
        if data.is_dir() || passing.iter().any(|start| name.starts_with(start)) {
            continue;
        }
        let kind = FileType::from_raw_mode(data.mode());
        let device = (major(data.rdev()), minor(data.rdev()));
        let owner = (data.uid(), data.gid());
        facts.push(format!("/dev/{name} {kind:?} {:o} {owner:?} {device:?}", data.mode()));
    }
    facts
}
