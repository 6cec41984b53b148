//! The host's switches for forwarding, which networks with a way out need.
//!
//! naru switches them on when the first such network comes and, if they were off before, off again when the last
//! project of the host goes; see [`crate::firewall`].
//!
//! A host that forwards IPv6 takes no router advertisements, unless it is told to take them all the same: an interface
//! that has taken them keeps doing so. Those that naru has told are remembered, and only they are set back.

use std::collections::BTreeSet;
use std::fmt;
use std::io;

use fs_err as fs;

use crate::names;

const IPV4: &str = "/proc/sys/net/ipv4/ip_forward";
const IPV6: &str = "/proc/sys/net/ipv6/conf/all/forwarding";
const IPV6_INTERFACES: &str = "/proc/sys/net/ipv6/conf";
/// What the text of [`Switched`] begins with.
const WAS_OFF: &str = "forwarding was off:";
/// What comes before the interfaces in it.
const ADVERTISEMENTS: &str = "advertisements:";
/// The longest comment of a table that `nft` takes when somebody loads what it has listed, in bytes.
const LONGEST_COMMENT: usize = 127;

/// A family of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

/// What naru has switched on and owes to switch off.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Switched {
    /// IPv4.
    pub ipv4: bool,
    /// IPv6.
    pub ipv6: bool,
    /// The interfaces that were told for that to take router advertisements all the same.
    pub told: Told,
}

/// Interfaces that naru has told to take router advertisements although the host forwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// These, by their names.
    These(BTreeSet<String>),
    /// A record that does not say which: all that do.
    Unknown,
}

impl Default for Told {
    fn default() -> Self {
        Self::These(BTreeSet::new())
    }
}

impl Told {
    fn with(self, other: Self) -> Self {
        match (self, other) {
            (Self::These(mut own), Self::These(others)) => {
                own.extend(others);
                Self::These(own)
            }
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
        }
    }

    fn has(&self, interface: &str) -> bool {
        match self {
            Self::These(interfaces) => interfaces.contains(interface),
            Self::Unknown => true,
        }
    }
}

impl Switched {
    /// Nothing.
    pub fn is_empty(&self) -> bool {
        !self.ipv4 && !self.ipv6
    }

    /// What is in either.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self {
            ipv4: self.ipv4 || other.ipv4,
            ipv6: self.ipv6 || other.ipv6,
            told: self.told.with(other.told),
        }
    }

    /// The same with these interfaces among those that were told.
    pub(crate) fn with_told(self, interfaces: BTreeSet<String>) -> Self {
        Self { told: self.told.with(Told::These(interfaces)), ..self }
    }

    /// The text as the comment of a firewall table, where there is room for some interfaces only: the text that is kept
    /// in a file has all of them.
    pub(crate) fn comment(&self) -> String {
        let Told::These(interfaces) = &self.told else { return self.to_string() };
        let is_plain = |name: &&String| {
            name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-@".contains(&byte))
        };
        let mut kept = Self { told: Told::default(), ..*self };
        let mut length = kept.to_string().len();
        let fitting = interfaces.iter().filter(is_plain).take_while(|name| {
            length += 1 + name.len();
            length <= LONGEST_COMMENT
        });
        kept.told = Told::These(fitting.cloned().collect());
        kept.to_string()
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
        if self.is_empty() {
            return Ok(());
        }
        f.write_str(WAS_OFF)?;
        if self.ipv4 {
            f.write_str(" ipv4")?;
        }
        if self.ipv6 {
            f.write_str(" ipv6")?;
        }
        if let (true, Told::These(interfaces)) = (self.ipv6, &self.told) {
            write!(f, "; {ADVERTISEMENTS}")?;
            interfaces.iter().try_for_each(|name| write!(f, " {name}"))?;
        }
        Ok(())
    }
}

impl From<&str> for Switched {
    fn from(text: &str) -> Self {
        let rest = text.strip_prefix(WAS_OFF).unwrap_or_default();
        let (families, interfaces) = match rest.split_once(';') {
            Some((families, more)) => (families, more.trim_start().strip_prefix(ADVERTISEMENTS)),
            None => (rest, None),
        };
        let has = |family| families.split_whitespace().any(|word| word == family);
        let (ipv4, ipv6) = (has("ipv4"), has("ipv6"));
        let these = |names: &str| names.split_whitespace().map(str::to_owned).collect();
        let told = match interfaces {
            Some(names) => Told::These(these(names)),
            None if ipv6 => Told::Unknown,
            None => Told::default(),
        };
        Self { ipv4, ipv6, told }
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

/// Switches forwarding on, if it is off. Returns the interfaces that were told to take router advertisements all the
/// same.
///
/// # Errors
/// When the setting cannot be written.
pub fn switch_on(family: Family) -> Result<BTreeSet<String>, Error> {
    if is_on(family)? {
        return Ok(BTreeSet::new());
    }
    let failed = |source| Error::Write { on: true, source };
    let told = match family {
        Family::Ipv4 => BTreeSet::new(),
        Family::Ipv6 => set_advertisements("1", "2", |_| true).map_err(failed)?,
    };
    fs::write(family.path(), "1").map_err(failed)?;
    Ok(told)
}

/// The interfaces that [`switch_on`] would tell to take router advertisements all the same.
pub(crate) fn listeners() -> BTreeSet<String> {
    let names = interfaces().unwrap_or_default().into_iter();
    names.filter(|name| accepts(name).is_ok_and(|value| value.as_deref() == Some("1"))).collect()
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
pub fn switch_off(switched: &Switched) -> Result<(), Error> {
    let failed = |source| Error::Write { on: false, source };
    if switched.ipv4 {
        fs::write(IPV4, "0").map_err(failed)?;
    }
    if switched.ipv6 {
        fs::write(IPV6, "0").map_err(failed)?;
        set_advertisements("2", "1", |name| switched.told.has(name)).map_err(failed)?;
    }
    Ok(())
}

/// Interfaces that take router advertisements unless the host forwards (1) take them always (2), and back; returns
/// which those were. One that cannot be set keeps none of the others from it.
fn set_advertisements(
    from: &str,
    to: &str,
    concerns: impl Fn(&str) -> bool,
) -> io::Result<BTreeSet<String>> {
    let mut set = BTreeSet::new();
    let mut outcome = Ok(());
    for name in interfaces()?.into_iter().filter(|name| concerns(name)) {
        let changed = match accepts(&name) {
            Ok(Some(value)) if value == from => unless_gone(fs::write(accept_ra(&name), to)),
            Ok(_) => continue,
            Err(error) => Err(error),
        };
        match changed {
            Ok(Some(())) => drop(set.insert(name)),
            Ok(None) => {}
            Err(error) => outcome = outcome.and(Err(error)),
        }
    }
    outcome.map(|()| set)
}

/// The interfaces that may take router advertisements: naru's own never do.
fn interfaces() -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(IPV6_INTERFACES)? {
        let Ok(name) = entry?.file_name().into_string() else { continue };
        if !matches!(name.as_str(), "all" | "default" | "lo") && !names::is_own(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

/// Whether an interface takes router advertisements, as the kernel has it; nothing when it has gone.
fn accepts(interface: &str) -> io::Result<Option<String>> {
    let text = unless_gone(fs::read_to_string(accept_ra(interface)))?;
    Ok(text.map(|text| text.trim().to_owned()))
}

fn accept_ra(interface: &str) -> String {
    format!("{IPV6_INTERFACES}/{interface}/accept_ra")
}

/// Links come and go, those of containers above all, also while one looks at all of them.
fn unless_gone<T>(outcome: io::Result<T>) -> io::Result<Option<T>> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        outcome => outcome.map(Some),
    }
}

#[cfg(test)]
mod tests;
