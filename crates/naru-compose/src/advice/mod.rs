//! What the reader can do about a problem, and which other places have to do with it: the part of a
//! message that makes it one to act on.

mod kind;
mod places;
mod syntax;
mod unit;

pub(crate) use kind::{for_kind, for_unknown};
pub(crate) use places::add_places;
pub(crate) use syntax::explain as syntax;
pub(crate) use unit::for_value;
