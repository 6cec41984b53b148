//! A machine of its own for one scenario: namespaces, interfaces, and private places for naru's files.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use naru_state::Directories;

use crate::command::{Outcome, Running};
use crate::image::RootTar;
use crate::leak::{Scope, Snapshot};
use crate::project::Project;
use crate::sandbox::{ip, sandbox};
use crate::wait::within;

/// The test host's address besides 127.0.0.1.
pub const HOST_ADDRESS: &str = "10.99.0.1";

/// A test host, made by [`host`]; dropped, it ends what was started in it and removes its files and cgroups.
#[derive(Debug)]
pub struct TestHost {
    naru: PathBuf,
    folder: PathBuf,
}

/// Runs `body` in a test host whose `naru` is the program at this path (`env!("CARGO_BIN_EXE_naru")`).
///
/// # Panics
/// When the body panics, or without root: naru's containers need it, and a scenario that cannot run fails and says so.
pub fn host(naru: impl AsRef<Path>, body: impl FnOnce(&TestHost)) {
    assert!(
        rustix::process::geteuid().is_root(),
        "scenarios start real containers: run the tests as root"
    );
    sandbox(|| {
        let host = TestHost::new(naru.as_ref());
        body(&host);
    });
}

impl TestHost {
    fn new(naru: &Path) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        // Process ids repeat from sandbox to sandbox, so the name needs the sandbox's own number: its namespace's.
        let namespace = fs_err::read_link("/proc/self/ns/pid").unwrap();
        let number: String =
            namespace.to_string_lossy().chars().filter(char::is_ascii_digit).collect();
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = PathBuf::from(format!("/var/tmp/naru-test-{number}-{next}"));
        drop(fs_err::remove_dir_all(&folder));
        let host = Self { naru: naru.to_owned(), folder };
        host.remove_cgroups();
        for part in ["root", "run", "home", "tmp", "projects"] {
            fs_err::create_dir_all(host.folder.join(part)).unwrap();
        }
        ip(&["link", "add", "host0", "type", "veth", "peer", "name", "host1"]);
        let address = format!("{HOST_ADDRESS}/24");
        ip(&["address", "add", &address, "dev", "host0"]);
        ip(&["link", "set", "host0", "up"]);
        ip(&["link", "set", "host1", "up"]);
        host
    }

    /// The host's `NARU_ROOT`.
    pub fn root(&self) -> PathBuf {
        self.folder.join("root")
    }

    /// The host's `NARU_RUN`.
    pub fn run(&self) -> PathBuf {
        self.folder.join("run")
    }

    /// A project folder with this name in this host.
    pub fn project(&self, name: &str) -> Project<'_> {
        Project::new(self, self.folder.join("projects").join(name))
    }

    /// `naru` with the host's directories and an otherwise empty environment; not yet running.
    pub fn command<I: IntoIterator<Item = S>, S: AsRef<std::ffi::OsStr>>(
        &self,
        arguments: I,
    ) -> Command {
        let mut command = Command::new(&self.naru);
        command
            .args(arguments)
            .current_dir(&self.folder)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder.join("home"))
            .env("TMPDIR", self.folder.join("tmp"))
            .env("NARU_ROOT", self.root())
            .env("NARU_RUN", self.folder.join("run"))
            .stdin(std::process::Stdio::null());
        command
    }

    /// Runs `naru` to its end, outside any project.
    pub fn naru<I: IntoIterator<Item = S>, S: AsRef<std::ffi::OsStr>>(
        &self,
        arguments: I,
    ) -> Outcome {
        Running::start(&mut self.command(arguments)).wait()
    }

    /// Imports a root file system as an image; `changes` are Dockerfile instructions such as `CMD ["sh"]`.
    ///
    /// # Panics
    /// When naru refuses it.
    pub fn import(&self, name: &str, tar: RootTar, changes: &[&str]) {
        let file = self.folder.join("tmp").join("import.tar");
        fs_err::write(&file, tar.into_bytes()).unwrap();
        let mut arguments = vec!["image".to_owned(), "import".to_owned()];
        for change in changes {
            arguments.extend(["--change".to_owned(), (*change).to_owned()]);
        }
        arguments.extend([file.display().to_string(), name.to_owned()]);
        self.naru(&arguments).succeeds();
        fs_err::remove_file(&file).unwrap();
    }

    /// Kills every process of this host whose command line holds all of `words`, and says how many there were.
    pub fn kill(&self, words: &[&str]) -> usize {
        self.signal(words, rustix::process::Signal::KILL)
    }

    /// Sends a signal to every process of this host whose command line holds all of `words`, and says how many there
    /// were.
    pub fn signal(&self, words: &[&str], signal: rustix::process::Signal) -> usize {
        let found = with_words(words);
        for pid in &found {
            // One that ends meanwhile is just as good.
            rustix::process::kill_process(*pid, signal).ok();
        }
        found.len()
    }

    /// The processes of this host whose command line holds all of `words`.
    pub fn processes(&self, words: &[&str]) -> Vec<rustix::process::Pid> {
        with_words(words)
    }

    /// How many processes of this host have all of `words` in their command line.
    pub fn count(&self, words: &[&str]) -> usize {
        with_words(words).len()
    }

    /// What a restart of the machine does, as far as processes can tell: every process but the test's ends at once, links
    /// and the files in [`TestHost::run`] are gone, and the boot has another id.
    ///
    /// # Panics
    /// When the host cannot be made to look so.
    pub fn reboot(&self) {
        end_all_processes();
        let links = fs_err::read_to_string("/proc/net/dev").unwrap();
        let names = links.lines().filter_map(|line| Some(line.split_once(':')?.0.trim()));
        for name in names.filter(|name| name.starts_with("nb-")) {
            ip(&["link", "delete", name]);
        }
        self.remove_cgroups();
        fs_err::remove_dir_all(self.run()).unwrap();
        fs_err::create_dir(self.run()).unwrap();
        static BOOTS: AtomicU32 = AtomicU32::new(1);
        let boot = BOOTS.fetch_add(1, Ordering::Relaxed);
        let id = self.folder.join(format!("boot-id-{boot}"));
        fs_err::write(&id, format!("00000000-0000-4000-8000-{boot:012}\n")).unwrap();
        let mounted = Command::new("mount")
            .arg("--bind")
            .args([&id, Path::new("/proc/sys/kernel/random/boot_id")])
            .status();
        assert!(mounted.unwrap().success(), "the boot's id cannot be replaced");
    }

    /// What is there now, to be compared after `down`.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::take(self.scope())
    }

    /// The host's directories.
    pub(crate) fn directories(&self) -> Directories {
        Directories::new(self.root(), self.folder.join("run"))
    }

    /// Removes the cgroups of this host's naru, which are busy for a moment after their last process was reaped; also those
    /// of a test before this one that was ended in the middle and had a namespace of the same number.
    fn remove_cgroups(&self) {
        within(Duration::from_secs(5), "the host's cgroups go", || {
            let groups = crate::leak::cgroups(&self.scope().cgroup);
            let removed = groups.iter().rev().map(fs_err::remove_dir);
            removed.collect::<Result<(), _>>().map_err(|error| error.to_string())
        });
    }

    fn scope(&self) -> Scope {
        let directories = self.directories();
        Scope {
            cgroup: directories.root_id().to_string(),
            root: self.root(),
            folders: vec![self.folder.join("run"), self.folder.join("tmp")],
        }
    }
}

impl Drop for TestHost {
    fn drop(&mut self) {
        if std::thread::panicking() {
            show_logs(&self.folder);
        }
        end_all_processes();
        self.remove_cgroups();
        drop(fs_err::remove_dir_all(&self.folder));
    }
}

/// Takes the power from the file system at `place`: what is not on its disk now never will be.
///
/// # Panics
/// When the file system cannot be shut down.
pub fn power_cut(place: &Path) {
    use std::os::fd::AsFd;
    let directory = fs_err::File::open(place).unwrap();
    naru_sys::power::cut(directory.file().as_fd()).unwrap();
}

/// Ends every process of this host but the test.
fn end_all_processes() {
    let me = std::process::id();
    within(Duration::from_secs(5), "the host's processes end", || {
        let left: Vec<u32> = processes().filter(|&pid| pid != 1 && pid != me).collect();
        for pid in &left {
            let pid = i32::try_from(*pid).ok().and_then(rustix::process::Pid::from_raw);
            // One that ended meanwhile is just as good.
            if let Some(pid) = pid {
                rustix::process::kill_process(pid, rustix::process::Signal::KILL).ok();
            }
        }
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    });
}

fn with_words(words: &[&str]) -> Vec<rustix::process::Pid> {
    let has_words = |pid: &u32| {
        let line = fs_err::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        words.iter().all(|word| line.contains(word))
    };
    let found = processes().filter(has_words);
    found.filter_map(|pid| rustix::process::Pid::from_raw(i32::try_from(pid).ok()?)).collect()
}

/// The processes of this pid namespace: in a sandbox, exactly those of the test.
fn processes() -> impl Iterator<Item = u32> {
    let inside = std::env::var("NARU_TEST_ROLE").is_ok_and(|role| role == "inside");
    assert!(inside, "only the processes of a sandbox are the test's own");
    fs_err::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// On a failure: what naru's own processes wrote, wherever it lies.
fn show_logs(folder: &Path) {
    let Ok(found) = Command::new("find")
        .args([folder.join("run"), folder.join("root/projects")])
        .args(["-name", "*.log", "-size", "-64k"])
        .output()
    else {
        return;
    };
    for path in String::from_utf8_lossy(&found.stdout).lines() {
        let text = fs_err::read_to_string(path).unwrap_or_default();
        show(&format!("--- {path}\n{text}"));
    }
}

#[expect(clippy::print_stderr, reason = "a failing test shows its logs")]
fn show(text: &str) {
    eprintln!("{text}");
}
