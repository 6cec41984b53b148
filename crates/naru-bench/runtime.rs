//! naru's own runtime, used as the supervisor uses it: cgroups, a detached overlay, create, start, wait, remove.

use std::path::Path;

use anyhow::{Result, bail};
use naru_image::rootfs::Overlay;
use naru_runtime::{Binary, Cgroup, Create, Parent, Root, Stdio, create, profile};
use oci_spec::runtime::Spec;

/// Everything that the supervisor makes once.
pub(crate) struct Runtime {
    overlay: Overlay,
    spec: Spec,
    cgroup: Cgroup,
    binary: Binary,
}

impl Runtime {
    pub(crate) fn prepare(root: &Path, scratch: &Path) -> Result<Self> {
        let overlay = Overlay {
            lower: vec![root.to_owned()],
            upper: scratch.join("naru-upper"),
            work: scratch.join("naru-work"),
        };
        overlay.prepare()?;
        let mut spec = profile::default_spec();
        let mut process = spec.process().clone().unwrap_or_default();
        process.set_args(Some(vec!["/bin/true".to_owned()]));
        spec.set_process(Some(process));
        let cgroup = Cgroup::new(format!("/naru-bench-{}", std::process::id()))?;
        Ok(Self { overlay, spec, cgroup, binary: Binary::open()? })
    }

    pub(crate) fn once(&self) -> Result<()> {
        let linux = self.spec.linux().as_ref();
        let resources = linux.and_then(|linux| linux.resources().clone()).unwrap_or_default();
        self.cgroup.create(&resources)?;
        let created = create(Create {
            spec: &self.spec,
            root: Root::Mount(self.overlay.mount()?),
            cgroup: &self.cgroup,
            stdio: Stdio::null(),
            parent: Parent::Own,
            binary: &self.binary,
            init: false,
            waits_at: None,
            state: None,
        })?;
        let status = created.start()?.wait()?;
        self.cgroup.remove()?;
        if status.code() != Some(0) {
            bail!("/bin/true ended with {status:?}");
        }
        Ok(())
    }
}
