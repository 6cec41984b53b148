//! Writing limits, to new groups and to those of running containers.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use oci_spec::runtime::LinuxResources;
use rustix::io::Errno;

use super::limits::{Current, Settings, Write, settings};
use super::{Cgroup, cgroup_error, devices, files};
use crate::Error;

impl Cgroup {
    /// Changes the limits of the group, which exists: those that `resources` names; what it does not name stays.
    /// When one of a pair is named that the kernel keeps in one file (`cpu.max`) or that depend on each other
    /// (memory and swap), the other is taken from the group. Device rules, if there are any, replace all earlier ones.
    ///
    /// # Errors
    /// As [`create`](Self::create); `linux.resources.memory.limit` is refused when it is below what is in use and
    /// `checkBeforeUpdate` is set. The limits before the one that failed are changed.
    pub fn update(&self, resources: &LinuxResources) -> Result<(), Error> {
        self.check_memory(resources)?;
        let mut rest = resources.clone();
        rest.set_devices(None);
        let Settings { writes, controllers } = settings(&rest, &self.hierarchies, &self.current())?;
        for hierarchy in self.hierarchies.iter().filter(|hierarchy| hierarchy.is_unified()) {
            self.make(hierarchy, &controllers)?;
        }
        self.set(&writes)?;
        self.update_devices(resources)
    }

    fn update_devices(&self, resources: &LinuxResources) -> Result<(), Error> {
        if resources.devices().as_ref().is_none_or(Vec::is_empty) {
            return Ok(());
        }
        if let Some(directory) = self.v1("devices") {
            let list = directory.join("devices.list");
            let text = files::read(&list).map_err(|source| cgroup_error("read", &list, source))?;
            for (file, line) in devices::v1_changes(resources, &text)? {
                self.write(&directory.join(file), &line)?;
            }
        } else if let Some(directory) = self.unified() {
            devices::attach_filter(&directory, resources)?;
        }
        Ok(())
    }

    /// With `checkBeforeUpdate`, no limit below what is in use; v1 refuses that by itself.
    fn check_memory(&self, resources: &LinuxResources) -> Result<(), Error> {
        let Some(memory) = resources.memory() else { return Ok(()) };
        let Some(limit) = memory.limit().and_then(|limit| u64::try_from(limit).ok()) else {
            return Ok(());
        };
        let asked = memory.check_before_update() == Some(true) && limit > 0;
        let Some(directory) = self.unified().filter(|_| asked && !self.has_v1("memory")) else {
            return Ok(());
        };
        let file = directory.join("memory.current");
        let text = files::read(&file).map_err(|source| cgroup_error("read", &file, source))?;
        match text.trim().parse::<u64>() {
            Ok(used) if used > limit => {
                let reason = format!("{limit} is less than the {used} bytes in use");
                Err(Error::invalid("linux.resources.memory.limit", reason))
            }
            _ => Ok(()),
        }
    }

    /// What the v2 group has now, as far as an update depends on it.
    fn current(&self) -> Current {
        let read = |name: &str| files::read(self.unified()?.join(name)).ok();
        let cpu_max = read("cpu.max").and_then(|text| {
            let (quota, period) = text.trim().split_once(' ')?;
            Some((quota.to_owned(), period.parse().ok()?))
        });
        let memory_max = read("memory.max").and_then(|text| match text.trim() {
            "max" => Some(-1),
            bytes => bytes.parse().ok(),
        });
        Current { cpu_max, memory_max }
    }

    /// Writes the values in their order, except that a value the kernel finds to contradict what is there (a burst
    /// above the quota, memory above memory and swap) is tried again after the others: whether the new values
    /// are higher or lower decides which has to be first.
    pub(super) fn set(&self, writes: &[Write]) -> Result<(), Error> {
        let mut waiting: Vec<&Write> = writes.iter().collect();
        loop {
            let mut refused = Vec::new();
            let mut first = None;
            let mut last = None;
            for &write in &waiting {
                if let Err(error) = self.set_one(write, &mut last) {
                    if error.errno() != Some(Errno::INVAL.raw_os_error()) {
                        return Err(error);
                    }
                    first.get_or_insert(error);
                    refused.push(write);
                }
            }
            match first {
                None => return Ok(()),
                Some(error) if refused.len() == waiting.len() => return Err(error),
                Some(_) => waiting = refused,
            }
        }
    }

    /// Writes to the first of the files that is there. The last one stays open: device rules are many lines for one
    /// file.
    fn set_one<'a>(&self, write: &'a Write, last: &mut Option<Open<'a>>) -> Result<(), Error> {
        let directory = self.directory(&self.hierarchies[write.hierarchy]);
        let mut missing = Ok(());
        for (file, value) in &write.choices {
            let path = directory.join(file.as_ref());
            let name = (write.hierarchy, file.as_ref());
            let opened = match last {
                Some(open) if open.name == name => Ok(open),
                _ => files::writable(&path).map(|file| last.insert(Open { name, file })),
            };
            match opened.and_then(|open| open.file.write_all(value.as_bytes())) {
                Ok(()) => return Ok(()),
                Err(source) if source.kind() == io::ErrorKind::NotFound => {
                    if !write.optional && missing.is_ok() {
                        missing = Err(refused(value, &path, source));
                    }
                }
                Err(source) => return Err(refused(value, &path, source)),
            }
        }
        missing
    }

    pub(super) fn write(&self, file: &Path, value: &str) -> Result<(), Error> {
        files::write(file, value).map_err(|source| refused(value, file, source))
    }
}

/// An open file of the group: its hierarchy and name.
struct Open<'a> {
    name: (usize, &'a str),
    file: File,
}

/// The file's name says the controller; a limit of memory below what is in use is told with the numbers.
fn refused(value: &str, file: &Path, source: io::Error) -> Error {
    let busy = source.raw_os_error() == Some(Errno::BUSY.raw_os_error());
    if busy && file.ends_with("memory.limit_in_bytes") {
        let read = |name: &str| files::read(file.with_file_name(name)).unwrap_or_default();
        let (used, most) = (read("memory.usage_in_bytes"), read("memory.max_usage_in_bytes"));
        let action =
            format!("write {value} (in use: {}, at most: {}) to", used.trim(), most.trim());
        return cgroup_error(&action, file, source);
    }
    cgroup_error(&format!("write {value} to"), file, source)
}
