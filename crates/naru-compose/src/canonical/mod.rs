//! From short forms to long ones: after this, every attribute has the one form that the typed
//! project is read from.

mod files;
mod hosts;
mod mounts;
mod ports;
mod table;
mod words;

pub(crate) use hosts::normalize as normalize_hosts;
pub(crate) use mounts::{mount_of, mount_target};
pub(crate) use ports::ports_of;
pub(crate) use table::canonicalize;
pub(crate) use words::words_of;
