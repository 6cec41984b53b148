//! The host's own names: `/etc/hosts`, as far as its addresses mean something to others than the host.

use std::collections::HashMap;
use std::net::IpAddr;

use super::zone::normal;

/// Where they are.
pub(crate) const FILE: &str = "/etc/hosts";

/// More names than this are passed over: some people block advertisements by such a file.
const MOST_NAMES: usize = 10_000;

/// Addresses by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Hosts(HashMap<String, Vec<IpAddr>>);

impl Hosts {
    /// Understands what the C libraries understand; everything else is passed over as they do.
    pub(crate) fn parse(text: &str) -> Self {
        let mut names = HashMap::<String, Vec<IpAddr>>::new();
        for (address, name) in entries(text) {
            // On the host these are the host itself; a container would find itself.
            if address.is_loopback() || address.is_unspecified() || address.is_multicast() {
                continue;
            }
            if names.len() < MOST_NAMES || names.contains_key(&normal(name)) {
                names.entry(normal(name)).or_default().push(address);
            }
        }
        Self(names)
    }

    /// The addresses of a name in lower case.
    pub(crate) fn find(&self, name: &str) -> Option<&[IpAddr]> {
        self.0.get(name).map(Vec::as_slice)
    }
}

/// Every name of a hosts file with its address.
pub(super) fn entries(text: &str) -> impl Iterator<Item = (IpAddr, &str)> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    lines.flat_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let address = words.next().and_then(|word| word.parse::<IpAddr>().ok());
        words.filter_map(move |name| Some((address?, name)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_mean_the_host_itself_are_left_out() {
        let hosts = Hosts::parse(
            "127.0.0.1 localhost dev.example # mine\n127.0.1.1 me\n::1 localhost\n0.0.0.0 ads.example\n\
             192.0.2.7\tNAS nas.lan\n2001:db8::7 nas\nnonsense a\n192.0.2.9\n",
        );
        let found = |name: &str| hosts.find(name).map(<[IpAddr]>::len);
        assert_eq!(found("nas"), Some(2));
        assert_eq!(found("nas.lan"), Some(1));
        for name in ["localhost", "dev.example", "me", "ads.example", "mine", "a", "nonsense"] {
            assert_eq!(found(name), None, "{name}");
        }
    }
}
