//! Identifiers: project names, container ids and the short forms that interface names and sockets need.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A project's name: `[a-z0-9][a-z0-9_-]*`, as Compose demands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProjectName(String);

/// Why a text is not a project name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "invalid project name {0:?}: it must start with a lower-case letter or digit and hold only those, '-' and '_'"
)]
pub struct InvalidName(String);

impl ProjectName {
    /// Checks `name` against Compose's rule for explicit project names.
    ///
    /// # Errors
    /// When the name is empty, starts with `-` or `_`, or holds another character.
    pub fn new(name: &str) -> Result<Self, InvalidName> {
        let legal = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
        let bytes = name.as_bytes();
        let fits = bytes.first().copied().is_some_and(legal)
            && bytes.len() <= 200
            && bytes.iter().all(|&c| legal(c) || c == b'-' || c == b'_');
        if fits { Ok(Self(name.to_owned())) } else { Err(InvalidName(name.to_owned())) }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ProjectName {
    type Error = InvalidName;

    fn try_from(name: String) -> Result<Self, InvalidName> {
        Self::new(&name)
    }
}

impl From<ProjectName> for String {
    fn from(name: ProjectName) -> Self {
        name.0
    }
}

impl fmt::Display for ProjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A container's id: 64 lower-case hexadecimal digits, random.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContainerId(String);

impl ContainerId {
    /// Makes a new id from the kernel's random numbers (getrandom(2)).
    ///
    /// # Errors
    /// When the kernel has no random numbers to give.
    pub fn random() -> std::io::Result<Self> {
        let mut bytes = [0_u8; 32];
        rustix::rand::getrandom(&mut bytes[..], rustix::rand::GetRandomFlags::empty())?;
        Ok(Self(hex(&bytes)))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first 12 digits, as people see it.
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

impl TryFrom<String> for ContainerId {
    type Error = InvalidName;

    fn try_from(id: String) -> Result<Self, InvalidName> {
        let fits = id.len() == 64 && id.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
        if fits { Ok(Self(id)) } else { Err(InvalidName(id)) }
    }
}

impl From<ContainerId> for String {
    fn from(id: ContainerId) -> Self {
        id.0
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Tells one `NARU_ROOT` from another on the same machine: 8 hexadecimal digits of the path's hash.
/// It keeps cgroups, interfaces and firewall tables of different roots apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RootId(String);

impl RootId {
    pub(crate) fn of(path: &std::path::Path) -> Self {
        Self(short_hash(path.as_os_str().as_encoded_bytes(), 8))
    }

    /// The 8 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The first `digits` (at most 64) hexadecimal digits of the SHA-256 of `bytes`.
pub fn short_hash(bytes: &[u8], digits: usize) -> String {
    let mut text = hex(&Sha256::digest(bytes));
    text.truncate(digits);
    text
}

/// `name` itself where it fits into `max` bytes, else its beginning and a hash, so that long names stay
/// apart. `max` is at least 16.
pub fn fit(name: &str, max: usize) -> String {
    if name.len() <= max {
        return name.to_owned();
    }
    let keep = (0..=max - 9).rev().find(|&end| name.is_char_boundary(end)).unwrap_or(0);
    format!("{}-{}", &name[..keep], short_hash(name.as_bytes(), 8))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn project_names_follow_the_rule_of_compose() {
        for good in ["a", "0", "my-app_2"] {
            assert_eq!(ProjectName::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "-a", "_a", "A", "a.b", "a/b", "..", "é"] {
            assert!(ProjectName::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_container_id_has_64_hexadecimal_digits_and_no_two_are_equal() {
        let (a, b) = (ContainerId::random().unwrap(), ContainerId::random().unwrap());
        assert_ne!(a, b);
        assert_eq!(ContainerId::try_from(a.as_str().to_owned()).unwrap(), a);
        assert!(ContainerId::try_from("../../etc".to_owned()).is_err());
    }

    #[test]
    fn long_names_are_shortened_but_stay_apart() {
        let (a, b) = (fit(&"x".repeat(50), 40), fit(&"x".repeat(51), 40));
        assert_eq!((a.len(), b.len()), (40, 40));
        assert_ne!(a, b);
        assert_eq!(fit("short", 40), "short");
    }
}
