//! The tables of iptables as the kernel had them before nftables (`ip_tables`), which netlink does not show.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use rustix::io::Errno;

/// Whose packets a table is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

/// `IPT_SO_GET_INFO` and `IPT_SO_SET_REPLACE`, and `IPT_SO_GET_ENTRIES`; those of IPv6 have the same numbers.
const INFO: libc::c_int = 64;
const ENTRIES: libc::c_int = 65;
const NAME: usize = 32;
/// Where entries begin in `struct ipt_get_entries` and `struct ipt_replace`.
const ENTRIES_AT: usize = 40;
const NEW_ENTRIES_AT: usize = 96;
/// Length of `struct xt_counters`.
const COUNTER: usize = 16;

/// `struct ipt_getinfo`.
#[repr(C)]
#[derive(Default)]
struct Info {
    name: [u8; NAME],
    valid_hooks: u32,
    hooks: [u32; 5],
    underflows: [u32; 5],
    count: u32,
    size: u32,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Which hooks it has a chain for, as bits.
    pub valid_hooks: u32,
    /// Where each hook's chain begins among the entries.
    pub hooks: [u32; 5],
    /// Where each hook's policy is.
    pub underflows: [u32; 5],
    /// How many entries there are.
    pub count: u32,
    /// The entries (`struct ipt_entry`), one after the other.
    pub entries: Vec<u8>,
}

/// The table of this name. The kernel makes it if it is not there yet: ask /proc/net/ip_tables_names first.
///
/// # Errors
/// `EPERM` without `CAP_NET_ADMIN`, `ENOPROTOOPT` where the kernel has no such tables, `ENOENT` when none has this name,
/// `EAGAIN` when it is changed at this moment.
pub fn table(family: Family, name: &str) -> Result<Table, Errno> {
    let socket = socket(family)?;
    let mut info = Info { name: padded(name), ..Info::default() };
    let mut length = length_of(size_of::<Info>())?;
    // SAFETY: `info` is a whole struct ipt_getinfo, of the length that is passed; the kernel writes no more than that.
    let result = unsafe {
        let to = (&raw mut info).cast();
        libc::getsockopt(socket.as_raw_fd(), level(family), INFO, to, &raw mut length)
    };
    crate::result(result.into())?;
    let size = usize::try_from(info.size).map_err(|_| Errno::OVERFLOW)?;
    // In words of 8 bytes, as counters among the entries are.
    let mut words = vec![0_u64; (ENTRIES_AT + size).div_ceil(8)];
    let mut head = [0; ENTRIES_AT];
    head[..NAME].copy_from_slice(&padded(name));
    head[NAME..NAME + 4].copy_from_slice(&info.size.to_ne_bytes());
    for (word, bytes) in words.iter_mut().zip(head.chunks_exact(8)) {
        *word = u64::from_ne_bytes(bytes.try_into().map_err(|_| Errno::INVAL)?);
    }
    let mut length = length_of(ENTRIES_AT + size)?;
    // SAFETY: `words` is a struct ipt_get_entries with room for as many bytes of entries as its size says, of the length
    // that is passed; the kernel writes no more than that.
    let result = unsafe {
        let to = words.as_mut_ptr().cast();
        libc::getsockopt(socket.as_raw_fd(), level(family), ENTRIES, to, &raw mut length)
    };
    crate::result(result.into())?;
    let bytes = words.iter().flat_map(|word| word.to_ne_bytes());
    Ok(Table {
        valid_hooks: info.valid_hooks,
        hooks: info.hooks,
        underflows: info.underflows,
        count: info.count,
        entries: bytes.skip(ENTRIES_AT).take(size).collect(),
    })
}

/// Puts a table in the place of the one of this name, as `iptables-legacy` does after each change.
///
/// # Errors
/// `EINVAL` for a table that makes no sense, else as [`table`].
pub fn replace(family: Family, name: &str, table: &Table) -> Result<(), Errno> {
    let socket = socket(family)?;
    let before = self::table(family, name)?.count;
    // The kernel wants room to tell how often each rule before this has met.
    let room = usize::try_from(before).map_err(|_| Errno::OVERFLOW)? * COUNTER;
    let mut counters = vec![0_u64; room.div_ceil(8)];
    let size = u32::try_from(table.entries.len()).map_err(|_| Errno::OVERFLOW)?;
    let mut message = padded(name).to_vec();
    let numbers = [table.valid_hooks, table.count, size].into_iter();
    let numbers = numbers.chain(table.hooks).chain(table.underflows).chain([before]);
    message.extend(numbers.flat_map(u32::to_ne_bytes));
    message.extend((counters.as_mut_ptr() as u64).to_ne_bytes());
    debug_assert_eq!(message.len(), NEW_ENTRIES_AT, "the length of struct ipt_replace");
    message.extend(&table.entries);
    // SAFETY: `message` is a struct ipt_replace with its entries, of the length that is passed; the counters it points at
    // have room for as many as it says, and live until the call returns.
    let result = unsafe {
        let from = message.as_ptr().cast();
        let length = length_of(message.len())?;
        libc::setsockopt(socket.as_raw_fd(), level(family), INFO, from, length)
    };
    crate::result(result.into()).map(drop)
}

fn socket(family: Family) -> Result<OwnedFd, Errno> {
    let domain = match family {
        Family::Ipv4 => libc::AF_INET,
        Family::Ipv6 => libc::AF_INET6,
    };
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
    // SAFETY: creating a socket touches no memory.
    let socket = unsafe { libc::socket(domain, kind, libc::IPPROTO_RAW) };
    let socket = crate::result(socket.into())?;
    // SAFETY: the descriptor was just made and belongs to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(socket) })
}

fn level(family: Family) -> libc::c_int {
    match family {
        Family::Ipv4 => libc::SOL_IP,
        Family::Ipv6 => libc::SOL_IPV6,
    }
}

fn padded(name: &str) -> [u8; NAME] {
    let mut bytes = [0; NAME];
    let length = name.len().min(NAME - 1);
    bytes[..length].copy_from_slice(&name.as_bytes()[..length]);
    bytes
}

fn length_of(size: usize) -> Result<libc::socklen_t, Errno> {
    libc::socklen_t::try_from(size).map_err(|_| Errno::OVERFLOW)
}
