//! The host's switches for forwarding, which networks with a way out need.
//!
//! naru switches them on when the first such network comes and, if they were off before, off again when the last
//! project of the host goes; see [`crate::firewall`].
//!
//! A host that forwards IPv6 takes no router advertisements, unless it is told to take them all the same: an interface
//! that has taken them keeps doing so.

use std::fmt;
use std::io;

use fs_err as fs;

const IPV4: &str = "/proc/sys/net/ipv4/ip_forward";
const IPV6: &str = "/proc/sys/net/ipv6/conf/all/forwarding";
const IPV6_INTERFACES: &str = "/proc/sys/net/ipv6/conf";

/// A family of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

/// What naru has switched on and owes to switch off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Switched {
    /// IPv4.
    pub ipv4: bool,
    /// IPv6.
    pub ipv6: bool,
}

impl Switched {
    /// Nothing.
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }

    /// What is in either.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self { ipv4: self.ipv4 || other.ipv4, ipv6: self.ipv6 || other.ipv6 }
    }
}

impl FromIterator<Family> for Switched {
    fn from_iter<T: IntoIterator<Item = Family>>(families: T) -> Self {
        families.into_iter().fold(Self::default(), |all, family| match family {
            Family::Ipv4 => Self { ipv4: true, ..all },
            Family::Ipv6 => Self { ipv6: true, ..all },
        })
    }
}

/// The text that it is kept as; [`Switched::from`] reads it, and nothing else in any other text.
impl fmt::Display for Switched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.ipv4, self.ipv6) {
            (true, true) => "forwarding was off: ipv4 ipv6",
            (true, false) => "forwarding was off: ipv4",
            (false, true) => "forwarding was off: ipv6",
            (false, false) => "",
        })
    }
}

impl From<&str> for Switched {
    fn from(text: &str) -> Self {
        let families = text.strip_prefix("forwarding was off:").unwrap_or_default();
        Self { ipv4: families.contains("ipv4"), ipv6: families.contains("ipv6") }
    }
}

impl Family {
    fn path(self) -> &'static str {
        match self {
            Self::Ipv4 => IPV4,
            Self::Ipv6 => IPV6,
        }
    }
}

/// The switch could not be read or set.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The setting could not be read.
    #[error("cannot read {path}")]
    Read {
        /// The setting's file.
        path: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The setting could not be written.
    #[error("cannot switch forwarding {}", if *.on { "on" } else { "off" })]
    Write {
        /// What it should have become.
        on: bool,
        /// Why it could not be written.
        source: io::Error,
    },
}

/// Whether the host forwards.
///
/// # Errors
/// When the setting cannot be read.
pub fn is_on(family: Family) -> Result<bool, Error> {
    let path = family.path();
    let text = fs::read_to_string(path).map_err(|source| Error::Read { path, source })?;
    Ok(text.trim() != "0")
}

/// Switches forwarding on, if it is off.
///
/// # Errors
/// When the setting cannot be written.
pub fn switch_on(family: Family) -> Result<(), Error> {
    if is_on(family)? {
        return Ok(());
    }
    let failed = |source| Error::Write { on: true, source };
    if family == Family::Ipv6 {
        keep_advertisements("1", "2").map_err(failed)?;
    }
    fs::write(family.path(), "1").map_err(failed)
}

/// Whether what comes from this interface may be forwarded.
pub(crate) fn is_open(interface: &str) -> bool {
    fs::read_to_string(of_interface(interface)).is_ok_and(|text| text.trim() != "0")
}

/// Forwards nothing that comes from this interface. [`switch_on`] undoes it for all interfaces.
pub(crate) fn keep_inside(interface: &str) -> io::Result<()> {
    match fs::write(of_interface(interface), "0") {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

fn of_interface(interface: &str) -> String {
    format!("/proc/sys/net/ipv4/conf/{interface}/forwarding")
}

/// Switches off again what was switched on.
///
/// # Errors
/// When the setting cannot be written.
pub fn switch_off(switched: Switched) -> Result<(), Error> {
    let failed = |source| Error::Write { on: false, source };
    if switched.ipv4 {
        fs::write(IPV4, "0").map_err(failed)?;
    }
    if switched.ipv6 {
        fs::write(IPV6, "0").map_err(failed)?;
        keep_advertisements("2", "1").map_err(failed)?;
    }
    Ok(())
}

/// Interfaces that take router advertisements unless the host forwards (1) take them always (2), and back.
fn keep_advertisements(from: &str, to: &str) -> io::Result<()> {
    for entry in fs::read_dir(IPV6_INTERFACES)? {
        let path = entry?.path();
        let is_real = !matches!(
            path.file_name().and_then(|name| name.to_str()),
            Some("all" | "default" | "lo") | None
        );
        let setting = path.join("accept_ra");
        if is_real && fs::read_to_string(&setting)?.trim() == from {
            fs::write(setting, to)?;
        }
    }
    Ok(())
}
