//! A bundle with a busybox root file system, a store of its own, and `naru-oci` run on them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use naru_test::{Outcome, Running, eventually};
use serde_json::{Value, json};

/// The program under test.
pub(super) const PROGRAM: &str = env!("CARGO_BIN_EXE_naru-oci");

/// A folder that holds the bundle, the store and the test's files; removed with all its containers.
pub(super) struct Bundle {
    folder: PathBuf,
    prefix: String,
}

impl Bundle {
    /// The configuration of `naru-oci spec` without a terminal, with a group that no other test uses.
    pub(super) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let namespace = fs_err::read_link("/proc/self/ns/pid").unwrap();
        let number: String =
            namespace.to_string_lossy().chars().filter(char::is_ascii_digit).collect();
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("naru-oci-test-{number}-{next}");
        let bundle = Self { folder: Path::new("/var/tmp").join(&prefix), prefix };
        fs_err::create_dir(&bundle.folder).unwrap();
        fill(&bundle.rootfs());
        bundle.oci(["spec", "--bundle", bundle.text().as_str()]).succeeds();
        let group = format!("/{}", bundle.prefix);
        bundle.edit(|config| {
            config["process"]["terminal"] = json!(false);
            config["process"]["args"] = json!(["sleep", "1000"]);
            config["root"]["readonly"] = json!(false);
            config["linux"]["cgroupsPath"] = json!(group);
        });
        bundle
    }

    /// [`new`](Self::new) with this command.
    pub(super) fn running(args: &[&str]) -> Self {
        let bundle = Self::new();
        bundle.args(args);
        bundle
    }

    /// Sets the command.
    pub(super) fn args(&self, args: &[&str]) -> &Self {
        self.edit(|config| config["process"]["args"] = json!(args))
    }

    /// Sets the command to a script for the shell.
    pub(super) fn script(&self, script: &str) -> &Self {
        self.args(&["sh", "-c", script])
    }

    /// Changes the configuration.
    pub(super) fn edit(&self, change: impl FnOnce(&mut Value)) -> &Self {
        let file = self.folder.join("config.json");
        let mut config = serde_json::from_slice(&fs_err::read(&file).unwrap()).unwrap();
        change(&mut config);
        fs_err::write(&file, serde_json::to_vec(&config).unwrap()).unwrap();
        self
    }

    /// The folder.
    pub(super) fn path(&self) -> &Path {
        &self.folder
    }

    /// A file of the folder.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The root file system.
    pub(super) fn rootfs(&self) -> PathBuf {
        self.folder.join("rootfs")
    }

    /// The container's control group, by its last component.
    pub(super) fn group(&self) -> &str {
        &self.prefix
    }

    /// `naru-oci` with this store, in the bundle; not yet running.
    pub(super) fn command<S: AsRef<std::ffi::OsStr>>(
        &self,
        words: impl IntoIterator<Item = S>,
    ) -> Command {
        let mut command = Command::new(PROGRAM);
        command.arg("--root").arg(self.store()).args(words).current_dir(&self.folder);
        command.stdin(std::process::Stdio::null());
        command
    }

    /// Runs `naru-oci` to its end.
    #[track_caller]
    pub(super) fn oci<S: AsRef<std::ffi::OsStr>>(
        &self,
        words: impl IntoIterator<Item = S>,
    ) -> Outcome {
        Running::start(&mut self.command(words)).wait()
    }

    /// Starts `naru-oci` beside the test.
    pub(super) fn begin<S: AsRef<std::ffi::OsStr>>(
        &self,
        words: impl IntoIterator<Item = S>,
    ) -> Running {
        Running::start(&mut self.command(words))
    }

    /// What `state` says.
    #[track_caller]
    pub(super) fn state(&self, id: &str) -> Value {
        self.oci(["state", id]).succeeds().json().remove(0)
    }

    /// The status that `state` says.
    #[track_caller]
    pub(super) fn status(&self, id: &str) -> String {
        self.state(id)["status"].as_str().unwrap().to_owned()
    }

    /// Waits until `state` says this status.
    #[track_caller]
    pub(super) fn until(&self, id: &str, status: &str) {
        eventually("the container changes its state", || {
            let now = self.oci(["state", id]);
            if now.stdout.contains(&format!("\"status\": \"{status}\"")) {
                Ok(())
            } else {
                Err(now.to_string())
            }
        });
    }

    /// Where the store is.
    pub(super) fn store(&self) -> PathBuf {
        self.folder.join("store")
    }

    fn text(&self) -> String {
        self.folder.display().to_string()
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        let listed = self.oci(["list", "--quiet"]);
        for id in listed.stdout.lines() {
            self.oci(["delete", "--force", id]);
        }
        // A folder of /var/tmp that this test made.
        assert!(self.folder.starts_with("/var/tmp/") && !self.prefix.is_empty());
        drop(fs_err::remove_dir_all(&self.folder));
    }
}

/// Busybox with a link for each of its programs.
fn fill(rootfs: &Path) {
    for folder in ["bin", "proc", "sys", "dev", "etc", "tmp", "root"] {
        fs_err::create_dir_all(rootfs.join(folder)).unwrap();
    }
    let busybox = rootfs.join("bin/busybox");
    fs_err::copy("/bin/busybox", &busybox).unwrap();
    let listed = Command::new(&busybox).arg("--list").output().unwrap();
    for name in String::from_utf8(listed.stdout).unwrap().lines() {
        if name != "busybox" {
            fs_err::os::unix::fs::symlink("busybox", rootfs.join("bin").join(name)).unwrap();
        }
    }
    fs_err::write(
        rootfs.join("etc/passwd"),
        "root:x:0:0::/root:/bin/sh\nuser:x:1000:1000::/tmp:/bin/sh\n",
    )
    .unwrap();
}
