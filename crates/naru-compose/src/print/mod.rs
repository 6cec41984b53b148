//! Printing projects and templates: the order of keys, YAML as go-yaml writes it, and JSON as Go
//! writes it. What is printed is a [`Document`], a value that keeps the order of its keys.

mod json;
mod order;
mod yaml;

pub(crate) use json::to_json;
pub(crate) use order::{Sort, sort_all, sort_by_shape, sort_keys};
pub(crate) use yaml::to_yaml;

/// A value that keeps the order of its keys.
pub(crate) type Document = serde_yaml::Value;
