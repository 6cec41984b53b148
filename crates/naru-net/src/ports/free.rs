//! Which port "any free one" is: the same for the same purpose, as long as it is free.

use fs_err as fs;

use crate::names;

/// How many ports are tried before the kernel may choose.
const ATTEMPTS: u32 = 256;

/// The ports to try for one purpose, in their order, from those that the kernel gives to nobody by name. A port that is
/// chosen by chance changes with every `up`; bookmarks and settings of clients need it to stay.
#[derive(Debug, Clone)]
pub struct Free {
    first: u32,
    count: u32,
    start: u32,
    tried: u32,
}

impl Free {
    /// For a purpose, such as `root/project/service/1/80/tcp`: within the host's range of ephemeral ports, as Docker's.
    pub fn of(purpose: &str) -> Self {
        let range =
            fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
        Self::within(range_of(&range), purpose)
    }

    fn within((first, last): (u16, u16), purpose: &str) -> Self {
        let count = u32::from(last - first) + 1;
        let start = u32::try_from(names::hash(purpose) % u64::from(count)).expect("below 65,536");
        Self { first: first.into(), count, start, tried: 0 }
    }
}

impl Iterator for Free {
    type Item = u16;

    fn next(&mut self) -> Option<u16> {
        if self.tried >= self.count.min(ATTEMPTS) {
            return None;
        }
        let port = self.first + (self.start + self.tried) % self.count;
        self.tried += 1;
        u16::try_from(port).ok()
    }
}

/// First and last port of `ip_local_port_range` (ip(7)); the kernel's own where that says nothing.
fn range_of(text: &str) -> (u16, u16) {
    let mut ports = text.split_ascii_whitespace().map(str::parse);
    match (ports.next(), ports.next()) {
        (Some(Ok(first)), Some(Ok(last))) if 0 < first && first <= last => (first, last),
        _ => (32768, 60999),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ports_of_a_purpose_are_the_same_each_time_and_all_in_the_range() {
        let ports = |purpose: &str| Free::within((40000, 40099), purpose).collect::<Vec<_>>();
        let own = ports("shop/web/1/80");
        assert_eq!(own, ports("shop/web/1/80"));
        assert_ne!(own, ports("shop/web/2/80"));
        let mut sorted = own;
        sorted.sort_unstable();
        assert!(sorted.into_iter().eq(40000..=40099), "each is tried once");
        assert_eq!(Free::within((1, 65535), "a").count(), 256);
    }

    #[test]
    fn the_hosts_range_is_read() {
        assert_eq!(range_of("15000\t30000\n"), (15000, 30000));
        for wrong in ["", "a b", "5", "9 8"] {
            assert_eq!(range_of(wrong), (32768, 60999), "{wrong}");
        }
    }
}
