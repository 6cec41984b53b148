//! Interpolation: `${VARIABLE}` in values, per file and before anything is merged.

mod template;
mod uses;
mod walk;

pub(crate) use template::{Fault, Unset, substitute, variables};
pub(crate) use uses::{Outcome, Use, uses};
pub(crate) use walk::interpolate;

/// Variables by name.
pub(crate) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;
