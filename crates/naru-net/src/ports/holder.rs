//! Who holds a port: the socket tables of the network namespace name an inode, and the descriptors
//! in `/proc` name the process that has it open.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use fs_err as fs;

use super::Protocol;

/// A process that holds a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its process id.
    pub pid: u32,
    /// Its name.
    pub command: String,
    /// The user that it runs as, by name where /etc/passwd has one.
    pub user: String,
    /// The systemd unit that it belongs to, where there is one.
    pub unit: Option<String>,
    /// Its program and arguments, as it has them: nothing in them is fit for a terminal.
    pub arguments: Vec<String>,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} ({}, user {}", self.pid, self.command, self.user)?;
        if let Some(unit) = &self.unit {
            write!(f, ", systemd unit {unit}")?;
        }
        f.write_str(")")
    }
}

/// One line of a socket table.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    local: SocketAddr,
    state: u8,
    inode: u64,
}

/// `TCP_LISTEN` as the socket tables print it.
const LISTENING: u8 = 0x0a;

/// The process that keeps `wanted` from being bound, where it can be seen.
pub(super) fn find(wanted: SocketAddr, protocol: Protocol) -> Option<Holder> {
    let inodes: Vec<u64> = tables(protocol)
        .iter()
        // Of the thread: the process's leader may live in another network namespace.
        .filter_map(|table| fs::read_to_string(format!("/proc/thread-self/net/{table}")).ok())
        .flat_map(|text| text.lines().filter_map(parse).collect::<Vec<_>>())
        .filter(|entry| protocol == Protocol::Udp || entry.state == LISTENING)
        .filter(|entry| clashes(entry.local, wanted))
        .map(|entry| entry.inode)
        .collect();
    process_with(&inodes)
}

fn tables(protocol: Protocol) -> [&'static str; 2] {
    match protocol {
        Protocol::Tcp => ["tcp", "tcp6"],
        Protocol::Udp => ["udp", "udp6"],
    }
}

/// Whether a socket on `held` may keep `wanted` from being bound. An unspecified IPv6 address may
/// stand for IPv4 as well: the table does not show whether it does.
fn clashes(held: SocketAddr, wanted: SocketAddr) -> bool {
    let both_families = |address: IpAddr| address == IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    let same_family = held.is_ipv4() == wanted.is_ipv4();
    held.port() == wanted.port()
        && match (held.ip(), wanted.ip()) {
            (held, wanted) if held == wanted => true,
            (held, wanted) if both_families(held) || both_families(wanted) => true,
            (held, wanted) => same_family && (held.is_unspecified() || wanted.is_unspecified()),
        }
}

/// Reads a line such as `0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 123 …`.
fn parse(line: &str) -> Option<Entry> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let (address, port) = fields.next()?.split_once(':')?;
    let state = u8::from_str_radix(fields.nth(1)?, 16).ok()?;
    let inode = fields.nth(5)?.parse().ok()?;
    let port = u16::from_str_radix(port, 16).ok()?;
    Some(Entry { local: SocketAddr::new(parse_address(address)?, port), state, inode })
}

/// Addresses are printed as 32-bit words in the byte order of the host.
fn parse_address(text: &str) -> Option<IpAddr> {
    let word = |at: usize| {
        let word = u32::from_str_radix(text.get(at..at + 8)?, 16).ok()?;
        Some(word.to_ne_bytes())
    };
    match text.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let mut bytes = [0; 16];
            for (index, chunk) in bytes.chunks_exact_mut(4).enumerate() {
                chunk.copy_from_slice(&word(index * 8)?);
            }
            let address = Ipv6Addr::from(bytes);
            Some(address.to_ipv4_mapped().map_or(address.into(), IpAddr::V4))
        }
        _ => None,
    }
}

/// The process with the smallest id that has one of these sockets open: of a parent and the
/// children that inherited it, that is usually the one started by hand.
fn process_with(inodes: &[u64]) -> Option<Holder> {
    let links: Vec<_> = inodes.iter().map(|inode| format!("socket:[{inode}]")).collect();
    if links.is_empty() {
        return None;
    }
    let mut pids: Vec<u32> = fs::read_dir("/proc")
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    pids.sort_unstable();
    let pid = pids.into_iter().find(|pid| has_open(*pid, &links))?;
    Some(describe(pid))
}

fn describe(pid: u32) -> Holder {
    let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
    let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let arguments = arguments.split(|byte| *byte == 0);
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    Holder {
        pid,
        command: printable(read("comm").trim_end()),
        user: user(&read("status"), &passwd),
        unit: unit(&read("cgroup")),
        arguments: arguments.map(|part| String::from_utf8_lossy(part).into_owned()).collect(),
    }
}

/// A process chooses its own name: nothing in it may reach the terminal as a control character.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// The effective user of `/proc/PID/status`, by name.
fn user(status: &str, passwd: &str) -> String {
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap_or_default();
    let id = ids.split_ascii_whitespace().nth(1).unwrap_or("unknown");
    let name = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == id).then_some(name)
    });
    printable(name.unwrap_or(id))
}

/// The innermost systemd unit in the paths of `/proc/PID/cgroup`.
fn unit(cgroups: &str) -> Option<String> {
    let is_unit = |part: &&str| {
        [".service", ".scope", ".socket"].iter().any(|kind| part.ends_with(kind))
            && !part.starts_with("user@")
    };
    let mut paths = cgroups.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    paths.find_map(|path| path.split('/').rfind(is_unit)).map(printable)
}

fn has_open(pid: u32, links: &[String]) -> bool {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    descriptors
        .filter_map(|descriptor| fs::read_link(descriptor.ok()?.path()).ok())
        .any(|target| links.iter().any(|link| target == Path::new(link)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_socket_tables_are_understood() {
        let v4 = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12345 1 ffff 100 0 0 10 0";
        let entry = parse(v4).unwrap();
        assert_eq!(entry.local, "127.0.0.1:8080".parse().unwrap());
        assert_eq!((entry.state, entry.inode), (LISTENING, 12345));

        let v6 = "   1: 00000000000000000000000001000000:0035 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 77 2 ffff 0";
        assert_eq!(parse(v6).unwrap().local, "[::1]:53".parse().unwrap());
        assert_eq!(parse("  sl  local_address rem_address   st tx_queue rx_queue"), None);
    }

    #[test]
    fn a_holder_is_told_by_its_user_and_its_unit() {
        let status = "Name:\tpostgres\nUid:\t0\t112\t112\t112\nGid:\t1\t1\t1\t1\n";
        let passwd = "root:x:0:0::/root:/bin/sh\npostgres:x:112:120::/var/lib/postgresql:/bin/sh\n";
        assert_eq!(user(status, passwd), "postgres");
        assert_eq!(user(status, ""), "112");
        let cgroup = "1:name=systemd:/\n0::/system.slice/system-postgresql.slice/postgresql@17-main.service\n";
        assert_eq!(unit(cgroup).as_deref(), Some("postgresql@17-main.service"));
        let desktop = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/code.scope\n";
        assert_eq!(unit(desktop).as_deref(), Some("code.scope"));
        assert_eq!(unit("0::/user.slice/user-1000.slice/session-2\n"), None);
        let holder = Holder {
            pid: 812,
            command: "postgres".into(),
            user: "postgres".into(),
            unit: Some("postgresql.service".into()),
            arguments: Vec::new(),
        };
        let text = "process 812 (postgres, user postgres, systemd unit postgresql.service)";
        assert_eq!(holder.to_string(), text);
    }

    #[test]
    fn a_socket_clashes_with_its_own_address_and_with_all_addresses() {
        let check = |held: &str, wanted: &str, expected: bool| {
            let found = clashes(held.parse().unwrap(), wanted.parse().unwrap());
            assert_eq!(found, expected, "{held} against {wanted}");
        };
        check("127.0.0.1:80", "127.0.0.1:80", true);
        check("127.0.0.1:80", "0.0.0.0:80", true);
        check("0.0.0.0:80", "10.0.0.1:80", true);
        check("[::]:80", "0.0.0.0:80", true);
        check("127.0.0.1:80", "127.0.0.2:80", false);
        check("127.0.0.1:80", "127.0.0.1:81", false);
        check("[::1]:80", "0.0.0.0:80", false);
    }
}
