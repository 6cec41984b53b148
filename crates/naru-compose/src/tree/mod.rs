//! The tree that a YAML text becomes: every node knows its file, line and column.

mod deserialize;
mod go;
mod merge_key;
mod node;
mod parse;
mod past;
mod scalar;

pub(crate) use go::{float_text, shortest_float};
pub(crate) use node::{Entry, Map, Mark, Node, Value};
pub(crate) use parse::parse;
pub(crate) use past::{How, Made};
pub(crate) use scalar::is_plain_text;
