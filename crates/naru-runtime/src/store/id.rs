//! Names of containers.

use std::fmt;

use super::Error;

/// `NAME_MAX`: an id is the name of a directory.
const LONGEST: usize = 255;

/// A container's id: letters, digits and `_`, `+`, `-`, `.`, which is safe as a file's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerId(String);

impl ContainerId {
    /// Checks an id.
    ///
    /// # Errors
    /// [`Error::Id`] when it is empty, longer than a file's name may be, `.` or `..`, or has another
    /// character.
    pub fn new(id: impl Into<String>) -> Result<Self, Error> {
        let id = id.into();
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_+-.".contains(&byte);
        let is_valid = !matches!(id.as_str(), "" | "." | "..")
            && id.len() <= LONGEST
            && id.bytes().all(allowed);
        if is_valid { Ok(Self(id)) } else { Err(Error::Id(id)) }
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_plain_name() {
        for good in ["a", "test_busybox", "A-1.2+3", &"x".repeat(255)] {
            assert!(ContainerId::new(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "../a", "a b", "a\n", "é", "a:b", &"x".repeat(256)] {
            assert!(ContainerId::new(bad).is_err(), "{bad}");
        }
    }
}
