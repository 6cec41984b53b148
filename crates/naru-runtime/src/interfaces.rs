//! Network interfaces that go from the caller's network namespace into the container's (runtime-spec, config-linux.md,
//! "Network Devices"): moved, called by another name if that is asked for, with the addresses they had, and up.
//!
//! The kernel takes an interface down and its addresses away when it is moved. Only those that somebody gave it for the
//! world (scope global, permanent) are given back, not those that the network or the kernel itself made.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::panic::resume_unwind;
use std::thread;

use netlink_bindings::rt_addr::{self, Ifaddrmsg};
use netlink_bindings::rt_link::{self, Ifinfomsg};
use netlink_bindings::traits::NetlinkRequest;
use netlink_socket2::{NetlinkSocket, ReplyError};
use nix::libc;
use nix::sched::{CloneFlags, setns};

use crate::Error;
use crate::plan::Moved;

/// `IFA_F_PERMANENT`.
const PERMANENT: u32 = 0x80;
/// Stack of a thread in the namespace: netlink requests need a few kilobytes, and debug builds several times that.
const STACK: usize = 256 * 1024;

/// An address of an interface.
#[derive(Debug, Clone)]
struct Address {
    family: u8,
    prefix: u8,
    /// Its own, and for a point-to-point link the other end's.
    local: IpAddr,
    address: IpAddr,
}

/// Moves them all; the first that cannot be moved is the error.
pub(crate) fn move_into(moved: &[Moved], namespace: BorrowedFd<'_>) -> Result<(), Error> {
    for one in moved {
        move_one(one, namespace).map_err(|error| {
            Error::host(
                format!("move the network interface {} into the container", one.name),
                error,
            )
        })?;
    }
    Ok(())
}

fn move_one(moved: &Moved, namespace: BorrowedFd<'_>) -> io::Result<()> {
    let mut socket = NetlinkSocket::new();
    let index = index_of(&mut socket, &moved.name)?;
    let addresses = addresses_of(&mut socket, index)?;
    let mut header = Ifinfomsg::new();
    header.ifi_index = index.cast_signed();
    let mut request = rt_link::Request::new().op_setlink_do(&header);
    let attributes = request.encode().push_ifname_bytes(moved.inside.as_bytes());
    drop(attributes.push_net_ns_fd(namespace.as_raw_fd().cast_unsigned()));
    acknowledged(&mut socket, &request)?;
    within(namespace, || {
        let mut socket = NetlinkSocket::new();
        let index = index_of(&mut socket, &moved.inside)?;
        for address in &addresses {
            add(&mut socket, index, address)?;
        }
        let mut header = Ifinfomsg::new();
        header.ifi_index = index.cast_signed();
        header.ifi_flags = libc::IFF_UP.cast_unsigned();
        header.ifi_change = libc::IFF_UP.cast_unsigned();
        acknowledged(&mut socket, &rt_link::Request::new().op_setlink_do(&header))
    })
}

fn index_of(socket: &mut NetlinkSocket, name: &str) -> io::Result<u32> {
    let mut request = rt_link::Request::new().op_getlink_do(&Ifinfomsg::new());
    drop(request.encode().push_ifname_bytes(name.as_bytes()));
    let mut index = None;
    replies(socket, &request, |(header, _)| index = Some(header.ifi_index.cast_unsigned()))?;
    index.ok_or_else(|| io::Error::from_raw_os_error(libc::ENODEV))
}

fn addresses_of(socket: &mut NetlinkSocket, index: u32) -> io::Result<Vec<Address>> {
    let mut found = Vec::new();
    let request = rt_addr::Request::new().op_getaddr_dump(&Ifaddrmsg::default());
    replies(socket, &request, |(header, attributes)| {
        let flags = attributes.get_flags().unwrap_or(u32::from(header.ifa_flags));
        let given = flags & PERMANENT != 0 && header.ifa_scope == libc::RT_SCOPE_UNIVERSE;
        let Ok(address) = attributes.get_address().or_else(|_| attributes.get_local()) else {
            return;
        };
        if header.ifa_index == index && given {
            let local = attributes.get_local().unwrap_or(address);
            let (family, prefix) = (header.ifa_family, header.ifa_prefixlen);
            found.push(Address { family, prefix, local, address });
        }
    })?;
    Ok(found)
}

fn add(socket: &mut NetlinkSocket, index: u32, address: &Address) -> io::Result<()> {
    let header = Ifaddrmsg {
        ifa_family: address.family,
        ifa_prefixlen: address.prefix,
        ifa_index: index,
        ..Default::default()
    };
    let mut request = rt_addr::Request::new().set_create().op_newaddr_do(&header);
    drop(request.encode().push_local(address.local).push_address(address.address));
    acknowledged(socket, &request)
}

fn acknowledged<R: NetlinkRequest>(socket: &mut NetlinkSocket, request: &R) -> io::Result<()> {
    socket.request(request)?.recv_ack().map_err(|error| refusal(&error))
}

fn replies<R: NetlinkRequest>(
    socket: &mut NetlinkSocket,
    request: &R,
    mut each: impl FnMut(R::ReplyType<'_>),
) -> io::Result<()> {
    let mut replies = socket.request(request)?;
    while let Some(reply) = replies.recv() {
        each(reply.map_err(|error| refusal(&error))?);
    }
    Ok(())
}

/// The kernel's reason; what the library says beyond it is about the library.
fn refusal(error: &ReplyError) -> io::Error {
    let error = error.as_io_error();
    error.raw_os_error().map_or_else(|| io::Error::from(error.kind()), io::Error::from_raw_os_error)
}

/// Runs `work` in the namespace, by a thread that lives only for it.
fn within<T: Send>(
    namespace: BorrowedFd<'_>,
    work: impl FnOnce() -> io::Result<T> + Send,
) -> io::Result<T> {
    thread::scope(|scope| {
        let visitor = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, move || {
            setns(namespace, CloneFlags::CLONE_NEWNET)?;
            work()
        })?;
        visitor.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}
