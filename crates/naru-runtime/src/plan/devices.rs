//! The device nodes of a container.

use std::path::{Path, PathBuf};

use oci_spec::runtime::{Linux, LinuxDevice, LinuxDeviceType};
use serde::{Deserialize, Serialize};

use super::Slot;
use super::mounts::normalized;
use crate::Error;

/// A device node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DeviceNode {
    pub(crate) path: PathBuf,
    /// `c`, `b` or `p`.
    pub(crate) kind: char,
    pub(crate) major: u32,
    pub(crate) minor: u32,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// The host's node is shown in its place, since a user namespace may not make any.
    pub(crate) bound: bool,
    /// The node that the caller has made for it, with its mode and owner.
    pub(crate) made: Option<Slot>,
}

/// The devices every container has (OCI config-linux, "Default Devices").
const DEFAULT_DEVICES: [(&str, u32, u32); 6] = [
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
];

impl DeviceNode {
    /// It is what every container has at this path.
    pub(crate) fn is_default(&self) -> bool {
        let numbers = (self.major, self.minor, self.mode, self.uid, self.gid);
        DEFAULT_DEVICES.iter().any(|(path, major, minor)| {
            self.path == Path::new(path) && numbers == (*major, *minor, 0o666, 0, 0)
        })
    }
}

/// The listed devices, then the default ones that are not among them.
pub(super) fn device_plan(linux: &Linux, bound: bool) -> Result<Vec<DeviceNode>, Error> {
    let mut devices: Vec<DeviceNode> = Vec::new();
    for (index, device) in linux.devices().iter().flatten().enumerate() {
        devices.push(device_node(&format!("linux.devices[{index}]"), device, bound)?);
    }
    for (path, major, minor) in DEFAULT_DEVICES {
        if devices.iter().all(|device| device.path != Path::new(path)) {
            let (path, kind, mode) = (PathBuf::from(path), 'c', 0o666);
            devices.push(DeviceNode {
                path,
                kind,
                major,
                minor,
                mode,
                uid: 0,
                gid: 0,
                bound,
                made: None,
            });
        }
    }
    Ok(devices)
}

fn device_node(field: &str, device: &LinuxDevice, bound: bool) -> Result<DeviceNode, Error> {
    let kind = match device.typ() {
        LinuxDeviceType::C | LinuxDeviceType::U => 'c',
        LinuxDeviceType::B => 'b',
        LinuxDeviceType::P => 'p',
        LinuxDeviceType::A => {
            return Err(Error::invalid(format!("{field}.type"), "`a` is no type"));
        }
    };
    let number = |value: i64, name: &str| {
        u32::try_from(value).map_err(|_| Error::invalid(format!("{field}.{name}"), "out of range"))
    };
    if !device.path().is_absolute() {
        let reason = format!("{} is not an absolute path", device.path().display());
        return Err(Error::invalid(format!("{field}.path"), reason));
    }
    let path = normalized(device.path())
        .ok_or_else(|| Error::invalid(format!("{field}.path"), "it contains `..`"))?;
    Ok(DeviceNode {
        path,
        kind,
        major: if kind == 'p' { 0 } else { number(device.major(), "major")? },
        minor: if kind == 'p' { 0 } else { number(device.minor(), "minor")? },
        mode: device.file_mode().unwrap_or(0o666) & 0o7777,
        uid: device.uid().unwrap_or(0),
        gid: device.gid().unwrap_or(0),
        bound: bound && kind != 'p',
        made: None,
    })
}
