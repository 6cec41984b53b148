//! Which ports of the host to try for a published port: pure.

use std::ops::RangeInclusive;

use naru_compose::project;
use naru_state::record::Port;

use crate::protocol::Failure;

/// What a published port asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// This one, or one of these.
    One(RangeInclusive<u16>),
    /// Any free one.
    Any,
}

impl Wanted {
    /// Of a port in the file; with `auto` every one is free to be another.
    pub(super) fn of(port: &project::Port, auto: bool) -> Result<Self, Failure> {
        let text = port.published.as_deref().unwrap_or_default();
        if auto || matches!(text, "" | "0") {
            return Ok(Self::Any);
        }
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        match (first.parse(), last.parse()) {
            (Ok(first), Ok(last)) if 0 < first && first <= last => Ok(Self::One(first..=last)),
            _ => {
                let message = format!("{text} is neither a port nor a range of ports");
                Err(Failure { message, ..Failure::default() })
            }
        }
    }

    /// How many ports would do: who has the least choice is served first.
    pub(super) fn choice(&self) -> usize {
        match self {
            Self::One(range) => range.len(),
            Self::Any => usize::MAX,
        }
    }

    /// Whether exactly one port would do.
    pub(super) fn is_fixed(&self) -> bool {
        self.choice() == 1
    }

    fn allows(&self, port: u16) -> bool {
        match self {
            Self::One(range) => range.contains(&port),
            Self::Any => true,
        }
    }
}

/// The port that a container before this one had for the same purpose, and that none of `own` is.
pub(super) fn kept<'a>(
    wanted: &Wanted,
    port: &project::Port,
    before: &'a [Port],
    own: &[Port],
) -> Option<&'a Port> {
    before.iter().find(|kept| {
        kept.host_ip == port.host_ip
            && kept.container_port == port.target
            && kept.protocol == port.protocol.to_string()
            && wanted.allows(kept.host_port)
            && !own.contains(kept)
    })
}

/// The ports to try in their order: the one kept, then the lowest of a range; 0, where the kernel chooses, after the
/// `free` ones.
pub(super) fn order(
    wanted: &Wanted,
    kept: Option<u16>,
    free: impl Iterator<Item = u16>,
) -> impl Iterator<Item = u16> {
    let (range, any) = match wanted {
        Wanted::One(range) => (Some(range.clone()), None),
        Wanted::Any => (None, Some(free.chain([0]))),
    };
    let rest = range.into_iter().flatten().chain(any.into_iter().flatten());
    kept.into_iter().chain(rest.filter(move |port| Some(*port) != kept))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published(text: &str) -> project::Port {
        project::Port { published: Some(text.to_owned()), target: 80, ..project::Port::default() }
    }

    fn had(host_port: u16) -> Port {
        let protocol = "tcp".to_owned();
        Port { host_ip: String::new(), host_port, container_port: 80, protocol }
    }

    fn check(text: &str, auto: bool, before: &[Port], expected: &[u16]) {
        let port = published(text);
        let wanted = Wanted::of(&port, auto).unwrap();
        let kept = kept(&wanted, &port, before, &[]).map(|port| port.host_port);
        let order: Vec<_> = order(&wanted, kept, [50000, 50001].into_iter()).collect();
        assert_eq!(order, expected, "{text}");
    }

    #[test]
    fn a_published_port_is_one_the_lowest_of_a_range_or_any_and_stays_what_it_was() {
        check("80", false, &[], &[80]);
        check("8000-8002", false, &[], &[8000, 8001, 8002]);
        check("8000-8002", false, &[had(8001)], &[8001, 8000, 8002]);
        check("8000-8002", false, &[had(9000)], &[8000, 8001, 8002]);
        check("", false, &[], &[50000, 50001, 0]);
        check("0", false, &[had(50001)], &[50001, 50000, 0]);
        check("8080", true, &[], &[50000, 50001, 0]);
        check("8080", true, &[had(50007)], &[50007, 50000, 50001, 0]);
        check("8080", false, &[had(50007)], &[8080]);
        for wrong in ["9-8", "http", "0-3", "70000"] {
            assert!(Wanted::of(&published(wrong), false).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_a_container_had_serves_one_purpose_once() {
        let (port, before) = (published("8000-8002"), [had(8001)]);
        let wanted = Wanted::of(&port, false).unwrap();
        assert_eq!(kept(&wanted, &port, &before, &before), None);
        let udp = project::Port { protocol: project::Protocol::Udp, ..port };
        assert_eq!(kept(&wanted, &udp, &before, &[]), None);
    }

    #[test]
    fn who_has_the_least_choice_is_served_first() {
        let choice = |text| Wanted::of(&published(text), false).unwrap().choice();
        assert!(choice("80") < choice("80-81") && choice("1-65535") < choice(""));
    }
}
