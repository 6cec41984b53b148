//! System call filters: from the OCI form to the kernel's program.

mod compile;
mod profile;
mod table;
#[cfg(test)]
mod tests;

pub(crate) use compile::{Program, filter_flags, notifies};
pub use profile::docker_profile;
