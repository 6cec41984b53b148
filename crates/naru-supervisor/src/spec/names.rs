//! Host names: which one a container has, and which texts are one.

use naru_compose::project::Service;

use super::Error;

/// The longest host name the kernel takes.
const LONGEST: usize = 64;

/// The host name of a container: the service's, or the first twelve digits of its id.
pub fn hostname<'a>(service: &'a Service, id: &'a str) -> &'a str {
    if service.hostname.is_empty() { id.get(..12).unwrap_or(id) } else { &service.hostname }
}

/// Whether a text can be a host or domain name: letters, digits, `-`, `_` and `.`, at most 253 of them.
/// Nothing else ever reaches `/etc/hosts`, `/etc/hostname` or `/etc/resolv.conf`.
pub fn is_host_name(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !text.is_empty()
        && text.len() <= 253
        && text.bytes().all(is_allowed)
        && !text.starts_with(['-', '.'])
}

pub(super) fn check_host_name(key: &str, name: &str) -> Result<(), Error> {
    if is_host_name(name) && name.len() <= LONGEST {
        return Ok(());
    }
    Err(Error::invalid(key, format!("{name:?} is not a host name")))
}
