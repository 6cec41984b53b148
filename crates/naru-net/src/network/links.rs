//! The links that are there.

use std::io;
use std::net::IpAddr;
use std::thread;
use std::time::{Duration, Instant};

use ipnetwork::IpNetwork;

use super::Error;
use crate::Link;
use crate::netlink::{Socket, address, link};

/// The addresses of a link but those that are link-local, each with the length of its prefix, IPv4 first; none when
/// there is no such link.
///
/// # Errors
/// When the kernel does not list its links or addresses.
pub fn addresses_of(link: &str) -> Result<Vec<IpNetwork>, Error> {
    let mut socket = Socket::new();
    let Some(index) = link::index_of(&mut socket, link).map_err(Error::List)? else {
        return Ok(Vec::new());
    };
    let all = address::list(&mut socket).map_err(Error::List)?;
    let own = all.into_iter().filter(|(of, _)| *of == index).map(|(_, address)| address);
    let mut own: Vec<_> = own.filter(|address| !is_link_local(address.ip())).collect();
    own.sort_by_key(IpNetwork::is_ipv6);
    Ok(own)
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

/// All links of the calling thread's network namespace.
///
/// # Errors
/// When the kernel does not list its links.
pub fn listed() -> Result<Vec<Link>, Error> {
    link::list(&mut Socket::new()).map_err(Error::List)
}

/// Deletes a link of this group; that there is none is no error, and one of another group stays.
pub(super) fn delete_own(name: &str, group: u32) -> Result<(), Error> {
    let mut socket = Socket::new();
    let refused = |source| Error::Delete { name: name.to_owned(), source };
    match link::state(&mut socket, name).map_err(refused)? {
        Some(state) if state.group == group => link::delete(&mut socket, name).map_err(refused),
        _ => Ok(()),
    }
}

/// All links of a group, that is of a project.
///
/// # Errors
/// When the kernel does not list its links.
pub fn links_of_group(group: u32) -> Result<Vec<Link>, Error> {
    let mut links = listed()?;
    links.retain(|link| link.group == group);
    Ok(links)
}

/// Deletes all links of a group by one request, which blocks its caller for 30 to 60 ms: call it in
/// a process that nobody waits for, and learn from [`wait_unlisted`] when they are gone.
///
/// # Errors
/// When the kernel refuses, or when the group is 0, which holds the host's own links.
pub fn delete_group(group: u32) -> Result<(), Error> {
    let refused = |source| Error::DeleteGroup { group, source };
    if group == 0 {
        let own = io::Error::new(io::ErrorKind::InvalidInput, "group 0 holds the host's own links");
        return Err(refused(own.into()));
    }
    link::delete_group(&mut Socket::new(), group).map_err(refused)
}

/// Waits until no link of the group is listed any more; false when some still are after `patience`.
///
/// # Errors
/// When the kernel does not list its links.
pub fn wait_unlisted(group: u32, patience: Duration) -> Result<bool, Error> {
    /// The links leave the list 0.4 to 4 ms after the request.
    const PAUSE: Duration = Duration::from_micros(200);
    let deadline = Instant::now() + patience;
    loop {
        if links_of_group(group)?.is_empty() {
            return Ok(true);
        }
        if Instant::now() >= deadline {
            return Ok(false);
        }
        thread::sleep(PAUSE);
    }
}
