//! What naru can run: each attribute is done, ignored by docker compose as well, or not possible
//! yet. The table in `table` is the only place that says which; docs/compose-support.md is held
//! against it by a test.

mod refuse;
mod table;
mod values;

pub(crate) use table::{SUPPORT, Support};

#[cfg(test)]
mod document;
#[cfg(test)]
mod tests;
