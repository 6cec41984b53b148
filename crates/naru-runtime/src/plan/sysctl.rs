//! Kernel parameters: only those that belong to a namespace of the container.

use oci_spec::runtime::{Linux, Spec};

use super::namespaces::{Namespaces, flags};
use crate::Error;

/// Kernel parameters that belong to the IPC namespace.
const IPC_PARAMETERS: [&str; 8] =
    ["msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni", "shm_rmid_forced"];

/// Files below /proc/sys and their values, sorted.
pub(super) fn sysctl_plan(
    spec: &Spec,
    linux: &Linux,
    namespaces: &Namespaces,
) -> Result<Vec<(String, String)>, Error> {
    let mut plan = Vec::new();
    for (name, value) in linux.sysctl().iter().flatten() {
        let path = parameter_path(name)?;
        let Some(flag) = namespace_of(&path) else {
            return Err(Error::unsupported_value("linux.sysctl", name));
        };
        if !namespaces.owns(flag) {
            let reason = format!("{name} would change the host");
            return Err(Error::invalid("linux.sysctl", reason));
        }
        if path == "kernel/hostname" {
            let reason = format!("{name} is what `hostname` is for");
            return Err(Error::invalid("linux.sysctl", reason));
        }
        if path == "kernel/domainname" && spec.domainname().as_ref().is_some_and(|set| set != value)
        {
            let reason = format!("{name} contradicts the name in the specification");
            return Err(Error::invalid("linux.sysctl", reason));
        }
        plan.push((path, value.clone()));
    }
    plan.sort();
    Ok(plan)
}

/// The file of a parameter, whose name has dots or slashes; in a name with dots, a slash stands for
/// a dot of the file's name (`net.ipv4.conf.eth0/1.forwarding`).
fn parameter_path(name: &str) -> Result<String, Error> {
    let swap = |letter: char| match letter {
        '.' => '/',
        '/' => '.',
        other => other,
    };
    let separator = name.find(['.', '/']).map(|place| name.as_bytes()[place]);
    let path: String =
        if separator == Some(b'/') { name.to_owned() } else { name.chars().map(swap).collect() };
    if path.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
        return Err(Error::invalid("linux.sysctl", format!("{name} is no parameter")));
    }
    Ok(path)
}

fn namespace_of(path: &str) -> Option<i32> {
    let in_kernel = path.strip_prefix("kernel/");
    if path.starts_with("net/") {
        Some(flags::NET)
    } else if path.starts_with("fs/mqueue/")
        || in_kernel.is_some_and(|name| IPC_PARAMETERS.contains(&name))
    {
        Some(flags::IPC)
    } else if in_kernel.is_some_and(|name| ["domainname", "hostname"].contains(&name)) {
        Some(flags::UTS)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_dots_or_slashes() {
        let path = |name| parameter_path(name).unwrap();
        assert_eq!(path("net.ipv4.ip_forward"), "net/ipv4/ip_forward");
        assert_eq!(path("net/ipv4/ip_forward"), "net/ipv4/ip_forward");
        assert_eq!(path("net.ipv4.conf.eth0/1.forwarding"), "net/ipv4/conf/eth0.1/forwarding");
        assert!(parameter_path("net/../kernel/core_pattern").is_err());
        assert!(parameter_path("net.//.kernel").is_err());
        assert!(parameter_path("").is_err());
    }

    #[test]
    fn a_parameter_outside_all_namespaces_belongs_to_the_host() {
        for name in ["kernel/core_pattern", "vm/swappiness", "kernel/shmmax2", "fs/file-max"] {
            assert_eq!(namespace_of(name), None, "{name}");
        }
    }
}
