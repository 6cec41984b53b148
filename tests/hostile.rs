//! Files that mean harm, given to the real program: each ends soon, with a message or a project, and in less than 64 MiB.

mod files;
mod texts;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};

/// The most memory that any naru may use for it, in KiB.
const MOST_MEMORY: i64 = 64 * 1024;

/// When a naru is taken to hang. A release build has to end within two seconds (`cargo xtask bench`); tests run a slower
/// build, beside others.
const DEADLINE: Duration = Duration::from_secs(50);

/// A folder that goes away with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("naru-hostile-{}", std::process::id()));
        fs_err::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// A folder with this as its `compose.yaml`.
    fn with(text: impl AsRef<[u8]>) -> Self {
        Self::new().file("compose.yaml", text)
    }

    fn file(self, name: &str, text: impl AsRef<[u8]>) -> Self {
        let path = self.0.join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
        self
    }

    fn link(self, name: &str, target: &str) -> Self {
        std::os::unix::fs::symlink(target, self.0.join(name)).unwrap();
        self
    }

    /// Must be refused, with this in the message.
    #[track_caller]
    fn refused(&self, arguments: &[&str], says: &str) {
        let output = run(&self.0, arguments, Stdio::null());
        let stderr = String::from_utf8_lossy(&output.stderr);
        let start: String = stderr.chars().take(2_000).collect();
        assert_eq!(output.status.code(), Some(1), "{:?}: {start}", output.status);
        assert!(stderr.contains(says), "{start}");
        assert!(output.stderr.len() < 1 << 20, "a message of {} bytes", output.stderr.len());
    }

    /// Must be accepted.
    #[track_caller]
    fn accepted(&self, arguments: &[&str]) {
        let output = run(&self.0, arguments, Stdio::null());
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{:?}: {stderr}", output.status);
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs_err::remove_dir_all(&self.0));
    }
}

/// Runs `naru ARGUMENTS config -q` and holds it to its memory and its time.
#[track_caller]
fn run(folder: &Path, arguments: &[&str], stdin: Stdio) -> Output {
    let child = Command::new(env!("CARGO_BIN_EXE_naru"))
        .args(arguments)
        .args(["config", "-q"])
        .current_dir(folder)
        .env_clear()
        .stdin(stdin)
        .stdout(Stdio::null())
        .stderr(Stdio::from(fs_err::File::create(folder.join("stderr")).unwrap().into_file()))
        .spawn()
        .unwrap();
    let status = ended(child);
    let memory = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap().max_rss();
    assert!(memory < MOST_MEMORY, "it used {} MiB", memory / 1024);
    let stderr = fs_err::read(folder.join("stderr")).unwrap();
    Output { status, stdout: Vec::new(), stderr }
}

#[track_caller]
fn ended(mut child: Child) -> std::process::ExitStatus {
    let begin = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if begin.elapsed() > DEADLINE {
            child.kill().unwrap();
            panic!("it still runs after {DEADLINE:?}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

const SERVICE: &str = "services:\n  a:\n    image: x\n";
