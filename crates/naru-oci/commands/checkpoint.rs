//! `checkpoint` and `restore`: refused, whatever their arguments are.

use std::ffi::OsString;

/// Anything.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    _words: Vec<OsString>,
}
