//! Limits of the specification as writes to the kernel's files; pure.
//!
//! cgroup v1 has the specification's fields as its files (kernel, Documentation/admin-guide/cgroup-v1); for v2
//! (Documentation/admin-guide/cgroup-v2.rst) they are converted as the other runtimes do, so that a host that
//! changes from one to the other treats its containers alike.

mod blkio;
mod cpu;
mod memory;
mod other;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use oci_spec::runtime::LinuxResources;

use super::detect::MountedHierarchy;
use super::devices;
use crate::Error;

/// What to write where.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Settings {
    /// In this order, as far as the kernel takes it.
    pub(super) writes: Vec<Write>,
    /// Controllers that the v2 hierarchy must offer.
    pub(super) controllers: Vec<Needed>,
}

/// One value for the kernel.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Write {
    /// Index of the hierarchy.
    pub(super) hierarchy: usize,
    /// File and value; the first file that the group has is used.
    pub(super) choices: Vec<(Cow<'static, str>, String)>,
    /// Nothing is lost on kernels without the file.
    pub(super) optional: bool,
}

/// A controller without which a limit cannot be set.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Needed {
    pub(super) controller: String,
    /// The field of the specification that asks for it.
    pub(super) field: String,
}

/// What a group has now: some files hold two fields of the specification, and an update may name one of them.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Current {
    /// The two words of `cpu.max`.
    pub(super) cpu_max: Option<(String, u64)>,
    /// `memory.max` in bytes, -1 for no limit.
    pub(super) memory_max: Option<i64>,
}

/// Collects writes and knows which hierarchy has which controller.
struct Writer<'a> {
    hierarchies: &'a [MountedHierarchy],
    current: &'a Current,
    settings: Settings,
}

/// Where a controller is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    V1(usize),
    V2(usize),
}

/// The writes for `resources` on a host with these hierarchies; the device rules of v2 are not among them.
pub(super) fn settings(
    resources: &LinuxResources,
    hierarchies: &[MountedHierarchy],
    current: &Current,
) -> Result<Settings, Error> {
    let mut writer = Writer { hierarchies, current, settings: Settings::default() };
    if hierarchies.is_empty() {
        return Ok(writer.settings);
    }
    if let Some(memory) = resources.memory() {
        writer.memory(memory)?;
    }
    if let Some(cpu) = resources.cpu() {
        writer.cpu(cpu)?;
        writer.cpuset(cpu)?;
    }
    if let Some(pids) = resources.pids() {
        writer.pids(pids)?;
    }
    if let Some(block) = resources.block_io() {
        writer.block(block)?;
    }
    for limit in resources.hugepage_limits().iter().flatten() {
        writer.hugepages(limit)?;
    }
    writer.rdma(resources)?;
    if let Some(network) = resources.network() {
        writer.network(network)?;
    }
    writer.unified(resources)?;
    if let Some(index) = hierarchies.iter().position(|hierarchy| hierarchy.has("devices")) {
        for (file, line) in devices::v1_lines(resources)? {
            writer.push(index, [(file.into(), line)], false);
        }
    }
    Ok(writer.settings)
}

impl Writer<'_> {
    /// Where `controller` is; a limit for a controller that the host does not have is an error.
    fn place(&mut self, controller: &str, field: &str) -> Result<Place, Error> {
        if let Some(index) = self.hierarchies.iter().position(|h| h.has(controller)) {
            return Ok(Place::V1(index));
        }
        let unified = self.hierarchies.iter().position(MountedHierarchy::is_unified);
        let index = unified.ok_or_else(|| no_controller(controller, field))?;
        if self.settings.controllers.iter().all(|known| known.controller != controller) {
            let (controller, field) = (controller.to_owned(), field.to_owned());
            self.settings.controllers.push(Needed { controller, field });
        }
        Ok(Place::V2(index))
    }

    /// As [`place`](Self::place), for what only cgroup v1 has.
    fn v1_place(&self, controller: &str, field: &str) -> Result<Place, Error> {
        let found = self.hierarchies.iter().position(|hierarchy| hierarchy.has(controller));
        let detail = || format!("there is no {controller} controller of cgroup v1");
        found.map(Place::V1).ok_or_else(|| Error::unsupported_value(field, detail()))
    }

    fn write(&mut self, place: Place, v1: &'static str, v2: &'static str, value: String) {
        let (index, file) = match place {
            Place::V1(index) => (index, v1),
            Place::V2(index) => (index, v2),
        };
        self.push(index, [(file.into(), value)], false);
    }

    fn push(
        &mut self,
        hierarchy: usize,
        choices: impl Into<Vec<(Cow<'static, str>, String)>>,
        optional: bool,
    ) {
        self.settings.writes.push(Write { hierarchy, choices: choices.into(), optional });
    }
}

impl Place {
    fn index(self) -> usize {
        match self {
            Self::V1(index) | Self::V2(index) => index,
        }
    }
}

/// A limit for which the host has no controller.
pub(super) fn no_controller(controller: &str, field: &str) -> Error {
    Error::unsupported_value(field, format!("the host has no {controller} controller"))
}

fn only_v1(place: Place, field: &str) -> Result<(), Error> {
    match place {
        Place::V1(_) => Ok(()),
        Place::V2(_) => Err(Error::unsupported_value(field, "cgroup v2 has none")),
    }
}
