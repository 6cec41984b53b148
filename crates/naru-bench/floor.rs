//! The floor: what the kernel itself takes to make a container, run `/bin/true` in it and take it away again.
//!
//! In this order, as any runtime must: make the cgroups; clone into new mount, pid, uts, ipc and network namespaces and
//! into the v2 cgroup; inside, join the v1 cgroups and make the cgroup namespace, make the mounts private, mount the
//! overlay and /proc, pivot_root into it, drop the old root, exec; outside, wait and remove the cgroups. The v1 groups
//! are joined through `tasks`, which does not wait for RCU as `cgroup.procs` does. No capability is dropped and no
//! filter is installed.

use std::ffi::CString;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use naru_sys::clone::{Clone, clone};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, chdir, execv, pivot_root};

/// Everything that can be prepared before the clock runs.
pub(crate) struct Floor {
    root: PathBuf,
    options: CString,
    cgroups: Vec<Cgroup>,
}

/// One folder in one hierarchy.
struct Cgroup {
    folder: PathBuf,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Unified,
    Cpuset,
    Other,
}

impl Floor {
    pub(crate) fn prepare(root: &Path, scratch: &Path, cgroup: Option<&str>) -> Result<Self> {
        let (upper, work) = (scratch.join("upper"), scratch.join("work"));
        let merged = scratch.join("merged");
        for folder in [&upper, &work, &merged] {
            fs_err::create_dir_all(folder)?;
        }
        let options = format!(
            "lowerdir={},upperdir={},workdir={}",
            root.display(),
            upper.display(),
            work.display()
        );
        Ok(Self {
            root: merged,
            options: CString::new(options)?,
            cgroups: cgroup.map(cgroups).transpose()?.unwrap_or_default(),
        })
    }

    pub(crate) fn once(&self) -> Result<()> {
        for cgroup in &self.cgroups {
            cgroup.make()?;
        }
        let unified = self.cgroups.iter().find(|cgroup| cgroup.kind == Kind::Unified);
        let unified = unified.map(|cgroup| fs_err::File::open(&cgroup.folder)).transpose()?;
        let namespaces = CloneFlags::CLONE_NEWNS
            | CloneFlags::CLONE_NEWPID
            | CloneFlags::CLONE_NEWUTS
            | CloneFlags::CLONE_NEWIPC
            | CloneFlags::CLONE_NEWNET;
        let into = unified.as_ref().map(AsFd::as_fd);
        match clone(u64::from(namespaces.bits().cast_unsigned()), into)? {
            Clone::Child => {
                let error = self.inside();
                eprintln!("naru-bench: inside: {error:?}");
                std::process::exit(1);
            }
            Clone::Parent(pid) => {
                let status = waitpid(Pid::from_raw(pid), None)?;
                for cgroup in &self.cgroups {
                    fs_err::remove_dir(&cgroup.folder)?;
                }
                if !matches!(status, WaitStatus::Exited(_, 0)) {
                    bail!("/bin/true ended with {status:?}");
                }
                Ok(())
            }
        }
    }

    /// The child's side; comes back only with an error.
    fn inside(&self) -> Result<std::convert::Infallible> {
        let nothing: Option<&str> = None;
        for cgroup in self.cgroups.iter().filter(|cgroup| cgroup.kind != Kind::Unified) {
            fs_err::write(cgroup.folder.join("tasks"), "0")?;
        }
        unshare(CloneFlags::CLONE_NEWCGROUP)?;
        mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing)?;
        let overlay = MsFlags::MS_NODEV;
        mount(Some("overlay"), &self.root, Some("overlay"), overlay, Some(self.options.as_c_str()))
            .with_context(|| format!("overlay with {}", self.options.to_string_lossy()))?;
        chdir(&self.root)?;
        let guarded = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        mount(Some("proc"), "proc", Some("proc"), guarded, nothing)?;
        pivot_root(".", ".")?;
        umount2(".", MntFlags::MNT_DETACH)?;
        chdir("/")?;
        let program = CString::new(Path::new("/bin/true").as_os_str().as_bytes())?;
        Ok(execv(&program, std::slice::from_ref(&program))?)
    }
}

impl Cgroup {
    fn make(&self) -> Result<()> {
        fs_err::create_dir(&self.folder)?;
        if self.kind == Kind::Cpuset {
            // A new group has no processors and no memory until somebody gives it some.
            let above = self.folder.parent().context("a cgroup lies in a hierarchy")?;
            for file in ["cpuset.cpus", "cpuset.mems"] {
                fs_err::write(self.folder.join(file), fs_err::read(above.join(file))?)?;
            }
        }
        Ok(())
    }
}

/// One folder in each hierarchy of this host.
fn cgroups(name: &str) -> Result<Vec<Cgroup>> {
    let mut found = Vec::new();
    let mounts = fs_err::read_to_string("/proc/self/mountinfo")?;
    for line in mounts.lines() {
        let (mount, source) = line.split_once(" - ").context("mountinfo has another form")?;
        let place = mount.split(' ').nth(4).context("mountinfo has another form")?;
        let kind = match source.split(' ').next() {
            Some("cgroup2") => Kind::Unified,
            Some("cgroup") if place.ends_with("/cpuset") => Kind::Cpuset,
            Some("cgroup") => Kind::Other,
            _ => continue,
        };
        found.push(Cgroup { folder: Path::new(place).join(name), kind });
    }
    Ok(found)
}
