//! The floor: what the kernel itself takes to make a container, run `/bin/true` in it and take it away again.
//!
//! In this order, as any runtime must: make the cgroups; clone into new mount, pid, uts, ipc, network and cgroup
//! namespaces; inside, join the cgroups, make the mounts private, mount the overlay and /proc, pivot_root into it, drop
//! the old root, exec; outside, wait and remove the cgroups. No capability is dropped and no filter is installed.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use naru_sys::clone::{Clone, clone};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::CloneFlags;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, chdir, execv, pivot_root};

/// Everything that can be prepared before the clock runs.
pub(crate) struct Floor {
    root: PathBuf,
    options: CString,
    cgroups: Vec<PathBuf>,
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
            fs_err::create_dir(cgroup)?;
        }
        let namespaces = CloneFlags::CLONE_NEWNS
            | CloneFlags::CLONE_NEWPID
            | CloneFlags::CLONE_NEWUTS
            | CloneFlags::CLONE_NEWIPC
            | CloneFlags::CLONE_NEWNET
            | CloneFlags::CLONE_NEWCGROUP;
        match clone(u64::from(namespaces.bits().cast_unsigned()))? {
            Clone::Child => {
                let error = self.inside();
                eprintln!("naru-bench: inside: {error:?}");
                std::process::exit(1);
            }
            Clone::Parent(pid) => {
                let status = waitpid(Pid::from_raw(pid), None)?;
                for cgroup in &self.cgroups {
                    fs_err::remove_dir(cgroup)?;
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
        for cgroup in &self.cgroups {
            fs_err::write(cgroup.join("cgroup.procs"), "0")?;
        }
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

/// One folder in each hierarchy of this host.
fn cgroups(name: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mounts = fs_err::read_to_string("/proc/self/mountinfo")?;
    for line in mounts.lines() {
        let (mount, kind) = line.split_once(" - ").context("mountinfo has another form")?;
        let place = mount.split(' ').nth(4).context("mountinfo has another form")?;
        // A new cpuset group has no processors until somebody gives it some: it cannot be joined as it is.
        if kind.starts_with("cgroup") && !place.ends_with("/cpuset") {
            found.push(Path::new(place).join(name));
        }
    }
    Ok(found)
}
