//! Settings of a bridge that hold whatever becomes of the firewall: they go with the interface.

use std::io;

use fs_err as fs;

use super::Error;

/// Makes these settings for a bridge of the calling thread's network namespace:
///
/// - `rp_filter` 1: what comes in with a source address that the host reaches by another way is dropped, so that no
///   container sends in the name of another network. The largest of this and the setting for all interfaces counts, and
///   2 would be looser, so this says no more than that naru asks for it; where a container routes for others, a route
///   through it makes their addresses its own.
/// - `forwarding` 0 on an internal network: nothing that comes from it is forwarded, with rules or without. Switching forwarding on for the host
///   switches it on for each interface, so [`crate::firewall`] says it again.
pub(super) fn bridge(name: &str, internal: bool) -> Result<(), Error> {
    set("ipv4", name, "rp_filter", "1")?;
    if internal { set("ipv4", name, "forwarding", "0") } else { Ok(()) }
}

fn set(family: &str, interface: &str, setting: &str, value: &str) -> Result<(), Error> {
    let path = format!("/proc/sys/net/{family}/conf/{interface}/{setting}");
    match fs::write(&path, value) {
        // A kernel without IPv6 has no such file and needs none.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome.map_err(|source| Error::Harden {
            setting: format!("{family}/{setting}"),
            interface: interface.to_owned(),
            source,
        }),
    }
}
