//! Device access: lines for the v1 controller, a program for v2.

use std::path::Path;

use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType, LinuxResources};

use crate::Error;

/// One rule: allow or deny, type, numbers (none is any), access.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    allow: bool,
    kind: char,
    major: Option<u32>,
    minor: Option<u32>,
    access: String,
}

/// Writes for the v1 controller, in order.
pub(super) fn v1_lines(resources: &LinuxResources) -> Result<Vec<(&'static str, String)>, Error> {
    let number = |value: Option<u32>| value.map_or("*".to_owned(), |value| value.to_string());
    Ok(rules(resources)?
        .iter()
        .map(|rule| {
            let file = if rule.allow { "devices.allow" } else { "devices.deny" };
            let line = match rule.kind {
                'a' => "a".to_owned(),
                kind => {
                    let (major, minor) = (number(rule.major), number(rule.minor));
                    format!("{kind} {major}:{minor} {}", rule.access)
                }
            };
            (file, line)
        })
        .collect())
}

/// Attaches a program that enforces the rules to a v2 group.
pub(super) fn attach_filter(directory: &Path, resources: &LinuxResources) -> Result<(), Error> {
    if rules(resources)?.is_empty() {
        return Ok(());
    }
    let detail = format!("cgroup v2 at {}", directory.display());
    Err(Error::unsupported_value("linux.resources.devices", detail))
}

fn rules(resources: &LinuxResources) -> Result<Vec<Rule>, Error> {
    let rules = resources.devices().iter().flatten().enumerate();
    rules.map(|(index, rule)| self::rule(index, rule)).collect()
}

fn rule(index: usize, rule: &LinuxDeviceCgroup) -> Result<Rule, Error> {
    let field = |name: &str| format!("linux.resources.devices[{index}].{name}");
    let number = |value: Option<i64>, name: &str| match value {
        None | Some(-1) => Ok(None),
        Some(value) => u32::try_from(value)
            .map(Some)
            .map_err(|_| Error::invalid(field(name), format!("{value} is out of range"))),
    };
    let kind = match rule.typ() {
        None | Some(LinuxDeviceType::A) => 'a',
        Some(LinuxDeviceType::C | LinuxDeviceType::U) => 'c',
        Some(LinuxDeviceType::B) => 'b',
        Some(LinuxDeviceType::P) => {
            return Err(Error::invalid(field("type"), "a FIFO is no device"));
        }
    };
    let access = rule.access().clone().filter(|access| !access.is_empty());
    let access = access.unwrap_or_else(|| "rwm".to_owned());
    if access.chars().any(|letter| !"rwm".contains(letter)) {
        return Err(Error::invalid(field("access"), format!("{access} is not of r, w and m")));
    }
    let (major, minor) = (number(rule.major(), "major")?, number(rule.minor(), "minor")?);
    if kind == 'a' && (major.is_some() || minor.is_some()) {
        return Err(Error::unsupported_value(field("type"), "all types with a number"));
    }
    Ok(Rule { allow: rule.allow(), kind, major, minor, access })
}
