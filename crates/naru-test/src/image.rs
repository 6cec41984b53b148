//! Small root file systems as tar archives, the input of `naru image import`.

use std::process::Command;

/// A root file system in the making.
pub struct RootTar {
    archive: tar::Builder<Vec<u8>>,
}

impl std::fmt::Debug for RootTar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RootTar").finish_non_exhaustive()
    }
}

impl RootTar {
    /// The folders every root file system has, and users `root` (0) and `app` (1000, in group `extra`, 2000, too).
    pub fn new() -> Self {
        let mut tar = Self { archive: tar::Builder::new(Vec::new()) };
        for (path, mode) in
            [("bin", 0o755), ("etc", 0o755), ("home", 0o755), ("tmp", 0o1777), ("var", 0o755)]
        {
            tar = tar.folder(path, mode, 0);
        }
        tar.file(
            "etc/passwd",
            b"root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n",
            0o644,
        )
        .file("etc/group", b"root:x:0:\napp:x:1000:\nextra:x:2000:app\n", 0o644)
    }

    /// The host's static busybox with a link for each of its programs.
    ///
    /// # Panics
    /// When the host has none (Debian: busybox-static).
    #[must_use]
    pub fn busybox(mut self) -> Self {
        let found = ["/bin/busybox", "/usr/bin/busybox"]
            .into_iter()
            .find(|path| fs_err::metadata(path).is_ok())
            .expect("busybox is needed: apt-get install busybox-static");
        let list = Command::new(found).arg("--list").output().unwrap();
        self = self.file("bin/busybox", &fs_err::read(found).unwrap(), 0o755);
        for name in String::from_utf8_lossy(&list.stdout).lines() {
            if name != "busybox" {
                self = self.link(&format!("bin/{name}"), "busybox");
            }
        }
        self
    }

    /// A program of the host, put into `/bin` under its own name; it must be static.
    ///
    /// # Panics
    /// When it cannot be read.
    #[must_use]
    pub fn program(self, path: &str) -> Self {
        let name = path.rsplit('/').next().unwrap_or(path);
        let content = fs_err::read(path).unwrap();
        self.file(&format!("bin/{name}"), &content, 0o755)
    }

    /// A regular file of root's.
    #[must_use]
    pub fn file(mut self, path: &str, content: &[u8], mode: u32) -> Self {
        let mut header = header(tar::EntryType::Regular, mode, 0);
        header.set_size(content.len() as u64);
        self.archive.append_data(&mut header, path, content).unwrap();
        self
    }

    /// A folder with its owner (user and group have the same id).
    #[must_use]
    pub fn folder(mut self, path: &str, mode: u32, owner: u64) -> Self {
        let mut header = header(tar::EntryType::Directory, mode, owner);
        header.set_size(0);
        self.archive.append_data(&mut header, path, &[][..]).unwrap();
        self
    }

    /// A symbolic link.
    #[must_use]
    pub fn link(mut self, path: &str, target: &str) -> Self {
        let mut header = header(tar::EntryType::Symlink, 0o777, 0);
        header.set_size(0);
        self.archive.append_link(&mut header, path, target).unwrap();
        self
    }

    /// The archive.
    pub fn into_bytes(self) -> Vec<u8> {
        self.archive.into_inner().unwrap()
    }
}

impl Default for RootTar {
    fn default() -> Self {
        Self::new()
    }
}

fn header(kind: tar::EntryType, mode: u32, owner: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(owner);
    header.set_gid(owner);
    header
}
