//! The host's resolver settings: `/etc/resolv.conf`, parsed, and read again when it changes.

use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fs_err as fs;
use nix::net::if_::if_nametoindex;

/// Where the host's settings are.
pub const HOST_FILE: &str = "/etc/resolv.conf";

/// More servers than this are ignored, as by the C libraries.
const MOST_SERVERS: usize = 3;

/// A name server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameServer {
    /// Its address.
    pub address: IpAddr,
    /// The interface behind which a link-local address is to be found, by its name or number.
    pub zone: Option<String>,
}

impl NameServer {
    /// An address, which may have a zone after `%`; nothing where it is none.
    fn parse(text: &str) -> Option<Self> {
        let (address, zone) = match text.split_once('%') {
            Some((address, zone)) => (address, Some(zone.to_owned())),
            None => (text, None),
        };
        Some(Self { address: address.parse().ok()?, zone })
    }

    /// Where it is asked, with the interface as the namespace of the calling thread knows it now.
    pub(crate) fn at(&self, port: u16) -> SocketAddr {
        let IpAddr::V6(address) = self.address else { return (self.address, port).into() };
        let index = |zone: &String| zone.parse().ok().or_else(|| if_nametoindex(&**zone).ok());
        let scope = self.zone.as_ref().and_then(index).unwrap_or(0);
        SocketAddrV6::new(address, port, 0, scope).into()
    }
}

/// What a `resolv.conf` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// Name servers, in order.
    pub servers: Vec<NameServer>,
    /// Search list.
    pub search: Vec<String>,
    /// Options, as written.
    pub options: Vec<String>,
}

impl Config {
    /// Reads and parses a file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(path: impl AsRef<Path>) -> io::Result<Self> {
        let bytes = fs::read(path.as_ref())?;
        Ok(Self::parse(&String::from_utf8_lossy(&bytes)))
    }

    /// Understands what the C libraries understand; everything else is passed over as they do.
    pub fn parse(text: &str) -> Self {
        let mut config = Self::default();
        for line in text.lines() {
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("nameserver") => {
                    config.servers.extend(words.next().and_then(NameServer::parse));
                }
                // The last one of both counts.
                Some("search" | "domain") => config.search = words.map(str::to_owned).collect(),
                Some("options") => config.options.extend(words.map(str::to_owned)),
                _ => {}
            }
        }
        config.servers.truncate(MOST_SERVERS);
        config
    }
}

/// A file that is parsed again only after it was changed or replaced.
///
/// Looked at by `stat`, which costs a microsecond: no watch can be lost, and links, of which systemd-resolved and
/// NetworkManager change the target, are followed anew each time.
#[derive(Debug)]
pub(crate) struct Watched<T> {
    path: PathBuf,
    parse: fn(&str) -> T,
    stamp: Option<Stamp>,
    value: T,
}

/// Device, inode, size, and when content and attributes were last changed.
type Stamp = (u64, u64, u64, i64, i64, i64, i64);

impl<T: Default> Watched<T> {
    pub(crate) fn new(path: impl Into<PathBuf>, parse: fn(&str) -> T) -> Self {
        Self { path: path.into(), parse, stamp: None, value: T::default() }
    }

    /// What it says now. A file that is gone for a moment, as while it is replaced, leaves the last in force.
    pub(crate) fn now(&mut self) -> &T {
        // Before it is read: a change meanwhile is found by the next look.
        if let Ok(file) = fs::metadata(&self.path)
            && self.stamp != Some(stamp(&file))
            && !is_being_written(&file)
            && let Ok(bytes) = fs::read(&self.path)
        {
            self.stamp = Some(stamp(&file));
            self.value = (self.parse)(&String::from_utf8_lossy(&bytes));
        }
        &self.value
    }
}

/// Emptied a moment ago: whoever writes it in place is about to go on.
fn is_being_written(file: &std::fs::Metadata) -> bool {
    const MOMENT: Duration = Duration::from_millis(200);
    let age = file.modified().ok().and_then(|time| time.elapsed().ok());
    file.len() == 0 && age.is_some_and(|age| age < MOMENT)
}

fn stamp(file: &std::fs::Metadata) -> Stamp {
    let changed = (file.mtime(), file.mtime_nsec(), file.ctime(), file.ctime_nsec());
    (file.dev(), file.ino(), file.size(), changed.0, changed.1, changed.2, changed.3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_as_the_c_libraries_read_them() {
        let config = Config::parse(
            "# comment\nnameserver 127.0.0.53\nnameserver fe80::1%eth77\nnameserver nonsense\n\
             domain old.example\nsearch corp.example  lan\noptions ndots:2 trust-ad\n\
             nameserver 1.1.1.1\nnameserver 9.9.9.9\n",
        );
        let servers: Vec<_> =
            config.servers.iter().map(|server| server.at(53).to_string()).collect();
        // No such interface here.
        assert_eq!(servers, ["127.0.0.53:53", "[fe80::1]:53", "1.1.1.1:53"]);
        assert_eq!(config.servers[1].zone.as_deref(), Some("eth77"));
        assert_eq!(NameServer::parse("fe80::1%7").unwrap().at(53).to_string(), "[fe80::1%7]:53");
        let lo = NameServer::parse("fe80::1%lo").unwrap().at(53);
        assert_eq!(lo.to_string(), "[fe80::1%1]:53");
        assert_eq!(config.search, ["corp.example", "lan"]);
        assert_eq!(config.options, ["ndots:2", "trust-ad"]);
    }
}
