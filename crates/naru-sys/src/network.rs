//! Network interfaces of the calling thread's network namespace, for what needs no netlink.

use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::io::Errno;

/// The interface is switched on; `libc` has it as a wider type than the field.
const IFF_UP: libc::c_short = 1;

/// Asks for a socket's network namespace; `libc` does not have it.
const SIOCGSKNS: u32 = 0x894C;

/// Sets the interface called `name` up.
///
/// See [netdevice(7)](https://man7.org/linux/man-pages/man7/netdevice.7.html).
///
/// # Errors
/// `ENODEV` when there is no such interface, `EPERM` without `CAP_NET_ADMIN`.
pub fn bring_up(name: &str) -> Result<(), Errno> {
    // SAFETY: creating a socket touches no memory.
    let socket = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    let socket = crate::result(socket.into())?;
    // SAFETY: the descriptor was just made and belongs to nobody else.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    // SAFETY: ifreq is plain data for which zero is a value.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    if name.len() >= request.ifr_name.len() {
        return Err(Errno::NODEV);
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from.cast_signed() as libc::c_char;
    }
    // SAFETY: SIOCGIFFLAGS reads the name from and writes the flags to `request`, a whole ifreq.
    let result =
        unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS as _, &raw mut request) };
    crate::result(result.into())?;
    // SAFETY: SIOCGIFFLAGS filled in this member of the union.
    let flags = unsafe { request.ifr_ifru.ifru_flags };
    request.ifr_ifru.ifru_flags = flags | IFF_UP;
    // SAFETY: SIOCSIFFLAGS reads the name and the flags from `request`, a whole ifreq.
    let result =
        unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw mut request) };
    crate::result(result.into()).map(drop)
}

/// A socket that sends whole frames by the interface called `name`, and receives all that come by it.
///
/// See [packet(7)](https://man7.org/linux/man-pages/man7/packet.7.html).
///
/// # Errors
/// `EPERM` without `CAP_NET_RAW`, `ENODEV` when there is no such interface.
pub fn packet_socket(name: &str) -> Result<OwnedFd, Errno> {
    let protocol = u16::try_from(libc::ETH_P_ALL).map_err(|_| Errno::INVAL)?.to_be();
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
    // SAFETY: creating a socket touches no memory.
    let socket = unsafe { libc::socket(libc::AF_PACKET, kind, protocol.into()) };
    let socket = crate::result(socket.into())?;
    // SAFETY: the descriptor was just made and belongs to nobody else.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    let name = std::ffi::CString::new(name).map_err(|_| Errno::NODEV)?;
    // SAFETY: the name ends with a zero byte and lives until the call returns.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    if index == 0 {
        return Err(Errno::NODEV);
    }
    // SAFETY: sockaddr_ll is plain data for which zero is a value.
    let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
    address.sll_family = libc::sa_family_t::try_from(libc::AF_PACKET).map_err(|_| Errno::INVAL)?;
    address.sll_protocol = protocol;
    address.sll_ifindex = index.cast_signed();
    let length = libc::socklen_t::try_from(size_of::<libc::sockaddr_ll>());
    let length = length.map_err(|_| Errno::INVAL)?;
    // SAFETY: `address` is a whole sockaddr_ll, of the length that is passed.
    let result = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) };
    crate::result(result.into())?;
    Ok(socket)
}

/// The network namespace that a socket is of.
///
/// See `SIOCGSKNS` in [netdevice(7)](https://man7.org/linux/man-pages/man7/netdevice.7.html); Linux 4.10.
///
/// # Errors
/// `EPERM` without `CAP_NET_ADMIN` in the user namespace that owns it.
pub fn namespace_of(socket: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    // SAFETY: SIOCGSKNS takes no argument and touches no memory of ours.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCGSKNS as _) };
    let namespace = crate::result(result.into())?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(namespace) })
}
