//! The host's switch for IPv4 forwarding, which networks with a way out need.
//!
//! naru switches it on when the first such network comes and, if it was off before, off again when
//! the last project of the host goes; remembering that is the caller's part.

use std::io;

use fs_err as fs;

const PATH: &str = "/proc/sys/net/ipv4/ip_forward";

/// The switch could not be read or set.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The setting could not be read.
    #[error("cannot read whether the host forwards IPv4 packets")]
    Read(#[source] io::Error),
    /// The setting could not be written.
    #[error("cannot switch forwarding of IPv4 packets {}", if *.on { "on" } else { "off" })]
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
pub fn is_on() -> Result<bool, Error> {
    Ok(fs::read_to_string(PATH).map_err(Error::Read)?.trim() != "0")
}

/// Switches forwarding on. Who finds it off ([`is_on`]) owes [`switch_off`] later.
///
/// # Errors
/// When the setting cannot be written.
pub fn switch_on() -> Result<(), Error> {
    fs::write(PATH, "1").map_err(|source| Error::Write { on: true, source })
}

/// Switches forwarding off again, for whoever switched it on.
///
/// # Errors
/// When the setting cannot be written.
pub fn switch_off() -> Result<(), Error> {
    fs::write(PATH, "0").map_err(|source| Error::Write { on: false, source })
}
