//! Kernel parameters of interfaces, and of those that are about to be born.

use std::io;

use fs_err as fs;

use super::{Endpoint, Error};

/// What a new interface of the calling thread's namespace has from its first moment: the settings for new interfaces
/// cost nothing, while those of an existing one wait for every other change of links. Without an address of IPv6 it
/// has that switched off; no router advertisement is ever taken, and addresses are usable at once.
pub(super) fn born(
    endpoint: &Endpoint<'_>,
    make: impl FnOnce() -> Result<(), Error>,
) -> Result<(), Error> {
    const SWITCH: &str = "net/ipv6/conf/default/disable_ipv6";
    let interface = endpoint.interface;
    for name in ["accept_ra", "accept_dad"] {
        let path = format!("net/ipv6/conf/default/{name}");
        set_parameter(interface, &path, "0")?;
    }
    let wanted = if endpoint.has_ipv6() { "0" } else { "1" };
    let before = set_parameter(interface, SWITCH, wanted)?;
    let made = make();
    if let Some(before) = before.filter(|before| before != wanted) {
        set_parameter(interface, SWITCH, &before)?;
    }
    made
}

/// Writes a kernel parameter on behalf of an interface; returns what it was, unless the kernel has no IPv6 and
/// therefore no such parameter.
pub(super) fn set_parameter(
    interface: &str,
    path: &str,
    value: &str,
) -> Result<Option<String>, Error> {
    let file = format!("/proc/sys/{path}");
    let outcome = fs::read_to_string(&file).and_then(|before| {
        let before = before.trim().to_owned();
        if before != value {
            fs::write(&file, value)?;
        }
        Ok(before)
    });
    match outcome {
        Ok(before) => Ok(Some(before)),
        Err(error)
            if error.kind() == io::ErrorKind::NotFound && path.starts_with("net/ipv6/conf/") =>
        {
            Ok(None)
        }
        Err(source) => {
            let (interface, parameter) = (interface.to_owned(), path.to_owned());
            Err(Error::Parameter { interface, parameter, source })
        }
    }
}
