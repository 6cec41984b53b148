//! Device access that every container has, as OCI runtimes agree on beyond the specification: everything is
//! denied at first, then comes what the configuration says, then the devices of config-linux, "Default
//! Devices", its terminals, tunnels of its networks, and making nodes, which opens none.

use oci_spec::runtime::{
    LinuxDeviceCgroup, LinuxDeviceCgroupBuilder, LinuxDeviceType, LinuxResources,
};

use crate::Error;

/// Type, major, minor (nothing is any), access.
const ALLOWED: [(LinuxDeviceType, Option<i64>, Option<i64>, &str); 11] = [
    (LinuxDeviceType::C, None, None, "m"),
    (LinuxDeviceType::B, None, None, "m"),
    (LinuxDeviceType::C, Some(1), Some(3), "rwm"),
    (LinuxDeviceType::C, Some(1), Some(5), "rwm"),
    (LinuxDeviceType::C, Some(1), Some(7), "rwm"),
    (LinuxDeviceType::C, Some(1), Some(8), "rwm"),
    (LinuxDeviceType::C, Some(1), Some(9), "rwm"),
    (LinuxDeviceType::C, Some(5), Some(0), "rwm"),
    (LinuxDeviceType::C, Some(5), Some(2), "rwm"),
    (LinuxDeviceType::C, Some(136), None, "rwm"),
    (LinuxDeviceType::C, Some(10), Some(200), "rwm"),
];

/// The resources with the rules around their own.
pub(super) fn complete(mut resources: LinuxResources) -> Result<LinuxResources, Error> {
    let mut rules = vec![rule(false, LinuxDeviceType::A, None, None, "rwm")?];
    rules.extend(resources.devices().clone().unwrap_or_default());
    for (kind, major, minor, access) in ALLOWED {
        rules.push(rule(true, kind, major, minor, access)?);
    }
    resources.set_devices(Some(rules));
    Ok(resources)
}

fn rule(
    allow: bool,
    kind: LinuxDeviceType,
    major: Option<i64>,
    minor: Option<i64>,
    access: &str,
) -> Result<LinuxDeviceCgroup, Error> {
    let mut builder = LinuxDeviceCgroupBuilder::default().allow(allow).typ(kind).access(access);
    if let Some(major) = major {
        builder = builder.major(major);
    }
    if let Some(minor) = minor {
        builder = builder.minor(minor);
    }
    builder.build().map_err(|_| Error::invalid("linux.resources.devices", "a rule is incomplete"))
}
